//! Callbacks of the hypervisor: the row HYP of `/proc/interrupts`. KVM sends one when a page that a guest's task waits for is
//! there (asynchronous page faults), and hardly any otherwise.

use std::{fs::File, os::unix::fs::FileExt};

/// What is read at once.
const CHUNK_BYTES: usize = 16 * 1024;
const NAME: &[u8] = b"HYP:";

/// Reads the row. The file stays open; reading takes some 50 us, more on machines of many CPUs, so it is done only when there
/// was a gap, and never again where the kernel has no such row.
#[derive(Debug)]
pub struct CallbackProbe {
    interrupts: Option<File>,
    chunk: Box<[u8]>,
}

impl CallbackProbe {
    /// For this machine.
    pub fn open() -> Self {
        let chunk = vec![0; CHUNK_BYTES].into();
        let mut probe = Self { interrupts: File::open("/proc/interrupts").ok(), chunk };
        // It is there from the start of the kernel or never.
        if probe.read().is_none() {
            probe.interrupts = None;
        }
        probe
    }

    /// Callbacks since boot, all CPUs together; none where the kernel has no such row.
    pub fn read(&mut self) -> Option<u64> {
        let Self { interrupts, chunk } = self;
        let file = interrupts.as_ref()?;
        // The row stands behind one for each interrupt, of a number for each CPU: megabytes on a large machine.
        let (mut row, mut offset) = (Row::default(), 0);
        while let Ok(count @ 1..) = file.read_at(chunk, offset) {
            row.take(chunk.get(..count)?);
            if row.state == State::Over {
                break;
            }
            offset += count as u64;
        }
        row.sum()
    }
}

/// The row `HYP: count of each CPU ... name`, found in a text that comes in pieces.
#[derive(Debug, Default)]
struct Row {
    state: State,
    sum: u64,
    /// The number that is being read.
    number: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the beginning of a line, so many bytes into the row's name.
    Name(usize),
    /// In another row.
    Other,
    Counts,
    /// Behind the counts of the row.
    Over,
}

impl Default for State {
    fn default() -> Self {
        Self::Name(0)
    }
}

impl Row {
    fn take(&mut self, text: &[u8]) {
        for byte in text {
            self.state = match (self.state, byte) {
                (State::Over, _) => return,
                (State::Name(_) | State::Other, b'\n') | (State::Name(0), b' ') => State::Name(0),
                (State::Name(known), _) if NAME.get(known) == Some(byte) => {
                    if known + 1 == NAME.len() {
                        State::Counts
                    } else {
                        State::Name(known + 1)
                    }
                }
                (State::Name(_) | State::Other, _) => State::Other,
                (State::Counts, b'0'..=b'9') => {
                    let so_far = self.number.unwrap_or(0).saturating_mul(10);
                    self.number = Some(so_far.saturating_add(u64::from(byte - b'0')));
                    State::Counts
                }
                (State::Counts, b' ') => {
                    self.end_number();
                    State::Counts
                }
                (State::Counts, _) => State::Over,
            };
        }
    }

    fn end_number(&mut self) {
        self.sum = self.sum.saturating_add(self.number.take().unwrap_or(0));
    }

    /// The sum over the CPUs, once the row was met.
    fn sum(mut self) -> Option<u64> {
        self.end_number();
        matches!(self.state, State::Counts | State::Over).then_some(self.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in a text that comes in pieces of so many bytes.
    fn callbacks(text: &str, piece: usize) -> Option<u64> {
        let mut row = Row::default();
        text.as_bytes().chunks(piece).for_each(|piece| row.take(piece));
        row.sum()
    }

    #[test]
    fn the_row_is_summed_over_the_cpus_and_its_absence_is_told_from_zero() {
        let text = "      CPU0 CPU1\n LOC: 9 9 Local timer interrupts\n HYP:  3  4   Hypervisor callback interrupts\n ERR: 7\n";
        for piece in 1..text.len() {
            assert_eq!(callbacks(text, piece), Some(7), "pieces of {piece}");
        }
        assert_eq!(callbacks("HYP: 1 2", 3), Some(3));
        assert_eq!(callbacks("HYP: 0 0  Hypervisor 9\n", 3), Some(0));
        for none in ["", " LOC: 9 9\n", "HY", " HYPE: 9\n", " 9: HYP: 1\n"] {
            assert_eq!(callbacks(none, 2), None, "{none}");
        }
    }

    #[test]
    fn the_row_is_found_behind_the_interrupts_of_hundreds_of_cpus() {
        let row = |name: &str, count: u64| {
            format!("{name:>4}:{} IR-PCI-MSI nvme0q1\n", format!(" {count:>10}").repeat(384))
        };
        let interrupts: String = (0..600).map(|number| row(&number.to_string(), 4_294_967_295)).collect();
        assert!(interrupts.len() > 2 << 20);
        let text = interrupts + &row("HYP", 4_294_967_295);
        assert_eq!(callbacks(&text, CHUNK_BYTES), Some(384 * 4_294_967_295));
    }

    #[test]
    fn this_machine_counts_and_never_backwards() {
        let mut probe = CallbackProbe::open();
        let first = probe.read();
        assert!(probe.read() >= first);
    }
}
