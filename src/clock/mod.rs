//! Time: the one seam through which the guest side reads it and waits for it.
//!
//! Everything is written against [`Clock`], with [`Monotonic`] and, for visits, [`Counting`] for real, and a
//! fake one for tests, which never sleep.

mod counting;
#[cfg(test)]
mod fake;
mod keeper;
mod line;
mod resolution;
mod shared;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod tsc;

pub use counting::Counting;
#[cfg(test)]
pub use fake::Fake;
pub use keeper::Keeper;
pub use resolution::{Resolution, resolution, timer_step_ns};
pub use shared::ClockFailure;

use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};

/// A monotonic clock that can be waited for.
pub trait Clock: Clone + Send + 'static {
    /// Nanoseconds since a fixed moment; never goes back.
    fn now_ns(&self) -> u64;

    /// Returns at or after `deadline_ns`; at once when that is past. Nothing interrupts it: wait in slices.
    fn sleep_until(&self, deadline_ns: u64);
}

/// CLOCK_MONOTONIC.
#[derive(Debug, Clone, Copy, Default)]
pub struct Monotonic;

impl Clock for Monotonic {
    #[inline]
    fn now_ns(&self) -> u64 {
        read_ns(ClockId::CLOCK_MONOTONIC)
    }

    fn sleep_until(&self, deadline_ns: u64) {
        let deadline = timespec(deadline_ns);
        // Ends early only by a signal (EINTR), and then once more with the same absolute deadline.
        while clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &deadline)
            .is_err()
            && self.now_ns() < deadline_ns
        {}
    }
}

/// CLOCK_REALTIME: ns since 1970. For joining guest and host, never for measuring.
pub fn realtime_ns() -> u64 {
    read_ns(ClockId::CLOCK_REALTIME)
}

/// The CPU's cycle counter (TSC, CNTVCT), where the architecture has one that programs may read.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
pub fn cycles() -> Option<u64> {
    Some(tsc::read())
}

/// The CPU's cycle counter (TSC, CNTVCT), where the architecture has one that programs may read.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub fn cycles() -> Option<u64> {
    None
}

/// Whether the CPU says of the counter that it never stops and never changes its pace.
pub fn is_steady() -> bool {
    #[cfg(target_arch = "x86_64")]
    return tsc::is_invariant();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// What one reading of `clock` costs in ns, rounded: the median of many short series.
pub fn read_cost_ns(clock: &impl Clock) -> u64 {
    const SERIES: usize = 51;
    const READINGS: u64 = 64;
    let mut costs: Vec<u64> = (0..SERIES).map(|_| series_ns(clock, READINGS)).collect();
    costs.sort_unstable();
    (costs[SERIES / 2] + READINGS / 2) / READINGS
}

fn series_ns(clock: &impl Clock, readings: u64) -> u64 {
    let begin = clock.now_ns();
    let mut last = begin;
    for _ in 0..readings {
        last = std::hint::black_box(clock.now_ns());
    }
    last.saturating_sub(begin)
}

#[inline]
fn read_ns(clock: ClockId) -> u64 {
    // Fails only for a clock the kernel does not have; both of ours are older than any kernel we run on.
    clock_gettime(clock).map_or(0, |time| {
        time.tv_sec().cast_unsigned().wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec().cast_unsigned())
    })
}

fn timespec(ns: u64) -> nix::sys::time::TimeSpec {
    std::time::Duration::from_nanos(ns).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_never_wakes_before_the_deadline() {
        for ahead_ns in [0, 1, 1_000, 300_000] {
            let deadline = Monotonic.now_ns() + ahead_ns;
            Monotonic.sleep_until(deadline);
            assert!(Monotonic.now_ns() >= deadline);
        }
    }

    #[test]
    fn the_wall_clock_is_later_than_this_program() {
        assert!(realtime_ns() > 1_700_000_000_000_000_000);
    }

    #[test]
    fn the_cost_of_a_reading_is_what_the_clock_says_it_is() {
        assert_eq!(read_cost_ns(&Fake::new(0, 16)), 16);
    }
}
