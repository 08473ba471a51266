//! A straight line from the cycle counter to nanoseconds, in whole numbers.

/// The rate has so many bits behind the point.
const FRACTION_BITS: u32 = 32;
/// A line is bent by at most this part of its rate to meet the other clock again: 1 ms a second.
const BEND_LIMIT: i128 = 1000;

/// What the counter's readings mean in ns. The rate is 0 for no line at all: then it shows nothing but 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Line {
    pub(super) origin_cycles: u64,
    pub(super) origin_ns: u64,
    /// ns a cycle, times 2^32; below 2^63.
    pub(super) rate: u64,
}

impl Line {
    /// What the counter shows at `cycles`. Readings from before the origin are as good as later ones.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "ns of up to 292 years around the origin")]
    pub(super) fn ns(&self, cycles: u64) -> u64 {
        let past = i128::from(cycles.wrapping_sub(self.origin_cycles).cast_signed());
        let span_ns = (past * i128::from(self.rate.cast_signed())) >> FRACTION_BITS;
        self.origin_ns.wrapping_add_signed(span_ns as i64)
    }

    /// The rate at which `cycles` took `span_ns`; none when that cannot be said.
    pub(super) fn rate(cycles: u64, span_ns: u64) -> Option<u64> {
        let rate = (u128::from(span_ns) << FRACTION_BITS).checked_div(u128::from(cycles))?;
        u64::try_from(rate).ok().filter(|rate| (1..1 << 63).contains(rate))
    }

    /// The line that goes on from this one at `cycles`, at a rate bent so that an `error_ns` (of the other clock
    /// ahead of this line) is made up within `span_ns`. It never jumps.
    pub(super) fn bent(&self, cycles: u64, rate: u64, error_ns: i64, span_ns: u64) -> Self {
        let straight = i128::from(rate);
        let most = straight / BEND_LIMIT;
        let bend = straight * i128::from(error_ns) / i128::from(span_ns.max(1));
        let rate = u64::try_from(straight + bend.clamp(-most, most)).unwrap_or(rate);
        Self { origin_cycles: cycles, origin_ns: self.ns(cycles), rate }
    }

    /// Cycles a second.
    pub(super) fn hz(&self) -> u64 {
        (1_000_000_000u64 << FRACTION_BITS).checked_div(self.rate).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_line_goes_through_the_two_points_it_was_made_of(
            cycles in 1u64..1 << 50, begin_ns in 0u64..1 << 60, hz in 1_000_000u64..10_000_000_000, span_ns in 10_000_000u64..1 << 40
        ) {
            let end = cycles + u64::try_from(u128::from(span_ns) * u128::from(hz) / 1_000_000_000).unwrap();
            let line = Line { origin_cycles: cycles, origin_ns: begin_ns, rate: Line::rate(end - cycles, span_ns).unwrap() };
            prop_assert_eq!(line.ns(cycles), begin_ns);
            prop_assert!(line.ns(end).abs_diff(begin_ns + span_ns) <= 1 + (end - cycles) / (1 << 32));
        }

        #[test]
        fn a_bent_line_goes_on_without_a_jump_and_meets_the_other_clock(error_ns in -50_000i64..50_000) {
            let line = Line { origin_cycles: 1000, origin_ns: 5, rate: 1 << 31 };
            let bent = line.bent(3000, line.rate, error_ns, 100_000_000);
            prop_assert_eq!(bent.ns(3000), line.ns(3000));
            let later = 3000 + 200_000_000;
            let truth = line.ns(later).wrapping_add_signed(error_ns);
            prop_assert!(bent.ns(later).abs_diff(truth) <= 2);
        }
    }

    #[test]
    fn a_rate_that_cannot_be_said_is_none() {
        assert_eq!([Line::rate(0, 5), Line::rate(5, 0), Line::rate(1, u64::MAX)], [None; 3]);
        let line = Line { rate: Line::rate(24, 10).unwrap(), ..Line::default() };
        assert_eq!(line.hz(), 2_400_000_000);
        assert_eq!(Line::default().hz(), 0);
    }
}
