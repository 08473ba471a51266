//! The loop on a clock moved by hand, over a real region: exact counts, closed forms, real stores.

use super::*;
use crate::{
    clock::{Fake, Monotonic},
    content::{Ledger, PageFiller, is_visited},
    engine::stamps::Stamps,
    pace::{Pacer, Part, Schedule},
    pattern::{Reads, pattern},
    plan::{BacklogPolicy, PaceSpec, PatternSpec, VisitMix, WORD_BYTES},
    region::{Region, Slice},
    tally::{Latencies, StampTally, VisitCounts},
    units::{Nanos, PageCount, Rate},
};
use std::sync::{Arc, mpsc::channel};

const T0_NS: u64 = 1_000_000;
const SECOND_NS: u64 = 1_000_000_000;

/// A clock that tells the writer to stop once it shows `end_ns`.
#[derive(Clone)]
struct Ending<C> {
    clock: C,
    control: Arc<Control>,
    end_ns: u64,
}

impl<C: Clock> Clock for Ending<C> {
    fn now_ns(&self) -> u64 {
        let now_ns = self.clock.now_ns();
        if now_ns >= self.end_ns {
            self.control.stop();
        }
        now_ns
    }

    fn sleep_until(&self, deadline_ns: u64) {
        self.clock.sleep_until(deadline_ns.min(self.end_ns));
    }
}

/// A writer that gets no orders.
fn alone<C: Clock>(clock: &C, control: &Control, tally: &VisitTally, work: &mut Work) -> u64 {
    run(clock, control, (tally, &WriterStatus::default()), &channel().1, work)
}

struct Outcome {
    visits: u64,
    counts: VisitCounts,
    latencies: Latencies,
    slice: Slice,
}

fn load<C: Clock>(clock: C, end_ns: u64, rate: Rate, spec: PatternSpec, pages: u64) -> Outcome {
    load_part(clock, end_ns, &Part::whole(rate), spec, pages)
}

fn load_part<C: Clock>(clock: C, end_ns: u64, part: &Part, spec: PatternSpec, pages: u64) -> Outcome {
    load_with_reads(clock, end_ns, part, spec, pages, VisitMix { reads: 0, visits: 1 })
}

fn load_with_reads<C: Clock>(
    clock: C,
    end_ns: u64,
    part: &Part,
    spec: PatternSpec,
    pages: u64,
    mix: VisitMix,
) -> Outcome {
    let (_, mut slices) = Region::map(PageCount(pages), 1).unwrap();
    let filler = PageFiller::new(WORD_BYTES, false, 1);
    let visitor = Visitor::fill(slices.remove(0), filler, None).unwrap();
    let mut work = Work {
        pacer: Pacer::new(T0_NS, part),
        pattern: pattern(spec, visitor.slice.pages(), 1),
        reads: Reads::new(mix, 1),
        visitor,
        computes: false,
        timed: true,
        drawn: Drawn::none(),
        sums: Sums::default(),
        undone: 0,
    };
    let (control, tally) = (Arc::new(Control::default()), VisitTally::new());
    let clock = Ending { clock, control: Arc::clone(&control), end_ns };
    let visits = alone(&clock, &control, &tally, &mut work);
    Outcome { visits, counts: tally.counts(), latencies: tally.latencies(), slice: work.visitor.slice }
}

/// How many pages of a load without stamps were written.
pub(super) fn touched(slice: &Slice) -> u64 {
    (0..slice.pages().0).filter(|page| is_visited(slice.read(PageIndex(*page)))).count() as u64
}

#[test]
fn every_visit_is_counted_once_in_both_histograms() {
    for rate in [Rate::PagesPerSecond(10_000), Rate::Max] {
        let outcome = load(Fake::new(T0_NS, 50), T0_NS + SECOND_NS / 50, rate, PatternSpec::Random, 64);
        assert!(outcome.visits >= 190, "{}", outcome.visits);
        assert_eq!(outcome.latencies.service.count(), outcome.visits);
        assert_eq!(outcome.latencies.response.count(), outcome.visits);
        assert_eq!(outcome.counts.open_since_ns, None);
    }
}

#[test]
fn visits_that_only_read_are_timed_and_counted_and_change_nothing() {
    let (rate, mix) = (Rate::PagesPerSecond(10_000), VisitMix { reads: 3, visits: 4 });
    let clock = Fake::new(T0_NS, 50);
    let outcome =
        load_with_reads(clock, T0_NS + SECOND_NS / 10, &Part::whole(rate), PatternSpec::Shuffle, 4096, mix);
    let VisitCounts { writes, reads, .. } = outcome.counts;
    let Latencies { service, response } = outcome.latencies;
    assert_eq!(
        (writes + reads, service.count(), response.count()),
        (outcome.visits, outcome.visits, outcome.visits)
    );
    assert!((reads * 4).abs_diff(outcome.visits * 3) <= 8, "{reads} of {}", outcome.visits);
    assert_eq!(touched(&outcome.slice), writes);
}

#[test]
fn the_schedule_is_kept_to_the_visit() {
    let rate = Rate::PagesPerSecond(20_000);
    let outcome = load(Fake::new(T0_NS, 50), T0_NS + 2 * SECOND_NS, rate, PatternSpec::Sequential, 64);
    // At the end the writer is at most a beat ahead.
    assert!((40_000..=40_020).contains(&outcome.visits), "{}", outcome.visits);
}

#[test]
fn a_shuffle_touches_as_many_pages_as_it_makes_visits_until_all_are_touched() {
    for (pages, visits) in [(4096, 1000), (4096, 4000), (500, 2000)] {
        let end_ns = T0_NS + visits * 100_000;
        let outcome =
            load(Fake::new(T0_NS, 50), end_ns, Rate::PagesPerSecond(10_000), PatternSpec::Shuffle, pages);
        assert!(outcome.visits.abs_diff(visits) <= 10, "{}", outcome.visits);
        assert_eq!(touched(&outcome.slice), outcome.visits.min(pages));
    }
}

#[test]
fn on_the_real_clock_a_shuffle_touches_the_same_pages_as_often() {
    let end_ns = Monotonic.now_ns() + 20_000_000;
    let outcome = load(Monotonic, end_ns, Rate::Max, PatternSpec::Shuffle, 100_000);
    assert_eq!(touched(&outcome.slice), outcome.visits.min(100_000));
    assert_eq!(outcome.latencies.service.count(), outcome.visits);
}

#[test]
fn a_rate_of_zero_visits_nothing_and_still_stops() {
    let outcome =
        load(Fake::new(T0_NS, 50), T0_NS + SECOND_NS, Rate::PagesPerSecond(0), PatternSpec::Random, 8);
    assert_eq!((outcome.visits, touched(&outcome.slice)), (0, 0));
}

/// One pause D in a window W at utilisation rho: response R(q) = D - (1 - q) W (1 - rho); service stays put.
#[test]
fn a_pause_of_a_second_is_in_the_response_and_not_in_the_service() {
    let clock = Fake::new(T0_NS, 50).with_pause(T0_NS + 3 * SECOND_NS, SECOND_NS);
    let rate = Rate::PagesPerSecond(1000);
    let Outcome { visits, latencies, .. } =
        load(clock, T0_NS + 10 * SECOND_NS, rate, PatternSpec::Shuffle, 64);
    assert!(visits.abs_diff(10_000) <= 1, "{visits}");
    // Repaying at four times the rate keeps a writer busy like a utilisation of a quarter.
    for (quantile, truth_s) in [(0.99, 1.0 - 0.01 * 10.0 * 0.75), (0.95, 1.0 - 0.05 * 10.0 * 0.75)] {
        let found_s = latencies.response.quantile(quantile).unwrap() as f64 / 1e9;
        assert!((found_s / truth_s - 1.0).abs() < 0.02, "{quantile}: {found_s} for {truth_s}");
    }
    assert!(latencies.service.quantile(0.99).unwrap() < 1000);
    assert!(
        latencies.response.quantile(0.5).unwrap() < 1000,
        "early and punctual visits were not waited for"
    );
}

#[test]
fn a_pause_within_a_visit_is_in_the_service_of_that_one_alone() {
    // The pause falls between two readings of the clock at full rate: into one visit, or between two batches.
    let clock = Fake::new(T0_NS, 50).with_pause(T0_NS + 777, SECOND_NS);
    let outcome = load(clock, T0_NS + SECOND_NS + 100_000, Rate::Max, PatternSpec::Random, 64);
    let long: Vec<_> = outcome.latencies.service.occupied().filter(|(value, _)| *value > 1000).collect();
    assert!(matches!(long[..], [(value, 1)] if value.abs_diff(SECOND_NS) < SECOND_NS / 100), "{long:?}");
}

/// What becomes of ten thousand visits a second when the machine stands still during the fourth second.
fn stopped_for_a_second(backlog: BacklogPolicy, pace: PaceSpec) -> (Outcome, u64) {
    let clock = Fake::new(T0_NS, 50).with_pause(T0_NS + 3 * SECOND_NS, SECOND_NS);
    let part = Part { pace, backlog, ..Part::whole(Rate::PagesPerSecond(10_000)) };
    let end_ns = T0_NS + 6 * SECOND_NS;
    let offered = Schedule::new(T0_NS, &part).unwrap().offered(end_ns);
    (load_part(clock, end_ns, &part, PatternSpec::Shuffle, 30_000), offered)
}

#[test]
fn every_visit_offered_is_done_or_missed_at_every_pace() {
    let burst = PaceSpec::Burst { on: Nanos::from_ms(30), off: Nanos::from_ms(70) };
    for pace in [PaceSpec::Constant, PaceSpec::Poisson, burst] {
        let (repaid, offered) = stopped_for_a_second(BacklogPolicy::Repay, pace);
        assert_eq!((offered, repaid.counts.missed), (60_000, 0), "{pace}");
        assert!((60_000..=60_050).contains(&repaid.visits), "{pace}: {}", repaid.visits);
        let (shed, _) = stopped_for_a_second(BacklogPolicy::Shed, pace);
        let past = shed.visits + shed.counts.missed;
        assert!((60_000..=60_050).contains(&past), "{pace}: {past}");
        assert!(shed.counts.missed.abs_diff(9_900) <= 320, "{pace}: {}", shed.counts.missed);
        assert_eq!(shed.latencies.response.count(), shed.visits);
        // Nothing that began was more than twice the patience late.
        assert!(shed.latencies.response.max().unwrap() < 21_000_000);
        assert!(repaid.latencies.response.max().unwrap() > 900_000_000);
    }
}

#[test]
fn pages_of_visits_that_were_given_up_are_not_left_out() {
    let (shed, _) = stopped_for_a_second(BacklogPolicy::Shed, PaceSpec::Constant);
    assert!(shed.visits > 30_000);
    assert_eq!(touched(&shed.slice), 30_000, "a lap of the shuffle");
    // A lap is whole at its last visit, not before: no page came twice.
    let clock = Fake::new(T0_NS, 50).with_pause(T0_NS + SECOND_NS / 2, SECOND_NS);
    let part = Part { backlog: BacklogPolicy::Shed, ..Part::whole(Rate::PagesPerSecond(10_000)) };
    let outcome = load_part(clock, T0_NS + 2 * SECOND_NS, &part, PatternSpec::Shuffle, 30_000);
    assert!(outcome.counts.missed > 9_000);
    assert_eq!(touched(&outcome.slice), outcome.visits);
}

/// A machine on which each visit takes four times as long as the schedule leaves it.
#[test]
fn a_writer_that_cannot_keep_up_sheds_the_rest_and_stays_busy() {
    let part = Part { backlog: BacklogPolicy::Shed, ..Part::whole(Rate::PagesPerSecond(1_000_000)) };
    let end_ns = T0_NS + SECOND_NS;
    let outcome = load_part(Fake::new(T0_NS, 4_000), end_ns, &part, PatternSpec::Random, 64);
    assert!((230_000..=250_000).contains(&outcome.visits), "{}", outcome.visits);
    let left = 1_000_000 - outcome.visits - outcome.counts.missed;
    assert!((9_000..21_000).contains(&left), "10 to 20 ms behind: {left}");
}
/// The stamped pages of a load that runs in two legs, each an interval of its own.
fn two_legs(spec: PatternSpec, pages: u64, timed: bool) -> [(u64, u64); 2] {
    let (_, mut slices) = Region::map(PageCount(pages), 1).unwrap();
    let slice = slices.remove(0);
    let stamps = Arc::new(StampTally::new());
    let ledger = Ledger::new(7, slice.first(), slice.pages());
    let filler = PageFiller::new(WORD_BYTES, true, 1);
    let mut work = Work {
        pacer: Pacer::new(T0_NS, &Part::whole(Rate::PagesPerSecond(10_000))),
        pattern: pattern(spec, slice.pages(), 1),
        reads: Reads::new(VisitMix { reads: 0, visits: 1 }, 1),
        visitor: Visitor::fill(slice, filler, Some(Stamps::new(ledger, Arc::clone(&stamps)))).unwrap(),
        computes: false,
        timed,
        drawn: Drawn::none(),
        sums: Sums::default(),
        undone: 0,
    };
    let clock = Fake::new(T0_NS, 50);
    let mut legs = [(0, 0); 2];
    let tally = VisitTally::new();
    for (leg, counted) in (1..).zip(&mut legs) {
        let control = Arc::new(Control::default());
        for _ in 0..leg {
            control.next_epoch();
        }
        let end_ns = T0_NS + leg * SECOND_NS / 10;
        let clock = Ending { clock: clock.clone(), control: Arc::clone(&control), end_ns };
        let before = (tally.counts().writes, stamps.counts(u32::MAX).repeats);
        let visits = alone(&clock, &control, &tally, &mut work);
        assert_eq!((tally.counts().writes, tally.counts().reads), (visits, 0));
        assert_eq!(tally.latencies().service.count(), if timed { visits } else { 0 });
        let visits = visits - before.0;
        *counted = (visits, visits - (stamps.counts(u32::MAX).repeats - before.1));
    }
    work.visitor.sweep(&clock, || false, true);
    assert_eq!((stamps.counts(u32::MAX).swept, stamps.counts(u32::MAX).corruptions.sum()), (pages, 0));
    legs
}

#[test]
fn different_pages_are_counted_exactly_in_every_interval() {
    for (spec, pages) in [
        (PatternSpec::Random, 700),
        (PatternSpec::Shuffle, 4096),
        (PatternSpec::Sequential, 300),
        (PatternSpec::Shuffle, 100),
    ] {
        for timed in [true, false] {
            let mut truth = pattern(spec, PageCount(pages), 1);
            for (visits, unique) in two_legs(spec, pages, timed) {
                assert!(visits >= 990, "{visits}");
                let mut seen = vec![PageIndex(0); usize::try_from(visits).unwrap()];
                truth.fill(&mut seen);
                seen.sort();
                seen.dedup();
                assert_eq!(unique, seen.len() as u64, "{spec} over {pages}");
                if spec != PatternSpec::Random {
                    assert!(unique >= visits.min(pages) * 99 / 100, "{unique} of {visits}");
                }
            }
        }
    }
}

#[test]
fn reads_of_stamped_pages_check_them_and_are_counted_apart_timed_or_not() {
    for timed in [true, false] {
        let (_, mut slices) = Region::map(PageCount(4096), 1).unwrap();
        let slice = slices.remove(0);
        let stamps = Arc::new(StampTally::new());
        let ledger = Ledger::new(7, slice.first(), slice.pages());
        let filler = PageFiller::new(WORD_BYTES, true, 1);
        let mut visitor =
            Visitor::fill(slice, filler, Some(Stamps::new(ledger, Arc::clone(&stamps)))).unwrap();
        visitor.slice.put(PageIndex(1), &[0; 5]);
        let mut work = Work {
            pacer: Pacer::new(T0_NS, &Part::whole(Rate::PagesPerSecond(10_000))),
            pattern: pattern(PatternSpec::Sequential, PageCount(4096), 1),
            reads: Reads::new(VisitMix { reads: 1, visits: 2 }, 1),
            visitor,
            computes: false,
            timed,
            drawn: Drawn::none(),
            sums: Sums::default(),
            undone: 0,
        };
        let (control, tally) = (Arc::new(Control::default()), VisitTally::new());
        control.next_epoch();
        let clock = Ending {
            clock: Fake::new(T0_NS, 50),
            control: Arc::clone(&control),
            end_ns: T0_NS + SECOND_NS / 10,
        };
        let visits = alone(&clock, &control, &tally, &mut work);
        let VisitCounts { writes, reads, .. } = tally.counts();
        assert_eq!(writes + reads, visits);
        assert!((990..=1010).contains(&visits) && writes.abs_diff(reads) <= 10, "{writes} and {reads}");
        assert_eq!(tally.latencies().service.count(), if timed { visits } else { 0 });
        work.visitor.sweep(&clock, || false, true);
        let counts = stamps.counts(u32::MAX);
        assert_eq!((counts.repeats, counts.swept), (0, 4096));
        assert_eq!((counts.corruptions.zeroed, counts.corruptions.sum()), (1, 1));
    }
}

#[test]
fn a_corrupt_page_that_is_only_ever_read_is_told_of_once() {
    let (_, mut slices) = Region::map(PageCount(4), 1).unwrap();
    let slice = slices.remove(0);
    let stamps = Arc::new(StampTally::new());
    let ledger = Ledger::new(7, slice.first(), slice.pages());
    let filler = PageFiller::new(WORD_BYTES, true, 1);
    let mut visitor = Visitor::fill(slice, filler, Some(Stamps::new(ledger, Arc::clone(&stamps)))).unwrap();
    let pages: Vec<_> = (0..4).map(PageIndex).collect();
    let before: [u64; 5] = visitor.slice.words(PageIndex(0));
    visitor.slice.put(PageIndex(2), &before);
    for _ in 0..3 {
        (0..4).for_each(|index| visitor.read(&pages, index, T0_NS));
    }
    assert_eq!(
        (stamps.counts(u32::MAX).corruptions.foreign, stamps.counts(u32::MAX).corruptions.sum()),
        (1, 1)
    );
    assert_eq!(visitor.slice.words(PageIndex(0)), before, "a sound page stays as it was");
}

#[test]
fn a_batch_that_is_too_late_is_given_up_whole_where_visits_are_not_timed() {
    let (_, mut slices) = Region::map(PageCount(64), 1).unwrap();
    let visitor = Visitor::fill(slices.remove(0), PageFiller::new(WORD_BYTES, false, 1), None).unwrap();
    let part = Part { backlog: BacklogPolicy::Shed, ..Part::whole(Rate::PagesPerSecond(10_000)) };
    let mut work = Work {
        pacer: Pacer::new(T0_NS, &part),
        pattern: pattern(PatternSpec::Random, PageCount(64), 1),
        reads: Reads::new(VisitMix { reads: 0, visits: 1 }, 1),
        visitor,
        computes: false,
        timed: false,
        drawn: Drawn::none(),
        sums: Sums::default(),
        undone: 0,
    };
    let (control, tally) = (Arc::new(Control::default()), VisitTally::new());
    let clock = Fake::new(T0_NS, 50).with_pause(T0_NS + SECOND_NS, SECOND_NS);
    let clock = Ending { clock, control: Arc::clone(&control), end_ns: T0_NS + 3 * SECOND_NS };
    let visits = alone(&clock, &control, &tally, &mut work);
    let counts = tally.counts();
    assert_eq!((counts.writes, counts.reads), (visits, 0));
    assert!(counts.missed.abs_diff(9_900) <= 320, "{}", counts.missed);
    assert!((visits + counts.missed).abs_diff(30_000) <= 50, "{visits} and {}", counts.missed);
}
