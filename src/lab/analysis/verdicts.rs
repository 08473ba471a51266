//! Whose fault each gap of a run was, told by the rules the guest uses, in the light of the whole run and of what the host
//! knows: stops, post-copy, throttle percentages, steal, other vCPUs, and the pages that visits waited for.

use crate::{
    diagnose::{self, HostEvent, HostEventKind, Seen, Verdict, verdicts_of},
    lab::{
        rundir::{IntervalFigures, RunData},
        timeline::{Axis, PhaseName, Timeline},
    },
    plan::CanaryPeriod,
    record::{Gap, Hello, QemuBody, Side, Stall, tick_ns},
};

/// Gaps are judged so much at a time: over less steal says nothing, ns.
const WINDOW_NS: u64 = 1_000_000_000;
/// Gaps before and after a window that throw light on those in it, ns.
const AROUND_NS: u64 = 2_000_000_000;
/// The longest visit that is found again in the window where it ended, ns.
const LONGEST_NS: u64 = 60_000_000_000;

/// The gaps of a run in the order of their ends, and a verdict on each.
#[derive(Debug, Clone, Default)]
pub struct Judged {
    /// The gaps.
    pub gaps: Vec<Gap>,
    /// The verdicts, in the same order.
    pub verdicts: Vec<Verdict>,
    /// The visits that took too long, in the order of their starts.
    pub stalls: Vec<Stall>,
    /// Whether the canaries ran under SCHED_FIFO.
    pub realtime: bool,
}

/// How coarse the guest's canaries saw: the ticks they woke with, or a longer period that was asked for; 0 where neither is so.
fn grain_ns(hello: &Hello) -> u64 {
    let ticks_ns = hello.clock.timer_step_ns.map_or(0, tick_ns);
    let is_longer = hello.plan.canary.ns().is_some_and(|asked_ns| asked_ns > CanaryPeriod::USUAL_NS);
    let period_ns = hello.self_facts.canary_period_ns.filter(|_| is_longer);
    ticks_ns.max(period_ns.unwrap_or(0))
}

/// Judges every gap of the run.
pub fn judged(data: &RunData, timeline: &Timeline, canaries: usize) -> Judged {
    let records = &data.records;
    let (mut gaps, mut stalls) = (records.gaps.clone(), records.stalls.clone());
    let hello = records.hellos().last();
    let realtime = hello.is_some_and(|hello| hello.self_facts.canary_realtime);
    let ticks_ns = hello.map_or(0, grain_ns);
    gaps.sort_by_key(Gap::end_ns);
    stalls.sort_by_key(|stall| stall.start_ns);
    // Nobody looked on at a session that was only collected: there the guest's own rules hold.
    let is_hosted = data.session.is_none();
    let events = if is_hosted { events(data, timeline) } else { Vec::new() };
    let mut found = Vec::with_capacity(gaps.len());
    for window in windows(records.intervals.iter().collect()) {
        let inside = after(&gaps, window.start_ns)..after(&gaps, window.end_ns);
        if inside.is_empty() {
            continue;
        }
        let first = after(&gaps, window.start_ns.saturating_sub(AROUND_NS));
        let last = after(&gaps, window.end_ns.saturating_add(AROUND_NS));
        let begun = |at_ns: u64| stalls.partition_point(|stall| stall.start_ns < at_ns);
        let seen = Seen {
            end_ns: window.end_ns,
            length_ns: window.length_ns,
            canaries,
            gaps: &gaps[first..last],
            pending: &[],
            steal_ns: window.steal_ns,
            stalls: &stalls[begun(window.start_ns.saturating_sub(LONGEST_NS))
                ..begun(window.end_ns.saturating_add(AROUND_NS))],
            events: &events,
            is_hosted,
            realtime,
            tick_ns: ticks_ns,
        };
        let told = if is_hosted { verdicts_of(&seen) } else { diagnose::judged(&seen).1 };
        found.extend(told.into_iter().skip(inside.start - first).take(inside.len()));
    }
    Judged { gaps, verdicts: found, stalls, realtime }
}

/// How many gaps end at `at_ns` or before it.
fn after(gaps: &[Gap], at_ns: u64) -> usize {
    gaps.partition_point(|gap| gap.end_ns() <= at_ns)
}

/// A stretch of the guest's time: gaps that end after its start and not after its end are judged together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "all of them are times")]
struct Window {
    start_ns: u64,
    end_ns: u64,
    /// The time over which steal was counted; 0 where it was not.
    length_ns: u64,
    steal_ns: Option<u64>,
}

/// Windows that follow each other over all time, each made of whole intervals.
fn windows(mut intervals: Vec<&IntervalFigures>) -> Vec<Window> {
    intervals.sort_by_key(|interval| interval.start_ns);
    let first_ns = intervals.first().map_or(0, |interval| interval.start_ns);
    let unmeasured = |start_ns, end_ns| Window { start_ns, end_ns, length_ns: 0, steal_ns: None };
    // A gap of no length at time 0 ends at no time after a start: let the first window begin before all.
    let mut windows = vec![unmeasured(0, first_ns)];
    let mut open = Window { start_ns: first_ns, end_ns: first_ns, length_ns: 0, steal_ns: Some(0) };
    for interval in intervals {
        open.end_ns = open.end_ns.max(interval.end_ns);
        open.length_ns = open.end_ns - open.start_ns;
        let steal_ns = interval.steal_ms.map(|ms| ms.saturating_mul(1_000_000));
        open.steal_ns = open.steal_ns.zip(steal_ns).map(|(sum, own)| sum.saturating_add(own));
        if open.length_ns >= WINDOW_NS {
            windows.push(open);
            open = Window { start_ns: open.end_ns, end_ns: open.end_ns, length_ns: 0, steal_ns: Some(0) };
        }
    }
    windows.push(open);
    windows.push(unmeasured(open.end_ns, u64::MAX));
    windows
}

/// What the host knows, on the guest's clock.
fn events(data: &RunData, timeline: &Timeline) -> Vec<HostEvent> {
    let axis = &timeline.axis;
    let event = |kind, from: Option<u64>, until: Option<u64>| {
        let (start_ns, end_ns) = (from?, until?);
        Some(HostEvent { kind, start_ns, end_ns: end_ns.max(start_ns) })
    };
    let mut events = stops(data, axis);
    if let Some(setup) = timeline.setup.filter(|setup| setup.reason.is_none()) {
        let at = |at_s| axis.guest_ns(at_s, Side::Source);
        events.extend(event(HostEventKind::Setup, at(setup.span.start_s), at(setup.span.end_s)));
    }
    if let Some(phase) = timeline.phase(PhaseName::Blackout) {
        let span = phase.figures.span;
        let (from, until) =
            (axis.guest_ns(span.start_s, Side::Source), axis.guest_ns(span.end_s, Side::Destination));
        events.extend(event(HostEventKind::Stopped, from, until));
    }
    if let Some(phase) = timeline.phase(PhaseName::Postcopy) {
        let at = |at_s| axis.guest_ns(at_s, Side::Destination);
        let span = phase.figures.span;
        events.extend(event(HostEventKind::PostCopy, at(span.start_s), at(span.end_s)));
    }
    for level in &timeline.throttle {
        let Some(percent) = level.percent else { continue };
        let at = |at_s| axis.guest_ns(at_s, Side::Source);
        let span = level.figures.span;
        events.extend(event(HostEventKind::Throttled(percent), at(span.start_s), at(span.end_s)));
    }
    events
}

/// Every STOP of a QEMU until the next RESUME of either.
fn stops(data: &RunData, axis: &Axis) -> Vec<HostEvent> {
    let (mut stopped, mut found) = (None, Vec::new());
    for line in &data.qemu {
        let QemuBody::Event { event, .. } = &line.body else { continue };
        let at_ns = axis.guest_ns(axis.host_s(line.host_ns), line.side);
        match event.as_str() {
            "STOP" => stopped = stopped.or(at_ns),
            "RESUME" => {
                if let (Some(start_ns), Some(end_ns)) = (stopped.take(), at_ns) {
                    let end_ns = end_ns.max(start_ns);
                    found.push(HostEvent { kind: HostEventKind::Stopped, start_ns, end_ns });
                }
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::timeline::fixture::{FixtureData, Story};
    use crate::record::{Body, GapClass, GapFeatures};

    fn of(data: &FixtureData) -> Judged {
        let data = data.data();
        judged(&data, &Timeline::of(&data), 2)
    }

    fn classes(judged: &Judged) -> Vec<GapClass> {
        judged.verdicts.iter().map(|verdict| verdict.class).collect()
    }

    #[test]
    fn canaries_that_were_to_wake_less_often_see_no_finer() {
        let mut data = Story::precopy().run_data();
        let mut hellos = data.arrivals.iter_mut().filter_map(|arrival| match &mut arrival.record.body {
            Body::Hello(hello) => Some(hello),
            _ => None,
        });
        let hello = hellos.next().unwrap();
        hello.clock.timer_step_ns = None;
        assert_eq!(grain_ns(hello), 0);
        hello.plan.canary = "10ms".parse().unwrap();
        hello.self_facts.canary_period_ns = Some(12_000_000);
        assert_eq!(grain_ns(hello), 12_000_000);
        hello.plan.canary = "off".parse().unwrap();
        hello.self_facts.canary_period_ns = None;
        assert_eq!(grain_ns(hello), 0);
        drop(hellos);
        assert_eq!(data.timeline().blackout.common_gap_ns, None, "nobody looked");
    }

    #[test]
    fn every_gap_has_one_verdict_whatever_intervals_say() {
        let mut data = Story::auto_converge().run_data();
        assert_eq!(of(&data).gaps.len(), of(&data).verdicts.len());
        let mut start_ns = 1 << 60;
        for arrival in &mut data.arrivals {
            if let Body::Interval(interval) = &mut arrival.record.body {
                (interval.start_ns, interval.end_ns) = (start_ns, start_ns / 2);
                start_ns = start_ns / 3 + 7;
            }
        }
        assert_eq!(of(&data).gaps.len(), of(&data).verdicts.len());
        data.arrivals.retain(|arrival| !matches!(arrival.record.body, Body::Interval(_)));
        assert_eq!(of(&data).gaps.len(), of(&data).verdicts.len());
    }

    #[test]
    fn a_stop_that_the_guest_clock_ran_through_is_a_blackout_on_the_hosts_word() {
        let story = Story { frozen_clock: false, ..Story::precopy() };
        let judged = of(&story.run_data());
        assert_eq!(classes(&judged), [GapClass::Blackout; 2]);
        assert!(judged.verdicts.iter().all(|verdict| verdict.confidence > 0.9));
    }

    #[test]
    fn a_pause_on_the_hosts_order_outside_the_migration_is_one_too() {
        let story = Story { away: vec![(-3000.0, -2700.0)], blackout: None, ..Story::precopy() };
        let mut data = story.run_data();
        assert_eq!(classes(&of(&data)), [GapClass::VmPause; 2]);
        for (at_ms, event) in [(-3000.0, "STOP"), (-2700.0, "RESUME")] {
            let body =
                QemuBody::Event { event: event.into(), qemu_real_us: None, data: serde_json::Value::Null };
            data.qemu.push(crate::record::QemuLine {
                host_ns: story.host_ns(at_ms),
                side: Side::Source,
                body,
            });
        }
        assert_eq!(classes(&of(&data)), [GapClass::Blackout; 2]);
    }

    #[test]
    fn steal_of_a_whole_window_is_the_hosts_and_none_is_not() {
        let story = Story { away: vec![(-3000.0, -2800.0)], blackout: None, ..Story::precopy() };
        let mut data = story.run_data();
        for arrival in &mut data.arrivals {
            if let Body::Interval(interval) = &mut arrival.record.body {
                interval.steal_ms = Some(40);
            }
        }
        let found = of(&data);
        // Two gaps of 200 ms in a window of a second, in most tenths of which 40 ms were stolen.
        assert_eq!(classes(&found), [GapClass::HostSteal; 2]);
        let own = GapFeatures { minflt: 1, ..GapFeatures::default() };
        for arrival in &mut data.arrivals {
            if let Body::Gap(gap) = &mut arrival.record.body {
                gap.features = own;
            }
        }
        assert_eq!(classes(&of(&data)), [GapClass::GuestFault; 2]);
    }
}
