//! When a load is steady: before the migration, and again after it. Pure functions of interval records.

use crate::plan::BASELINE_PHASE;
use crate::record::Interval;
use std::collections::VecDeque;

/// A steady load's intervals in a row.
const IN_A_ROW: u32 = 3;
/// How far a steady interval's rate may be from the target, percent.
const STEADY_PERCENT: u128 = 10;
/// A settled load has held so long.
const SETTLED_NS: u64 = 1_000_000_000;
/// The most intervals of that; the usual ones are no shorter than a fiftieth of it.
const MOST_PIECES: usize = 100;
/// A settled load reaches this share of the target, percent.
const SETTLED_PERCENT: u128 = 98;
/// A response p99 below this is undisturbed whatever the baseline says, in ns.
const P99_FLOOR_NS: u64 = 1_000_000;
/// Visits, in billionths, that may be done on the other side of an interval's border.
const SLACK: u128 = 2_000_000_000;
/// Intervals before the migration that are remembered: an hour at ten a second.
const BEFORE_LIMIT: usize = 36_000;

/// Whether the load was steady when the baseline was over.
#[derive(Debug, Default)]
pub struct Steady {
    in_a_row: u32,
}

impl Steady {
    /// Takes the next interval into account.
    pub fn on(&mut self, interval: &Interval) {
        let steady = interval.phase != BASELINE_PHASE && is_near_target(interval);
        self.in_a_row = if steady { self.in_a_row.saturating_add(1) } else { 0 };
    }

    /// Whether it is steady now.
    pub const fn is_steady(&self) -> bool {
        self.in_a_row >= IN_A_ROW
    }
}

fn is_near_target(interval: &Interval) -> bool {
    // Without a target (as fast as the writers can) there is nothing to be near to.
    let Some(work) = Work::of(interval) else { return is_at_work(interval) };
    let apart = work.done.abs_diff(work.asked);
    apart <= work.asked / 100 * STEADY_PERCENT || apart <= SLACK
}

const fn is_at_work(interval: &Interval) -> bool {
    interval.writes > 0 || interval.reads > 0
}

/// Visits, in billionths.
const fn scaled(visits: u64) -> u128 {
    visits as u128 * 1_000_000_000
}

/// Visits that were done and visits that were asked for, both times 10^9. Either both count reads or neither does.
#[derive(Debug, Clone, Copy)]
struct Work {
    done: u128,
    asked: u128,
}

impl Work {
    /// Held against what the schedule offered, which counts reads and need not come at equal distances; or else against what
    /// the target, which counts writes, makes of the interval's length. None where nothing was asked for.
    fn of(interval: &Interval) -> Option<Self> {
        if let Some(offered) = interval.offered {
            let done = interval.writes.saturating_add(interval.reads);
            return Some(Self { done: scaled(done), asked: scaled(offered) });
        }
        let target = interval.target_pages_per_s?;
        let length_ns = interval.end_ns.saturating_sub(interval.start_ns);
        Some(Self { done: scaled(interval.writes), asked: u128::from(target) * u128::from(length_ns) })
    }
}

/// Whether the load is back where it was before the migration: for one second in a row the writers do 98 % of what is
/// asked for, and nine intervals in ten have a response p99 at most twice as long as nine in ten had before the migration.
/// An interval whose p99 cannot be told is as good as its backlog.
#[derive(Debug, Default)]
pub struct Settling {
    /// The response p99 of every interval before the migration that had one.
    calm_p99_ns: Vec<u64>,
    window: VecDeque<Piece>,
    settled_at_ns: Option<u64>,
}

#[derive(Debug)]
struct Piece {
    arrived_ns: u64,
    length_ns: u64,
    work: Option<Work>,
    calm: bool,
}

impl Settling {
    /// An interval before the migration: what calm looks like.
    pub fn before(&mut self, interval: &Interval) {
        if self.calm_p99_ns.len() < BEFORE_LIMIT {
            self.calm_p99_ns.extend(interval.response_ns.p99);
        }
    }

    /// Twice what nine intervals in ten stayed below before the migration; none where none of them could tell.
    fn limit_ns(&mut self) -> Option<u64> {
        self.calm_p99_ns.sort_unstable();
        let ninth = self.calm_p99_ns.len() * 9 / 10;
        self.calm_p99_ns.get(ninth).map(|p99| p99.saturating_mul(2).max(P99_FLOOR_NS))
    }

    /// An interval after the switch, which arrived at `arrived_ns`.
    pub fn after(&mut self, arrived_ns: u64, interval: &Interval) {
        if self.settled_at_ns.is_some() {
            return;
        }
        let work = Work::of(interval);
        let calm = match interval.response_ns.p99.zip(self.limit_ns()) {
            Some((p99_ns, limit_ns)) => p99_ns <= limit_ns,
            None => is_up_to_date(interval),
        };
        let length_ns = interval.end_ns.saturating_sub(interval.start_ns);
        if length_ns == 0 {
            return;
        }
        self.window.push_back(Piece { arrived_ns, length_ns, work, calm });
        while self.window.len() > MOST_PIECES
            || self.window.front().is_some_and(|first| self.length_ns() - first.length_ns >= SETTLED_NS)
        {
            self.window.pop_front();
        }
        if self.holds() {
            self.settled_at_ns = self.window.front().map(|first| first.arrived_ns);
        }
    }

    /// When the second began in which the load was back, host CLOCK_MONOTONIC.
    pub const fn settled_at_ns(&self) -> Option<u64> {
        self.settled_at_ns
    }

    fn length_ns(&self) -> u64 {
        self.window.iter().fold(0, |sum, piece| sum.saturating_add(piece.length_ns))
    }

    fn holds(&self) -> bool {
        let works = || self.window.iter().filter_map(|piece| piece.work);
        let sum = |of: fn(Work) -> u128| works().map(of).fold(0u128, u128::saturating_add);
        let (done, asked) = (sum(|work| work.done), sum(|work| work.asked));
        let calm = self.window.iter().filter(|piece| piece.calm).count();
        self.length_ns() >= SETTLED_NS
            && (done >= asked / 100 * SETTLED_PERCENT || done.saturating_add(SLACK) >= asked)
            && calm * 10 >= self.window.len() * 9
    }
}

/// Whether the writers are behind by less than a tenth of what the interval asked for, or by next to nothing. Without a
/// schedule they cannot be behind, but they can stand still.
fn is_up_to_date(interval: &Interval) -> bool {
    match interval.offered.zip(interval.backlog) {
        Some((offered, backlog)) => {
            u128::from(backlog) * 10 <= u128::from(offered) || scaled(backlog) <= SLACK
        }
        None => interval.target_pages_per_s.is_some() || is_at_work(interval),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Latency;

    /// The `index`th interval of 100 ms with a target of 1000 pages a second.
    fn interval(index: u64, writes: u64, p99_ns: u64) -> Interval {
        Interval {
            phase: "run".into(),
            start_ns: index * 100_000_000,
            end_ns: (index + 1) * 100_000_000,
            writes,
            offered: Some(100),
            missed: Some(0),
            backlog: Some(0),
            target_pages_per_s: Some(1000),
            response_ns: Latency { count: writes, p99: Some(p99_ns), ..Latency::default() },
            ..Interval::default()
        }
    }

    fn steady(intervals: &[Interval]) -> bool {
        let mut steady = Steady::default();
        for interval in intervals {
            steady.on(interval);
        }
        steady.is_steady()
    }

    #[test]
    fn intervals_of_no_length_are_not_kept_and_numbers_that_cannot_be_do_no_harm() {
        let mut settling = Settling::default();
        let huge = Interval {
            start_ns: 0,
            end_ns: u64::MAX,
            writes: u64::MAX,
            reads: u64::MAX,
            offered: None,
            target_pages_per_s: Some(u64::MAX),
            ..interval(0, 0, 0)
        };
        assert!(!is_near_target(&Interval { writes: 0, ..huge.clone() }));
        assert!(is_near_target(&Interval { target_pages_per_s: None, ..huge.clone() }));
        for index in 0..1000 {
            settling.after(index, &Interval { end_ns: 0, ..huge.clone() });
            settling.after(index, &Interval { end_ns: 1, ..huge.clone() });
        }
        assert_eq!(settling.window.len(), MOST_PIECES);
        let done = Interval { offered: Some(u64::MAX), backlog: Some(0), ..huge };
        (0..3).for_each(|index| settling.after(index, &done));
        assert!(settling.settled_at_ns().is_some(), "the most that can be told is not below itself");
    }

    #[test]
    fn three_intervals_in_a_row_near_the_target_are_steady() {
        let good = |index| interval(index, 95, 0);
        assert!(steady(&[good(0), good(1), good(2)]));
        assert!(!steady(&[good(0), good(1)]));
        assert!(!steady(&[good(0), good(1), interval(2, 89, 0)]));
        assert!(!steady(&[good(0), good(1), interval(2, 111, 0)]), "catching up is not steady either");
    }

    #[test]
    fn a_load_in_bursts_is_steady_when_it_does_what_its_schedule_offers() {
        let burst =
            |index, offered, writes| Interval { offered: Some(offered), ..interval(index, writes, 0) };
        assert!(steady(&[burst(0, 200, 199), burst(1, 0, 0), burst(2, 200, 190)]));
        assert!(steady(&[burst(0, 200, 199), burst(1, 0, 1), burst(2, 200, 190)]), "one at the border");
        assert!(
            !steady(&[burst(0, 200, 199), burst(1, 0, 3), burst(2, 200, 190)]),
            "late visits come in a pause"
        );
        assert!(!steady(&[burst(0, 200, 100), burst(1, 0, 0), burst(2, 200, 190)]));
    }

    #[test]
    fn the_baseline_does_not_count_however_steady_it_is() {
        let baseline = |index| Interval { phase: BASELINE_PHASE.into(), ..interval(index, 100, 0) };
        assert!(!steady(&[baseline(0), baseline(1), baseline(2)]));
    }

    #[test]
    fn a_load_without_a_target_is_steady_when_it_writes_and_a_rate_of_none_when_it_is_silent() {
        let max = |writes| Interval { target_pages_per_s: None, offered: None, ..interval(0, writes, 0) };
        assert!(steady(&[max(5), max(900), max(7)]));
        assert!(!steady(&[max(5), max(0), max(7)]));
        let silent = Interval { target_pages_per_s: Some(0), offered: Some(0), ..interval(0, 0, 0) };
        assert!(steady(&[silent.clone(), silent.clone(), silent]));
    }

    #[test]
    fn reads_count_where_the_schedule_counts_them() {
        for reads in [2, 25, 75, 99] {
            let mixed = |index, share: u64| Interval {
                reads: reads * share / 100,
                offered: Some(100),
                target_pages_per_s: Some((100 - reads) * 10),
                ..interval(index, (100 - reads) * share / 100, 2_000_000)
            };
            assert!(steady(&[mixed(0, 100), mixed(1, 100), mixed(2, 100)]), "{reads} % only read");
            assert!(!steady(&[mixed(0, 50), mixed(1, 50), mixed(2, 50)]), "half of it: {reads} % only read");
            assert!(settling((0..12).map(|index| mixed(index, 100))).settled_at_ns().is_some(), "{reads} %");
            assert!(settling((0..30).map(|index| mixed(index, 90))).settled_at_ns().is_none(), "{reads} %");
        }
    }

    #[test]
    fn a_rate_of_a_visit_now_and_then_is_steady_though_one_comes_late() {
        let rare = |index, offered, writes| Interval { offered: Some(offered), ..interval(index, writes, 0) };
        assert!(steady(&[rare(0, 1, 0), rare(1, 1, 2), rare(2, 1, 1)]));
        assert!(!steady(&[rare(0, 1, 0), rare(1, 4, 0), rare(2, 1, 1)]));
    }

    #[test]
    fn where_no_response_can_be_told_the_backlog_says_whether_the_load_is_back() {
        let coarse = |index, writes, backlog| Interval {
            response_ns: Latency { count: writes, ..Latency::default() },
            backlog: Some(backlog),
            ..interval(index, writes, 0)
        };
        let after = |backlog| {
            let mut settling = Settling::default();
            settling.before(&coarse(0, 100, 0));
            for index in 1..=20 {
                settling.after(index, &coarse(index, 100, backlog));
            }
            settling.settled_at_ns()
        };
        assert_eq!((after(0), after(500)), (Some(1), None), "as late as half a second");
        // What could be told before and cannot be now is no response of 0.
        assert_eq!(settling((0..20).map(|index| coarse(index, 100, 500))).settled_at_ns(), None);
    }

    #[test]
    fn the_pauses_of_bursts_are_as_calm_as_they_were_before() {
        let burst = |index: u64| match index % 10 {
            0 | 1 => Interval { offered: Some(500), ..interval(index, 500, 2_000_000) },
            _ => {
                let silent = Interval { offered: Some(0), ..interval(index, 0, 0) };
                Interval { response_ns: Latency::default(), ..silent }
            }
        };
        assert!(settling((0..12).map(burst)).settled_at_ns().is_some());
        let stands = |index| match burst(index) {
            at if at.writes > 0 => {
                Interval { writes: 0, backlog: Some(500), response_ns: Latency::default(), ..at }
            }
            at => at,
        };
        assert_eq!(settling((0..40).map(stands)).settled_at_ns(), None, "nothing of a burst was done");
    }

    fn settling(intervals: impl IntoIterator<Item = Interval>) -> Settling {
        let mut settling = Settling::default();
        settling.before(&interval(0, 100, 2_000_000));
        for interval in intervals {
            settling.after(interval.end_ns, &interval);
        }
        settling
    }

    #[test]
    fn a_full_second_at_rate_and_calm_is_settled_from_its_beginning() {
        let disturbed = (0..5).map(|index| interval(index, 20, 50_000_000));
        let calm = |count: u64| (5..5 + count).map(|index| interval(index, 100, 2_000_000));
        assert_eq!(settling(disturbed.clone().chain(calm(8))).settled_at_ns(), None);
        // One disturbed interval in ten is let pass, but not the rate it cost.
        assert_eq!(settling(disturbed.clone().chain(calm(9))).settled_at_ns(), None);
        assert_eq!(settling(disturbed.chain(calm(10))).settled_at_ns(), Some(600_000_000));
    }

    #[test]
    fn a_backlog_that_is_worked_off_at_full_rate_is_not_settled_while_responses_are_late() {
        let late = (0..30).map(|index| interval(index, 300, 900_000_000));
        assert_eq!(settling(late).settled_at_ns(), None);
    }

    #[test]
    fn intervals_longer_than_a_second_do_as_well() {
        let long = Interval { end_ns: 2_000_000_000, offered: Some(2000), ..interval(0, 2000, 0) };
        assert!(settling([long]).settled_at_ns().is_some());
    }
}
