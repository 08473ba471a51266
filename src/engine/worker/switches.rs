//! Loads replaced under a running writer, on a clock moved by hand: no visit lost or double, no page of a lap left out.

use super::{tests::touched, *};
use crate::{
    clock::Fake,
    content::{Ledger, PageFiller},
    engine::{order::Change, stamps::Stamps},
    pace::{Pacer, Part, Schedule},
    pattern::{Reads, pattern},
    plan::{BacklogPolicy, PatternSpec, VisitMix, WORD_BYTES},
    region::{Region, Slice},
    tally::{Latencies, StampCounts, StampTally, Told, VisitCounts},
    units::{PageCount, Rate},
};
use proptest::prelude::*;
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        mpsc::{Sender, channel},
    },
};

const T0_NS: u64 = 1_000_000;
const MS: u64 = 1_000_000;
const PAGES: u64 = 4096;

/// Orders and when they are given; none is to stop.
type Timetable = VecDeque<(u64, Option<Order>)>;

/// A clock that gives each order when its time has come; the last is to stop.
#[derive(Clone)]
struct Ordering {
    clock: Fake,
    control: Arc<Control>,
    sender: Sender<Order>,
    orders: Arc<Mutex<Timetable>>,
}

impl Clock for Ordering {
    fn now_ns(&self) -> u64 {
        let (now_ns, mut orders) = (self.clock.now_ns(), self.orders.lock().unwrap());
        while orders.front().is_some_and(|(at_ns, _)| *at_ns <= now_ns) {
            match orders.pop_front() {
                Some((_, Some(order))) => {
                    self.sender.send(order).unwrap();
                    self.control.call();
                }
                _ => self.control.stop(),
            }
        }
        now_ns
    }

    fn sleep_until(&self, deadline_ns: u64) {
        self.clock.sleep_until(deadline_ns);
    }
}

/// A load: its rate and policy.
#[derive(Debug, Clone, Copy)]
struct Leg {
    rate: Rate,
    backlog: BacklogPolicy,
}

impl Leg {
    fn part(self) -> Part {
        Part { backlog: self.backlog, ..Part::whole(self.rate) }
    }

    fn offered(self, span_ns: u64) -> u64 {
        Schedule::new(0, &self.part()).map_or(0, |schedule| schedule.offered(span_ns))
    }
}

fn leg(rate: &str) -> Leg {
    Leg { rate: rate.parse().unwrap(), backlog: BacklogPolicy::Repay }
}

fn change(at_ns: u64, leg: Leg, spec: Option<PatternSpec>) -> Order {
    Order::Change(Box::new(changed(at_ns, leg, spec)))
}

fn changed(at_ns: u64, leg: Leg, spec: Option<PatternSpec>) -> Change {
    Change {
        at_ns,
        pacer: Pacer::new(at_ns, &leg.part()),
        pattern: spec.map(|spec| pattern(spec, PageCount(PAGES), 1)),
        visits_per_s: 0,
        own_visits_per_s: leg.part().most_visits_per_s(),
        reads: None,
        filler: None,
    }
}

struct Outcome {
    visits: u64,
    counts: VisitCounts,
    latencies: Latencies,
    stamps: StampCounts,
    told: Vec<Told>,
    status: WriterStatus,
    slice: Slice,
}

/// Runs `first` from T0 on over stamped pages, each order at its time, and stops at `end_ns`.
fn load(clock: Fake, first: Leg, orders: Vec<(u64, Order)>, end_ns: u64) -> Outcome {
    load_of(clock, first, orders, end_ns, Deeds::Stamped)
}

/// What a writer does when it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deeds {
    /// Timed visits of stamped pages.
    Stamped,
    /// Stores, neither timed nor stamped.
    Bare,
    /// Units of work, not timed.
    Units,
}

/// The same of other deeds.
fn load_of(clock: Fake, first: Leg, orders: Vec<(u64, Order)>, end_ns: u64, deeds: Deeds) -> Outcome {
    let full = deeds == Deeds::Stamped;
    let (_, mut slices) = Region::map(PageCount(PAGES), 1).unwrap();
    let (slice, stamps) = (slices.remove(0), Arc::new(StampTally::new()));
    let ledger = Ledger::new(7, slice.first(), slice.pages());
    let stamped = full.then(|| Stamps::new(ledger, Arc::clone(&stamps)));
    let visitor = Visitor::fill(slice, PageFiller::new(WORD_BYTES, full, 1), stamped).unwrap();
    let mut work = Work {
        pacer: Pacer::new(T0_NS, &first.part()),
        pattern: pattern(PatternSpec::Shuffle, PageCount(PAGES), 1),
        reads: Reads::new(VisitMix { reads: 0, visits: 1 }, 1),
        visitor,
        computes: deeds == Deeds::Units,
        timed: full,
        drawn: Drawn::none(),
        sums: Sums::default(),
        undone: 0,
    };
    let (sender, receiver) = channel();
    let orders = orders.into_iter().map(|(at_ns, order)| (at_ns, Some(order))).chain([(end_ns, None)]);
    let orders = Arc::new(Mutex::new(orders.collect()));
    let (control, tally, status) = (Arc::new(Control::default()), VisitTally::new(), WriterStatus::default());
    let clock = Ordering { clock, control: Arc::clone(&control), sender, orders };
    let visits = run(&clock, &control, (&tally, &status), &receiver, &mut work);
    work.visitor.sweep(&clock, || false, true);
    let told = std::iter::from_fn(|| stamps.take()).collect();
    let (counts, latencies) = (tally.counts(), tally.latencies());
    let slice = work.visitor.slice;
    Outcome { visits, counts, latencies, stamps: stamps.counts(u32::MAX), told, status, slice }
}

#[test]
fn a_wait_for_a_page_after_a_mark_is_told_with_how_often_the_page_was_written_since_and_no_other_delay_is() {
    let mark = || Order::Mark(vec![0; usize::try_from(PAGES).unwrap()].into());
    // Of the three readings of a visit, 50 ns apart, one span is the wait for the page: each is struck in turn.
    let pauses: Vec<u64> = (0..36).map(|number| T0_NS + 100_000 + number * MS / 2 + number * 50).collect();
    let clock = pauses.iter().fold(Fake::new(T0_NS, 50), |clock, at_ns| clock.with_pause(*at_ns, 300_000));
    let outcome = load(clock, leg("max"), vec![(T0_NS + 6 * MS, mark())], T0_NS + 40 * MS);
    let told: Vec<_> = outcome
        .told
        .iter()
        .map(|told| match told {
            Told::Long(wait) => *wait,
            Told::Corrupt(find) => panic!("{find:?}"),
        })
        .collect();
    let marked = pauses.iter().filter(|at_ns| **at_ns > T0_NS + 6 * MS).count();
    assert!(told.len().abs_diff(marked / 3) <= 1, "{} of {marked}", told.len());
    assert!(told.iter().all(|wait| wait.page < PAGES && wait.len_ns.abs_diff(300_000) <= 50), "{told:?}");
    // At full rate all pages are written once in each lap, of which each takes a page 150 ns.
    for wait in &told {
        let passed_ns = wait.start_ns - T0_NS - 6 * MS;
        let stopped_ns = 300_000
            * pauses.iter().filter(|at_ns| (T0_NS + 6 * MS..wait.start_ns).contains(at_ns)).count() as u64;
        let laps = (passed_ns - stopped_ns) as f64 / (150 * PAGES) as f64;
        assert!((wait.earlier as f64 - laps).abs() <= 1.5 + 0.03 * laps, "{wait:?}, {laps} laps");
    }
}

#[test]
fn a_page_written_65_536_times_since_a_mark_is_not_taken_for_one_never_written() {
    let mark = Order::Mark(vec![0; usize::try_from(PAGES).unwrap()].into());
    let one_page = Order::Change(Box::new(Change {
        pattern: Some(pattern(PatternSpec::Sequential, PageCount(1), 1)),
        ..changed(T0_NS + MS, leg("max"), None)
    }));
    // A visit takes 150 ns, so 65 536 take 10 ms.
    let pauses = (0..60).map(|number| T0_NS + 3 * MS + number * MS * 7 / 10 + number * 50);
    let clock = pauses.fold(Fake::new(T0_NS, 50), |clock, at_ns| clock.with_pause(at_ns, 300_000));
    let orders = vec![(T0_NS + MS, one_page), (T0_NS + 2 * MS, mark)];
    let outcome = load(clock, leg("max"), orders, T0_NS + 50 * MS);
    let earlier: Vec<u64> = outcome
        .told
        .iter()
        .filter_map(|told| match told {
            Told::Long(wait) => Some(wait.earlier),
            Told::Corrupt(_) => None,
        })
        .collect();
    assert!(outcome.visits > 2 * 65_536 && earlier.len() >= 18, "{}, {earlier:?}", outcome.visits);
    let counted = earlier.iter().filter(|earlier| (1..65_535).contains(*earlier)).count();
    assert!(earlier.is_sorted() && counted >= 3 && earlier.last() == Some(&65_535), "{earlier:?}");
}

#[test]
fn a_visit_that_only_reads_waits_for_its_page_as_well() {
    let pauses = (0..30).map(|number| T0_NS + 8 * MS + number * MS / 2 + number * 50);
    let clock = pauses.fold(Fake::new(T0_NS, 50), |clock, at_ns| clock.with_pause(at_ns, 300_000));
    let reads = Some(Reads::new(VisitMix { reads: 1, visits: 1 }, 1));
    let only_reads = Order::Change(Box::new(Change { reads, ..changed(T0_NS + 2 * MS, leg("max"), None) }));
    let mark = Order::Mark(vec![0; usize::try_from(PAGES).unwrap()].into());
    let orders = vec![(T0_NS + 2 * MS, only_reads), (T0_NS + 6 * MS, mark)];
    let outcome = load(clock, leg("max"), orders, T0_NS + 40 * MS);
    let waits = |told: &&Told| matches!(told, Told::Long(wait) if wait.earlier == 0);
    let told = outcome.told.iter().filter(waits).count();
    assert!((told, outcome.told.len()) == (told, told) && told.abs_diff(10) <= 1, "{:?}", outcome.told);
}

#[test]
fn another_rate_in_the_middle_of_a_lap_leaves_no_page_out_and_takes_none_twice() {
    let orders = vec![
        (T0_NS + 100 * MS, change(T0_NS + 100 * MS, leg("9000p/s"), None)),
        (T0_NS + 200 * MS, change(T0_NS + 200 * MS, leg("0"), None)),
        (T0_NS + 300 * MS, change(T0_NS + 300 * MS, leg("max"), None)),
        (T0_NS + 300 * MS + 50_000, change(T0_NS + 300 * MS + 50_000, leg("20000p/s"), None)),
    ];
    // All of it is less than a lap: a page met again in it would be a repeat in the same epoch.
    let outcome = load(Fake::new(T0_NS, 50), leg("5000p/s"), orders, T0_NS + 320 * MS);
    assert!((1_500..PAGES).contains(&outcome.visits), "{}", outcome.visits);
    assert_eq!((outcome.stamps.repeats, outcome.stamps.corruptions.sum()), (0, 0));
    assert_eq!(
        (outcome.latencies.service.count(), outcome.latencies.response.count()),
        (outcome.visits, outcome.visits)
    );
}

#[test]
fn bare_stores_take_the_pages_of_a_lap_in_turn_with_visits_that_may_only_read() {
    let with_reads = |at_ms: u64, reads: u64| {
        let at_ns = T0_NS + at_ms * MS;
        let reads = Some(Reads::new(VisitMix { reads, visits: 4 }, 1));
        (at_ns, Order::Change(Box::new(Change { reads, ..changed(at_ns, leg("9000p/s"), None) })))
    };
    let orders = vec![with_reads(100, 1), with_reads(150, 0), with_reads(200, 1), with_reads(250, 0)];
    // Stopped for a while: what a late batch had drawn is kept.
    let clock =
        Fake::new(T0_NS, 50).with_pause(T0_NS + 220 * MS, 5 * MS).with_pause(T0_NS + 280 * MS, 5 * MS);
    let outcome = load_of(clock, leg("5000p/s"), orders, T0_NS + 300 * MS, Deeds::Bare);
    assert!((2_000..PAGES).contains(&outcome.visits) && outcome.counts.reads > 100, "{:?}", outcome.counts);
    let told = (touched(&outcome.slice), outcome.counts.missed);
    assert_eq!(told, (outcome.counts.writes, 0), "less than a lap: no page twice");
    assert_eq!(outcome.visits, outcome.counts.writes + outcome.counts.reads);
}

#[test]
fn a_new_load_is_taken_up_by_a_writer_that_sleeps() {
    let orders = vec![(T0_NS + 1000 * MS, change(T0_NS + 1000 * MS, leg("1000p/s"), None))];
    let outcome = load(Fake::new(T0_NS, 50), leg("0"), orders, T0_NS + 2000 * MS);
    assert!(outcome.visits.abs_diff(1000) <= 1, "{}", outcome.visits);
    // It looks every 50 ms.
    assert!(outcome.latencies.response.max().unwrap() <= 51 * MS);
}

#[test]
fn what_was_left_of_the_load_before_is_given_up_and_not_done_later() {
    let clock = Fake::new(T0_NS, 50).with_pause(T0_NS + 100 * MS, 900 * MS);
    let at_ns = T0_NS + 1000 * MS;
    let orders = vec![(at_ns, change(at_ns, leg("100p/s"), None))];
    let outcome = load(clock, leg("1000p/s"), orders, T0_NS + 2000 * MS);
    // A hundred done before the pause; what came due in it is a backlog of 900 when the new load begins.
    assert!(outcome.counts.missed.abs_diff(900) <= 2, "{}", outcome.counts.missed);
    assert!(outcome.visits.abs_diff(200) <= 2, "{}", outcome.visits);
    // One may come due at the very end.
    assert!((1100..=1101).contains(&(outcome.visits + outcome.counts.missed)));
}

#[test]
fn a_sweep_looks_at_every_page_and_no_visit_is_lost_by_it() {
    let orders = vec![(T0_NS + 100 * MS, Order::Sweep), (T0_NS + 150 * MS, Order::Sweep)];
    let outcome = load(Fake::new(T0_NS, 50), leg("10000p/s"), orders, T0_NS + 300 * MS);
    assert_eq!(outcome.status.sweeps(), (2, 2 * PAGES));
    assert_eq!(
        (outcome.counts.missed, outcome.stamps.swept),
        (0, PAGES),
        "only the last sweep is the last one"
    );
    assert!(outcome.visits.abs_diff(3000) <= 5, "{}", outcome.visits);
}

#[test]
fn whatever_a_writer_does_orders_that_change_nothing_cost_none_of_it() {
    let mark = || Order::Mark(vec![0; usize::try_from(PAGES).unwrap()].into());
    for deeds in [Deeds::Stamped, Deeds::Bare, Deeds::Units] {
        let orders = (1..300).map(|ms| (T0_NS + ms * MS + 500_000, mark())).collect();
        let outcome = load_of(Fake::new(T0_NS, 50), leg("10000p/s"), orders, T0_NS + 300 * MS, deeds);
        assert!(outcome.visits.abs_diff(3000) <= 11, "{deeds:?}: {}", outcome.visits);
        assert_eq!(outcome.counts.missed, 0, "{deeds:?}");
    }
}

#[test]
fn no_batch_begins_after_a_pause_in_which_the_run_ended() {
    let (end_ns, leg) = (56 * MS, leg("13501p/s"));
    let clock = Fake::new(T0_NS, 50).with_pause(T0_NS + end_ns, 5 * MS);
    let outcome = load(clock, leg, Vec::new(), T0_NS + end_ns);
    // The last batch may have been a beat ahead.
    let most = leg.offered(end_ns) + 13_501 / 1000 + 1;
    assert!(outcome.visits <= most, "{} of {most}", outcome.visits);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever loads follow each other, however the machine stands still: what was offered is done, missed or left.
    #[test]
    fn no_visit_is_lost_or_counted_twice_however_loads_follow_each_other(
        legs in prop::collection::vec((0u64..30_000, any::<bool>(), 1u64..60), 1..8),
        pause in (0u64..300, 1u64..200), shuffle in any::<bool>()
    ) {
        let leg = |(rate, shed, _): &(u64, bool, u64)| Leg {
            rate: Rate::PagesPerSecond(*rate),
            backlog: if *shed { BacklogPolicy::Shed } else { BacklogPolicy::Repay },
        };
        let clock = Fake::new(T0_NS, 50).with_pause(T0_NS + pause.0 * MS, pause.1 * MS);
        let (mut orders, mut at_ns, mut offered) = (Vec::new(), T0_NS, 0);
        for (index, each) in legs.iter().enumerate() {
            if index > 0 {
                let spec = shuffle.then_some(PatternSpec::Sequential);
                orders.push((at_ns, change(at_ns, leg(each), spec)));
            }
            at_ns += each.2 * MS;
            offered += leg(each).offered(each.2 * MS);
        }
        let outcome = load(clock, leg(&legs[0]), orders, at_ns);
        let past = outcome.visits + outcome.counts.missed;
        let last = leg(&legs[legs.len() - 1]).offered(legs[legs.len() - 1].2 * MS);
        // Each load may be up to a beat ahead when it ends; what is left of the last one is its backlog.
        let ahead: u64 = legs.iter().map(|each| each.0 / 1000 + 1).sum();
        prop_assert!(past <= offered + ahead, "{past} of {offered}");
        prop_assert!(past + last >= offered, "{past} and {last} of {offered}");
        prop_assert_eq!(outcome.latencies.service.count(), outcome.visits);
        prop_assert_eq!(outcome.stamps.corruptions.sum(), 0);
        let taken_up = outcome.status.taken_up();
        prop_assert_eq!(taken_up.changes as usize, legs.len() - 1);
        let before = taken_up.past;
        prop_assert!(before + last <= offered + ahead && before + last >= offered, "{before}, {last}: {offered}");
    }
}
