//! One time axis for guest and host: what a guest stamp is on the host's clock.
//!
//! Arrival is never earlier than the stamp, so the smallest difference of the two is the clocks' offset plus the
//! shortest delivery. Each side has its own: where the guest's clock stands still while the guest does (emulation,
//! kvm-clock), the destination's is larger by the blackout.
//!
//! So it is with every stop, and records from before one tell nothing of the clocks after it. When the guest left the
//! source is therefore told by the last records there alone, and older stamps have the offset of their own time
//! ([`Offsets`]). On the destination the smallest difference of all counts: that is the one right after the switch, for later
//! stops only make it larger, and in post-copy the first seconds alone have few records that came at once. What the
//! guest stamped after such a later stop is placed early by as much as its clock stood still in it.

use super::offsets::{Offsets, last_on_source, since_last_resume};
use super::span::Span;
use super::stamps::Stamps;
use crate::{
    lab::rundir::RunData,
    record::{MilestoneName, QemuBody, QemuLine, Side},
};
use std::ops::RangeInclusive;

/// Maps host and guest stamps to seconds since the migration began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    origin_ns: i128,
    source: Offsets,
    destination: Offsets,
    /// Within these the guest's own clock stood when it left the source.
    switch: Option<RangeInclusive<i128>>,
}

impl Axis {
    /// The axis of one run. Its zero is the start of the migration, or the first thing that happened where none
    /// was started.
    pub fn of(data: &RunData) -> Self {
        if !data.run.cycles.is_empty() {
            // One guest whose clock stood still in each cycle, whichever side it was on.
            let offsets = Offsets::with_steps(&since_last_resume(data), data.records.stamps.iter());
            return Self {
                origin_ns: origin_ns(data),
                source: offsets.clone(),
                destination: offsets,
                switch: None,
            };
        }
        let of = |side| data.records.stamps.iter().filter(move |arrival| arrival.side == side);
        let stop = after_migrate(data, MilestoneName::Stop);
        let source = Offsets::with_steps(&last_on_source(data, stop), of(Side::Source));
        let destination = Offsets::constant(of(Side::Destination));
        let at = |mono_ns: i128| mono_ns..=mono_ns;
        let switch = match (stop, source.last()) {
            (Some(stop), Some(offset)) => Some(at(i128::from(stop) - offset)),
            _ if data.is_staged_by_guest() => switch_of_records(data),
            _ => of(Side::Destination).map(|arrival| i128::from(arrival.mono_ns)).min().map(at),
        };
        Self { origin_ns: origin_ns(data), source, destination, switch }
    }

    /// The host's CLOCK_MONOTONIC at a moment of the guest's, in ns: by the source's offsets up to the switch, by the destination's
    /// after it. None where no record tells how the clocks stand.
    pub fn guest_to_host_ns(&self, mono_ns: u64) -> Option<i128> {
        let mono = i128::from(mono_ns);
        let switched = self.switch_mono_ns().is_some_and(|switch| mono > switch);
        let side = if switched { Side::Destination } else { Side::Source };
        Some(mono + self.offsets(side).of_stamp(mono)?)
    }

    /// Seconds since the migration began of a moment on the host's monotonic clock.
    pub fn host_s(&self, host_ns: u64) -> f64 {
        self.seconds(i128::from(host_ns))
    }

    /// The same of a moment on the guest's, as [`Self::guest_to_host_ns`] has it.
    pub fn guest_s(&self, mono_ns: u64) -> Option<f64> {
        self.guest_to_host_ns(mono_ns).map(|host_ns| self.seconds(host_ns))
    }

    /// A stretch of guest time. One that holds the switch is longer on the host's clock by the blackout where the
    /// guest's clock stood still.
    pub fn guest_span(&self, start_ns: u64, end_ns: u64) -> Option<Span> {
        Some(Span::new(self.guest_s(start_ns)?, self.guest_s(end_ns)?))
    }

    /// What the guest's clock shows at a moment of the axis while the guest is on `side`; none where no record tells how
    /// the clocks stand, or before the clock began.
    pub fn guest_ns(&self, at_s: f64, side: Side) -> Option<u64> {
        #[expect(clippy::cast_possible_truncation, reason = "a float cast saturates")]
        let since_origin_ns = (at_s * 1e9).round() as i64;
        u64::try_from(self.offsets(side).stamp_at(self.origin_ns + i128::from(since_origin_ns))?).ok()
    }

    /// Those of `side`; of the other one where no record of it arrived.
    fn offsets(&self, side: Side) -> &Offsets {
        let (own, other) = match side {
            Side::Source => (&self.source, &self.destination),
            Side::Destination => (&self.destination, &self.source),
        };
        if own.last().is_some() { own } else { other }
    }

    /// The guest's own clock when it left the source, where that is known: the earliest it may have been.
    pub fn switch_mono_ns(&self) -> Option<i128> {
        self.switch.as_ref().map(|switch| *switch.start())
    }

    /// Between which two of its stamps the guest left the source.
    pub const fn switch(&self) -> Option<&RangeInclusive<i128>> {
        self.switch.as_ref()
    }

    /// The last stamps of the source before each step of its clock's offset: the clock stood still, or has drifted away.
    pub fn clock_steps(&self) -> impl Iterator<Item = i128> + '_ {
        self.source.steps()
    }

    /// Seconds since the axis' zero of a stamp that the guest made on the source.
    pub fn source_s(&self, mono_ns: i128) -> Option<f64> {
        Some(self.seconds(mono_ns + self.offsets(Side::Source).of_stamp(mono_ns)?))
    }

    /// Seconds since the axis' zero of a moment on the host's clock, which may lie before its beginning.
    pub fn seconds(&self, host_ns: i128) -> f64 {
        (host_ns - self.origin_ns) as f64 / 1e9
    }
}

/// The first time `name` happened once the migration had begun. Of the source's stops it is the last before the guest ran on the
/// destination: it may have been stopped by hand on the way, and gone on. What an event of QEMU told of happened when QEMU
/// stamped it.
pub fn after_migrate(data: &RunData, name: MilestoneName) -> Option<u64> {
    let migrate = data.run.when(MilestoneName::Migrate)?;
    let later = |name| {
        let all = data.run.milestones.iter().filter(move |milestone| milestone.name == name);
        all.map(|milestone| milestone.host_ns).filter(move |host_ns| *host_ns >= migrate)
    };
    let resume = later(MilestoneName::Resume).next();
    let is_last =
        |host_ns: &u64| name == MilestoneName::Stop && resume.is_some_and(|resume| *host_ns <= resume);
    let read_ns = later(name).filter(is_last).max().or_else(|| later(name).next())?;
    Some(stamped(data, name, read_ns))
}

/// When the event that was read at `read_ns` happened, where the milestone is one of an event.
fn stamped(data: &RunData, name: MilestoneName, read_ns: u64) -> u64 {
    let (wanted, side) = match name {
        MilestoneName::Stop => ("STOP", Side::Source),
        MilestoneName::Resume => ("RESUME", Side::Destination),
        _ => return read_ns,
    };
    let is_it = |line: &&QemuLine| {
        let is_named = matches!(&line.body, QemuBody::Event { event, .. } if event == wanted);
        is_named && line.side == side && line.host_ns == read_ns
    };
    data.qemu.iter().find(is_it).map_or(read_ns, |line| Stamps::of(data).moment_ns(line))
}

/// Between which stamps a guest went from one socket to another: from the last that came on the first one to the first later one
/// that came on the other. What a guest sends again on the other socket is older, and no sign of it.
fn switch_of_records(data: &RunData) -> Option<RangeInclusive<i128>> {
    let mut last = None;
    for arrival in &data.records.stamps {
        let mono_ns = i128::from(arrival.mono_ns);
        match (arrival.side, last) {
            (Side::Source, _) => last = last.max(Some(mono_ns)),
            (Side::Destination, Some(last)) if mono_ns > last => return Some(last..=mono_ns),
            (Side::Destination, _) => {}
        }
    }
    None
}

/// Host time of the axis' zero.
fn origin_ns(data: &RunData) -> i128 {
    let migrate = data.run.when(MilestoneName::Migrate);
    let first_record = || data.records.stamps.first().map(|arrival| arrival.host_ns);
    let first_milestone = || data.run.milestones.first().map(|milestone| milestone.host_ns);
    i128::from(migrate.or_else(first_record).or_else(first_milestone).unwrap_or(data.run.clock.mono_ns))
}

/// The canaries of the guest, one per CPU; none where no `hello` arrived, or it tells of none, or what they saw contradicts itself.
pub fn canaries(data: &RunData) -> Option<usize> {
    if data.audit.gaps_contradict {
        return None;
    }
    let hello = data.records.hello.as_ref()?;
    Some(hello.self_facts.canary_period_ns.map_or(0, |_| hello.cpus.len())).filter(|cpus| *cpus > 0)
}
