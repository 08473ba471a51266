//! How long gap records are, against what the intervals count.

use super::super::{GuestRecords, checks::HELD_NS};
use crate::{record::GapSummary, units::Nanos};

/// What there is to hold against each other.
pub(super) struct GapLengths<'a> {
    /// What the intervals count.
    pub counted: GapSummary,
    pub records: &'a GuestRecords,
    /// Records that are known to be lost, of whatever type.
    pub lost: u64,
    /// Whether all records are there.
    pub is_whole: bool,
}

impl GapLengths<'_> {
    /// How they contradict each other, in a sentence.
    pub fn contradict(&self) -> Option<String> {
        let Self { counted: GapSummary { count, total_ns, max_ns, .. }, records, .. } = *self;
        let told = records.gaps.len() as u64;
        let told_ns = records.gaps.iter().fold(0, |sum: u64, gap| sum.saturating_add(gap.len_ns));
        if told > 0 && told_ns == 0 {
            return Some(format!("no gap record has a length, and there are {told}"));
        }
        // Before the last record came nobody knows how many the guest gave up.
        if records.end.is_none() || max_ns >= HELD_NS {
            return None;
        }
        let is_less = total_ns.saturating_sub(told_ns) > self.spare_ns(told);
        // Where records of gaps are left that no interval counts, they may be longer.
        let is_more = self.is_whole && told == count && told_ns.saturating_sub(total_ns) > max_ns;
        (is_less || is_more).then(|| {
            let (told_ns, total_ns) = (Nanos(told_ns).human(), Nanos(total_ns).human());
            format!("the {told} gap records are {told_ns} in all, and the {count} gaps that intervals count {total_ns}")
        })
    }

    /// How much shorter the records may be: as much as those that are lost, and one more that was just being counted, had they
    /// been as long as the longest.
    fn spare_ns(&self, told: u64) -> u64 {
        let untold = self.counted.count.saturating_sub(told);
        untold.max(self.lost).saturating_add(1).saturating_mul(self.counted.max_ns)
    }
}
