//! What is found on the other machine before anything is started there.

use super::super::error::VmError;
use super::{SshLink, address::bracketed};
use crate::lab::qmp::QemuVersion;
use crate::units::shown;
use std::{process::Stdio, time::Duration};
use tokio::process::Command;

/// How long the other machine may take to say what it is.
const LIMIT: Duration = Duration::from_secs(20);
/// Says a line for each fact; `$1` is the QEMU that is wanted. What cannot be told is empty.
const FACTS: &str = r#"
q=$(command -v -- "$1") || q=
echo "qemu=$q"
[ -z "$q" ] || echo "banner=$("$q" -version 2>&1 </dev/null | head -n 1)"
echo "kernel=$(uname -r)"
echo "cpus=$(getconf _NPROCESSORS_ONLN 2>/dev/null)"
sed -n 's/^model name[^:]*: */model=/p' /proc/cpuinfo | head -n 1
if [ ! -e /dev/kvm ]; then echo 'kvm=/dev/kvm does not exist'
elif [ ! -r /dev/kvm ] || [ ! -w /dev/kvm ]; then echo 'kvm=/dev/kvm: permission denied'; fi
sed -n 's/^\(MemTotal\|MemAvailable\|SwapTotal\):/mem=&/p' /proc/meminfo
"#;

/// The other machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshMachine {
    /// Its QEMU.
    pub qemu: String,
    /// The version of that.
    pub version: QemuVersion,
    /// Its kernel's release.
    pub kernel: String,
    /// Its CPUs; none where it does not say.
    pub cpus: Option<u32>,
    /// Its processor, as the kernel names it.
    pub cpu_model: String,
    /// What keeps us from KVM there.
    pub no_kvm: Option<String>,
    /// Lines of its `/proc/meminfo`.
    pub meminfo: String,
}

impl SshMachine {
    /// Looks for `qemu` there, a path or a name on PATH, and at what it runs on.
    ///
    /// # Errors
    /// There is no such program, or what is there is no QEMU; or the connection is lost.
    pub async fn survey(link: &SshLink, qemu: &str) -> Result<Self, VmError> {
        let said = link.run("look for QEMU", FACTS, &[qemu], LIMIT).await?;
        let all = |name: &str| {
            let values = said.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            values.map(|value| shown(value, 300)).collect::<Vec<String>>()
        };
        let one = |name: &str| all(name).into_iter().next().filter(|value| !value.is_empty());
        let address = link.address().to_string();
        let Some(found) = one("qemu") else {
            return Err(VmError::QemuMissingThere { wanted: qemu.to_owned(), address });
        };
        let banner = one("banner").unwrap_or_default();
        let Some(version) = QemuVersion::from_banner(&banner) else {
            return Err(VmError::NotQemuThere { qemu: found, address, said: shown(&banner, 80) });
        };
        Ok(Self {
            qemu: found,
            version,
            kernel: one("kernel").unwrap_or_default(),
            cpus: one("cpus").and_then(|cpus| cpus.parse().ok()),
            cpu_model: one("model").unwrap_or_default(),
            no_kvm: one("kvm"),
            meminfo: all("mem").join("\n"),
        })
    }
}

/// A port that nobody listens on there, by its lists of sockets; `seed` says where the search begins.
///
/// # Errors
/// The connection is lost.
pub async fn free_port(link: &SshLink, seed: u32) -> Result<u16, VmError> {
    let script = "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null || :";
    let taken = link.run("look for a free port", script, &[], LIMIT).await?;
    Ok(port_beside(&taken, seed))
}

/// The first port from the private ones that no line of `/proc/net/tcp` has as its own.
fn port_beside(table: &str, seed: u32) -> u16 {
    const FIRST: u32 = 49_152;
    const COUNT: u32 = 16_384;
    let local =
        |line: &str| u16::from_str_radix(line.split_whitespace().nth(1)?.rsplit_once(':')?.1, 16).ok();
    let taken: Vec<u16> = table.lines().filter_map(local).collect();
    let ports = (0..COUNT).filter_map(|step| u16::try_from(FIRST + (seed % COUNT + step) % COUNT).ok());
    ports.into_iter().find(|port| !taken.contains(port)).unwrap_or(u16::MAX)
}

/// The other machine's name as it is to be resolved: what the user's configuration of ssh makes of the one in the address.
pub async fn resolved_host(link: &SshLink) -> String {
    let mut command = Command::new("ssh");
    command.arg("-G").args(link.address().words()).stdin(Stdio::null()).kill_on_drop(true);
    let said = tokio::time::timeout(LIMIT, command.output()).await;
    let said =
        said.ok().and_then(Result::ok).map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let host = said.as_deref().and_then(|said| said.lines().find_map(|line| line.strip_prefix("hostname ")));
    bracketed(host.unwrap_or_else(|| link.address().host()).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_passed_over() {
        let table = "  sl  local_address rem_address   st\n   0: 00000000:C005 00000000:0000 0A\n   1: 0100007F:C006 0:0 01\n";
        assert_eq!(port_beside(table, 5), 49_159);
        assert_eq!(port_beside("", 16_384 + 7), 49_159);
        assert_eq!(port_beside("1: 0:FFFF 0:0 0A", 16_383), 49_152, "after the last comes the first");
    }
}
