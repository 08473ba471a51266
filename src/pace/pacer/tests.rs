//! Batches, the cap on catching up, and what is given up: on a clock that is a number.

use super::*;
use crate::plan::PaceSpec;
use crate::units::Nanos;
use proptest::prelude::*;

mod mean;
mod ticks;

const SECOND_NS: u64 = 1_000_000_000;

fn part(pages_per_s: u64) -> Part {
    Part::whole(Rate::PagesPerSecond(pages_per_s))
}

fn pacer(pages_per_s: u64) -> Pacer {
    Pacer::new(0, &part(pages_per_s))
}

/// A batch as a writer carried it out: when, how many visits, how many given up.
#[derive(Debug, Clone, Copy)]
struct Done {
    at_ns: u64,
    visits: u64,
    missed: u64,
}

/// A writer whose visits take no time, and which is away during `pauses` (beginning and end, in order).
fn carry_out(part: &Part, pauses: &[(u64, u64)], end_ns: u64) -> Vec<Done> {
    let (mut pacer, mut intended_ns) = (Pacer::new(0, part), [0; BATCH]);
    let (mut now_ns, mut done) = (0u64, Vec::new());
    loop {
        let batch = pacer.next(&mut intended_ns);
        // What has to be waited for begins with a tick.
        if now_ns < batch.release_ns {
            now_ns = batch.release_ns.next_multiple_of(part.tick_ns.max(1));
        }
        for (begin_ns, back_ns) in pauses {
            now_ns = if (*begin_ns..*back_ns).contains(&now_ns) { *back_ns } else { now_ns };
        }
        if now_ns >= end_ns {
            return done;
        }
        let is_late = now_ns > pacer.released(now_ns, &batch);
        let missed = if is_late { pacer.give_up(now_ns, batch.visits) } else { 0 };
        done.push(Done { at_ns: now_ns, visits: if is_late { 0 } else { batch.visits as u64 }, missed });
    }
}

fn visits(done: &[Done]) -> u64 {
    done.iter().map(|done| done.visits).sum()
}

#[test]
fn a_rate_of_zero_is_never_released() {
    let batch = pacer(0).next(&mut [0; BATCH]);
    assert_eq!((batch.visits, batch.release_ns), (0, u64::MAX));
}

#[test]
fn the_maximum_is_released_at_once_and_nothing_of_it_is_given_up() {
    let mut max = Pacer::new(5, &Part { backlog: BacklogPolicy::Shed, ..Part::whole(Rate::Max) });
    let batch = max.next(&mut [0; BATCH]);
    assert_eq!(batch, Batch { visits: BATCH, release_ns: 0, spin_ns: 0 });
    assert_eq!(max.released(SECOND_NS, &batch), u64::MAX);
}

#[test]
fn a_slow_schedule_has_batches_of_one_and_a_short_spin() {
    let batch = pacer(100).next(&mut [0; BATCH]);
    assert_eq!(batch, Batch { visits: 1, release_ns: 0, spin_ns: SPIN_LIMIT_NS });
    assert_eq!(pacer(1000).next(&mut [0; BATCH]).spin_ns, 10_000);
}

#[test]
fn several_visits_begin_with_the_beat_that_they_are_due_in() {
    // From within the 6th beat on: 13 visits of 40 us are due in what is left of it, 24 or 25 in each that follows.
    let t0_ns = 5 * BEAT_NS + BEAT_NS / 2;
    let mut pacer = Pacer::new(t0_ns, &part(25_000));
    let batches: Vec<_> = (0..4).map(|_| pacer.next(&mut [0; BATCH])).collect();
    let begin_ns: Vec<_> = batches.iter().map(|batch| batch.release_ns).collect();
    assert_eq!(begin_ns, [5, 6, 7, 8].map(|beat| beat * BEAT_NS));
    assert_eq!(
        batches.iter().map(|batch| (batch.visits, batch.spin_ns)).collect::<Vec<_>>(),
        [(13, 0), (25, 0), (24, 0), (25, 0)]
    );
}

#[test]
fn what_one_batch_cannot_hold_of_a_beat_goes_on_when_it_is_due() {
    let mut pacer = Pacer::new(0, &part(2_000_000));
    for batch in 0..7 {
        let batch_ns = batch * BATCH as u64 * 500;
        assert_eq!(pacer.next(&mut [0; BATCH]).release_ns, batch_ns);
    }
    assert_eq!(pacer.next(&mut [0; BATCH]).visits, 1974 - 7 * BATCH);
    assert_eq!(pacer.next(&mut [0; BATCH]).release_ns, BEAT_NS);
}

#[test]
fn a_backlog_is_repaid_as_many_times_faster_as_was_asked() {
    for catch_up in [2, 4, 20, 100] {
        let part = Part { catch_up, ..part(25_600) };
        // Away for the first second; half a beat of it is made up at once.
        let end_ns = SECOND_NS + 5_000_000;
        let rate = visits(&carry_out(&part, &[(0, SECOND_NS)], end_ns)) * SECOND_NS / (end_ns - SECOND_NS);
        let asked = 25_600 * u64::from(catch_up);
        assert!((asked..=asked * 120 / 100 + 2 * 5_200).contains(&rate), "{catch_up}: {rate}");
        let later = visits(&carry_out(&part, &[(0, SECOND_NS)], 3 * SECOND_NS));
        assert!(later.abs_diff(3 * 25_600) <= 13, "{catch_up}: {later}");
    }
}

#[test]
fn with_a_factor_of_one_a_backlog_stays_and_small_lateness_costs_nothing() {
    let part = Part { catch_up: 1, ..part(25_600) };
    let left = 3 * 25_600 - visits(&carry_out(&part, &[(0, SECOND_NS)], 3 * SECOND_NS));
    assert!(left.abs_diff(25_600) <= 26, "{left}");
    // Late by 0.4 ms three hundred times.
    let often: Vec<_> = (0..300).map(|n| (n * 10_000_000, n * 10_000_000 + 400_000)).collect();
    let done = visits(&carry_out(&part, &often, 3 * SECOND_NS));
    assert!(done.abs_diff(3 * 25_600) <= 13, "{done}");
}

#[test]
fn what_is_more_than_10_ms_late_is_shed_and_counted() {
    let part = Part { backlog: BacklogPolicy::Shed, ..part(10_000) };
    let done = carry_out(&part, &[(SECOND_NS, 2 * SECOND_NS)], 3 * SECOND_NS);
    let missed: u64 = done.iter().map(|done| done.missed).sum();
    // What was due within the beat had been done before.
    assert!((9_890..=9_900).contains(&missed), "a second less 10 ms: {missed}");
    assert!((visits(&done) + missed).abs_diff(30_000) <= 5);
    let after =
        done.iter().filter(|done| done.at_ns >= 2 * SECOND_NS && done.at_ns < 2 * SECOND_NS + 5_000_000);
    let after: u64 = after.map(|done| done.visits).sum();
    assert!((150..=210).contains(&after), "the last 10 ms are repaid at four times the rate: {after}");
}

#[test]
fn within_a_batch_visits_may_begin_until_20_ms_late() {
    let mut pacer = Pacer::new(0, &Part { backlog: BacklogPolicy::Shed, ..part(100_000) });
    let batch = pacer.next(&mut [0; BATCH]);
    assert_eq!((batch.visits, pacer.released(10_000_000, &batch)), (99, 20_000_000));
    // Ten were done by 25 ms: all others that were due before 15 ms are given up.
    assert_eq!(pacer.give_up(25_000_000, 89), 1_500 - 10);
    let mut intended_ns = [0; BATCH];
    pacer.next(&mut intended_ns);
    assert_eq!(intended_ns[0], 15_000_000);
}

/// Stands still in each of `pauses` (how long it runs before it, and how long it is away), and looks at every batch.
fn every_visit_is_accounted_for(paced: &Part, pauses: &[(u64, u64)]) -> Result<(), TestCaseError> {
    let (schedule, shed) = (Schedule::new(0, paced).unwrap(), paced.backlog == BacklogPolicy::Shed);
    let mut at_ns = 0;
    let spans = pauses.iter().map(|(run_ns, away_ns)| {
        let begin_ns = at_ns + run_ns;
        at_ns = begin_ns + away_ns;
        (begin_ns, at_ns)
    });
    let spans: Vec<_> = spans.collect();
    let mut past = 0;
    for done in carry_out(paced, &spans, SECOND_NS) {
        past += done.visits + done.missed;
        let ahead_ns = BEAT_NS.max(2 * paced.tick_ns);
        prop_assert!(past <= schedule.offered(done.at_ns + ahead_ns), "ahead by more than a batch");
        let patience_ns = PATIENCE_NS + paced.tick_ns;
        if done.missed > 0 {
            // All that was too late is gone, and nothing else.
            prop_assert_eq!(past, schedule.offered(done.at_ns - patience_ns));
        }
        if shed {
            prop_assert!(past >= schedule.offered(done.at_ns - patience_ns.min(done.at_ns)));
        } else {
            prop_assert_eq!(done.missed, 0);
        }
    }
    Ok(())
}

#[test]
fn what_comes_due_long_after_visits_were_given_up_is_given_up_when_it_is_too_late_itself() {
    let pace = PaceSpec::Burst { on: Nanos::from_ms(169), off: Nanos::from_ms(148) };
    let part = Part { pace, backlog: BacklogPolicy::Shed, catch_up: 1, ..part(117) };
    let pauses = [
        (63_538_348, 25_974_041),
        (34_404_118, 77_986_589),
        (41_298_174, 15_445_063),
        (2_959_084, 74_102_259),
    ];
    every_visit_is_accounted_for(&part, &pauses).unwrap();
}

fn any_pace() -> impl Strategy<Value = PaceSpec> {
    let burst = (1u64..2_000, 1u64..2_000)
        .prop_map(|(on, off)| PaceSpec::Burst { on: Nanos::from_ms(on), off: Nanos::from_ms(off) });
    prop_oneof![Just(PaceSpec::Constant), Just(PaceSpec::Poisson), burst]
}

/// Of kernels that tick 1000, 250 and 100 times a second, or need not.
fn any_tick() -> impl Strategy<Value = u64> {
    prop::sample::select(vec![0, 0, 1_000_000, 4_000_250, 10_000_000])
}

proptest! {
    #[test]
    fn batches_follow_each_other_and_lie_within_a_beat(
        rate in 1..=Rate::LIMIT_PAGES_PER_S, writers in 1u32..64, t0_ns in 0..1u64 << 60, pace in any_pace()
    ) {
        let part = Part { pace, writer: writers - 1, writers, ..part(rate) };
        let mut pacer = Pacer::new(t0_ns, &part);
        let mut truth = Schedule::new(t0_ns, &part).unwrap().starts();
        let mut intended = [0; BATCH];
        for _ in 0..20 {
            let batch = pacer.next(&mut intended);
            prop_assert!((1..=BATCH).contains(&batch.visits));
            prop_assert!(intended[0] - batch.release_ns < BEAT_NS && batch.spin_ns <= SPIN_LIMIT_NS);
            let beat = intended[0] / BEAT_NS;
            prop_assert_eq!(intended[batch.visits - 1] / BEAT_NS, beat);
            for due_ns in &intended[..batch.visits] {
                prop_assert_eq!(*due_ns, truth.peek());
                truth.step();
            }
            // As long as it may be: full, or the next visit lies beyond the beat.
            prop_assert!(batch.visits == BATCH || truth.peek() / BEAT_NS > beat);
            prop_assert_eq!(pacer.released(batch.release_ns, &batch), u64::MAX);
        }
    }

    /// Whatever happens, no visit runs ahead by more than a batch, and nothing is lost or done twice.
    #[test]
    fn offered_is_done_and_missed_and_behind_at_any_time(
        rate in 100u64..20_000, pace in any_pace(), shed in any::<bool>(), catch_up in 1u32..=100, tick_ns in any_tick(),
        pauses in prop::collection::vec((0u64..100_000_000, 1u64..80_000_000), 0..6)
    ) {
        let backlog = if shed { BacklogPolicy::Shed } else { BacklogPolicy::Repay };
        every_visit_is_accounted_for(&Part { pace, backlog, catch_up, tick_ns, ..part(rate) }, &pauses)?;
    }

    #[test]
    fn at_constant_pace_no_burst_is_longer_than_a_millisecond_beyond_the_catch_up(
        rate in 1_000u64..100_000, catch_up in 1u32..=8, begin_ns in 0u64..200_000_000, away_ns in 1u64..200_000_000
    ) {
        let part = Part { catch_up, ..part(rate) };
        let done = carry_out(&part, &[(begin_ns, begin_ns + away_ns)], SECOND_NS);
        for (index, first) in done.iter().enumerate().step_by(7) {
            let mut visits = 0;
            for batch in done[index..].iter().take(200) {
                visits += batch.visits;
                let span_ns = (batch.at_ns - first.at_ns) * u64::from(catch_up) + 1_000_000 * u64::from(catch_up);
                prop_assert!(visits <= 2 + (span_ns * rate).div_ceil(SECOND_NS), "{visits} in {span_ns} ns");
            }
        }
    }
}
