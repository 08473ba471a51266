//! The two pacing flags that are words. To the parser both are one type: each type of its own is 5 KB of program.

use crate::{
    plan::{BacklogPolicy, PaceSpec, Plan},
    units::UnitError,
};

/// What follows `--pace` or `--backlog`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Word {
    Pace(PaceSpec),
    Backlog(BacklogPolicy),
}

/// One type for both, again.
pub(super) type Parse = fn(&str) -> Result<Word, UnitError>;

pub(super) fn pace(text: &str) -> Result<Word, UnitError> {
    text.parse().map(Word::Pace)
}

pub(super) fn backlog(text: &str) -> Result<Word, UnitError> {
    text.parse().map(Word::Backlog)
}

/// Puts what was said into the plan.
pub(super) fn apply(plan: &mut Plan, words: [Option<Word>; 2]) {
    for word in words.into_iter().flatten() {
        match word {
            Word::Pace(pace) => plan.pace = pace,
            Word::Backlog(backlog) => plan.backlog = backlog,
        }
    }
}
