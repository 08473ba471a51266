//! One time axis for guest and host: what a guest stamp is on the host's clock.
//!
//! Arrival is never earlier than the stamp, so the smallest difference of the two is the clocks' offset plus the
//! shortest delivery. Each side has its own: where the guest's clock stands still while the guest does (emulation,
//! kvm-clock), the destination's is larger by the blackout.

use super::span::Span;
use crate::{
    lab::rundir::RunData,
    record::{Arrival, Body, MilestoneName, Side},
};

/// Maps host and guest stamps to seconds since the migration began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    origin_ns: i128,
    /// Host clock less guest clock on the source, in ns, the shortest delivery included.
    source_offset: Option<i128>,
    /// The same on the destination.
    destination_offset: Option<i128>,
    /// The guest's own clock when it left the source.
    switch_mono_ns: Option<i128>,
}

impl Axis {
    /// The axis of one run. Its zero is the start of the migration, or the first thing that happened where none
    /// was started.
    pub fn of(data: &RunData) -> Self {
        let offset = |side| smallest_offset(data.arrivals.iter().filter(|arrival| arrival.side == side));
        let (source_offset, destination_offset) = (offset(Side::Source), offset(Side::Destination));
        let first_destination = data.arrivals.iter().filter(|arrival| arrival.side == Side::Destination);
        let stop = after_migrate(data, MilestoneName::Stop);
        let switch_mono_ns = match (stop, source_offset) {
            (Some(stop), Some(offset)) => Some(i128::from(stop) - offset),
            _ => first_destination.map(|arrival| i128::from(arrival.record.mono_ns)).min(),
        };
        Self { origin_ns: origin_ns(data), source_offset, destination_offset, switch_mono_ns }
    }

    /// Seconds since the migration began of a moment on the host's monotonic clock.
    pub fn host_s(&self, host_ns: u64) -> f64 {
        self.seconds(i128::from(host_ns))
    }

    /// The same of a moment on the guest's: by the source's offset up to the switch, by the destination's after it.
    /// None where no record tells how the clocks stand.
    pub fn guest_s(&self, mono_ns: u64) -> Option<f64> {
        let mono = i128::from(mono_ns);
        let switched = self.switch_mono_ns.is_some_and(|switch| mono > switch);
        let offset = if switched {
            self.destination_offset.or(self.source_offset)
        } else {
            self.source_offset.or(self.destination_offset)
        };
        offset.map(|offset| self.seconds(mono + offset))
    }

    /// A stretch of guest time. One that holds the switch is longer on the host's clock by the blackout where the
    /// guest's clock stood still.
    pub fn guest_span(&self, start_ns: u64, end_ns: u64) -> Option<Span> {
        Some(Span::new(self.guest_s(start_ns)?, self.guest_s(end_ns)?))
    }

    /// What the guest's clock shows at a moment of the axis while the guest is on `side`; none where no record tells how
    /// the clocks stand, or before the clock began.
    pub fn guest_ns(&self, at_s: f64, side: Side) -> Option<u64> {
        let (own, other) = match side {
            Side::Source => (self.source_offset, self.destination_offset),
            Side::Destination => (self.destination_offset, self.source_offset),
        };
        #[expect(clippy::cast_possible_truncation, reason = "a float cast saturates")]
        let since_origin_ns = (at_s * 1e9).round() as i64;
        u64::try_from(self.origin_ns + i128::from(since_origin_ns) - own.or(other)?).ok()
    }

    /// The guest's own clock when it left the source, where that is known.
    pub fn switch_mono_ns(&self) -> Option<i128> {
        self.switch_mono_ns
    }

    fn seconds(&self, host_ns: i128) -> f64 {
        (host_ns - self.origin_ns) as f64 / 1e9
    }
}

/// The first time `name` happened once the migration had begun.
pub fn after_migrate(data: &RunData, name: MilestoneName) -> Option<u64> {
    let migrate = data.run.when(MilestoneName::Migrate)?;
    let mut later = data.run.milestones.iter().filter(|milestone| milestone.host_ns >= migrate);
    later.find(|milestone| milestone.name == name).map(|milestone| milestone.host_ns)
}

/// The smallest difference of arrival and stamp, in ns; every record is stamped when it is made.
pub fn smallest_offset<'a>(arrivals: impl Iterator<Item = &'a Arrival>) -> Option<i128> {
    arrivals.map(|arrival| i128::from(arrival.host_ns) - i128::from(arrival.record.mono_ns)).min()
}

/// The same, and how far the next one is above it: so much the delivery of records varies even at its quickest, and as
/// much the smallest may be too large. None for fewer than two.
pub fn smallest_offset_and_error<'a>(arrivals: impl Iterator<Item = &'a Arrival>) -> Option<(i128, i128)> {
    let mut least: Option<(i128, Option<i128>)> = None;
    for arrival in arrivals {
        let offset = i128::from(arrival.host_ns) - i128::from(arrival.record.mono_ns);
        least = Some(match least {
            None => (offset, None),
            Some((first, _)) if offset < first => (offset, Some(first)),
            Some((first, second)) => (first, Some(second.map_or(offset, |second| second.min(offset)))),
        });
    }
    let (first, second) = least?;
    Some((first, second? - first))
}

/// Host time of the axis' zero.
fn origin_ns(data: &RunData) -> i128 {
    let migrate = data.run.when(MilestoneName::Migrate);
    let first_record = || data.arrivals.first().map(|arrival| arrival.host_ns);
    let first_milestone = || data.run.milestones.first().map(|milestone| milestone.host_ns);
    i128::from(migrate.or_else(first_record).or_else(first_milestone).unwrap_or(data.run.clock.mono_ns))
}

/// The canaries of the guest, one per CPU; none where no `hello` arrived.
pub fn canaries(data: &RunData) -> Option<usize> {
    let mut hellos = data.arrivals.iter().filter_map(|arrival| match &arrival.record.body {
        Body::Hello(hello) => Some(hello.cpus.len()),
        _ => None,
    });
    hellos.next().filter(|cpus| *cpus > 0)
}
