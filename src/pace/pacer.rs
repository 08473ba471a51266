//! Cuts a schedule into batches and says when each may begin.

use super::{BATCH, REPAY_FACTOR, SPAN_NS, SPIN_LIMIT_NS, Schedule, schedule::Starts};
use crate::units::Rate;

/// Visits that are done without waiting in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// How many; 0 only for a rate of 0.
    pub visits: usize,
    /// When the first may begin.
    pub release_ns: u64,
    /// How long to spin before that.
    pub spin_ns: u64,
}

/// Paces one writer.
#[derive(Debug, Clone)]
pub enum Pacer {
    /// Rate 0: no visit is ever due.
    Idle,
    /// As fast as the writer can: no schedule, a visit is intended when it begins.
    Max,
    /// By an open-loop schedule.
    Paced(Paced),
}

/// The state of a paced writer.
#[derive(Debug, Clone)]
pub struct Paced {
    schedule: Schedule,
    starts: Starts,
    /// The backlog is repaid no faster than this allows.
    not_before_ns: u64,
}

impl Pacer {
    /// For writer `writer` of `writers` that share `rate`, from `t0_ns` on.
    pub fn new(rate: Rate, t0_ns: u64, writer: u32, writers: u32) -> Self {
        let Some(pages_per_s) = rate.pages_per_s() else { return Self::Max };
        Schedule::new(t0_ns, pages_per_s, writer, writers).map_or(Self::Idle, |schedule| {
            Self::Paced(Paced { schedule, starts: schedule.starts(), not_before_ns: 0 })
        })
    }

    /// Whether visits have intended starts.
    pub fn is_paced(&self) -> bool {
        matches!(self, Self::Paced(_))
    }

    /// The next batch; its intended starts are written to the front of `intended_ns`.
    pub fn next(&mut self, intended_ns: &mut [u64; BATCH]) -> Batch {
        match self {
            Self::Idle => Batch { visits: 0, release_ns: u64::MAX, spin_ns: 0 },
            Self::Max => Batch { visits: BATCH, release_ns: 0, spin_ns: 0 },
            Self::Paced(paced) => paced.next(intended_ns),
        }
    }

    /// To be told when a batch really began: holds the next one back while a backlog is repaid.
    pub fn released(&mut self, now_ns: u64, batch: &Batch) {
        if let Self::Paced(paced) = self {
            let hold_ns = paced.schedule.period_ns(batch.visits) / REPAY_FACTOR;
            paced.not_before_ns = now_ns.saturating_add(hold_ns);
        }
    }
}

impl Paced {
    fn next(&mut self, intended_ns: &mut [u64; BATCH]) -> Batch {
        let first_ns = self.starts.peek();
        let mut visits = 0;
        for intended in intended_ns.iter_mut() {
            let due_ns = self.starts.peek();
            if due_ns - first_ns >= SPAN_NS {
                break;
            }
            *intended = due_ns;
            visits += 1;
            self.starts.step();
        }
        let spin_ns = (self.schedule.period_ns(visits) / 100).min(SPIN_LIMIT_NS);
        Batch { visits, release_ns: first_ns.max(self.not_before_ns), spin_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pacer(pages_per_s: u64) -> Pacer {
        Pacer::new(Rate::PagesPerSecond(pages_per_s), 0, 0, 1)
    }

    #[test]
    fn a_rate_of_zero_is_never_released() {
        let batch = pacer(0).next(&mut [0; BATCH]);
        assert_eq!((batch.visits, batch.release_ns), (0, u64::MAX));
    }

    #[test]
    fn the_maximum_is_released_at_once() {
        let mut max = Pacer::new(Rate::Max, 5, 0, 1);
        assert_eq!(max.next(&mut [0; BATCH]), Batch { visits: BATCH, release_ns: 0, spin_ns: 0 });
        assert!(!max.is_paced());
    }

    #[test]
    fn a_slow_schedule_has_batches_of_one_and_a_short_spin() {
        let batch = pacer(100).next(&mut [0; BATCH]);
        assert_eq!(batch, Batch { visits: 1, release_ns: 0, spin_ns: SPIN_LIMIT_NS });
        assert_eq!(pacer(1000).next(&mut [0; BATCH]).spin_ns, 10_000);
    }

    #[test]
    fn a_backlog_is_repaid_at_four_times_the_rate() {
        let (mut pacer, mut intended) = (pacer(25_600), [0; BATCH]);
        // The first batch begins a second late; from then on every batch begins the moment it may.
        let (mut now_ns, mut visits) = (1_000_000_000, 0);
        let begun_ns = now_ns;
        for _ in 0..200 {
            let batch = pacer.next(&mut intended);
            now_ns = batch.release_ns.max(now_ns);
            pacer.released(now_ns, &batch);
            visits += batch.visits as u64;
        }
        let rate = visits * 1_000_000_000 / (now_ns - begun_ns);
        assert!((100_000..=4 * 25_600 * 202 / 200).contains(&rate), "{rate}");
    }

    proptest! {
        #[test]
        fn batches_follow_each_other_and_span_at_most_half_a_millisecond(
            rate in 1..=Rate::LIMIT_PAGES_PER_S, writers in 1u32..64, t0_ns in 0..1u64 << 60
        ) {
            let mut pacer = Pacer::new(Rate::PagesPerSecond(rate), t0_ns, writers - 1, writers);
            let mut truth = Schedule::new(t0_ns, rate, writers - 1, writers).unwrap().starts();
            let mut intended = [0; BATCH];
            for _ in 0..20 {
                let batch = pacer.next(&mut intended);
                prop_assert!((1..=BATCH).contains(&batch.visits));
                prop_assert!(batch.release_ns >= intended[0] && batch.spin_ns <= SPIN_LIMIT_NS);
                prop_assert!(intended[batch.visits - 1] - intended[0] < SPAN_NS);
                for due_ns in &intended[..batch.visits] {
                    prop_assert_eq!(*due_ns, truth.peek());
                    truth.step();
                }
                // As long as it may be: full, or the next visit lies beyond the span.
                prop_assert!(batch.visits == BATCH || truth.peek() - intended[0] >= SPAN_NS);
                pacer.released(batch.release_ns, &batch);
            }
        }
    }
}
