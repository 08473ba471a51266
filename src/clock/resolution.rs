//! What a clock tells apart and how finely timers wake, as measured: where there is no better clocksource than the tick, both
//! are the tick's 1 to 10 ms, whatever `clock_getres` says.

use super::{Clock, read_cost_ns};

/// So many steps of a clock are looked at, or as many as it takes within this time, but some at least.
const STEPS: usize = 256;
const STEPS_LEAST: usize = 4;
const STEPS_LIMIT_NS: u64 = 50_000_000;
/// So many wakes tell how finely timers wake.
const WAKES: usize = 16;
/// So soon after one wake the next is asked for.
const SOON_NS: u64 = 20_000;

/// What a clock tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolution {
    /// The smallest step it was seen to take. Where its own is less than a reading costs, that cost.
    pub step_ns: u64,
    /// What a reading costs, rounded.
    pub read_ns: u64,
}

/// Measures `clock`. Takes a ms, and up to 100 ms where the clock is coarse.
pub fn resolution(clock: &impl Clock) -> Resolution {
    let begin_ns = clock.now_ns();
    let (mut first_ns, mut last_ns, mut step_ns) = (0, begin_ns, u64::MAX);
    // From the first step on: the one before it began before we looked.
    let (mut steps, mut readings) = (0, 0u64);
    while steps < STEPS && (steps < STEPS_LEAST || last_ns - begin_ns < STEPS_LIMIT_NS) {
        let now_ns = clock.now_ns();
        readings += 1;
        if now_ns > last_ns {
            if first_ns == 0 {
                (first_ns, readings) = (now_ns, 0);
            }
            step_ns = step_ns.min(now_ns - last_ns);
            last_ns = now_ns;
            steps += 1;
        }
    }
    // Short series of readings do not show on a coarse clock.
    let read_ns = match read_cost_ns(clock) {
        0 => ((last_ns - first_ns) / readings.max(1)).max(1),
        cost_ns => cost_ns,
    };
    Resolution { step_ns, read_ns }
}

/// From one wake to the next where the next is asked for at once: what timers can do, a quarter of the wakes at least. A busy host
/// makes others late.
pub fn timer_step_ns(clock: &impl Clock) -> u64 {
    let mut last_ns = clock.now_ns();
    let mut spans_ns = [0; WAKES + 1];
    for span_ns in &mut spans_ns {
        clock.sleep_until(last_ns + SOON_NS);
        let now_ns = clock.now_ns();
        *span_ns = now_ns - last_ns;
        last_ns = now_ns;
    }
    // The first began anywhere between two ticks.
    let spans_ns = &mut spans_ns[1..];
    spans_ns.sort_unstable();
    spans_ns[WAKES / 4]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Fake, Monotonic};

    const MS: u64 = 1_000_000;

    #[test]
    fn a_clock_that_moves_with_each_reading_is_as_fine_as_a_reading_is_dear() {
        assert_eq!(resolution(&Fake::new(5, 30)), Resolution { step_ns: 30, read_ns: 30 });
    }

    #[test]
    fn a_clock_that_moves_with_the_tick_is_as_coarse_as_that_and_still_has_a_cost() {
        for tick_ns in [1_000, MS, 4_000_250, 10 * MS] {
            let clock = Fake::new(7, 40).ticking(tick_ns);
            let found = resolution(&clock);
            assert_eq!(found.step_ns, tick_ns);
            assert!((32..=48).contains(&found.read_ns), "{found:?}");
        }
    }

    #[test]
    fn timers_that_wake_with_the_tick_are_told_from_those_that_wake_when_asked() {
        assert!((SOON_NS..SOON_NS + 1000).contains(&timer_step_ns(&Fake::new(5, 30))));
        for tick_ns in [MS, 4_000_250, 10 * MS] {
            let coarse = Fake::new(7, 40).ticking(tick_ns);
            assert_eq!(timer_step_ns(&coarse), tick_ns);
            let only_timers = Fake::new(7, 40).waking(tick_ns);
            assert!(timer_step_ns(&only_timers).abs_diff(tick_ns) < 1000);
        }
    }

    #[test]
    fn this_machine_tells_microseconds_apart_or_says_otherwise() {
        let found = resolution(&Monotonic);
        assert!(found.step_ns > 0 && found.read_ns > 0, "{found:?}");
        assert!(timer_step_ns(&Monotonic) >= SOON_NS);
    }
}
