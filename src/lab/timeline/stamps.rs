//! When QEMU's events happened, by its own stamps: an event may wait for milliseconds until the lab reads it.
//!
//! QEMU stamps with the wall clock. What that is ahead of the host's CLOCK_MONOTONIC is no more than the event that was read
//! soonest says; both QEMUs of a run are on one host.

use crate::{
    lab::rundir::RunData,
    record::{QemuBody, QemuLine},
};

/// An event that seems to have waited for longer was stamped by a clock that was set meanwhile.
const LONGEST_WAIT_NS: i128 = 1_000_000_000;

/// How QEMU's stamps fit the host's monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Stamps {
    /// Arrival less stamp of the event that was read soonest; none where no event has a stamp.
    least_ns: Option<i128>,
}

impl Stamps {
    /// Of all events of a run.
    pub fn of(data: &RunData) -> Self {
        let waits = data.qemu.iter().filter_map(|line| Some(i128::from(line.host_ns) - stamp_ns(line)?));
        Self { least_ns: waits.min() }
    }

    /// When what a line tells of happened, host CLOCK_MONOTONIC: by its stamp, or else when it was read.
    pub fn moment_ns(&self, line: &QemuLine) -> u64 {
        let read_ns = i128::from(line.host_ns);
        let stamped_ns = stamp_ns(line).zip(self.least_ns).map(|(stamp_ns, least_ns)| stamp_ns + least_ns);
        let likely_ns = stamped_ns.filter(|stamped_ns| read_ns - stamped_ns <= LONGEST_WAIT_NS);
        likely_ns.and_then(|likely_ns| u64::try_from(likely_ns).ok()).unwrap_or(line.host_ns)
    }
}

/// QEMU's stamp of an event, in ns; none where it has none, which an earlier version wrote as 0.
fn stamp_ns(line: &QemuLine) -> Option<i128> {
    let QemuBody::Event { qemu_real_us, .. } = &line.body else { return None };
    qemu_real_us.filter(|stamp_us| *stamp_us > 0).map(|stamp_us| i128::from(stamp_us) * 1000)
}
