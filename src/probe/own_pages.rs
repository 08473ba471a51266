//! How many pages this program dirties for itself: all it may write but the memory it is there to dirty.
//!
//! The kernel's log makes the first store into each page dearer, those of a timed visit too. So one interval is counted
//! now and then, and nothing is logged in between.

use super::DirtyLog;
use crate::units::PAGE_BYTES;
use std::{fs::File, io::Read, ops::Range};

/// More than the list of this program's mappings takes, which is made room for once: what is freed just before an interval is counted
/// would be dirtied in it.
const MAPS_BYTES: usize = 16 * 1024;

/// From one interval that is counted to the next.
const EVERY_NS: u64 = 5_000_000_000;

/// Counts the program's own dirtied pages, an interval at a time.
#[derive(Debug)]
pub struct OwnPages {
    /// What is not the program's own, by address.
    spared: Vec<Range<u64>>,
    /// Open while an interval is being counted.
    log: Option<DirtyLog>,
    next_ns: u64,
    /// The program's mappings as read last.
    maps: String,
}

impl OwnPages {
    /// Counts everything but what lies in `spared`, for the first time in the second interval.
    pub fn new(spared: Vec<Range<u64>>) -> Self {
        Self { spared, log: None, next_ns: 0, maps: String::with_capacity(MAPS_BYTES) }
    }

    /// An interval ends and another begins: returns the pages written in the one that ends, if it was counted, and sees
    /// whether the next is to be. None where the kernel cannot tell (before Linux 6.7) or does not allow it.
    ///
    /// `makes_faults` is called before and after the kernel begins or ends to log: in between, and as long as it logs, the
    /// first store into a page is a minor fault of the thread that stores.
    pub fn turn(&mut self, now_ns: u64, makes_faults: impl Fn()) -> Option<u64> {
        let is_due = now_ns >= self.next_ns;
        if self.log.is_none() && !is_due {
            return None;
        }
        makes_faults();
        let counted = self.log.take().and_then(|log| {
            let mut pages = 0;
            log.take(|run| pages += (run.end - run.start) / PAGE_BYTES).ok().map(|()| pages)
        });
        if is_due {
            self.next_ns = now_ns.saturating_add(EVERY_NS);
            self.log = DirtyLog::open(self.own_ranges()).ok();
        }
        makes_faults();
        counted
    }

    /// None where they cannot be read.
    fn own_ranges(&mut self) -> Vec<Range<u64>> {
        self.maps.clear();
        let read = File::open("/proc/self/maps").and_then(|mut maps| maps.read_to_string(&mut self.maps));
        if read.is_err() {
            return Vec::new();
        }
        let writable = self.maps.lines().filter_map(private_writable).collect();
        self.spared.iter().fold(writable, |own, spared| without(&own, spared))
    }
}

/// What of `ranges` lies outside of `spared`: the kernel shows neighbours of one kind as one range.
fn without(ranges: &[Range<u64>], spared: &Range<u64>) -> Vec<Range<u64>> {
    let parts = ranges.iter().flat_map(|range| {
        let (before, behind) = (range.end.min(spared.start), range.start.max(spared.end));
        [range.start..before, behind..range.end]
    });
    parts.filter(|part| !part.is_empty()).collect()
}

/// The range of a line of `/proc/self/maps` whose memory is private and may be written.
fn private_writable(line: &str) -> Option<Range<u64>> {
    let (range, rest) = line.split_once(' ')?;
    let rights = rest.split(' ').next()?.as_bytes();
    let (start, end) = range.split_once('-')?;
    let address = |text| u64::from_str_radix(text, 16).ok();
    (rights.get(1) == Some(&b'w') && rights.get(3) == Some(&b'p')).then_some(address(start)?..address(end)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// More than the allocator keeps in a heap: whole pages in a mapping.
    const BYTES: usize = 1 << 20;

    #[test]
    fn only_private_memory_that_may_be_written_is_the_programs_own() {
        let heap = "5591c0000000-5591c0021000 rw-p 00000000 00:00 0                          [heap]";
        assert_eq!(private_writable(heap), Some(0x5591_c000_0000..0x5591_c002_1000));
        let others =
            ["7f0000-7f1000 r--p 00000000 00:00 0", "7f0000-7f1000 rw-s 00000000 00:01 5 /memfd", "", "x"];
        for other in others {
            assert_eq!(private_writable(other), None, "{other}");
        }
    }

    #[test]
    fn a_spared_range_is_cut_out_of_what_lies_around_it() {
        let ranges = [10..20, 30..60];
        assert_eq!(without(&ranges, &(40..50)), [10..20, 30..40, 50..60]);
        assert_eq!(without(&ranges, &(15..45)), [10..15, 45..60]);
        assert_eq!(without(&ranges, &(0..12)), [12..20, 30..60]);
        assert!(without(&ranges, &(10..60)).is_empty());
        assert_eq!(without(&ranges, &(20..30)), ranges);
    }

    #[test]
    fn what_was_written_in_the_interval_counts_and_what_is_spared_does_not() {
        if let Err(reason) = DirtyLog::open(Vec::new()) {
            eprintln!("SKIPPED: what_was_written_in_the_interval_counts: {reason}");
            return;
        }
        // Other tests of this process write and map at the same time: one measurement must be undisturbed.
        let mut disturbed = Vec::new();
        let is_met = (0..50).any(|_| counted_apart().inspect_err(|found| disturbed.push(*found)).is_ok());
        assert!(is_met, "{disturbed:?}");
    }

    /// Writes first what is spared, then what is not; the pages counted each time where they are not what was written.
    fn counted_apart() -> Result<(), [Option<u64>; 2]> {
        let (mut spared, mut own) = (vec![1u8; BYTES], vec![1u8; BYTES]);
        let begin = spared.as_ptr().addr() as u64 & !(PAGE_BYTES - 1);
        let mut pages = OwnPages::new(std::iter::once(begin..begin + BYTES as u64 + PAGE_BYTES).collect());
        let said = Cell::new(0);
        let mut turn = |now_ns| pages.turn(now_ns, || said.set(said.get() + 1));
        let written = |bytes: &mut Vec<u8>| std::hint::black_box(bytes).fill(2);
        assert_eq!(turn(1), None, "nothing was counted before");
        written(&mut spared);
        let few = turn(EVERY_NS + 1);
        written(&mut own);
        let more = turn(EVERY_NS + 2);
        assert_eq!(turn(EVERY_NS + 3), None, "one interval in five seconds");
        assert_eq!(said.get() % 2, 0, "before and after each time that logging began or ended");
        let all = BYTES as u64 / PAGE_BYTES;
        let is_right = |few, more| few < all && more >= all && more < all + few + 200;
        let is_met = few.zip(more).is_some_and(|(few, more)| is_right(few, more)) && said.get() == 6;
        if is_met { Ok(()) } else { Err([few, more]) }
    }
}
