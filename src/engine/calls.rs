//! The count that calls writers to their orders, and at last tells every thread to end.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU32, Ordering};

/// What the count says when every thread is to end.
const STOP: u32 = u32::MAX;

/// Counts the orders given to the writers. What an order is travels in a channel of its own.
#[derive(Debug, Default)]
pub(super) struct Calls {
    count: AtomicU32,
}

impl Calls {
    /// How many there were: a change tells a writer to look for its order.
    ///
    /// Acquire, to the Release of [`Self::call`]: who sees the count finds the order that was sent before it. Were it not so, a
    /// writer could look before the order shows, and then wait for the next one.
    #[inline]
    pub(super) fn count(&self) -> u32 {
        self.count.load(Ordering::Acquire)
    }

    /// Another order was sent. Only the thread that may also stop calls this.
    pub(super) fn call(&self) {
        if !self.stopped() {
            // A count that comes full circle is no stop.
            self.count.store((self.count() + 1) % STOP, Ordering::Release);
        }
    }

    /// Every thread is to end.
    pub(super) fn stop(&self) {
        self.count.store(STOP, Ordering::Release);
    }

    /// Whether threads are to end.
    #[inline]
    pub(super) fn stopped(&self) -> bool {
        self.count() == STOP
    }
}
