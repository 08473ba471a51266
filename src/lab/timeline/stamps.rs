//! When QEMU's events happened, by its own stamps: an event may wait for milliseconds until the lab reads it.
//!
//! QEMU stamps with the wall clock. What that is ahead of the host's CLOCK_MONOTONIC is no more than the event that was read
//! soonest says. A destination on another machine stamps with that one's: how it stood was asked over ssh, to an error that
//! `run.json` has.

use crate::{
    lab::rundir::RunData,
    record::{OtherMachine, QemuBody, QemuLine, Side},
};

/// An event that seems to have waited for longer was stamped by a clock that was set meanwhile.
const LONGEST_WAIT_NS: i128 = 1_000_000_000;

/// How QEMU's stamps fit the host's monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Stamps {
    /// Host clock less stamp of the source's events, or of both sides' on one machine; none where no event has a stamp.
    source_ns: Option<i128>,
    /// The same of the destination's.
    destination_ns: Option<i128>,
}

impl Stamps {
    /// Of all events of a run.
    pub fn of(data: &RunData) -> Self {
        let other = data.run.provenance.other_machine.as_deref();
        let waits = data.qemu.iter().filter(|line| other.is_none() || line.side == Side::Source);
        let source_ns = waits.filter_map(|line| Some(i128::from(line.host_ns) - stamp_ns(line)?)).min();
        Self { source_ns, destination_ns: other.map_or(source_ns, clock_ns) }
    }

    /// When what a line tells of happened, host CLOCK_MONOTONIC: by its stamp, or else when it was read.
    pub fn moment_ns(&self, line: &QemuLine) -> u64 {
        let read_ns = i128::from(line.host_ns);
        let less_ns = if line.side == Side::Source { self.source_ns } else { self.destination_ns };
        let stamped_ns = stamp_ns(line).zip(less_ns).map(|(stamp_ns, less_ns)| stamp_ns + less_ns);
        let likely_ns = stamped_ns.filter(|stamped_ns| read_ns - stamped_ns <= LONGEST_WAIT_NS);
        likely_ns.and_then(|likely_ns| u64::try_from(likely_ns).ok()).unwrap_or(line.host_ns)
    }
}

/// Our monotonic clock less the other machine's wall clock.
fn clock_ns(other: &OtherMachine) -> Option<i128> {
    other.clock.map(|clock| i128::from(clock.mono_ns) - i128::from(clock.real_ns))
}

/// QEMU's stamp of an event, in ns; none where it has none, which an earlier version wrote as 0.
fn stamp_ns(line: &QemuLine) -> Option<i128> {
    let QemuBody::Event { qemu_real_us, .. } = &line.body else { return None };
    qemu_real_us.filter(|stamp_us| *stamp_us > 0).map(|stamp_us| i128::from(stamp_us) * 1000)
}
