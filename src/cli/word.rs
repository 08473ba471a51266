//! The flags of the load that are words. To the parser they are one type: each type of its own is 5 KB of program.

use crate::{
    plan::{BacklogPolicy, ClockChoice, ContentSpec, PaceSpec, Plan},
    units::UnitError,
};

/// What follows `--pace`, `--backlog`, `--content` or `--clock`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Word {
    Pace(PaceSpec),
    Backlog(BacklogPolicy),
    Content(ContentSpec),
    Clock(ClockChoice),
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

pub(super) fn clock(text: &str) -> Result<Word, UnitError> {
    text.parse().map(Word::Clock)
}

/// Puts what was said into the plan.
pub(super) fn apply(plan: &mut Plan, words: [Option<Word>; 4]) {
    for word in words.into_iter().flatten() {
        match word {
            Word::Pace(pace) => plan.pace = pace,
            Word::Backlog(backlog) => plan.backlog = backlog,
            Word::Content(content) => plan.content = content,
            Word::Clock(clock) => plan.clock = clock,
        }
    }
}
