//! How far the guest's clock is behind the host's on one side, and since when.
//!
//! While a guest is stopped its clock may stand still; it is never set ahead. So the offset only grows, and a stamp's own is no
//! larger than the smallest difference of arrival and stamp from there on. Where that falls from one stamp to the next,
//! looking back, by more than a late record can explain, the clock stood still between the two.

use crate::{
    lab::rundir::{ArrivalStamp, RunData},
    record::{QemuBody, QemuLine, Side},
};
use std::cmp::Reverse;

/// How far from the switch records still tell the offset, on each side.
pub const OFFSET_REACH_NS: i128 = 3_000_000_000;
/// Records that came within so long of each other were sent together.
const TOGETHER_NS: u64 = 5_000_000;
/// A step of less may be a late record or clocks that drift, and is none.
const LEAST_STEP_NS: i128 = 50_000_000;

/// Host clock less guest clock on one side, in ns, the shortest delivery included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offsets {
    /// Those before each step: the last stamp of each, and the offset up to there. The oldest first.
    earlier: Vec<(i128, i128)>,
    /// The one after the last step; none where no record tells it.
    last: Option<i128>,
}

impl Offsets {
    /// One for the whole side.
    pub fn constant<'a>(arrivals: impl Iterator<Item = &'a ArrivalStamp>) -> Self {
        Self { earlier: Vec::new(), last: smallest_offset(arrivals) }
    }

    /// The last one from the records `near` the end, those of older stamps from `all`.
    pub fn with_steps<'a>(near: &[&'a ArrivalStamp], all: impl Iterator<Item = &'a ArrivalStamp>) -> Self {
        let Some(last) = smallest_offset(near.iter().copied()) else {
            return Self::default();
        };
        let mut back: Vec<(i128, i128)> =
            all.map(|arrival| (i128::from(arrival.mono_ns), offset(arrival))).collect();
        back.sort_unstable_by_key(|(stamp, _)| Reverse(*stamp));
        let mut earlier: Vec<(i128, i128)> = Vec::new();
        for (stamp, offset) in back {
            let later = earlier.last().map_or(last, |(_, later)| *later);
            if offset < later - LEAST_STEP_NS {
                earlier.push((stamp, offset));
            } else if let Some((_, own)) = earlier.last_mut() {
                *own = offset.min(*own);
            }
        }
        earlier.reverse();
        Self { earlier, last: Some(last) }
    }

    /// The one after the last step.
    pub fn last(&self) -> Option<i128> {
        self.last
    }

    /// The last stamp before each step.
    pub fn steps(&self) -> impl Iterator<Item = i128> + '_ {
        self.earlier.iter().map(|(until, _)| *until)
    }

    /// The one that holds for a stamp.
    pub fn of_stamp(&self, mono_ns: i128) -> Option<i128> {
        let own = self.earlier.iter().find(|(until, _)| mono_ns <= *until);
        own.map(|(_, offset)| *offset).or(self.last)
    }

    /// What the guest's clock shows at a moment of the host's; where it stood still, the last stamp before.
    pub fn stamp_at(&self, host_ns: i128) -> Option<i128> {
        let earlier = self.earlier.iter().map(|(until, offset)| (host_ns - offset).min(*until));
        earlier.chain(self.last.map(|offset| host_ns - offset)).max()
    }
}

/// The records that tell how the clocks stood when the source stopped: those of the last [`OFFSET_REACH_NS`] up to the
/// last that came before `stop`, without those from before another stop that QEMU told of. All of the source where
/// none came before it.
pub fn last_on_source(data: &RunData, stop: Option<u64>) -> Vec<&ArrivalStamp> {
    let until = stop.unwrap_or(u64::MAX);
    let source = || data.records.stamps.iter().filter(|arrival| arrival.side == Side::Source);
    let came = || source().filter(|arrival| arrival.host_ns <= until);
    let Some(last) = came().map(|arrival| arrival.host_ns).max() else {
        return source().collect();
    };
    let since = i128::from(last) - OFFSET_REACH_NS;
    let resumes = data.qemu.iter().filter(|line| line.side == Side::Source && line.host_ns <= last);
    let resumes = resumes
        .filter(|line| matches!(&line.body, QemuBody::Event { event, .. } if event.as_str() == "RESUME"));
    let since = resumes.map(|line| i128::from(line.host_ns)).fold(since, i128::max);
    came().filter(|arrival| i128::from(arrival.host_ns) >= since).collect()
}

/// The records that tell how the clocks stood in the end, of a guest that was stopped and went on several times: those of the last
/// [`OFFSET_REACH_NS`], without those from before QEMU last told that it went on.
pub fn since_last_resume(data: &RunData) -> Vec<&ArrivalStamp> {
    let is_resume =
        |line: &&QemuLine| matches!(&line.body, QemuBody::Event { event, .. } if event.as_str() == "RESUME");
    let stamps = || data.records.stamps.iter();
    let Some(last_ns) = stamps().map(|arrival| arrival.host_ns).max() else { return Vec::new() };
    let resumes =
        data.qemu.iter().filter(is_resume).map(|line| line.host_ns).filter(|at_ns| *at_ns <= last_ns);
    let since_ns = resumes.map(i128::from).fold(i128::from(last_ns) - OFFSET_REACH_NS, i128::max);
    stamps().filter(|arrival| i128::from(arrival.host_ns) >= since_ns).collect()
}

fn offset(arrival: &ArrivalStamp) -> i128 {
    i128::from(arrival.host_ns) - i128::from(arrival.mono_ns)
}

/// The smallest difference of arrival and stamp, in ns; every record is stamped when it is made.
fn smallest_offset<'a>(arrivals: impl Iterator<Item = &'a ArrivalStamp>) -> Option<i128> {
    arrivals.map(offset).min()
}

/// The smallest difference of arrival and stamp, and how far it may be too large: how far the third quickest delivery is above
/// the quickest. What came together came late together, so records that arrived within [`TOGETHER_NS`] are one delivery. None for
/// fewer than three.
///
/// A guest whose vCPUs have too much to do sends everything late, and how late differs from one delivery to the next.
pub fn smallest_offset_and_error<'a>(
    arrivals: impl Iterator<Item = &'a ArrivalStamp>,
) -> Option<(i128, i128)> {
    let mut all: Vec<(i128, u64)> = arrivals.map(|arrival| (offset(arrival), arrival.host_ns)).collect();
    all.sort_unstable();
    let mut quickest: Vec<(i128, u64)> = Vec::new();
    for (offset, host_ns) in all {
        if quickest.iter().all(|(_, other_ns)| other_ns.abs_diff(host_ns) >= TOGETHER_NS) {
            quickest.push((offset, host_ns));
        }
        if let [first, _, third] = quickest[..] {
            return Some((first.0, third.0 - first.0));
        }
    }
    None
}
