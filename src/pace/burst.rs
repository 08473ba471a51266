//! Bursts: the even schedule, each cycle of it squeezed into the cycle's beginning.
//!
//! A cycle is ON + OFF long. A visit due at x within its cycle on the even schedule is due at `x * ON / cycle` in the
//! burst: so each cycle has exactly the visits of the even schedule, at equal distances, and none after ON.

/// The way from an even schedule to a bursting one and back. All in ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Burst {
    t0: u64,
    on: u64,
    cycle: u64,
}

impl Burst {
    /// Cycles of `on_ns` (at least 1) and `off_ns`, from `t0` on.
    pub(super) fn new(t0: u64, on_ns: u64, off_ns: u64) -> Self {
        let on_ns = on_ns.max(1);
        Self { t0, on: on_ns, cycle: on_ns.saturating_add(off_ns) }
    }

    /// When the visit is due that is due at `even_ns` on the even schedule.
    #[inline]
    pub(super) fn due_ns(&self, even_ns: u64) -> u64 {
        let (cycle_ns, within_ns) = self.split(even_ns);
        let squeezed = u128::from(within_ns) * u128::from(self.on) / u128::from(self.cycle);
        cycle_ns.saturating_add(u64::try_from(squeezed).unwrap_or(u64::MAX))
    }

    /// The time on the even schedule before which exactly the visits are due that are due before `at_ns` here.
    pub(super) fn even_ns(&self, at_ns: u64) -> u64 {
        let (cycle_ns, within_ns) = self.split(at_ns);
        if within_ns >= self.on {
            return cycle_ns.saturating_add(self.cycle);
        }
        let stretched = (u128::from(within_ns) * u128::from(self.cycle)).div_ceil(u128::from(self.on));
        cycle_ns.saturating_add(u64::try_from(stretched).unwrap_or(u64::MAX))
    }

    /// When the cycle began that `at_ns` lies in, and how far into it that is.
    fn split(&self, at_ns: u64) -> (u64, u64) {
        let within_ns = at_ns.saturating_sub(self.t0) % self.cycle;
        (at_ns.max(self.t0) - within_ns, within_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cycle_is_squeezed_into_its_beginning() {
        let burst = Burst::new(1000, 100, 300);
        let due = |even_ns: u64| burst.due_ns(1000 + even_ns) - 1000;
        assert_eq!([0, 4, 200, 399, 400, 600].map(due), [0, 1, 50, 99, 400, 450]);
        assert_eq!((burst.even_ns(1100), burst.even_ns(1399), burst.even_ns(1400)), (1400, 1400, 1400));
        assert_eq!(burst.even_ns(7), 1000, "before the beginning nothing is due");
    }

    proptest! {
        #[test]
        fn what_was_due_before_a_time_is_the_same_on_both_sides(
            t0 in 0..1u64 << 60, on_ns in 1..4_000_000_000_000u64, off_ns in 1..4_000_000_000_000u64,
            even in 0..20_000_000_000_000u64, at in 0..20_000_000_000_000u64
        ) {
            let burst = Burst::new(t0, on_ns, off_ns);
            prop_assert_eq!(
                burst.due_ns(t0 + even) < t0 + at, t0 + even < burst.even_ns(t0 + at)
            );
        }
    }
}
