//! A clock moved by hand: waiting is instant, pauses of the machine happen where the test put them.

use super::Clock;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A moment from which the machine stands still for a while, with the clock running on.
#[derive(Debug, Clone, Copy)]
struct Pause {
    at_ns: u64,
    len_ns: u64,
}

/// A clock for tests. Clones show the same time.
///
/// Each reading takes `step_ns`, so that a loop that spins until a deadline ends.
#[derive(Debug, Clone)]
pub struct Fake {
    /// Time without the pauses.
    running_ns: Arc<AtomicU64>,
    step_ns: u64,
    pauses: Arc<[Pause]>,
    /// It shows whole ticks of this length only; 1 for all there is.
    tick_ns: u64,
    /// Sleeps end with a tick of this length.
    timer_ns: u64,
}

impl Fake {
    /// A clock that shows `start_ns` and moves by `step_ns` (at least 1) with each reading.
    pub fn new(start_ns: u64, step_ns: u64) -> Self {
        let running_ns = Arc::new(AtomicU64::new(start_ns));
        Self { running_ns, step_ns: step_ns.max(1), pauses: Arc::new([]), tick_ns: 1, timer_ns: 1 }
    }

    /// The same clock on a machine that stands still for `len_ns` when the time is `at_ns`.
    ///
    /// Pauses are given in the order of their times.
    #[must_use]
    pub fn with_pause(self, at_ns: u64, len_ns: u64) -> Self {
        let pauses = self.pauses.iter().copied().chain([Pause { at_ns, len_ns }]).collect();
        Self { pauses, ..self }
    }

    /// The same clock where timers are as coarse as ticks of `timer_ns`.
    #[must_use]
    pub fn waking(self, timer_ns: u64) -> Self {
        Self { timer_ns, ..self }
    }

    /// The same clock where both timers and what it shows are as coarse as ticks of `tick_ns`.
    #[must_use]
    pub fn ticking(self, tick_ns: u64) -> Self {
        Self { tick_ns, ..self }.waking(tick_ns)
    }

    /// Lets `span_ns` of running time pass.
    pub fn advance(&self, span_ns: u64) {
        self.running_ns.fetch_add(span_ns, Ordering::SeqCst);
    }

    fn shown_ns(&self, running_ns: u64) -> u64 {
        self.pauses.iter().fold(running_ns, |shown, pause| {
            if shown >= pause.at_ns { shown.saturating_add(pause.len_ns) } else { shown }
        })
    }
}

impl Clock for Fake {
    fn now_ns(&self) -> u64 {
        let shown_ns = self.shown_ns(self.running_ns.fetch_add(self.step_ns, Ordering::SeqCst));
        shown_ns - shown_ns % self.tick_ns
    }

    fn sleep_until(&self, deadline_ns: u64) {
        let deadline_ns = deadline_ns.next_multiple_of(self.timer_ns);
        // A sleep may be crossed by a pause; it then ends with the pause, late.
        loop {
            let running = self.running_ns.load(Ordering::SeqCst);
            let shown = self.shown_ns(running);
            if shown >= deadline_ns {
                return;
            }
            let next = self.pauses.iter().map(|pause| pause.at_ns).find(|at_ns| *at_ns > shown);
            self.advance(next.map_or(deadline_ns, |at_ns| at_ns.min(deadline_ns)) - shown);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_moves_the_clock_to_the_deadline() {
        let clock = Fake::new(100, 1);
        clock.sleep_until(5_000);
        assert_eq!(clock.now_ns(), 5_000);
        clock.sleep_until(200);
        assert_eq!(clock.now_ns(), 5_001);
    }

    #[test]
    fn a_sleep_crossed_by_a_pause_ends_with_the_pause() {
        let clock = Fake::new(0, 1).with_pause(1_000, 500);
        clock.sleep_until(1_200);
        assert_eq!(clock.now_ns(), 1_500);
    }

    #[test]
    fn a_pause_after_the_deadline_changes_nothing() {
        let clock = Fake::new(0, 1).with_pause(1_000, 500);
        clock.sleep_until(900);
        assert_eq!(clock.now_ns(), 900);
    }
}
