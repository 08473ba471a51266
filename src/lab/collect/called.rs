//! What a VM's socket is called for short: its file's name, or of libvirt's sockets, which all have one name, the domain's.

use crate::port::DEFAULT_PORT_NAME;
use std::path::{Path, PathBuf};

/// Where libvirt keeps the sockets of its domains, in newer versions and older ones.
const LIBVIRT: [&str; 2] = ["/run/libvirt/qemu/channel", "/var/lib/libvirt/qemu/channel/target"];
/// libvirt shortens a domain's name in paths to so many letters.
const NAME_CHARS: usize = 20;

/// The name of a socket for people.
pub fn called(path: &Path) -> String {
    // An address is no path, and its end means nothing without the rest.
    if let Some(text) = path.to_str().filter(|text| text.starts_with("tcp:") || text.starts_with("vsock")) {
        return text.to_owned();
    }
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    domain(path).map_or_else(|| name.into_owned(), str::to_owned)
}

/// Whether `name` is what people may call the socket: its path, its file's name, or its domain's.
pub fn is_called(path: &Path, name: &str) -> bool {
    let short = name.char_indices().nth(NAME_CHARS).map_or(name, |(end, _)| &name[..end]);
    path == Path::new(name)
        || path.file_name().is_some_and(|file| file == name)
        || domain(path) == Some(short)
}

/// Patterns for the sockets of libvirt's domains.
pub fn libvirt_patterns() -> impl Iterator<Item = String> {
    LIBVIRT.iter().map(|directory| format!("{directory}/*/{DEFAULT_PORT_NAME}"))
}

/// The domain of one of libvirt's sockets: `.../domain-7-NAME/org.sully.0`, or `.../7-NAME/org.sully.0`.
fn domain(path: &Path) -> Option<&str> {
    let directory = path.parent()?;
    let above: PathBuf = directory.parent()?.into();
    if !LIBVIRT.iter().any(|place| above.ends_with(place.trim_start_matches('/'))) {
        return None;
    }
    let name = directory.file_name()?.to_str()?;
    let (number, domain) = name.strip_prefix("domain-").unwrap_or(name).split_once('-')?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then_some(domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_of_libvirt_is_called_as_its_domain_and_any_other_as_its_file() {
        let old = Path::new("/var/lib/libvirt/qemu/channel/target/domain-12-web-1/org.sully.0");
        let new = Path::new("/run/libvirt/qemu/channel/3-web-2/org.sully.0");
        assert_eq!([old, new].map(called), ["web-1", "web-2"]);
        assert!(is_called(old, "web-1") && !is_called(old, "web-2") && is_called(old, "org.sully.0"));
        let long = Path::new("/run/libvirt/qemu/channel/3-a-domain-of-a-very-l/org.sully.0");
        assert!(is_called(long, "a-domain-of-a-very-long-name"), "libvirt shortens it");
        for address in ["tcp:192.0.2.7", "vsock:3", "vsock-unix:/run/v.sock:7"] {
            assert_eq!(called(Path::new(address)), address);
        }
        let own = Path::new("/run/vms/3-alpha/port.sock");
        assert_eq!((called(own).as_str(), is_called(own, "alpha")), ("port.sock", false));
    }
}
