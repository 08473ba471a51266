//! The flags of the load that are words. To the parser they are one type: each type of its own is 5 KB of program.

use crate::{
    plan::{BacklogPolicy, ContentSpec, PaceSpec, Plan},
    units::UnitError,
};

/// What follows `--pace`, `--backlog` or `--content`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Word {
    Pace(PaceSpec),
    Backlog(BacklogPolicy),
    Content(ContentSpec),
}

/// One type for all, again.
pub(super) type Parse = fn(&str) -> Result<Word, UnitError>;

pub(super) fn pace(text: &str) -> Result<Word, UnitError> {
    text.parse().map(Word::Pace)
}

pub(super) fn backlog(text: &str) -> Result<Word, UnitError> {
    text.parse().map(Word::Backlog)
}

pub(super) fn content(text: &str) -> Result<Word, UnitError> {
    text.parse().map(Word::Content)
}

/// Puts what was said into the plan.
pub(super) fn apply(plan: &mut Plan, words: [Option<Word>; 3]) {
    for word in words.into_iter().flatten() {
        match word {
            Word::Pace(pace) => plan.pace = pace,
            Word::Backlog(backlog) => plan.backlog = backlog,
            Word::Content(content) => plan.content = content,
        }
    }
}
