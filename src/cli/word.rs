//! The flags of the load that are words. To the parser they are one type: each type of its own is 5 KB of program.

use crate::{
    plan::{BacklogPolicy, CanaryPeriod, ClockChoice, ContentSpec, PaceSpec, Plan},
    units::UnitError,
};

/// What follows `--pace`, `--backlog`, `--content`, `--clock` or `--canary`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Word {
    Pace(PaceSpec),
    Backlog(BacklogPolicy),
    Content(ContentSpec),
    Clock(ClockChoice),
    Canary(CanaryPeriod),
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

pub(super) fn canary(text: &str) -> Result<Word, UnitError> {
    text.parse().map(Word::Canary)
}

/// Puts what was said into the plan.
pub(super) fn apply(plan: &mut Plan, words: [Option<Word>; 5]) {
    for word in words.into_iter().flatten() {
        match word {
            Word::Pace(pace) => plan.pace = pace,
            Word::Backlog(backlog) => plan.backlog = backlog,
            Word::Content(content) => plan.content = content,
            Word::Clock(clock) => plan.clock = clock,
            Word::Canary(canary) => plan.canary = canary,
        }
    }
}
