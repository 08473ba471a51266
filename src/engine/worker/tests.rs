//! The loop on a clock moved by hand, over a real region: exact counts, closed forms, real stores.

use super::*;
use crate::{
    clock::{Fake, Monotonic},
    content::{Filler, is_visited},
    pattern::pattern,
    plan::PatternSpec,
    region::Region,
    tally::VisitCounts,
    units::{PageCount, Rate},
};
use std::sync::Arc;

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

struct Outcome {
    visits: u64,
    counts: VisitCounts,
    slice: Slice,
}

fn load<C: Clock>(clock: C, end_ns: u64, rate: Rate, spec: PatternSpec, pages: u64) -> Outcome {
    let (_, mut slices) = Region::map(PageCount(pages), 1).unwrap();
    let mut slice = slices.remove(0);
    let mut filler = Filler::new(1);
    slice.fill(|words| filler.fill(words)).unwrap();
    let mut work = Work {
        pacer: Pacer::new(rate, T0_NS, 0, 1),
        pattern: pattern(spec, slice.pages(), 1),
        slice,
        strokes: Strokes::default(),
    };
    let (control, tally) = (Arc::new(Control::default()), VisitTally::new(rate.pages_per_s().is_some()));
    let clock = Ending { clock, control: Arc::clone(&control), end_ns };
    let visits = run(&clock, &control, &tally, &mut work);
    Outcome { visits, counts: tally.counts(), slice: work.slice }
}

fn touched(slice: &Slice) -> u64 {
    (0..slice.pages().0).filter(|page| is_visited(slice.read(PageIndex(*page)))).count() as u64
}

#[test]
fn every_visit_is_counted_once_in_both_histograms() {
    for rate in [Rate::PagesPerSecond(10_000), Rate::Max] {
        let outcome = load(Fake::new(T0_NS, 50), T0_NS + SECOND_NS / 50, rate, PatternSpec::Random, 64);
        assert!(outcome.visits >= 190, "{}", outcome.visits);
        assert_eq!(outcome.counts.service.count(), outcome.visits);
        assert_eq!(outcome.counts.response.count(), outcome.visits);
        assert_eq!(outcome.counts.open_since_ns, None);
    }
}

#[test]
fn the_schedule_is_kept_to_the_visit() {
    let rate = Rate::PagesPerSecond(20_000);
    let outcome = load(Fake::new(T0_NS, 50), T0_NS + 2 * SECOND_NS, rate, PatternSpec::Sequential, 64);
    // At the end the writer is at most one batch of half a millisecond ahead.
    assert!((40_000..=40_010).contains(&outcome.visits), "{}", outcome.visits);
}

#[test]
fn a_shuffle_touches_as_many_pages_as_it_makes_visits_until_all_are_touched() {
    for (pages, visits) in [(4096, 1000), (4096, 4000), (500, 2000)] {
        let end_ns = T0_NS + visits * 100_000;
        let outcome =
            load(Fake::new(T0_NS, 50), end_ns, Rate::PagesPerSecond(10_000), PatternSpec::Shuffle, pages);
        assert!(outcome.visits.abs_diff(visits) <= 5, "{}", outcome.visits);
        assert_eq!(touched(&outcome.slice), outcome.visits.min(pages));
    }
}

#[test]
fn on_the_real_clock_a_shuffle_touches_the_same_pages_as_often() {
    let end_ns = Monotonic.now_ns() + 20_000_000;
    let outcome = load(Monotonic, end_ns, Rate::Max, PatternSpec::Shuffle, 100_000);
    assert_eq!(touched(&outcome.slice), outcome.visits.min(100_000));
    assert_eq!(outcome.counts.service.count(), outcome.visits);
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
    let Outcome { visits, counts, .. } = load(clock, T0_NS + 10 * SECOND_NS, rate, PatternSpec::Shuffle, 64);
    assert!(visits.abs_diff(10_000) <= 1, "{visits}");
    // Repaying at four times the rate keeps a writer busy like a utilisation of a quarter.
    for (quantile, truth_s) in [(0.99, 1.0 - 0.01 * 10.0 * 0.75), (0.95, 1.0 - 0.05 * 10.0 * 0.75)] {
        let found_s = counts.response.quantile(quantile).unwrap() as f64 / 1e9;
        assert!((found_s / truth_s - 1.0).abs() < 0.02, "{quantile}: {found_s} for {truth_s}");
    }
    assert!(counts.service.quantile(0.99).unwrap() < 1000);
    assert!(counts.response.quantile(0.5).unwrap() < 1000, "early and punctual visits were not waited for");
}

#[test]
fn a_pause_within_a_visit_is_in_the_service_of_that_one_alone() {
    // The pause falls between two readings of the clock at full rate: into one visit, or between two batches.
    let clock = Fake::new(T0_NS, 50).with_pause(T0_NS + 777, SECOND_NS);
    let outcome = load(clock, T0_NS + SECOND_NS + 100_000, Rate::Max, PatternSpec::Random, 64);
    let long: Vec<_> = outcome.counts.service.occupied().filter(|(value, _)| *value > 1000).collect();
    assert!(matches!(long[..], [(value, 1)] if value.abs_diff(SECOND_NS) < SECOND_NS / 100), "{long:?}");
}
