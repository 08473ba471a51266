//! What a guest's visits took after it was restored, held against those of its baseline.

use crate::histogram::Counts;
use crate::lab::figure::lacking;
use crate::plan::BASELINE_PHASE;
use crate::record::{Interval, Latency, Paid};
use crate::units::Nanos;
use std::collections::VecDeque;

/// So long a time is looked at together.
const TOGETHER_NS: u64 = 1_000_000_000;
/// The most intervals of that; the usual ones are no shorter than a fiftieth of it.
const MOST_PIECES: usize = 100;
/// A guest has recovered when its p99 is at most so much of the baseline's, percent.
const RECOVERED_PERCENT: u128 = 110;
/// A restore is lazy when at least this share of the first visits took longer than 99 % of the baseline's, percent...
const LAZY_PERCENT: u128 = 10;
/// ...and what they took beyond that is at least this share of the restore itself, percent: so much comes of no cold cache.
const LAZY_TIME_PERCENT: u128 = 10;

/// The latencies of the baseline.
#[derive(Debug, Clone, Default)]
pub struct BaselineWaits {
    service: Counts,
    response: Counts,
}

impl BaselineWaits {
    /// Takes an interval in, if it is the baseline's.
    pub fn on(&mut self, interval: &Interval) {
        if interval.phase != BASELINE_PHASE {
            return;
        }
        for (own, packed) in
            [(&mut self.service, &interval.service_hist), (&mut self.response, &interval.response_hist)]
        {
            if let Ok(counts) = Counts::unpack(packed) {
                own.add(&counts);
            }
        }
    }

    /// The response p99, by a clock that takes steps of `step_ns`.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn response_p99(&self, step_ns: u64) -> Result<u64, String> {
        p99(&self.response, step_ns)
    }
}

fn p99(counts: &Counts, step_ns: u64) -> Result<u64, String> {
    if counts.is_empty() {
        return Err("there was no baseline to hold it against".into());
    }
    if let Some(lacking) = lacking(counts.count(), 0.99) {
        return Err(format!("the baseline has too few visits for a p99: {lacking}"));
    }
    Latency::of(counts, step_ns)
        .p99
        .ok_or_else(|| "the guest's clock does not tell the baseline's p99".into())
}

/// The visits since the guest went on.
#[derive(Debug, Default)]
pub struct VisitsAfter {
    /// How many there are in a lap.
    lap: u64,
    seen: u64,
    first: Counts,
    lap_is_over: bool,
    limit_ns: Option<u64>,
    window: VecDeque<Piece>,
    recovered_at_ns: Option<u64>,
    best_p99_ns: Option<u64>,
    /// The most visits of a second that had too few for a p99.
    too_few: Option<u64>,
}

/// The response times of one interval.
#[derive(Debug)]
struct Piece {
    begun_ns: u64,
    length_ns: u64,
    response: Counts,
}

impl VisitsAfter {
    /// Of a load that meets `lap` different pages first, in a guest whose baseline's response had this p99.
    pub fn new(lap: u64, baseline_p99_ns: Option<u64>) -> Self {
        let limit = |p99_ns: u64| u128::from(p99_ns) * RECOVERED_PERCENT / 100;
        let limit_ns = baseline_p99_ns.map(|p99_ns| u64::try_from(limit(p99_ns)).unwrap_or(u64::MAX));
        Self { lap, limit_ns, ..Self::default() }
    }

    /// The next interval, which arrived at `arrived_ns` of the host's clock.
    pub fn on(&mut self, arrived_ns: u64, interval: &Interval) {
        let visits = interval.writes.saturating_add(interval.reads);
        // An interval in which the next lap begins has visits that are no page's first.
        self.lap_is_over |= self.seen.saturating_add(visits) > self.lap;
        if !self.lap_is_over {
            self.seen += visits;
            if let Ok(service) = Counts::unpack(&interval.service_hist) {
                self.first.add(&service);
            }
            self.lap_is_over = self.seen == self.lap;
        }
        self.look_back(arrived_ns, interval);
    }

    fn look_back(&mut self, arrived_ns: u64, interval: &Interval) {
        let (Some(limit_ns), None) = (self.limit_ns, self.recovered_at_ns) else { return };
        let Ok(response) = Counts::unpack(&interval.response_hist) else { return };
        let length_ns = interval.end_ns.saturating_sub(interval.start_ns);
        if length_ns == 0 {
            return;
        }
        self.window.push_back(Piece { begun_ns: arrived_ns.saturating_sub(length_ns), length_ns, response });
        while self.window.len() > MOST_PIECES
            || self.window.front().is_some_and(|first| self.length_ns() - first.length_ns >= TOGETHER_NS)
        {
            self.window.pop_front();
        }
        if self.length_ns() < TOGETHER_NS {
            return;
        }
        let mut together = Counts::default();
        self.window.iter().for_each(|piece| together.add(&piece.response));
        let count = together.count();
        if lacking(count, 0.99).is_some() {
            self.too_few = self.too_few.max(Some(count));
            return;
        }
        let Some(p99_ns) = together.quantile(0.99) else { return };
        self.best_p99_ns = Some(self.best_p99_ns.map_or(p99_ns, |best_ns| best_ns.min(p99_ns)));
        if p99_ns <= limit_ns {
            self.recovered_at_ns = self.window.front().map(|first| first.begun_ns);
        }
    }

    fn length_ns(&self) -> u64 {
        self.window.iter().fold(0, |sum, piece| sum.saturating_add(piece.length_ns))
    }

    /// Whether nothing more is to be learned.
    pub const fn is_over(&self) -> bool {
        self.lap_is_over && (self.limit_ns.is_none() || self.recovered_at_ns.is_some())
    }

    /// The first visits, by a clock that takes steps of `step_ns`, without the quantiles that they are too few for.
    ///
    /// # Errors
    /// Why there are none.
    pub fn first_touch(&self, step_ns: u64) -> Result<Latency, String> {
        if self.first.is_empty() {
            let too_fast = "no interval had visits of the first lap alone: a shorter load.interval, or a lower load.rate";
            return Err(too_fast.into());
        }
        let mut first = Latency::of(&self.first, step_ns);
        let quantiles =
            [(&mut first.p50, 0.5), (&mut first.p90, 0.9), (&mut first.p99, 0.99), (&mut first.p999, 0.999)];
        for (figure, quantile) in quantiles {
            figure.take_if(|_| lacking(first.count, quantile).is_some());
        }
        Ok(first)
    }

    /// What the first visits lack for their p99; none where nothing.
    pub fn lacking(&self) -> Option<String> {
        lacking(self.first.count(), 0.99).map(|lacking| format!("too few for a p99: {lacking}"))
    }

    /// When the first second began that was as good as the baseline, host CLOCK_MONOTONIC; `limit` is how long it was waited for.
    ///
    /// # Errors
    /// Why there was none.
    pub fn recovered_at_ns(&self, limit: Nanos) -> Result<u64, String> {
        self.recovered_at_ns.ok_or_else(|| match (self.best_p99_ns, self.limit_ns) {
            (Some(best_ns), Some(limit_ns)) => format!(
                "no second of {limit} was within 10 % of the baseline: its p99 was {} at best, and that is {} at most",
                Nanos(best_ns).human(),
                Nanos(limit_ns).human()
            ),
            _ => match self.too_few.and_then(|count| lacking(count, 0.99)) {
                Some(lacking) => format!("no second of {limit} had enough visits for a p99: {lacking}"),
                None => format!("the load was not seen for a whole second within {limit}"),
            },
        })
    }

    /// Who paid for a restore that took `restore_ns`.
    ///
    /// # Errors
    /// Why that cannot be said.
    pub fn paid(&self, baseline: &BaselineWaits, step_ns: u64, restore_ns: u64) -> Result<Paid, String> {
        let usual_ns = p99(&baseline.service, step_ns)?;
        let count = self.first.count();
        if let Some(lacking) = lacking(count, 0.9) {
            return Err(format!("too few first visits to tell a tenth of them: {lacking}"));
        }
        let (mut slow, mut waited_ns) = (0u128, 0u128);
        for (at_least_ns, count) in self.first.occupied().filter(|(at_least_ns, _)| *at_least_ns > usual_ns) {
            slow += u128::from(count);
            waited_ns = waited_ns.saturating_add(u128::from(at_least_ns - usual_ns) * u128::from(count));
        }
        let are_many = slow * 100 >= u128::from(count) * LAZY_PERCENT;
        let is_much = waited_ns.saturating_mul(100) >= u128::from(restore_ns) * LAZY_TIME_PERCENT;
        Ok(if are_many && is_much { Paid::Lazy } else { Paid::Eager })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// The interval number `index` of 100 ms, with visits of `each_ns`.
    fn interval(phase: &str, index: u64, visits: u64, each_ns: u64) -> Interval {
        let mut counts = Counts::default();
        counts.record_n(each_ns, visits);
        Interval {
            phase: phase.into(),
            start_ns: index * 100 * MS,
            end_ns: (index + 1) * 100 * MS,
            writes: visits,
            offered: Some(visits),
            missed: Some(0),
            backlog: Some(0),
            target_pages_per_s: Some(1000),
            service_ns: Latency::of(&counts, 0),
            response_ns: Latency::of(&counts, 0),
            service_hist: counts.pack(),
            response_hist: counts.pack(),
            ..Interval::default()
        }
    }

    fn baseline() -> BaselineWaits {
        let mut baseline = BaselineWaits::default();
        baseline.on(&interval("baseline", 0, 1000, 10_000));
        baseline.on(&interval("run", 1, 1000, 90_000_000));
        baseline
    }

    /// What was seen after a restore in which the first intervals' visits took so long each, and all later ones as long as before.
    fn after(lap: u64, first: &[u64]) -> VisitsAfter {
        let mut after = VisitsAfter::new(lap, baseline().response_p99(0).ok());
        let usual = std::iter::repeat_n(&10_000, 20);
        for (each_ns, index) in first.iter().chain(usual).zip(0..) {
            after.on((index + 1) * 100 * MS, &interval("cycle-1", index, 100, *each_ns));
        }
        after
    }

    #[test]
    fn first_touches_are_those_of_whole_intervals_of_the_first_lap() {
        let first = after(250, &[50_000, 50_000, 70_000_000]).first_touch(0).unwrap();
        assert_eq!((first.count, first.max.unwrap() / 1000), (200, 50));
        let whole = after(300, &[50_000, 50_000, 70_000_000]).first_touch(0).unwrap();
        assert_eq!((whole.count, whole.max.unwrap() / MS), (300, 70));
        assert!(after(50, &[]).first_touch(0).unwrap_err().contains("load.interval"));
    }

    #[test]
    fn a_guest_has_recovered_from_the_beginning_of_the_first_second_that_is_as_good_as_the_baseline() {
        let limit = Nanos::from_secs(3);
        assert_eq!(after(300, &[50_000; 3]).recovered_at_ns(limit), Ok(300 * MS));
        assert_eq!(after(300, &[10_500; 3]).recovered_at_ns(limit), Ok(0), "within 10 %");
        let mut never = VisitsAfter::new(300, Some(9_000));
        (0..20).for_each(|index| never.on(index * 100 * MS, &interval("cycle-1", index, 100, 10_000)));
        let said = never.recovered_at_ns(limit).unwrap_err();
        assert!(said.contains("3s") && said.contains("10.") && said.contains("9.90"), "{said}");
        assert!(!never.is_over() && after(300, &[]).is_over());
    }

    #[test]
    fn intervals_of_no_length_or_next_to_none_are_not_kept_without_end() {
        let mut after = VisitsAfter::new(300, Some(9_000));
        for index in 0..10_000 {
            let none = Interval { end_ns: index, start_ns: index, ..interval("cycle-1", 0, 1, 10_000) };
            after.on(index, &none);
            after.on(index, &Interval { end_ns: index + 1, ..none });
        }
        assert_eq!(after.window.len(), MOST_PIECES);
    }

    #[test]
    fn a_p99_of_fewer_than_a_thousand_visits_is_not_told_and_numbers_that_cannot_be_do_no_harm() {
        let mut few = BaselineWaits::default();
        few.on(&interval("baseline", 0, 999, 10_000));
        let said = few.response_p99(0).unwrap_err();
        assert!(said.contains("999 visits, 1000 are needed"), "{said}");
        let mut sparse = VisitsAfter::new(50, Some(10_000));
        (0..20).for_each(|index| sparse.on(index * 100 * MS, &interval("cycle-1", index, 50, 10_000)));
        let said = sparse.recovered_at_ns(Nanos::from_secs(3)).unwrap_err();
        assert!(said.contains("3s had enough visits") && said.contains("500 visits, 1000"), "{said}");
        let first = sparse.first_touch(0).unwrap();
        assert_eq!((first.count, first.p50.is_some(), first.p90, first.p99), (50, true, None, None));
        assert!(first.max.is_some() && sparse.lacking().unwrap().contains("50 visits, 1000"), "{first:?}");
        assert!(sparse.paid(&baseline(), 0, MS).unwrap_err().contains("50 visits, 100 are needed"));
        let huge =
            |index| Interval { writes: u64::MAX, reads: u64::MAX, ..interval("cycle-1", index, 100, 1) };
        let mut after = VisitsAfter::new(u64::MAX, Some(10_000));
        for index in 0..3 {
            after.on(u64::MAX, &Interval { start_ns: 0, end_ns: u64::MAX, ..huge(index) });
        }
        assert!(after.lap_is_over);
        let mut many = VisitsAfter::new(u64::MAX, Some(10_000));
        many.first.record_n(u64::MAX, u64::MAX / 2);
        assert_eq!(many.paid(&baseline(), 0, u64::MAX), Ok(Paid::Lazy));
    }

    #[test]
    fn what_the_first_visits_wait_for_makes_a_restore_lazy_and_a_cold_cache_does_not() {
        let paid = |first: &[u64], restore_ns| after(300, first).paid(&baseline(), 0, restore_ns);
        assert_eq!(paid(&[10_000; 3], 100 * MS), Ok(Paid::Eager));
        assert_eq!(paid(&[500_000; 3], 100 * MS), Ok(Paid::Lazy), "150 ms after 100 ms");
        assert_eq!(paid(&[12_000; 3], 100 * MS), Ok(Paid::Eager), "0.6 ms");
        let none = after(300, &[]).paid(&BaselineWaits::default(), 0, MS);
        assert!(none.unwrap_err().contains("no baseline"));
    }
}
