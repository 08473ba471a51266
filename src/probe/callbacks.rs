//! Callbacks of the hypervisor: the row HYP of `/proc/interrupts`. KVM sends one when a page that a guest's task waits for is
//! there (asynchronous page faults), and hardly any otherwise.

use std::{fs::File, os::unix::fs::FileExt};

/// The most of the file that is read; the row stands near its end, behind one line for each interrupt.
const LIMIT_BYTES: usize = 256 * 1024;

/// Reads the row. The file stays open; reading takes some 50 us, so it is done only when there was a gap, and never again
/// where the kernel has no such row.
#[derive(Debug)]
pub struct CallbackProbe {
    interrupts: Option<File>,
    text: Vec<u8>,
}

impl CallbackProbe {
    /// For this machine.
    pub fn open() -> Self {
        let mut probe = Self { interrupts: File::open("/proc/interrupts").ok(), text: vec![0; 8 * 1024] };
        // It is there from the start of the kernel or never.
        if probe.read().is_none() {
            probe.interrupts = None;
        }
        probe
    }

    /// Callbacks since boot, all CPUs together; none where the kernel has no such row.
    pub fn read(&mut self) -> Option<u64> {
        let file = self.interrupts.as_ref()?;
        let mut filled = 0;
        loop {
            if filled == self.text.len() {
                if filled >= LIMIT_BYTES {
                    break;
                }
                self.text.resize(filled * 2, 0);
            }
            match file.read_at(&mut self.text[filled..], filled as u64) {
                Ok(0) | Err(_) => break,
                Ok(count) => filled += count,
            }
        }
        callbacks(&self.text[..filled])
    }
}

/// The sum of the row `HYP: count of each CPU ... name`.
fn callbacks(interrupts: &[u8]) -> Option<u64> {
    let mut lines =
        interrupts.rsplit(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    let row = lines.find_map(|line| line.trim_ascii_start().strip_prefix("HYP:"))?;
    let counts = row.split_ascii_whitespace().map_while(|word| word.parse::<u64>().ok());
    Some(counts.fold(0, u64::saturating_add))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_is_summed_over_the_cpus_and_its_absence_is_told_from_zero() {
        let text = b"      CPU0 CPU1\n LOC: 9 9 Local timer interrupts\n HYP:  3  4   Hypervisor callback interrupts\n";
        assert_eq!(callbacks(text), Some(7));
        assert_eq!(callbacks(b" LOC: 9 9\n"), None);
    }

    #[test]
    fn this_machine_counts_and_never_backwards() {
        let mut probe = CallbackProbe::open();
        let first = probe.read();
        assert!(probe.read() >= first);
    }
}
