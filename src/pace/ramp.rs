//! A rate that changes evenly with time: the exact arithmetic of one writer's intended starts.
//!
//! From `from` to `to` visits a second over T ns, after t ns `(2 T from t + (to - from) t^2) / (2 T 1e9)` visits are due;
//! behind the ramp `to` a second. Visit g is due at the last whole ns before which no more than g are. That time is the
//! root of a square equation: it is estimated in floating point and then found exactly in 128-bit integers, so nothing
//! rounded is ever added up. With T of at most a day and 1e9 visits a second no product reaches 2^127.

use super::even::NS_PER_S;

/// Which visits are due when, for one writer of several that share a changing rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ramp {
    t0_ns: u64,
    from: u64,
    to: u64,
    over_ns: u64,
    writer: u64,
    writers: u64,
}

impl Ramp {
    /// From `t0_ns` on, `from` to `to` visits a second over `over_ns`, at least 1, all writers together.
    pub(super) fn new(
        t0_ns: u64,
        (from, to): (u64, u64),
        over_ns: u64,
        (writer, writers): (u32, u32),
    ) -> Self {
        let (writer, writers) = (u64::from(writer), u64::from(writers.max(1)));
        Self { t0_ns, from, to, over_ns: over_ns.max(1), writer, writers }
    }

    /// How many of this writer's visits were due before `at_ns`.
    pub(super) fn offered(&self, at_ns: u64) -> u64 {
        let elapsed_ns = at_ns.saturating_sub(self.t0_ns);
        let all = if elapsed_ns <= self.over_ns {
            self.parts_after(elapsed_ns).div_ceil(2 * u128::from(self.over_ns) * u128::from(NS_PER_S))
        } else {
            let beyond = 2 * u128::from(self.to) * u128::from(elapsed_ns - self.over_ns);
            (self.parts_on_it() + beyond).div_ceil(2 * u128::from(NS_PER_S))
        };
        let mine = all.saturating_sub(u128::from(self.writer)).div_ceil(u128::from(self.writers));
        u64::try_from(mine).unwrap_or(u64::MAX)
    }

    /// This writer's intended starts, from its first visit on.
    pub(super) fn starts(self) -> RampStarts {
        RampStarts { ramp: self, number: self.writer, due_ns: self.due_ns(self.writer) }
    }

    /// The visits of the whole ramp, in parts of a visit of which 2e9 make one.
    fn parts_on_it(&self) -> u128 {
        u128::from(self.from + self.to) * u128::from(self.over_ns)
    }

    /// The visits of its first `elapsed_ns`, in parts of a visit of which 2e9 times its length make one.
    fn parts_after(&self, elapsed_ns: u64) -> u128 {
        let (level, slope_ns) =
            (2 * u128::from(self.from) * u128::from(self.over_ns), u128::from(elapsed_ns));
        let height = match self.to.checked_sub(self.from) {
            Some(rise) => level + u128::from(rise) * slope_ns,
            None => level - u128::from(self.from - self.to) * slope_ns,
        };
        height * u128::from(elapsed_ns)
    }

    /// When the visit with this number, of all writers together, is due; the end of time when it never is.
    fn due_ns(&self, number: u64) -> u64 {
        let parts = 2 * u128::from(NS_PER_S) * u128::from(number);
        let after_ns = if parts < self.parts_on_it() {
            self.on_it_ns(number)
        } else if self.to == 0 {
            return u64::MAX;
        } else {
            let beyond_ns = (parts - self.parts_on_it()) / (2 * u128::from(self.to));
            self.over_ns.saturating_add(u64::try_from(beyond_ns).unwrap_or(u64::MAX))
        };
        self.t0_ns.saturating_add(after_ns)
    }

    /// The last ns after which no more than `number` visits are due, which lies on the ramp.
    fn on_it_ns(&self, number: u64) -> u64 {
        let parts = 2 * u128::from(self.over_ns) * u128::from(NS_PER_S) * u128::from(number);
        let is_past = |ns: u64| ns > self.over_ns || self.parts_after(ns) > parts;
        let (mut low, mut step) = (self.estimate_ns(number).min(self.over_ns), 1);
        let mut high = low + 1;
        while low > 0 && is_past(low) {
            high = low;
            low = low.saturating_sub(step);
            step *= 2;
        }
        step = 1;
        while !is_past(high) {
            low = high;
            high += step;
            step *= 2;
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if is_past(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        low
    }

    /// Near enough, in most places to the ns.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate; casts saturate"
    )]
    fn estimate_ns(&self, number: u64) -> u64 {
        let (from, to, visits) = (self.from as f64, self.to as f64, number as f64 * NS_PER_S as f64);
        let square = from * from + 2.0 * (to - from) * visits / self.over_ns as f64;
        (2.0 * visits / (from + square.max(0.0).sqrt())) as u64
    }
}

/// The intended starts of one writer, in order.
#[derive(Debug, Clone, Copy)]
pub(super) struct RampStarts {
    ramp: Ramp,
    /// Of the next visit, counted over all writers.
    number: u64,
    due_ns: u64,
}

impl RampStarts {
    #[inline]
    pub(super) fn peek(&self) -> u64 {
        self.due_ns
    }

    pub(super) fn step(&mut self) {
        self.number = self.number.saturating_add(self.ramp.writers);
        self.due_ns = self.ramp.due_ns(self.number);
    }

    /// Goes to the first visit that is due at `at_ns` or later.
    pub(super) fn seek(&mut self, at_ns: u64) {
        let past = self.ramp.offered(at_ns).saturating_mul(self.ramp.writers);
        self.number = past.saturating_add(self.ramp.writer);
        self.due_ns = self.ramp.due_ns(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY_NS: u64 = 86_400 * NS_PER_S;
    const MOST: u64 = 1_000_000_000;

    fn ramp(from: u64, to: u64, over_ns: u64) -> Ramp {
        Ramp::new(0, (from, to), over_ns, (0, 1))
    }

    #[test]
    fn the_visits_of_a_ramp_are_those_of_its_mean_rate() {
        for (from, to) in [(0, 1000), (1000, 0), (100, 900), (900, 100), (500, 500)] {
            assert_eq!(ramp(from, to, 10 * NS_PER_S).offered(10 * NS_PER_S), 5000, "{from}..{to}");
        }
        assert_eq!(ramp(0, 1000, 10 * NS_PER_S).offered(20 * NS_PER_S), 15_000, "the last rate stays");
        assert_eq!(ramp(1000, 0, 10 * NS_PER_S).offered(20 * NS_PER_S), 5000, "and nothing stays nothing");
    }

    #[test]
    fn a_ramp_to_nothing_has_a_last_visit_and_no_next_one() {
        let mut starts = ramp(1000, 0, NS_PER_S).starts();
        starts.seek(NS_PER_S / 2);
        assert!(starts.peek() < NS_PER_S);
        starts.seek(NS_PER_S);
        assert_eq!(starts.peek(), u64::MAX);
        starts.step();
        assert_eq!(starts.peek(), u64::MAX);
    }

    #[test]
    fn the_largest_ramp_there_is_does_not_overflow() {
        for (from, to) in [(0, MOST), (MOST, 0), (MOST, MOST), (1, MOST)] {
            let ramp = ramp(from, to, DAY_NS);
            let all = ramp.offered(DAY_NS);
            assert_eq!(
                u128::from(all),
                u128::from(from + to) * 86_400 / 2 + u128::from(from + to) % 2 * 43_200 % 2
            );
            assert!(ramp.due_ns(all - 1) < DAY_NS);
            ramp.offered(u64::MAX);
            ramp.due_ns(u64::MAX);
        }
    }

    proptest! {
        #[test]
        fn each_start_is_the_last_ns_with_no_more_visits_before(
            from in 0..=MOST, to in 0..=MOST, over_ns in 1..=DAY_NS, percent in 0u64..110
        ) {
            let ramp = ramp(from, to, over_ns);
            let number = ramp.offered(over_ns) / 100 * percent + percent;
            let due_ns = ramp.due_ns(number);
            prop_assert!(ramp.offered(due_ns) <= number, "not later than that");
            prop_assert!(due_ns == u64::MAX || ramp.offered(due_ns + 1) > number, "and not earlier");
            prop_assert!(ramp.due_ns(number + 1) >= due_ns, "in order");
        }

        #[test]
        fn stepping_and_seeking_and_counting_agree(
            from in 0u64..5_000, to in 0u64..5_000, over_ns in 1..=2 * NS_PER_S,
            writers in 1u32..5, writer in 0u32..5, elapsed_ns in 0..3 * NS_PER_S
        ) {
            let ramp = Ramp::new(77, (from, to), over_ns, (writer % writers, writers));
            let (mut starts, mut sought) = (ramp.starts(), ramp.starts());
            let mut due = 0;
            while starts.peek() < 77 + elapsed_ns {
                due += 1;
                starts.step();
            }
            prop_assert_eq!(ramp.offered(77 + elapsed_ns), due);
            sought.seek(77 + elapsed_ns);
            prop_assert_eq!(sought.peek(), starts.peek());
        }

        #[test]
        fn the_writers_together_offer_the_ramp(
            from in 0..=MOST, to in 0..=MOST, over_ns in 1..=DAY_NS, writers in 1u32..64, at_ns in 0..=2 * DAY_NS
        ) {
            let whole = ramp(from, to, over_ns).offered(at_ns);
            let parts = (0..writers).map(|writer| Ramp::new(0, (from, to), over_ns, (writer, writers)).offered(at_ns));
            prop_assert_eq!(parts.sum::<u64>(), whole);
        }

        #[test]
        fn a_flat_ramp_is_the_even_schedule(rate in 1..=MOST, over_ns in 1..=DAY_NS, number in 0u64..1 << 40) {
            let truth = u128::from(number) * u128::from(NS_PER_S) / u128::from(rate);
            prop_assert_eq!(u128::from(ramp(rate, rate, over_ns).due_ns(number)), truth);
        }
    }
}
