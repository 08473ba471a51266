//! Visits at equal distances: the exact arithmetic of one writer's intended starts.

pub(super) const NS_PER_S: u64 = 1_000_000_000;

/// Which visits are due when, for one writer of several that share a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Even {
    pub(super) t0_ns: u64,
    pub(super) rate: u64,
    pub(super) writers: u64,
    writer: u64,
}

impl Even {
    /// `rate_pages_per_s` visits a second from `t0_ns` on, all writers together; none when the rate is 0.
    ///
    /// `writer` counts from 0 and is below `writers`.
    pub(super) fn new(t0_ns: u64, rate_pages_per_s: u64, writer: u32, writers: u32) -> Option<Self> {
        let writers = u64::from(writers.max(1));
        (rate_pages_per_s > 0).then_some(Self {
            t0_ns,
            rate: rate_pages_per_s,
            writers,
            writer: u64::from(writer),
        })
    }

    /// How many of this writer's visits were due before `at_ns`.
    pub(super) fn offered(&self, at_ns: u64) -> u64 {
        // Visit g is due at floor(g * 1e9 / rate) after t0; that is before t exactly when g * 1e9 < t * rate.
        let elapsed = u128::from(at_ns.saturating_sub(self.t0_ns));
        let all = (elapsed * u128::from(self.rate)).div_ceil(u128::from(NS_PER_S));
        let mine = all.saturating_sub(u128::from(self.writer)).div_ceil(u128::from(self.writers));
        u64::try_from(mine).unwrap_or(u64::MAX)
    }

    /// This writer's intended starts, from its first visit on.
    pub(super) fn starts(self) -> EvenStarts {
        EvenStarts { even: self, seconds: self.writer / self.rate, rest: self.writer % self.rate }
    }
}

/// The intended starts of one writer, in order.
#[derive(Debug, Clone, Copy)]
pub(super) struct EvenStarts {
    even: Even,
    /// Whole seconds of the next visit.
    seconds: u64,
    /// What is left of its number, in units of a second divided by the rate; below the rate.
    rest: u64,
}

impl EvenStarts {
    /// The next intended start, which stays the next one.
    #[inline]
    pub(super) fn peek(&self) -> u64 {
        // rest < rate <= 1e9: the product stays below 1e18.
        let fraction_ns = self.rest * NS_PER_S / self.even.rate;
        self.even.t0_ns.saturating_add(self.seconds.saturating_mul(NS_PER_S)).saturating_add(fraction_ns)
    }

    /// Goes on to the visit after it.
    #[inline]
    pub(super) fn step(&mut self) {
        self.rest += self.even.writers;
        if self.rest >= self.even.rate {
            self.seconds = self.seconds.saturating_add(self.rest / self.even.rate);
            self.rest %= self.even.rate;
        }
    }

    /// Goes to the first visit that is due at `at_ns` or later.
    pub(super) fn seek(&mut self, at_ns: u64) {
        let (even, rate) = (self.even, u128::from(self.even.rate));
        let number = u128::from(even.offered(at_ns)) * u128::from(even.writers) + u128::from(even.writer);
        let whole = |part: u128| u64::try_from(part).unwrap_or(u64::MAX);
        (self.seconds, self.rest) = (whole(number / rate), whole(number % rate));
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
        assert_eq!(Even::new(0, 0, 0, 1), None);
    }

    #[test]
    fn after_whole_seconds_exactly_the_rate_was_offered() {
        let even = Even::new(77, 12_345, 0, 1).unwrap();
        assert_eq!(even.offered(77), 0);
        assert_eq!(even.offered(78), 1);
        assert_eq!(even.offered(77 + 10 * NS_PER_S), 123_450);
    }

    proptest! {
        #[test]
        fn every_start_is_exact(
            t0_ns in 0..1u64 << 60, rate in 1..=Rate::LIMIT_PAGES_PER_S, writers in 1u32..=1024, skip in 0usize..3000
        ) {
            let writer = writers - 1;
            let mut starts = Even::new(t0_ns, rate, writer, writers).unwrap().starts();
            for _ in 0..skip {
                starts.step();
            }
            let number = skip as u128 * u128::from(writers) + u128::from(writer);
            prop_assert_eq!(u128::from(starts.peek()), truth_ns(t0_ns, rate, number));
        }

        #[test]
        fn going_to_a_time_finds_the_first_visit_from_then_on(
            t0_ns in 0..1u64 << 60, rate in 1..=Rate::LIMIT_PAGES_PER_S, writers in 1u32..=1024,
            elapsed_ns in 0u64..1_000_000_000_000
        ) {
            let even = Even::new(t0_ns, rate, writers - 1, writers).unwrap();
            let mut starts = even.starts();
            starts.seek(t0_ns + elapsed_ns);
            prop_assert!(starts.peek() >= t0_ns + elapsed_ns);
            prop_assert_eq!(even.offered(starts.peek()), even.offered(t0_ns + elapsed_ns));
        }

        #[test]
        fn what_is_offered_is_what_was_due_before(
            rate in 1u64..5_000, writers in 1u32..5, writer in 0u32..5, elapsed_ns in 0u64..1_500_000_000
        ) {
            let writer = writer % writers;
            let even = Even::new(1_000, rate, writer, writers).unwrap();
            let mut starts = even.starts();
            let mut due = 0;
            while starts.peek() < 1_000 + elapsed_ns {
                due += 1;
                starts.step();
            }
            prop_assert_eq!(even.offered(1_000 + elapsed_ns), due);
        }

        #[test]
        fn the_writers_together_offer_the_rate(
            rate in 1..=Rate::LIMIT_PAGES_PER_S, writers in 1u32..64, seconds in 0u64..1_000_000
        ) {
            let offered = (0..writers).map(|writer| {
                Even::new(5, rate, writer, writers).unwrap().offered(5 + seconds * NS_PER_S)
            });
            prop_assert_eq!(offered.sum::<u64>(), rate * seconds);
        }
    }
}
