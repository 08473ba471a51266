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
    /// The kernel's clocksource.
    pub clocksource: Option<String>,
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
        clocksource: clocksource(),
    }
}

/// The kernel's clocksource.
pub fn clocksource() -> Option<String> {
    text("/sys/devices/system/clocksource/clocksource0/current_clocksource")
}

/// Whether this clocksource is one of those that an x86 kernel falls back to where it cannot rely on the CPU's counter.
pub fn is_fallback(clocksource: Option<&str>) -> bool {
    matches!(clocksource, Some("hpet" | "acpi_pm" | "jiffies" | "refined-jiffies"))
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
    fn a_clocksource_without_a_reliable_counter_is_a_fallback() {
        let fallbacks = ["hpet", "acpi_pm", "jiffies", "refined-jiffies"];
        assert!(fallbacks.into_iter().all(|clocksource| is_fallback(Some(clocksource))));
        let steady = [Some("tsc"), Some("kvm-clock"), Some("arch_sys_counter"), None];
        assert!(steady.into_iter().all(|clocksource| !is_fallback(clocksource)));
    }

    #[test]
    fn an_absent_file_is_an_absent_fact() {
        assert_eq!(text("/proc/there/is/no/such/file"), None);
    }
}
