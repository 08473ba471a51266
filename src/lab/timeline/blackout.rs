//! How long the guest ran nowhere: what QEMU says, what the host saw, and what guest and host know together.
//!
//! A guest whose clock stands still while it is stopped cannot see its blackout; but the host can, as a step of the
//! offset between the two clocks. One whose clock runs on sees it as a gap of all its vCPUs, and the offset has no
//! step. The sum of both is right for either, but for one thing: next to a blackout that the clocks' step explains
//! there may be a gap that is none, the throttle's last sleep or the first wait for a page. So the gap is added where the
//! sum then comes nearer to what the host saw from STOP to RESUME, which is a slight lower bound of the blackout.

use super::axis::{Axis, after_migrate, canaries};
use super::offsets::{OFFSET_REACH_NS, last_on_source, smallest_offset_and_error};
use crate::{
    lab::rundir::{ArrivalStamp, HeartbeatAt, RunData},
    record::{MilestoneName, Side, unresolved_ns},
    units::Nanos,
};
use serde::Serialize;
use std::ops::RangeInclusive;

/// How far from the switch the common gap of all vCPUs may lie: as far as STOP's arrival and the shortest delivery of
/// a record blur it. More would take in the throttle's gap before the switch, or the first wait for a page after it.
const GAP_REACH_NS: i128 = 5_000_000;

/// An estimate that may be off by more than this, and by more than [`LEAST_SURE`] of itself, is none.
const SURE_NS: i128 = 5_000_000;
const LEAST_SURE: i128 = 10;

/// Why nothing is told of clocks.
const FEW: &str = "fewer than three deliveries of records came within 3 s before it, or after it";

/// Why nothing is told where QEMU's downtime has no stop.
const UNKNOWN_STOP: &str = "run.json does not say when the guest was stopped";

/// How long the guest ran nowhere, three ways.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Blackout {
    /// QEMU's downtime: both edges on the source, a lower bound.
    pub qemu_downtime_ns: Option<u64>,
    /// From the source's STOP to the destination's RESUME, as QEMU stamped them.
    pub stop_to_resume_ns: Option<u64>,
    /// How far that may be off where the two are on two machines: their clocks are compared over ssh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_to_resume_error_ns: Option<u64>,
    /// From guest and host together: the offset step, with the common gap where that comes nearer to what the host saw;
    /// never less than that. Null where it cannot be told to 5 ms or a tenth.
    pub estimate_ns: Option<u64>,
    /// How far the estimate may be off: the spread of the three quickest deliveries before and after the switch, together, and what
    /// the guest's clock cannot tell; more where what they gave was below what the host saw.
    pub error_ns: Option<u64>,
    /// Why there is no estimate; null where there is one, or no switch.
    pub reason: Option<String>,
    /// What does not fit, in a sentence: estimate and STOP to RESUME lie further apart than 5 ms and what the estimate may be off.
    pub disagreement: Option<String>,
    /// The part of the estimate that is the step of the clocks' offset: the guest's clock stood still so long.
    pub offset_step_ns: Option<i64>,
    /// A gap of all vCPUs at once at the switch: part of the estimate when the guest's clock ran on, its neighbour
    /// when the clock stood still.
    pub common_gap_ns: Option<u64>,
    /// How far the guest's wall clock was set across the switch, against its monotonic clock: a sanity check. About 0 where
    /// nobody set it; about the blackout where somebody made up for it.
    pub wall_clock_step_ns: Option<i64>,
    /// How much further the hypervisor's clock came across the switch than the guest's monotonic one: what the guest's clock lost.
    /// About the blackout where it stood still, about 0 where it ran on; between two hosts their clocks' difference is
    /// in it. None where the guest has no PTP clock of its hypervisor.
    pub ptp_step_ns: Option<i64>,
    /// Whether the hypervisor's count of disruptions (vmclock) went up, as it should; none where the guest has none.
    pub disruption_told: Option<bool>,
    /// Whether nothing but a lone gap of all vCPUs tells of the blackouts of a collected session: QEMU's set-up looks the same.
    pub by_lone_gap: bool,
}

impl Blackout {
    /// Whether the step of the clocks' offset alone lies nearer to what the host saw from STOP to RESUME than step and
    /// gap together do.
    fn clock_stood_still(&self, offset_step_ns: i128, gap_ns: i128) -> bool {
        self.stop_to_resume_ns.is_some_and(|seen_ns| {
            let off = |ns: i128| (ns - i128::from(seen_ns)).abs();
            off(offset_step_ns) <= off(offset_step_ns + gap_ns)
        })
    }

    /// What is to be said where the estimate is more than what it may be off above what the host saw.
    fn disagreement(&self) -> Option<String> {
        let (found_ns, error_ns) = (self.estimate_ns?, self.error_ns?);
        let seen_ns = self.stop_to_resume_ns?;
        let seen_error_ns = self.stop_to_resume_error_ns.unwrap_or(0);
        let most_ns = i128::from(seen_ns) + i128::from(seen_error_ns) + i128::from(error_ns) + SURE_NS;
        (i128::from(found_ns) > most_ns).then(|| {
            let [found, seen] = [found_ns, seen_ns].map(|ns| Nanos(ns).human());
            format!("guest and host together say {found}, QEMU's STOP to RESUME {seen}")
        })
    }

    /// What the heartbeats before the switch and after it say of the guest's clocks.
    fn compare_beats(&mut self, data: &RunData, switch_mono_ns: i128) {
        let beats = [last_beat(data, Side::Source), first_beat(data, Side::Destination)];
        if let [Some(before), Some(after)] = beats {
            let wall = |at: &HeartbeatAt| i128::from(at.beat.real_ns) - i128::from(at.stamp.mono_ns);
            self.wall_clock_step_ns = i64::try_from(wall(after) - wall(before)).ok();
            self.disruption_told =
                before.beat.disruptions.zip(after.beat.disruptions).map(|(before, after)| before != after);
        }
        self.ptp_step_ns = ptp_step_ns(data, switch_mono_ns);
    }

    /// Whether the common gap lies beside the blackout instead of being it.
    pub fn gap_is_beside(&self) -> bool {
        let gap_ns = i128::from(self.common_gap_ns.unwrap_or(0));
        self.offset_step_ns.is_some_and(|step_ns| self.clock_stood_still(i128::from(step_ns), gap_ns))
    }
}

/// What QEMU says of it, and what the host saw of QEMU's two sides. `stop` is when the source stopped.
fn seen(data: &RunData, stop: Option<u64>) -> Blackout {
    let resume = after_migrate(data, MilestoneName::Resume);
    let downtime_ms = data.run.source.as_ref().and_then(|sample| sample.downtime_ms);
    let downtime_ms = downtime_ms.filter(|_| !data.audit.claims.downtime);
    let other = data.run.provenance.other_machine.as_ref();
    let clock = other.and_then(|other| other.clock);
    let stop = stop.filter(|_| other.is_none() || clock.is_some());
    Blackout {
        qemu_downtime_ns: downtime_ms.map(|ms| ms.saturating_mul(1_000_000)),
        stop_to_resume_ns: stop.zip(resume).and_then(|(stop, resume)| resume.checked_sub(stop)),
        stop_to_resume_error_ns: clock.map(|clock| clock.error_ns),
        ..Blackout::default()
    }
}

/// Why nothing can be told of guest and host together, whatever the records say.
fn untellable(data: &RunData, stop: Option<u64>) -> Option<String> {
    if let Some(other) = data.run.provenance.other_machine.as_ref().filter(|other| other.clock.is_none()) {
        let why = other.clock_reason.as_deref().unwrap_or("nobody asked it");
        return Some(format!(
            "how the clock of {} stood, and how long its records took: {why}",
            other.address
        ));
    }
    (data.audit.claims.downtime && stop.is_none()).then(|| UNKNOWN_STOP.into())
}

/// The blackout of one run.
pub fn blackout(data: &RunData, axis: &Axis) -> Blackout {
    let stop = after_migrate(data, MilestoneName::Stop);
    let mut blackout = seen(data, stop);
    let Some(switch) = axis.switch() else {
        return blackout;
    };
    blackout.reason = untellable(data, stop);
    if blackout.reason.is_some() {
        return blackout;
    }
    let switch_mono_ns = *switch.start();
    let near = |own: Vec<&ArrivalStamp>| {
        let distance = |arrival: &&ArrivalStamp| (i128::from(arrival.mono_ns) - switch_mono_ns).abs();
        smallest_offset_and_error(own.into_iter().filter(|arrival| distance(arrival) <= OFFSET_REACH_NS))
    };
    let there = data.records.stamps.iter().filter(|arrival| arrival.side == Side::Destination);
    let here = if data.is_staged_by_guest() {
        let is_before = |arrival: &&ArrivalStamp| i128::from(arrival.mono_ns) <= switch_mono_ns;
        data.records.stamps.iter().filter(|arrival| arrival.side == Side::Source).filter(is_before).collect()
    } else {
        last_on_source(data, stop)
    };
    let sides = (near(here), near(there.collect()));
    blackout.compare_beats(data, switch_mono_ns);
    blackout.common_gap_ns = common_gap_ns(data, switch);
    let (Some((before, spread)), Some((after, other_spread))) = sides else {
        blackout.reason = Some(FEW.into());
        return blackout;
    };
    let offset_step = after - before;
    let gap = i128::from(blackout.common_gap_ns.unwrap_or(0));
    let found = if blackout.clock_stood_still(offset_step, gap) { offset_step } else { offset_step + gap };
    // The host saw the guest stand still for so long at least: what was found below that is the error of finding it.
    let seen_error = i128::from(blackout.stop_to_resume_error_ns.unwrap_or(0));
    let least = (i128::from(blackout.stop_to_resume_ns.unwrap_or(0)) - seen_error).max(0);
    // Records of another machine are longer on their way, by less than what it takes there and back.
    let other = data.run.provenance.other_machine.as_ref().and_then(|other| other.clock);
    let way = other.map_or(0, |clock| i128::from(clock.round_trip_ns));
    // Where no host tells whether the clock ran on, either of the two may be beside the blackout.
    let beside = if data.is_staged_by_guest() { offset_step.clamp(0, gap) } else { 0 };
    let error = (spread + other_spread + way + beside + untold_ns(data)).max(least - found);
    let is_unsure = error > SURE_NS.max(found.max(least) / LEAST_SURE);
    if blackout.common_gap_ns.is_none() && data.lacks_gaps() && (is_unsure || data.is_staged_by_guest()) {
        blackout.reason = Some("gap records are missing".into());
        return blackout;
    }
    if is_unsure {
        let late = u64::try_from(error).ok().map_or_else(String::new, |ns| Nanos(ns).human());
        blackout.reason = Some(format!("records came too late around it: it could be off by {late}"));
        return blackout;
    }
    blackout.offset_step_ns = i64::try_from(offset_step).ok();
    blackout.estimate_ns = u64::try_from(found.max(least)).ok();
    blackout.error_ns = u64::try_from(error).ok();
    blackout.disagreement = blackout.disagreement();
    blackout
}

/// How far from the truth the stamps of a coarse clock lie: as far as it cannot tell.
fn untold_ns(data: &RunData) -> i128 {
    let steps_ns = data.records.hellos().filter_map(|hello| hello.clock.step_ns);
    i128::from(steps_ns.map(unresolved_ns).max().unwrap_or(0))
}

/// The length of the common gap near the switch: 0 where canaries saw none, none where none watched or its record may be missing.
fn common_gap_ns(data: &RunData, switch: &RangeInclusive<i128>) -> Option<u64> {
    let found = common_gap(data, canaries(data)?, switch);
    let length_ns = |(start, end): (i128, i128)| u64::try_from(end - start).unwrap_or(0);
    found.map(length_ns).or_else(|| (!data.lacks_gaps()).then_some(0))
}

fn beats(data: &RunData, side: Side) -> impl Iterator<Item = &HeartbeatAt> {
    data.records.heartbeats.iter().filter(move |at| at.stamp.side == side)
}

fn last_beat(data: &RunData, side: Side) -> Option<&HeartbeatAt> {
    beats(data, side).max_by_key(|at| at.stamp.mono_ns)
}

fn first_beat(data: &RunData, side: Side) -> Option<&HeartbeatAt> {
    beats(data, side).min_by_key(|at| at.stamp.mono_ns)
}

/// The step of the hypervisor's clock against the guest's. A heartbeat is stamped after the hypervisor's clock was read, and late
/// where the guest was held up in between: so the largest difference of each side is nearest to the truth.
fn ptp_step_ns(data: &RunData, switch_mono_ns: i128) -> Option<i64> {
    let ahead = |side| {
        let own = beats(data, side)
            .filter(|at| (i128::from(at.stamp.mono_ns) - switch_mono_ns).abs() <= OFFSET_REACH_NS);
        own.filter_map(|at| Some(i128::from(at.beat.ptp_ns?) - i128::from(at.stamp.mono_ns))).max()
    };
    i64::try_from(ahead(Side::Destination)? - ahead(Side::Source)?).ok()
}

/// The longest time near the switch in which every canary was away at once, by the guest's clock: from when to when.
pub fn common_gap(data: &RunData, canaries: usize, switch: &RangeInclusive<i128>) -> Option<(i128, i128)> {
    let (from, until) = (switch.start() - GAP_REACH_NS, switch.end() + GAP_REACH_NS);
    let near = common_gaps(data, canaries).into_iter().filter(|(start, end)| *end >= from && *start <= until);
    near.max_by_key(|(start, end)| end - start)
}

/// All times in which every canary was away at once, by the guest's clock; those of no length are left out.
pub fn common_gaps(data: &RunData, canaries: usize) -> Vec<(i128, i128)> {
    let mut edges = Vec::new();
    for gap in &data.records.gaps {
        let start = i128::from(gap.start_ns);
        edges.extend([(start, true), (start + i128::from(gap.len_ns), false)]);
    }
    // Ends sort before starts, so that gaps which only touch are never counted as one.
    edges.sort_unstable();
    let (mut away, mut since, mut found) = (0usize, None, Vec::new());
    for (moment, begins) in edges {
        away = if begins { away + 1 } else { away.saturating_sub(1) };
        if away >= canaries {
            since.get_or_insert(moment);
        } else if let Some(since) = since.take() {
            found.extend((since < moment).then_some((since, moment)));
        }
    }
    found
}
