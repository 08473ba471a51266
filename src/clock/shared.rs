//! What the keeper of the counter says and the clocks of all threads read, without ever waiting for each other.

use super::line::Line;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

/// The counter was found not to tell the time, and is not used any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockFailure {
    /// The time it showed; 0 for one before CLOCK_MONOTONIC began.
    pub shown_ns: u64,
    /// CLOCK_MONOTONIC at that moment.
    pub true_ns: u64,
}

/// What the keeper says and all clocks read. A version of 0 says that there is no line, an odd one that it is being
/// changed. Only the keeper stores a line; any clock may say that it has failed.
#[derive(Debug, Default)]
pub(super) struct Shared {
    version: AtomicU64,
    origin_cycles: AtomicU64,
    origin_ns: AtomicU64,
    rate: AtomicU64,
    failed: AtomicBool,
    shown_ns: AtomicU64,
    true_ns: AtomicU64,
    /// The steps of CLOCK_MONOTONIC where it is coarse; 0 where it is not.
    step_ns: u64,
}

impl Shared {
    /// Beside a CLOCK_MONOTONIC that takes steps of `step_ns`, or of no account.
    pub(super) fn of(step_ns: u64) -> Self {
        Self { step_ns, ..Self::default() }
    }

    /// How far CLOCK_MONOTONIC may be behind the time because of its steps, one of which the kernel may have missed.
    pub(super) fn behind_ns(&self) -> u64 {
        self.step_ns.saturating_mul(3)
    }

    #[inline(always)]
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The line that holds now and its version; none while it is being changed. Never waits.
    pub(super) fn line(&self) -> Option<(u64, Line)> {
        let version = self.version();
        if version == 0 || self.failed.load(Ordering::Acquire) {
            return Some((version, Line::default()));
        }
        let line = Line {
            origin_cycles: self.origin_cycles.load(Ordering::Relaxed),
            origin_ns: self.origin_ns.load(Ordering::Relaxed),
            rate: self.rate.load(Ordering::Relaxed),
        };
        fence(Ordering::Acquire);
        (version.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == version)
            .then_some((version, line))
    }

    pub(super) fn publish(&self, line: Line) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        self.origin_cycles.store(line.origin_cycles, Ordering::Relaxed);
        self.origin_ns.store(line.origin_ns, Ordering::Relaxed);
        self.rate.store(line.rate, Ordering::Relaxed);
        self.version.store(version + 2, Ordering::Release);
    }

    /// The counter has failed; a time of 2^63 ns and later is one before the beginning. When several say so at once, any of them is told.
    pub(super) fn fail(&self, shown_ns: u64, true_ns: u64) {
        if !self.failed.load(Ordering::Relaxed) {
            let shown_ns = if shown_ns.cast_signed() < 0 { 0 } else { shown_ns };
            self.shown_ns.store(shown_ns, Ordering::Relaxed);
            self.true_ns.store(true_ns, Ordering::Relaxed);
            self.failed.store(true, Ordering::Release);
        }
    }

    pub(super) fn failure(&self) -> Option<ClockFailure> {
        self.failed.load(Ordering::Acquire).then(|| ClockFailure {
            shown_ns: self.shown_ns.load(Ordering::Relaxed),
            true_ns: self.true_ns.load(Ordering::Relaxed),
        })
    }
}
