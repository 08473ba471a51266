//! Verdicts on made-up windows whose truth is known.

use super::*;
use crate::diagnose::HostEvent;
use crate::record::{GapFeatures, Stall};
use proptest::prelude::*;

const MS: u64 = 1_000_000;

fn gap(cpu: u32, start_ms: u64, len_ms: u64) -> Gap {
    let features = GapFeatures { run_delay_ns: Some(0), ..GapFeatures::default() };
    Gap { cpu, start_ns: start_ms * MS, len_ns: len_ms * MS, class: GapClass::Unknown, features }
}

/// Three seconds that two canaries watched.
fn seen(gaps: &[Gap]) -> Seen<'_> {
    Seen { end_ns: 3_000 * MS, length_ns: 3_000 * MS, canaries: 2, gaps, ..Seen::default() }
}

fn alone(gaps: &[Gap]) -> Seen<'_> {
    Seen { canaries: 1, ..seen(gaps) }
}

fn classes(seen: &Seen<'_>) -> Vec<GapClass> {
    judged(seen).1.iter().map(|verdict| verdict.class).collect()
}

fn stops_of(seen: &Seen<'_>) -> Vec<Stop> {
    stops(seen, &Groups::of(seen))
}

/// Sleeps of 10 ms in every 20 ms on both vCPUs.
fn half() -> Vec<Gap> {
    (0..149).flat_map(|index| [gap(0, 10 + index * 20, 10), gap(1, 10 + index * 20, 10)]).collect()
}

#[test]
fn regular_stops_of_all_vcpus_are_a_throttle_and_its_percent_is_found() {
    let gaps = half();
    assert_eq!(judged(&seen(&gaps)).0.map(|throttle| throttle.percent), Some(50));
    let found = judged(&seen(&gaps)).1;
    assert!(found.iter().all(|one| one.class == GapClass::Throttle && one.common && one.confidence > 0.9));
}

#[test]
fn regular_gaps_of_one_vcpu_of_two_are_no_throttle() {
    let mut gaps = half();
    gaps.retain(|gap| gap.cpu == 0);
    assert_eq!(judged(&seen(&gaps)).0, None);
    assert!(classes(&seen(&gaps)).iter().all(|class| *class == GapClass::HostOther));
}

#[test]
fn with_one_vcpu_the_comb_tells_a_throttle_and_nothing_else_is_guessed() {
    let mut gaps = half();
    gaps.retain(|gap| gap.cpu == 0);
    assert!(classes(&alone(&gaps)).iter().all(|class| *class == GapClass::Throttle));
    assert!(verdicts_of(&alone(&gaps)).iter().all(|verdict| !verdict.common));
    assert_eq!(classes(&alone(&[gap(0, 100, 3), gap(0, 700, 2)])), [GapClass::Unknown; 2]);
    assert_eq!(classes(&alone(&[gap(0, 100, 200)])), [GapClass::Blackout]);
}

#[test]
fn a_long_lone_stop_is_a_blackout_and_shorter_ones_are_pauses() {
    assert_eq!(classes(&seen(&[gap(0, 500, 200), gap(1, 500, 200)])), [GapClass::Blackout; 2]);
    assert_eq!(classes(&seen(&[gap(0, 500, 5), gap(1, 500, 5)])), [GapClass::VmPause; 2]);
    let twice = [gap(0, 500, 50), gap(1, 500, 50), gap(0, 800, 45), gap(1, 800, 45)];
    assert_eq!(classes(&seen(&twice)), [GapClass::VmPause; 4]);
}

#[test]
fn what_the_host_knows_decides_what_the_guest_cannot() {
    let during = |kind, gaps: &[Gap]| {
        let events = [HostEvent { kind, start_ns: 400 * MS, end_ns: 900 * MS }];
        classes(&Seen { events: &events, ..seen(gaps) })
    };
    let single = [gap(0, 500, 30)];
    assert_eq!(during(HostEventKind::PostCopy, &single), [GapClass::PostcopyFault]);
    assert_eq!(during(HostEventKind::DirtyLimit, &single), [GapClass::DirtyLimit]);
    assert_eq!(during(HostEventKind::Stopped, &[gap(0, 500, 10), gap(1, 500, 10)]), [GapClass::Blackout; 2]);
    assert_eq!(classes(&seen(&single)), [GapClass::HostOther]);
}

#[test]
fn a_throttle_that_the_host_knows_of_needs_no_rhythm_and_one_that_it_does_not_is_none() {
    let gaps = half();
    let hosted = |events| Seen { events, is_hosted: true, ..seen(&gaps) };
    assert!(verdicts_of(&hosted(&[])).iter().all(|one| one.class == GapClass::VmPause));
    let events = [HostEvent { kind: HostEventKind::Throttled(50), start_ns: 0, end_ns: 1_000 * MS }];
    let early = |gap: &Gap| gap.start_ns < 1_150 * MS;
    for (gap, one) in gaps.iter().zip(verdicts_of(&hosted(&events))) {
        assert_eq!(
            (one.class == GapClass::Throttle, one.confidence > 0.9),
            (early(gap), early(gap)),
            "{gap:?}"
        );
    }
}

#[test]
fn in_post_copy_the_history_of_the_page_decides() {
    let (one, two) = ([gap(0, 500, 30)], [gap(0, 500, 30), gap(1, 500, 30)]);
    let events = [HostEvent { kind: HostEventKind::PostCopy, start_ns: 400 * MS, end_ns: 900 * MS }];
    let told = |gaps: &[Gap], earlier| {
        let stalls = [Stall { cpu: 0, start_ns: 501 * MS, len_ns: 28 * MS, page: 7, earlier }];
        let found = verdicts_of(&Seen { events: &events, is_hosted: true, stalls: &stalls, ..seen(gaps) });
        (found[0].class, found[0].confidence > 0.9)
    };
    assert_eq!(told(&one, 0), (GapClass::PostcopyFault, true));
    assert_eq!(told(&one, 1), (GapClass::HostOther, false), "it had been there");
    assert_eq!(told(&two, 0), (GapClass::PostcopyFault, false));
    assert_eq!(told(&two, 1), (GapClass::VmPause, false));
}

#[test]
fn in_post_copy_the_run_queue_of_a_realtime_canary_says_nothing() {
    let mut gaps = [gap(0, 500, 30)];
    gaps[0].features.run_delay_ns = Some(29 * MS);
    let events = [HostEvent { kind: HostEventKind::PostCopy, start_ns: 400 * MS, end_ns: 900 * MS }];
    let class = |realtime, events| classes(&Seen { events, is_hosted: true, realtime, ..seen(&gaps) })[0];
    assert_eq!(class(true, &events[..]), GapClass::PostcopyFault);
    assert_eq!(class(false, &events[..]), GapClass::GuestSched);
    assert_eq!(class(true, &[]), GapClass::GuestSched);
}

#[test]
fn a_wait_beside_a_stop_is_not_the_stop() {
    let events = [
        HostEvent { kind: HostEventKind::Stopped, start_ns: 400 * MS, end_ns: 400 * MS },
        HostEvent { kind: HostEventKind::PostCopy, start_ns: 400 * MS, end_ns: 900 * MS },
    ];
    let gaps = [gap(0, 402, 40)];
    let seen = Seen { events: &events, is_hosted: true, ..seen(&gaps) };
    assert_eq!(verdicts_of(&seen)[0].class, GapClass::PostcopyFault);
}

#[test]
fn the_guests_own_doing_comes_first_then_steal() {
    let mut own = half();
    for gap in &mut own {
        gap.features.run_delay_ns = Some(6 * MS);
    }
    assert!(classes(&seen(&own)).iter().all(|class| *class == GapClass::GuestSched));
    let gaps = half();
    let stolen = Seen { steal_ns: Some(1_500 * MS), ..seen(&gaps) };
    assert!(classes(&stolen).iter().all(|class| *class == GapClass::HostSteal));
    let little = Seen { steal_ns: Some(100 * MS), ..seen(&gaps) };
    assert!(classes(&little).iter().all(|class| *class == GapClass::Throttle));
}

#[test]
fn a_canary_that_was_ready_to_run_when_all_stopped_did_not_wait_for_another_task() {
    let mut gaps = half();
    gaps[1].features.run_delay_ns = Some(10 * MS);
    assert!(classes(&seen(&gaps)).iter().all(|class| *class == GapClass::Throttle));
    let mut alone = [gap(0, 500, 30), gap(1, 700, 30)];
    alone[1].features.run_delay_ns = Some(30 * MS);
    assert_eq!(classes(&seen(&alone)), [GapClass::HostOther, GapClass::GuestSched]);
    let mut most = [gap(0, 500, 30), gap(1, 500, 30), gap(2, 500, 30)];
    most[1].features.run_delay_ns = Some(30 * MS);
    most[2].features.run_delay_ns = Some(30 * MS);
    let three = Seen { canaries: 3, ..seen(&most) };
    assert_eq!(classes(&three), [GapClass::HostOther, GapClass::GuestSched, GapClass::GuestSched]);
}

#[test]
fn the_only_canary_that_was_ready_to_run_when_the_vm_was_stopped_did_not_wait_for_a_task() {
    let waits = |mut gap: Gap| {
        gap.features.run_delay_ns = Some(gap.len_ns);
        gap
    };
    let mut gaps = half();
    gaps.retain(|gap| gap.cpu == 0);
    gaps[100] = waits(gaps[100].clone());
    assert!(classes(&alone(&gaps)).iter().all(|class| *class == GapClass::Throttle));
    // As long, but not when it was due.
    gaps[100].start_ns += 4 * MS;
    assert_eq!(classes(&alone(&gaps))[100], GapClass::GuestSched);
    // All of them: that is a quota, or a neighbour in the guest, however regular.
    let quota: Vec<Gap> = gaps.iter().cloned().map(waits).collect();
    assert!(classes(&alone(&quota)).iter().all(|class| *class == GapClass::GuestSched));
    // A throttle of 90 % that is raised to 99, of which the first sleep seems to be a wait.
    let mut raised: Vec<Gap> = (0..19).map(|index| gap(0, 10 + index * 100, 90)).collect();
    raised.push(waits(gap(0, 1_910, 990)));
    let seen = Seen { end_ns: 2_905 * MS, ..alone(&raised) };
    assert_eq!(judged(&seen).0.map(|throttle| throttle.percent), Some(99));
    assert_eq!(classes(&seen)[19], GapClass::Throttle);
}

#[test]
fn a_vcpu_that_was_away_before_the_stop_does_not_make_it_longer() {
    let gaps = [gap(0, 500, 998), gap(1, 508, 990)];
    let found: Vec<u64> = stops_of(&seen(&gaps)).iter().map(|stop| stop.len_ns).collect();
    assert_eq!(found, [992 * MS]);
    let near = [gap(0, 500, 991), gap(1, 501, 990)];
    assert_eq!(stops_of(&seen(&near))[0].len_ns, 990 * MS + MS / 2, "canaries differ by a period");
}

proptest! {
    #[test]
    fn no_window_panics_and_each_gap_has_a_verdict(
        parts in prop::collection::vec((0u32..4, any::<u64>(), any::<u64>(), any::<Option<u64>>()), 0..40),
        narrow in any::<bool>(), canaries in 0usize..6, end_ns: u64, length_ns: u64, steal_ns: Option<u64>,
    ) {
        let scale = if narrow { 5_000 * MS } else { u64::MAX };
        let gaps: Vec<Gap> = parts.into_iter().map(|(cpu, start, len, delay)| {
            let features = GapFeatures { run_delay_ns: delay, ..GapFeatures::default() };
            Gap { cpu, start_ns: start % scale, len_ns: len % scale, class: GapClass::Unknown, features }
        }).collect();
        let kinds = [HostEventKind::Stopped, HostEventKind::PostCopy, HostEventKind::Throttled(length_ns % 200)];
        let events = kinds.map(|kind| HostEvent { kind, start_ns: length_ns, end_ns });
        let stalls = [Stall { cpu: 0, start_ns: length_ns, len_ns: end_ns, page: 0, earlier: 0 }];
        let seen = Seen {
            end_ns, length_ns, canaries, gaps: &gaps, pending: &gaps, steal_ns, events: &events, stalls: &stalls, is_hosted: narrow,
            realtime: !narrow, tick_ns: length_ns % 3 * MS,
        };
        let found = judged(&seen).1;
        prop_assert_eq!(found.len(), gaps.len());
        prop_assert!(found.iter().all(|one| (0.0..=1.0).contains(&one.confidence)));
        prop_assert!(canaries > 1 || found.iter().all(|one| !one.common));
    }
}

/// Gaps of two canaries that wake with ticks of 4 ms, where stops of `len_ms` come every `period_ms`: each seems to begin in the middle
/// between two ticks.
fn ticking(len_ms: u64, period_ms: u64) -> Vec<Gap> {
    let stops = (0..3_000 / period_ms).map(|number| {
        let (from_ms, to_ms) = (number * period_ms + 1, number * period_ms + 1 + len_ms);
        (from_ms.next_multiple_of(4) - 2, to_ms.next_multiple_of(4))
    });
    stops.flat_map(|(from_ms, to_ms)| [0, 1].map(|cpu| gap(cpu, from_ms, to_ms - from_ms))).collect()
}

#[test]
fn no_throttle_is_told_of_sleeps_that_ticks_are_too_coarse_to_measure_and_one_is_of_longer_ones() {
    for (len_ms, period_ms, percent) in
        [(4, 12, None), (8, 20, None), (40, 50, Some(80)), (90, 100, Some(90))]
    {
        let gaps = ticking(len_ms, period_ms);
        let found = judged(&Seen { tick_ns: 4 * MS, ..seen(&gaps) });
        assert_eq!(found.0.map(|throttle| throttle.percent), percent, "{len_ms} of {period_ms} ms");
        let are_throttle = found.1.iter().all(|verdict| verdict.class == GapClass::Throttle);
        assert_eq!(are_throttle, percent.is_some(), "{len_ms} of {period_ms} ms");
    }
}

#[test]
fn a_lone_gap_of_two_ticks_is_no_blackout() {
    let gaps = [0, 1].map(|cpu| gap(cpu, 1_000, 25));
    let class = |tick_ns| judged(&Seen { tick_ns, ..seen(&gaps) }).1[0].class;
    assert_eq!((class(0), class(10 * MS)), (GapClass::Blackout, GapClass::VmPause));
}
