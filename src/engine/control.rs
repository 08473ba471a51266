//! What the engine tells its threads (wait, go, look for orders, stop) and what they tell it (how one died).

use super::calls::Calls;
use crate::units::PageCount;
use std::sync::{
    Condvar, Mutex, OnceLock, PoisonError,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

/// Shared by the engine and all its threads.
#[derive(Debug, Default)]
pub(super) struct Control {
    /// Calls the writers to their orders.
    orders: Calls,
    /// The schedule's t0, once the gate is open.
    gate: Mutex<Option<u64>>,
    changed: Condvar,
    failure: OnceLock<String>,
    /// Counts the intervals; stamps say in which one a page was visited last.
    epoch: AtomicU32,
    /// The ticks with which timers wake; 0 where they wake when they are asked to. Set before the gate opens.
    tick_ns: AtomicU64,
    /// Counts the moments from which on stores of any thread may fault for our own sake.
    faults_made: AtomicU32,
    /// Pages that writers have filled before they are ready.
    filled: AtomicU64,
}

impl Control {
    /// Opens the gate.
    pub(super) fn open(&self, t0_ns: u64) {
        *self.gate.lock().unwrap_or_else(PoisonError::into_inner) = Some(t0_ns);
        self.changed.notify_all();
    }

    /// Timers wake with ticks of so many ns. To be said before the gate opens.
    pub(super) fn set_tick(&self, tick_ns: u64) {
        self.tick_ns.store(tick_ns, Ordering::Relaxed);
    }

    /// The ticks with which timers wake, once the gate is open; 0 where they wake when they are asked to.
    pub(super) fn tick_ns(&self) -> u64 {
        self.tick_ns.load(Ordering::Relaxed)
    }

    /// Waits until the gate opens, and returns t0; none when it is stop and the gate never opened.
    pub(super) fn wait_at_gate(&self) -> Option<u64> {
        let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = |t0_ns: &mut Option<u64>| t0_ns.is_none() && !self.stopped();
        let gate = self.changed.wait_while(gate, closed).unwrap_or_else(PoisonError::into_inner);
        *gate
    }

    /// Tells every thread to end.
    pub(super) fn stop(&self) {
        // Under the gate's lock, so that no thread is between looking and waiting.
        let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        self.orders.stop();
        drop(gate);
        self.changed.notify_all();
    }

    /// Whether threads are to end.
    #[inline]
    pub(super) fn stopped(&self) -> bool {
        self.orders.stopped()
    }

    /// A writer has filled so many more pages; whether it is to go on.
    pub(super) fn fills(&self, pages: PageCount) -> bool {
        self.filled.fetch_add(pages.0, Ordering::Relaxed);
        !self.stopped()
    }

    /// Pages filled so far.
    pub(super) fn filled(&self) -> PageCount {
        PageCount(self.filled.load(Ordering::Relaxed))
    }

    /// How many orders the writers have been given: a change tells them to look.
    #[inline]
    pub(super) fn orders(&self) -> u32 {
        self.orders.count()
    }

    /// Every writer has got another order, sent before. Only the thread that may also stop calls this.
    pub(super) fn call(&self) {
        self.orders.call();
    }

    /// The interval that visits belong to now. Filled pages have epoch 0, which comes back after 2^32 intervals only.
    #[inline(always)]
    pub(super) fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Relaxed).wrapping_add(1)
    }

    /// Begins another interval: visits that begin from now on belong to it. Returns its number.
    pub(super) fn next_epoch(&self) -> u32 {
        self.epoch.fetch_add(1, Ordering::Relaxed).wrapping_add(2)
    }

    /// From now on stores of any thread may fault for our own sake, or do so no longer.
    pub(super) fn makes_faults(&self) {
        self.faults_made.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that was said: whoever counted faults before and after it changed cannot tell whose they are.
    pub(super) fn faults_made(&self) -> u32 {
        self.faults_made.load(Ordering::Relaxed)
    }

    /// A thread died; the first to say so is kept.
    pub(super) fn fail(&self, how: String) {
        let _ = self.failure.set(how);
    }

    /// How a thread died.
    pub(super) fn failure(&self) -> Option<String> {
        self.failure.get().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_lets_everybody_through_with_the_same_t0() {
        let control = Control::default();
        std::thread::scope(|scope| {
            let waiting: Vec<_> = (0..3).map(|_| scope.spawn(|| control.wait_at_gate())).collect();
            control.open(42);
            assert!(waiting.into_iter().all(|thread| thread.join().unwrap() == Some(42)));
        });
    }

    #[test]
    fn stop_frees_those_who_still_wait() {
        let control = Control::default();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| control.wait_at_gate());
            control.stop();
            assert_eq!(waiting.join().unwrap(), None);
        });
    }

    #[test]
    fn the_first_failure_is_kept() {
        let control = Control::default();
        assert_eq!(control.failure(), None);
        control.fail("first".into());
        control.fail("second".into());
        assert_eq!(control.failure().as_deref(), Some("first"));
    }
}
