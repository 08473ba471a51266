//! What `run.json` says held against itself: verdict and reasons, durations and the milestones they lie between.

use super::RUN_FILE;
use crate::{
    record::{MilestoneName, Outcome, Run, Verdict},
    units::Nanos,
};
use serde_json::Value;

/// Moments of QEMU and of the lab may lie so far apart, ns.
const APART_NS: u64 = 1_000_000_000;

/// Which figures of `run.json` contradict the rest of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Claims {
    /// The verdict.
    pub verdict: bool,
    /// QEMU's downtime.
    pub downtime: bool,
    /// QEMU's total time.
    pub total_time: bool,
}

/// Finds what contradicts itself, and says it in `sentences`. `is_corrupt` says that the guest told of corrupt pages.
pub fn claims(run: &Run, is_corrupt: bool, sentences: &mut Vec<String>) -> Claims {
    let (verdict, downtime, total_time) = (verdict(run, is_corrupt), downtime(run), total_time(run));
    let claims =
        Claims { verdict: verdict.is_some(), downtime: downtime.is_some(), total_time: total_time.is_some() };
    let found = [verdict, downtime, total_time, order(run)];
    sentences
        .extend(found.into_iter().flatten().map(|found| format!("{RUN_FILE} contradicts itself: {found}")));
    claims
}

/// Why the verdict cannot be.
fn verdict(run: &Run, is_corrupt: bool) -> Option<String> {
    let Verdict { outcome, reasons } = &run.verdict;
    if *outcome != Outcome::Passed {
        return reasons.is_empty().then(|| "the run did not pass, and no reason is given".into());
    }
    // A run that was to find corrupt pages passes with them, and with what they did to the guest.
    let expects = |place: &str| run.scenario.pointer(place);
    if expects("/expect/corruption") == Some(&Value::Bool(true)) {
        return None;
    }
    let (stream, happened) = (&run.stream, |name| run.when(name).is_some());
    let outcome = expects("/expect/outcome").and_then(Value::as_str);
    let may_fail = outcome.is_some_and(|outcome| outcome != "completed");
    let why_not = if let Some(reason) = reasons.first() {
        format!("there is a reason against it: {reason}")
    } else if !stream.is_sound() || stream.unwritten > 0 {
        "records did not arrive whole".into()
    } else if is_corrupt {
        "the guest told of corrupt pages".into()
    } else if happened(MilestoneName::Migrate) && !happened(MilestoneName::Completed) && !may_fail {
        "the migration was never complete".into()
    } else {
        return None;
    };
    Some(format!("the run passed, and yet {why_not}"))
}

/// Why QEMU's downtime cannot be.
fn downtime(run: &Run) -> Option<String> {
    let downtime_ms = run.source.as_ref()?.downtime_ms?;
    let said = format!("QEMU's downtime is {}", Nanos::from_ms(downtime_ms).human());
    // Of a VM of somebody else's QEMU may have told nothing but that.
    if run.when(MilestoneName::Stop).is_none() && run.measured.is_none() {
        return Some(format!("{said}, and the guest was never stopped"));
    }
    let most_ns = migrating_ns(run)?;
    let is_longer = downtime_ms.saturating_mul(1_000_000) > most_ns.saturating_add(APART_NS);
    is_longer.then(|| format!("{said}, and the whole migration took {}", Nanos(most_ns).human()))
}

/// Why QEMU's total time cannot be.
fn total_time(run: &Run) -> Option<String> {
    let total_ms = run.source.as_ref()?.total_time_ms?;
    let most_ns = migrating_ns(run)?;
    let is_longer = total_ms.saturating_mul(1_000_000) > most_ns.saturating_add(APART_NS);
    is_longer.then(|| {
        let [total, most] = [Nanos::from_ms(total_ms), Nanos(most_ns)].map(Nanos::human);
        format!(
            "QEMU's total time is {total}, and from the migration's start to its completion it was {most}"
        )
    })
}

/// From the migration's start to its completion, as the lab saw it.
fn migrating_ns(run: &Run) -> Option<u64> {
    run.when(MilestoneName::Completed)?.checked_sub(run.when(MilestoneName::Migrate)?)
}

/// Milestones are written in the order of time.
fn order(run: &Run) -> Option<String> {
    let is_back = run.milestones.windows(2).any(|pair| pair[1].host_ns < pair[0].host_ns);
    is_back.then(|| "its milestones are not in the order of time".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{lab::timeline::fixture::Story, record::Milestone};

    fn found(change: impl FnOnce(&mut Run)) -> (Claims, String) {
        let mut run = Story::precopy().run_data().run;
        change(&mut run);
        let mut sentences = Vec::new();
        (claims(&run, false, &mut sentences), sentences.join("\n"))
    }

    #[test]
    fn a_run_as_the_lab_writes_it_does_not_contradict_itself() {
        for story in [
            Story::precopy(),
            Story::post_copy(),
            Story { completed_ms: None, blackout: None, ..Story::precopy() },
        ] {
            let mut sentences = Vec::new();
            assert_eq!(claims(&story.run_data().run, false, &mut sentences), Claims::default());
            assert_eq!(sentences, Vec::<String>::new());
        }
        let proof = |run: &mut Run| {
            run.scenario = serde_json::json!({ "expect": { "corruption": true } });
            run.verdict.reasons = vec!["as expected, the guest found corrupt pages".into()];
            run.stream.holes = 2;
        };
        assert_eq!(found(proof), (Claims::default(), String::new()));
        for outcome in ["failed", "any"] {
            let cancelled = |run: &mut Run| {
                run.scenario = serde_json::json!({ "expect": { "outcome": outcome } });
                run.milestones.retain(|milestone| milestone.name != MilestoneName::Completed);
            };
            assert_eq!(found(cancelled), (Claims::default(), String::new()), "{outcome}");
        }
    }

    #[test]
    fn a_verdict_that_its_own_file_speaks_against_is_none() {
        type Change = fn(&mut Run);
        let cases: [(&str, Change); 4] = [
            ("against it: it was lost", |run| run.verdict.reasons.push("it was lost".into())),
            ("did not arrive whole", |run| run.stream.doubles = 1),
            ("the migration was never complete", |run| {
                run.milestones.retain(|milestone| milestone.name != MilestoneName::Completed);
            }),
            ("no reason is given", |run| run.verdict.outcome = Outcome::Judged),
        ];
        for (said, change) in cases {
            let (claims, sentences) = found(change);
            assert!(claims.verdict && sentences.contains(said), "{said}: {sentences}");
        }
    }

    #[test]
    fn a_duration_without_the_milestones_it_lies_between_is_none() {
        let without = |name| move |run: &mut Run| run.milestones.retain(|milestone| milestone.name != name);
        let (claims, said) = found(without(MilestoneName::Stop));
        assert!(
            claims.downtime && said.contains("downtime is 310 ms, and the guest was never stopped"),
            "{said}"
        );
        let (claims, said) = found(|run| run.source.as_mut().unwrap().downtime_ms = Some(u64::MAX));
        assert!(claims.downtime && said.contains("the whole migration took 6.42 s"), "{said}");
        let (claims, said) = found(|run| run.source.as_mut().unwrap().total_time_ms = Some(60_000));
        assert!(claims.total_time && said.contains("total time is 60.0 s"), "{said}");
        let (_, said) = found(|run| run.milestones.push(Milestone { name: MilestoneName::End, host_ns: 1 }));
        assert!(said.contains("order of time"), "{said}");
    }
}
