//! A domain's XML, as far as it matters: the channel of the guest's port, and what runs its CPUs.

use super::Virsh;
use crate::port::DEFAULT_PORT_NAME;
use crate::record::Accelerator;
use std::path::PathBuf;

/// The port as libvirt takes it.
const CHANNEL: &str = "<channel type='unix'><target type='virtio' name='org.sully.0'/></channel>";

/// A domain that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Its name.
    pub name: String,
    /// The socket of the guest's port.
    pub socket: PathBuf,
    /// What runs its CPUs, where that is one of the two that are known.
    pub accelerator: Option<Accelerator>,
}

impl Domain {
    /// Asks libvirt for it.
    ///
    /// # Errors
    /// There is no such domain, it does not run, or it has no port for the guest: a sentence with the way out.
    pub async fn find(virsh: &Virsh, name: &str) -> Result<Self, String> {
        let xml = virsh.ask(&["dumpxml", name]).await?;
        let socket = channel_of(&xml).ok_or_else(|| {
            format!(
                "the domain '{name}' has no channel {DEFAULT_PORT_NAME} with a socket: does it run? Put {CHANNEL} into a file and give it to \
                 `virsh attach-device {name} FILE --live`"
            )
        })?;
        let kind = attribute(&xml, "<domain", "type");
        let accelerator = match kind.as_deref() {
            Some("kvm") => Some(Accelerator::Kvm),
            Some("qemu") => Some(Accelerator::Tcg),
            _ => None,
        };
        Ok(Self { name: name.to_owned(), socket, accelerator })
    }
}

/// The socket of the guest's port in a domain's XML.
pub fn channel_of(xml: &str) -> Option<PathBuf> {
    let channels = xml.split("<channel").skip(1).map(|rest| rest.split("</channel>").next().unwrap_or(""));
    let own = channels
        .into_iter()
        .find(|own| attribute(own, "<target", "name").as_deref() == Some(DEFAULT_PORT_NAME))?;
    attribute(own, "<source", "path").map(PathBuf::from)
}

/// The value of an attribute of the first such element.
fn attribute(xml: &str, element: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(element)?;
    let tag = rest.split('>').next()?;
    let (_, value) = tag.split_once(&format!(" {name}="))?;
    let quote = value.chars().next().filter(|quote| ['\'', '"'].contains(quote))?;
    let text = value[1..].split(quote).next()?;
    let named = [("&lt;", "<"), ("&gt;", ">"), ("&apos;", "'"), ("&quot;", "\""), ("&amp;", "&")];
    Some(named.iter().fold(text.to_owned(), |text, (entity, letter)| text.replace(entity, letter)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const XML: &str = "<domain type='kvm' id='1'>\n<devices>
        <channel type='unix'><source mode='bind' path='/run/agent'/><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
        <channel type='unix'>
          <source mode='bind' path='/run/a &amp; b/org.sully.0'/>
          <target type='virtio' name='org.sully.0' state='connected'/>
        </channel></devices></domain>";

    #[test]
    fn the_socket_of_the_guests_port_is_found_among_others() {
        assert_eq!(channel_of(XML).as_deref(), Some(Path::new("/run/a & b/org.sully.0")));
        assert_eq!(attribute(XML, "<domain", "type").as_deref(), Some("kvm"));
        assert_eq!(channel_of(&XML.replace("org.sully.0'", "other'")), None);
        assert_eq!(
            channel_of("<channel type='unix'><target name='org.sully.0'/></channel>"),
            None,
            "it is shut"
        );
        assert_eq!(channel_of(""), None);
    }
}
