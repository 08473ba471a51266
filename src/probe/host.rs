//! Who this machine is: the facts `hello` carries. Absent facts stay absent; nothing here fails.

use super::rows::value;

/// Who this machine is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostFacts {
    /// The kernel's random id of this boot; empty where it cannot be read.
    pub boot_id: String,
    /// The host name; empty where there is none.
    pub hostname: String,
    /// The kernel's release.
    pub kernel: String,
    /// All memory of the machine; 0 where it cannot be read.
    pub mem_total_bytes: u64,
}

/// Who this machine is, as far as it says.
pub fn host_facts() -> HostFacts {
    let uname = nix::sys::utsname::uname().ok();
    HostFacts {
        boot_id: text("/proc/sys/kernel/random/boot_id").unwrap_or_default(),
        hostname: uname.map(|names| names.nodename().to_string_lossy().into_owned()).unwrap_or_default(),
        kernel: uname.map(|names| names.release().to_string_lossy().into_owned()).unwrap_or_default(),
        mem_total_bytes: super::meminfo()
            .ok()
            .and_then(|text| super::rows::row_bytes(&text, "MemTotal:"))
            .unwrap_or(0),
    }
}

/// A one-line file's line, where there is one.
fn text(path: &str) -> Option<String> {
    value(path).filter(|line: &String| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_are_the_kernels_own() {
        let facts = host_facts();
        assert_eq!(facts.boot_id.len(), 36, "{facts:?}");
        assert_eq!(Some(&facts.kernel), text("/proc/sys/kernel/osrelease").as_ref());
        assert!(facts.mem_total_bytes > 1 << 20);
    }

    #[test]
    fn an_absent_file_is_an_absent_fact() {
        assert_eq!(text("/proc/there/is/no/such/file"), None);
    }
}
