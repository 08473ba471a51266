//! Threads that have the kernel make pages ahead of the writer that fills them, on CPUs that would lie idle meanwhile.
//!
//! The writer comes from the first window, its helpers from the last, and they end where they meet. A helper stores
//! nothing, so the pages stay the writer's; what a helper cannot have the writer is told when it comes there.

use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread::{Builder, scope},
};

/// Pages that are made together before they are filled: 2 MiB, which stay in the cache meanwhile.
pub(super) const WINDOW_PAGES: u64 = 512;

/// A helper calls the kernel and no more.
const STACK_BYTES: usize = 64 * 1024;

/// Which windows of a slice the writer and its helpers have come to.
pub(super) struct Windows {
    /// The writer's.
    front: AtomicU64,
    /// The first that helpers have taken.
    back: AtomicU64,
}

impl Windows {
    /// The writer comes to `window`.
    pub(super) fn reach(&self, window: u64) {
        self.front.store(window, Ordering::Relaxed);
    }

    /// The last window that nobody has come to.
    fn take(&self) -> Option<u64> {
        let take =
            |back: u64| back.checked_sub(1).filter(|window| *window > self.front.load(Ordering::Relaxed));
        self.back.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok().map(|back| back - 1)
    }
}

/// Has `fill` come through `count` windows, while a thread on each of `idle` calls `make` for those it has not come to.
pub(super) fn with_helpers<T>(
    count: u64,
    idle: &[u32],
    make: impl Fn(u64) -> bool + Sync,
    fill: impl FnOnce(&Windows) -> T,
) -> T {
    let windows = Windows { front: AtomicU64::new(0), back: AtomicU64::new(count) };
    let help = |cpu: u32| {
        let mut only = CpuSet::new();
        let here = only.set(usize::try_from(cpu).unwrap_or(usize::MAX));
        // On the writer's CPU a helper would only be in its way.
        if here.and_then(|()| sched_setaffinity(Pid::from_raw(0), &only)).is_ok() {
            while windows.take().is_some_and(&make) {}
        }
    };
    scope(|threads| {
        for cpu in idle.iter().copied().take(usize::try_from(count).unwrap_or(usize::MAX)) {
            // Without it the writer makes all pages itself.
            let _ = Builder::new().stack_size(STACK_BYTES).spawn_scoped(threads, move || help(cpu));
        }
        let filled = fill(&windows);
        windows.reach(count);
        filled
    })
}
