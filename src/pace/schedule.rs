//! The exact arithmetic of one writer's intended starts.

const NS_PER_S: u64 = 1_000_000_000;

/// Which visits are due when, for one writer of several that share a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    t0_ns: u64,
    rate: u64,
    writers: u64,
    writer: u64,
}

impl Schedule {
    /// `rate_pages_per_s` visits a second from `t0_ns` on, all writers together; none when the rate is 0.
    ///
    /// `writer` counts from 0 and is below `writers`.
    pub fn new(t0_ns: u64, rate_pages_per_s: u64, writer: u32, writers: u32) -> Option<Self> {
        let writers = u64::from(writers.max(1));
        (rate_pages_per_s > 0).then_some(Self {
            t0_ns,
            rate: rate_pages_per_s,
            writers,
            writer: u64::from(writer),
        })
    }

    /// How many of this writer's visits were due before `at_ns`.
    pub fn offered(&self, at_ns: u64) -> u64 {
        // Visit g is due at floor(g * 1e9 / rate) after t0; that is before t exactly when g * 1e9 < t * rate.
        let elapsed = u128::from(at_ns.saturating_sub(self.t0_ns));
        let all = (elapsed * u128::from(self.rate)).div_ceil(u128::from(NS_PER_S));
        let mine = all.saturating_sub(u128::from(self.writer)).div_ceil(u128::from(self.writers));
        u64::try_from(mine).unwrap_or(u64::MAX)
    }

    /// The time that `visits` of this writer take on schedule, rounded down.
    pub fn period_ns(&self, visits: usize) -> u64 {
        let span = visits as u128 * u128::from(self.writers) * u128::from(NS_PER_S) / u128::from(self.rate);
        u64::try_from(span).unwrap_or(u64::MAX)
    }

    /// This writer's intended starts, from its first visit on.
    pub fn starts(self) -> Starts {
        let (seconds, rest) = (self.writer / self.rate, self.writer % self.rate);
        Starts { schedule: self, seconds, rest }
    }
}

/// The intended starts of one writer, in order.
#[derive(Debug, Clone, Copy)]
pub struct Starts {
    schedule: Schedule,
    /// Whole seconds of the next visit.
    seconds: u64,
    /// What is left of its number, in units of a second divided by the rate; below the rate.
    rest: u64,
}

impl Starts {
    /// The next intended start, which stays the next one.
    #[inline]
    pub fn peek(&self) -> u64 {
        // rest < rate <= 1e9: the product stays below 1e18.
        let fraction_ns = self.rest * NS_PER_S / self.schedule.rate;
        self.schedule.t0_ns.saturating_add(self.seconds.saturating_mul(NS_PER_S)).saturating_add(fraction_ns)
    }

    /// Goes on to the visit after it.
    #[inline]
    pub fn step(&mut self) {
        self.rest += self.schedule.writers;
        if self.rest >= self.schedule.rate {
            self.seconds = self.seconds.saturating_add(self.rest / self.schedule.rate);
            self.rest %= self.schedule.rate;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Rate;
    use proptest::prelude::*;

    fn truth_ns(t0_ns: u64, rate: u64, number: u128) -> u128 {
        u128::from(t0_ns) + number * 1_000_000_000 / u128::from(rate)
    }

    #[test]
    fn a_rate_of_zero_has_no_schedule() {
        assert_eq!(Schedule::new(0, 0, 0, 1), None);
    }

    #[test]
    fn after_whole_seconds_exactly_the_rate_was_offered() {
        let schedule = Schedule::new(77, 12_345, 0, 1).unwrap();
        assert_eq!(schedule.offered(77), 0);
        assert_eq!(schedule.offered(78), 1);
        assert_eq!(schedule.offered(77 + 10 * NS_PER_S), 123_450);
    }

    proptest! {
        #[test]
        fn every_start_is_exact(
            t0_ns in 0..1u64 << 60, rate in 1..=Rate::LIMIT_PAGES_PER_S, writers in 1u32..=1024, skip in 0usize..3000
        ) {
            let writer = writers - 1;
            let mut starts = Schedule::new(t0_ns, rate, writer, writers).unwrap().starts();
            for _ in 0..skip {
                starts.step();
            }
            let number = skip as u128 * u128::from(writers) + u128::from(writer);
            prop_assert_eq!(u128::from(starts.peek()), truth_ns(t0_ns, rate, number));
        }

        #[test]
        fn what_is_offered_is_what_was_due_before(
            rate in 1u64..5_000, writers in 1u32..5, writer in 0u32..5, elapsed_ns in 0u64..1_500_000_000
        ) {
            let writer = writer % writers;
            let schedule = Schedule::new(1_000, rate, writer, writers).unwrap();
            let mut starts = schedule.starts();
            let mut due = 0;
            while starts.peek() < 1_000 + elapsed_ns {
                due += 1;
                starts.step();
            }
            prop_assert_eq!(schedule.offered(1_000 + elapsed_ns), due);
        }

        #[test]
        fn the_writers_together_offer_the_rate(
            rate in 1..=Rate::LIMIT_PAGES_PER_S, writers in 1u32..64, seconds in 0u64..1_000_000
        ) {
            let offered = (0..writers).map(|writer| {
                Schedule::new(5, rate, writer, writers).unwrap().offered(5 + seconds * NS_PER_S)
            });
            prop_assert_eq!(offered.sum::<u64>(), rate * seconds);
        }
    }
}
