//! Filling the memory, which takes its time: said on standard error when it takes long, and ended by a signal at once.

use super::{boot, error::RunError, signals::Signals};
use crate::clock::{Clock, Monotonic};
use crate::engine::Engine;
use crate::plan::Checked;
use crate::units::{ByteSize, Nanos, PageCount};

/// When something is said first, and how often from then on.
const FIRST: Nanos = Nanos::from_secs(1);
const AGAIN: Nanos = Nanos::from_secs(5);

/// Starts the engine, watching as it fills the memory.
///
/// # Errors
/// When it cannot start, or a signal came before it had.
pub fn start(checked: &Checked, cpus: &[u32], signals: &Signals) -> Result<Engine, RunError> {
    let mut filling = Filling::new(signals, checked.pages());
    let started = Engine::start_while(checked, cpus, |filled| filling.goes_on(filled));
    started.map_err(|error| filling.ended_by.map_or_else(|| error.into(), RunError::Ended))
}

/// Looks after the filling of so many pages.
#[derive(Debug)]
struct Filling<'a> {
    signals: &'a Signals,
    all: PageCount,
    next_ns: u64,
    /// The signal that ended it.
    ended_by: Option<&'static str>,
}

impl<'a> Filling<'a> {
    /// Begins now.
    fn new(signals: &'a Signals, all: PageCount) -> Self {
        Self { signals, all, next_ns: Monotonic.now_ns().saturating_add(FIRST.0), ended_by: None }
    }

    /// Whether to go on with so many pages filled.
    fn goes_on(&mut self, filled: PageCount) -> bool {
        let now_ns = Monotonic.now_ns();
        if now_ns >= self.next_ns {
            self.next_ns = now_ns.saturating_add(AGAIN.0);
            let human = |pages: PageCount| ByteSize(pages.bytes()).human();
            boot::announce(&format!("filling memory: {} of {}", human(filled), human(self.all)));
        }
        self.ended_by = self.signals.received();
        self.ended_by.is_none()
    }
}
