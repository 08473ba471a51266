//! The clock of visits: the CPU's cycle counter where it can be trusted, CLOCK_MONOTONIC where it cannot.
//!
//! A reading of the counter costs less than half of one of the kernel's clock, and does not hold up the visits behind it.
//! Its keeper compares the two again and again; what a thread itself finds impossible it compares at once. Once the two
//! have come apart the kernel's clock is used for good. No thread ever sees its clock go back.

use super::{Clock, Monotonic, line::Line, shared::Shared};
use std::{cell::Cell, sync::Arc};

/// A reading so much later than the one before, or earlier than it, is compared with CLOCK_MONOTONIC before it is believed.
const BELIEVED_NS: u64 = 1_000_000;
/// The two agree when they are no further apart than this, and a further part of the time since the keeper compared them:
/// it may be kept from it for seconds, and a rate taken on a busy machine is off by so much.
const AGREEMENT_NS: u64 = 200_000;
const AGREEMENT_PART: u64 = 500;

/// A clock for one thread; clones are for other threads.
#[derive(Debug, Clone)]
pub struct Counting {
    shared: Arc<Shared>,
    version: Cell<u64>,
    line: Cell<Line>,
    /// Never 0, which a clock without a line shows: so every reading of it is doubted, and the kernel's taken.
    last_ns: Cell<u64>,
}

impl Counting {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, version: Cell::default(), line: Cell::default(), last_ns: Cell::new(1) }
    }

    /// The time when the counter was at `cycles`; `look` reads CLOCK_MONOTONIC and then the counter once more.
    #[inline(always)]
    pub(super) fn at(&self, cycles: u64, look: impl Fn() -> (u64, u64)) -> u64 {
        if self.shared.version() != self.version.get() {
            self.refresh();
        }
        let shown_ns = self.line.get().ns(cycles);
        if shown_ns.wrapping_sub(self.last_ns.get()) > BELIEVED_NS {
            return self.doubt(shown_ns, look());
        }
        self.last_ns.set(shown_ns);
        shown_ns
    }

    /// Takes the line that holds now; when it is just being changed, at the next reading.
    #[cold]
    fn refresh(&self) {
        if let Some((version, line)) = self.shared.line() {
            self.version.set(version);
            self.line.set(line);
        }
    }

    #[cold]
    fn doubt(&self, shown_ns: u64, (true_ns, cycles_after): (u64, u64)) -> u64 {
        let line = self.line.get();
        let mut now_ns = true_ns;
        if line.rate > 0 {
            // The thread may have been away between the three readings: the true time need only lie among them.
            let after_ns = line.ns(cycles_after);
            let (low_ns, high_ns) = (shown_ns.min(after_ns), shown_ns.max(after_ns));
            let apart_ns = AGREEMENT_NS
                + true_ns.saturating_sub(line.origin_ns) / AGREEMENT_PART
                + self.shared.behind_ns();
            let agree =
                (low_ns.saturating_sub(apart_ns)..=high_ns.saturating_add(apart_ns)).contains(&true_ns);
            if agree {
                now_ns = shown_ns;
            } else {
                // It may have stepped before the first reading or between the two: the one that is further off tells.
                let further_ns = [shown_ns, after_ns].into_iter().max_by_key(|ns| ns.abs_diff(true_ns));
                self.shared.fail(further_ns.unwrap_or(shown_ns), true_ns);
                self.line.set(Line::default());
            }
        }
        self.last_ns.set(now_ns.max(self.last_ns.get()));
        self.last_ns.get()
    }
}

impl Clock for Counting {
    #[inline(always)]
    fn now_ns(&self) -> u64 {
        let cycles = || super::cycles().unwrap_or(0);
        self.at(cycles(), || (Monotonic.now_ns(), cycles()))
    }

    fn sleep_until(&self, deadline_ns: u64) {
        Monotonic.sleep_until(deadline_ns);
    }
}
