//! What the cycles of a run make of its verdict.

use crate::record::{CycleFigures, Outcome, PageVerdict, Verdict};

/// How many guests besides the run's own were restored from its files, each a session apart.
pub fn forks(cycles: &[CycleFigures]) -> usize {
    cycles.iter().filter(|cycle| cycle.fork.as_ref().is_some_and(|fork| fork.is_apart)).count()
}

/// Holds a run's cycles to what they have to be: every page right, in every guest, and two guests of one file told apart. Where
/// corrupt pages are expected they are no fault.
pub fn hold(cycles: &[CycleFigures], expects_corruption: bool, verdict: &mut Verdict) {
    if !matches!(verdict.outcome, Outcome::Passed | Outcome::Judged) {
        return;
    }
    let wrong = cycles.iter().flat_map(|cycle| wrong(cycle, expects_corruption));
    let reasons: Vec<String> = wrong.filter(|reason| !verdict.reasons.contains(reason)).collect();
    if !reasons.is_empty() {
        verdict.outcome = Outcome::Judged;
        verdict.reasons.extend(reasons);
    }
}

fn wrong(cycle: &CycleFigures, expects_corruption: bool) -> Vec<String> {
    let number = cycle.number;
    let faults = |guest, pages: Option<PageVerdict>| {
        let is_expected = |pages: &PageVerdict| expects_corruption && pages.corrupt > 0;
        pages.filter(|pages| !is_expected(pages)).and_then(|pages| faults(number, guest, pages))
    };
    let mut reasons: Vec<String> = faults("", cycle.pages).into_iter().collect();
    if let Some(fork) = &cycle.fork {
        reasons.extend(faults("the second guest of its file, ", fork.pages));
        if !fork.is_apart {
            reasons.push(format!("cycle {number}: the two guests of its file were not told apart"));
        }
    }
    reasons
}

fn faults(number: u32, guest: &str, pages: PageVerdict) -> Option<String> {
    let PageVerdict { looked_at, of, corrupt } = pages;
    (!pages.is_right()).then(|| {
        format!("cycle {number}: {guest}{corrupt} corrupt pages after the restore, {looked_at} of {of} pages looked at")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{ForkFigures, SessionId};

    fn cycle(corrupt: u64, looked_at: u64, is_apart: bool) -> CycleFigures {
        let pages = PageVerdict { looked_at, of: 9, corrupt };
        let right = PageVerdict { looked_at: 9, of: 9, corrupt: 0 };
        let fork = ForkFigures { restore_ns: 1, session: SessionId(2), is_apart, pages: Some(right) };
        CycleFigures { number: 3, pages: Some(pages), fork: Some(fork), ..CycleFigures::default() }
    }

    #[test]
    fn a_page_that_is_wrong_or_was_not_looked_at_and_guests_that_are_mixed_up_fail_the_run() {
        let held_to = |cycle, expects_corruption| {
            let mut verdict = Verdict { outcome: Outcome::Passed, reasons: Vec::new() };
            hold(&[cycle], expects_corruption, &mut verdict);
            (verdict.outcome == Outcome::Passed, verdict.reasons.join("; "))
        };
        let held = |cycle| held_to(cycle, false);
        assert_eq!(held_to(cycle(2, 9, true), true), (true, String::new()), "they were expected");
        assert!(held_to(cycle(0, 8, true), true).1.contains("8 of 9 pages"));
        assert!(held_to(cycle(2, 9, false), true).1.contains("not told apart"));
        assert_eq!(held(cycle(0, 9, true)), (true, String::new()));
        assert!(held(cycle(2, 9, true)).1.starts_with("cycle 3: 2 corrupt pages"));
        assert!(held(cycle(0, 8, true)).1.contains("8 of 9 pages"));
        assert!(held(cycle(0, 9, false)).1.contains("not told apart"));
        assert_eq!(forks(&[cycle(0, 9, true), cycle(0, 9, false)]), 1);
    }
}
