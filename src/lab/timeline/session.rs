//! The stages of a session that was collected, as far as the guest's own records tell them.
//!
//! Nobody says when a migration began, so there is no pre-copy: what goes before the first blackout is the stage `run`. Where a
//! command migrates that the lab runs, its start ends the baseline, and from there to the blackout it is pre-copy. A
//! blackout is where the guest went from one socket to another; where its clock stood still, against the host's; or, where neither is
//! seen, its longest lone gap of all vCPUs.

use super::{
    axis::{Axis, canaries},
    blackout::{Blackout, common_gap, common_gaps},
    guest::Guest,
    offsets::{OFFSET_REACH_NS, smallest_offset_and_error},
    phases::PhaseName,
    span::Span,
};
use crate::{
    lab::rundir::RunData,
    record::{MilestoneName, Side},
};

/// The most blackouts that are stages; the longest.
const STOPS_LIMIT: usize = 16;
/// The most steps between the clocks that are looked at.
const STEPS_LIMIT: usize = 64;
/// Clocks that step by less may have been delivered late, or drift.
const LEAST_STEP_NS: i128 = 50_000_000;
/// A gap of all vCPUs of at least so much may be a blackout, as the guest itself has it.
const LONE_NS: i128 = 19_000_000;
/// No other gap half as long lies so near to it.
const NEAR_NS: i128 = 1_000_000_000;
/// A throttle that held for less is not told, in seconds: what the guest finds wavers by a percent.
const HELD_S: f64 = 1.0;

/// When the VM ran nowhere.
#[derive(Debug, Default)]
pub struct Stops {
    /// In the order of time, without overlap.
    spans: Vec<Span>,
    /// Whether only a lone gap tells of one.
    pub by_lone_gap: bool,
}

/// The stages in order, each beginning where the one before ends.
pub fn stages(data: &RunData, axis: &Axis, measured: Span, stops: &Stops) -> Vec<(PhaseName, Span)> {
    // What happened before it was measured is no part of it.
    let stops: Vec<&Span> = stops.spans.iter().filter(|stop| stop.end_s > measured.start_s).collect();
    let first_s = stops.first().map_or(measured.end_s, |stop| stop.start_s);
    let mut begins = Vec::new();
    let migrate_s = data.run.when(MilestoneName::Migrate).map(|host_ns| axis.host_s(host_ns));
    let baseline_end_s = migrate_s.or_else(|| baseline_end_s(data, axis)).map(|end_s| end_s.min(first_s));
    begins.extend(baseline_end_s.map(|_| (PhaseName::Baseline, measured.start_s)));
    let is_copied = migrate_s.is_some() && (!stops.is_empty() || data.run.source.is_some());
    let before = if is_copied { PhaseName::Precopy } else { PhaseName::Run };
    begins.push((before, baseline_end_s.unwrap_or(measured.start_s)));
    for stop in &stops {
        begins.extend([(PhaseName::Blackout, stop.start_s), (PhaseName::After, stop.end_s)]);
    }
    let completed = data.run.when(MilestoneName::Completed).or_else(|| command_end(data));
    if let Some(host_ns) = completed.filter(|_| stops.is_empty() && migrate_s.is_some()) {
        begins.push((PhaseName::After, axis.host_s(host_ns)));
    }
    let ends = begins.iter().skip(1).map(|(_, start_s)| *start_s).chain([measured.end_s]);
    let spans = begins.iter().zip(ends).map(|((name, start_s), end_s)| (*name, Span::new(*start_s, end_s)));
    spans.filter(|(_, span)| span.length_s() > 0.0).collect()
}

/// When the command ended that was to migrate.
fn command_end(data: &RunData) -> Option<u64> {
    data.run.measured.as_ref()?.end.map(|end| end.host_ns)
}

/// The throttle as the guest found it: at the end of each interval.
pub fn throttle_levels(guest: &Guest<'_>) -> Vec<(f64, Option<u64>)> {
    guest.intervals.iter().map(|at| (at.span.end_s, at.interval.throttle_percent)).collect()
}

/// Whether a throttle held long enough to be told.
pub fn has_held((_, span): &(Option<u64>, Span)) -> bool {
    span.length_s() >= HELD_S
}

/// The end of what the guest itself calls its baseline.
fn baseline_end_s(data: &RunData, axis: &Axis) -> Option<f64> {
    let own = data.records.intervals.iter().filter(|interval| interval.is_baseline);
    own.filter_map(|interval| axis.guest_s(interval.end_ns)).reduce(f64::max)
}

/// When the VM ran nowhere.
pub fn stops(data: &RunData, axis: &Axis, blackout: &Blackout) -> Stops {
    let mut stops = clock_stops(data, axis);
    stops.extend(switch_stop(data, axis, blackout));
    let lone = if stops.is_empty() { lone_gap(data, axis) } else { None };
    stops.extend(lone);
    stops.sort_by(|one, other| other.length_s().total_cmp(&one.length_s()));
    stops.truncate(STOPS_LIMIT);
    stops.sort_by(|one, other| one.start_s.total_cmp(&other.start_s));
    let mut merged: Vec<Span> = Vec::new();
    for stop in stops {
        match merged.last_mut() {
            Some(last) if stop.start_s <= last.end_s => last.end_s = last.end_s.max(stop.end_s),
            _ => merged.push(stop),
        }
    }
    Stops { spans: merged, by_lone_gap: lone.is_some() }
}

/// Where the guest went to another socket; without length where it is not known how long that took.
fn switch_stop(data: &RunData, axis: &Axis, blackout: &Blackout) -> Option<Span> {
    let switch = axis.switch()?;
    let Some(length_ns) = blackout.estimate_ns else {
        let left_s = axis.source_s(*switch.start())?;
        return Some(Span::new(left_s, left_s));
    };
    let gap = canaries(data).and_then(|canaries| common_gap(data, canaries, switch));
    let is_gap = |gap: &(i128, i128)| gap.1 - gap.0 >= i128::from(blackout.offset_step_ns.unwrap_or(0));
    let left_ns = gap.filter(is_gap).map_or(*switch.start(), |(start_ns, _)| start_ns);
    let start_s = axis.source_s(left_ns)?;
    Some(Span::new(start_s, start_s + length_ns as f64 / 1e9))
}

/// Where the guest's clock stood still while it was on one socket: the offset of the clocks is larger right after it than right
/// before it.
fn clock_stops(data: &RunData, axis: &Axis) -> Vec<Span> {
    let offset = |from_ns: i128, until_ns: i128| {
        let is_near = |mono_ns: u64| (from_ns..until_ns).contains(&i128::from(mono_ns));
        let near = data.records.stamps.iter().filter(|arrival| arrival.side == Side::Source);
        smallest_offset_and_error(near.filter(|arrival| is_near(arrival.mono_ns)))
    };
    let stop = |stamp_ns: i128| {
        let (before_ns, error_ns) = offset(stamp_ns + 1 - OFFSET_REACH_NS, stamp_ns + 1)?;
        let (after_ns, other_error_ns) = offset(stamp_ns + 1, stamp_ns + 1 + OFFSET_REACH_NS)?;
        let is_step = after_ns - before_ns >= LEAST_STEP_NS + error_ns + other_error_ns;
        is_step.then(|| Span::new(axis.seconds(stamp_ns + before_ns), axis.seconds(stamp_ns + after_ns)))
    };
    axis.clock_steps().take(STEPS_LIMIT).filter_map(stop).collect()
}

/// The longest gap of all vCPUs that is alone, if it is long enough for a blackout.
fn lone_gap(data: &RunData, axis: &Axis) -> Option<Span> {
    let gaps = common_gaps(data, canaries(data)?);
    let length_ns = |gap: &(i128, i128)| gap.1 - gap.0;
    let longest = *gaps.iter().max_by_key(|gap| length_ns(gap))?;
    let is_rival = |gap: &&(i128, i128)| {
        length_ns(gap) >= length_ns(&longest) / 2
            && gap.0 <= longest.1 + NEAR_NS
            && gap.1 + NEAR_NS >= longest.0
    };
    let is_lone = length_ns(&longest) >= LONE_NS && gaps.iter().filter(is_rival).count() == 1;
    let at = |mono_ns: i128| axis.guest_s(u64::try_from(mono_ns).ok()?);
    if is_lone { Some(Span::new(at(longest.0)?, at(longest.1)?)) } else { None }
}
