//! Time the hypervisor gave this guest's CPUs to others: the steal column of `/proc/stat`.

use nix::unistd::{SysconfVar, sysconf};
use std::{fs::File, os::unix::fs::FileExt};

/// Reads steal, all CPUs together. The file stays open; a reading allocates nothing.
#[derive(Debug)]
pub struct StealProbe {
    stat: File,
    ticks_per_s: u64,
}

impl StealProbe {
    /// None where `/proc/stat` cannot be opened.
    pub fn open() -> Option<Self> {
        let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|ticks| u64::try_from(ticks).ok());
        let stat = File::open("/proc/stat").ok()?;
        Some(Self { stat, ticks_per_s: ticks.filter(|ticks| *ticks > 0).unwrap_or(100) })
    }

    /// Steal since boot in ms, sum over CPUs; none where the kernel does not count it.
    pub fn read_ms(&self) -> Option<u64> {
        let mut head = [0; 256];
        let length = self.stat.read_at(&mut head, 0).ok()?;
        let ticks = steal_ticks(head.get(..length)?)?;
        Some(ticks.saturating_mul(1000) / self.ticks_per_s)
    }
}

/// The eighth number of the line `cpu  user nice system idle iowait irq softirq steal ...`.
fn steal_ticks(stat: &[u8]) -> Option<u64> {
    let line = stat.split(|byte| *byte == b'\n').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    if words.next() != Some("cpu") {
        return None;
    }
    words.nth(7)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steal_is_the_eighth_number() {
        let stat = b"cpu  49726 0 7262 320478 810 0 86 33 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n";
        assert_eq!(steal_ticks(stat), Some(33));
    }

    #[test]
    fn a_kernel_that_does_not_count_it_is_told_from_none_stolen() {
        assert_eq!(steal_ticks(b"cpu  49726 0 7262 320478 810 0 86\n"), None);
        assert_eq!(steal_ticks(b""), None);
    }

    #[test]
    fn steal_never_goes_back() {
        let probe = StealProbe::open().unwrap();
        let first = probe.read_ms().unwrap();
        assert!(probe.read_ms().unwrap() >= first);
    }
}
