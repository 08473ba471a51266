//! The kernel's clocksource, and whether the kernel has gone over to another: it does where it finds the CPU's counter
//! unreliable, after a migration perhaps.

use super::rows::value;

/// A look costs a few us, and opens a file.
const LOOK_NS: u64 = 1_000_000_000;

/// The kernel's clocksource; none where it cannot be read.
pub fn clocksource() -> Option<String> {
    value("/sys/devices/system/clocksource/clocksource0/current_clocksource")
        .filter(|name: &String| !name.is_empty())
}

/// Whether this clocksource is one of those that an x86 kernel falls back to where it cannot rely on the CPU's counter.
pub fn is_fallback(clocksource: Option<&str>) -> bool {
    matches!(clocksource, Some("hpet" | "acpi_pm" | "jiffies" | "refined-jiffies"))
}

/// Looks now and then whether the clocksource is the first one still.
#[derive(Debug)]
pub struct ClocksourceWatch {
    first: Option<String>,
    /// The present one, where it is not the first.
    other: Option<String>,
    next_look_ns: u64,
}

impl ClocksourceWatch {
    /// Beside `first`; where that is not known, no other is told.
    pub fn new(first: Option<String>) -> Self {
        Self { first, other: None, next_look_ns: 0 }
    }

    /// Looks with `read`, once a second at most. A sentence where it is another than at the last look.
    pub fn look(&mut self, now_ns: u64, read: impl FnOnce() -> Option<String>) -> Option<String> {
        let first = self.first.as_ref()?;
        if now_ns < self.next_look_ns {
            return None;
        }
        self.next_look_ns = now_ns.saturating_add(LOOK_NS);
        let other = read().filter(|present| present != first);
        if other == self.other {
            return None;
        }
        let sentence = format!(
            "the kernel went over from the clocksource {} to {}: times before and after may differ",
            self.other.as_ref().unwrap_or(first),
            other.as_ref().unwrap_or(first)
        );
        self.other = other;
        Some(sentence)
    }

    /// The clocksource as of the last look, where it is not the first.
    pub fn other(&self) -> Option<&str> {
        self.other.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clocksource_without_a_reliable_counter_is_a_fallback() {
        let fallbacks = ["hpet", "acpi_pm", "jiffies", "refined-jiffies"];
        assert!(fallbacks.into_iter().all(|clocksource| is_fallback(Some(clocksource))));
        let steady = ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "xen"];
        assert!(steady.into_iter().all(|clocksource| !is_fallback(Some(clocksource))));
        assert!(!is_fallback(None));
    }

    #[test]
    fn another_clocksource_is_told_once_and_looked_for_once_a_second() {
        let mut watch = ClocksourceWatch::new(Some("tsc".into()));
        let named = |name: &'static str| move || Some(name.to_owned());
        assert_eq!((watch.look(0, named("tsc")), watch.other()), (None, None));
        assert_eq!(watch.look(LOOK_NS - 1, || unreachable!("too soon")), None);
        let said = watch.look(LOOK_NS, named("hpet")).unwrap();
        assert!(said.contains("from the clocksource tsc to hpet"), "{said}");
        assert_eq!((watch.look(2 * LOOK_NS, named("hpet")), watch.other()), (None, Some("hpet")));
        assert!(watch.look(3 * LOOK_NS, named("tsc")).unwrap().contains("from the clocksource hpet to tsc"));
        assert_eq!(watch.other(), None);
        let mut unknown = ClocksourceWatch::new(None);
        assert_eq!((unknown.look(0, named("hpet")), unknown.other()), (None, None));
    }
}
