//! A run with all that is worked out of it: each part is computed once, when it is first asked for.
//!
//! Every exporter takes a [`RunView`], so that text, page, JSON and comparison show the same figures.

use super::{analysis::Analysis, rundir::RunData, timeline::Timeline};
use crate::record::Outcome;
use std::cell::OnceCell;

/// What is known of a run, and what follows from it.
#[derive(Debug)]
pub struct RunView {
    data: RunData,
    timeline: OnceCell<Timeline>,
    analysis: OnceCell<Analysis>,
}

impl RunView {
    /// Nothing is computed yet.
    pub const fn new(data: RunData) -> Self {
        Self { data, timeline: OnceCell::new(), analysis: OnceCell::new() }
    }

    /// Says of the run what its own figures made known: `reasons` that it did not come out as it was to.
    pub fn judge(&mut self, reasons: Vec<String>) {
        let verdict = &mut self.data.run.verdict;
        verdict.reasons.extend(reasons);
        if verdict.outcome == Outcome::Passed && !verdict.reasons.is_empty() {
            verdict.outcome = Outcome::Judged;
        }
    }

    /// What the run directory holds.
    pub const fn data(&self) -> &RunData {
        &self.data
    }

    /// The run on its time axis.
    pub fn timeline(&self) -> &Timeline {
        self.timeline.get_or_init(|| Timeline::of(&self.data))
    }

    /// What the run cost the guest.
    pub fn analysis(&self) -> &Analysis {
        self.analysis.get_or_init(|| Analysis::of(&self.data, self.timeline()))
    }
}
