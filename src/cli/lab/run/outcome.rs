//! What the outcome of a run is called, and which exit code it makes.

use crate::record::Outcome;

/// The exit code of one run.
pub fn exit_code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Passed => 0,
        Outcome::Judged => 3,
        Outcome::Failed | Outcome::Interrupted => 1,
    }
}

/// A run that could not be is worse than one with a bad result.
pub fn badness(code: u8) -> u8 {
    match code {
        0 => 0,
        3 => 1,
        _ => 2,
    }
}

/// What people are told.
pub fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Judged => "failed",
        Outcome::Failed => "unfinished",
        Outcome::Interrupted => "interrupted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_that_of_the_worst_run() {
        let worst = |outcomes: &[Outcome]| {
            outcomes.iter().map(|outcome| exit_code(*outcome)).max_by_key(|code| badness(*code))
        };
        assert_eq!(worst(&[Outcome::Passed, Outcome::Judged, Outcome::Passed]), Some(3));
        assert_eq!(worst(&[Outcome::Judged, Outcome::Failed, Outcome::Passed]), Some(1));
        assert_eq!(worst(&[Outcome::Passed]), Some(0));
    }
}
