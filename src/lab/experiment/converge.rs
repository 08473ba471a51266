//! One run of the search for the largest load that still converges: what is asked of it, and what came of it.

use super::Tried;
use crate::lab::scenario::{Deed, ExpectSpec, Scenario, check};
use crate::plan::PhaseAsked;
use crate::record::{MilestoneName, Outcome, Run};
use crate::units::{Nanos, Rate};

/// How long the load is watched after the migration: the search asks whether it got through, and no more.
const SETTLE: Nanos = Nanos::from_secs(1);

/// `scenario` with a load of `rate` pages a second that must be through `within` that time, with no more than that downtime.
pub fn narrowed(scenario: &Scenario, rate: u64, within: Nanos, max_downtime: Option<Nanos>) -> Scenario {
    let mut narrowed = scenario.clone();
    narrowed.load.link_share = None;
    narrowed.load.asked.rate = Rate::PagesPerSecond(rate.min(Rate::LIMIT_PAGES_PER_S));
    (narrowed.migration.timeout, narrowed.migration.settle) = (within, SETTLE);
    narrowed.expect = ExpectSpec { max_downtime, ..ExpectSpec::default() };
    narrowed
}

/// Why a scenario cannot be searched, each cause in a sentence that names the way out.
pub fn unsearchable(scenario: &Scenario) -> Vec<String> {
    let mut faults = check(scenario);
    let says_rate = |phase: &PhaseAsked| {
        phase.ramp.is_some() || phase.settings.iter().any(|setting| setting.name() == "rate")
    };
    if scenario.load.asked.phases.iter().any(says_rate) {
        faults.push("a load.phase says its own rate or ramp: leave it out, the search sets load.rate".into());
    }
    if scenario.cycle.is_some() {
        faults.push("a scenario with [cycle] does not migrate: search one without".into());
    }
    if scenario.migration.when.iter().any(|step| step.deed == Deed::Cancel) {
        faults.push("a step of migration.when cancels the migration: leave it out, the search ends those that take too long".into());
    }
    faults
}

/// What came of a run.
///
/// # Errors
/// Why it says nothing of the load, in sentences.
pub fn tried(run: &Run, max_downtime: Option<Nanos>) -> Result<Tried, Vec<String>> {
    let happened = |name| run.when(name).is_some();
    let downtime = run.source.as_ref().and_then(|sample| sample.downtime_ms).map(Nanos::from_ms);
    let is_too_long = downtime.zip(max_downtime).is_some_and(|(downtime, most)| downtime > most);
    let status = run.source.as_ref().and_then(|sample| sample.status.as_deref());
    match run.verdict.outcome {
        Outcome::Passed => Ok(Tried::Through),
        Outcome::Judged if happened(MilestoneName::Migrate) => {
            // A migration whose time is over is cancelled, or left to itself in post-copy; one that failed says nothing.
            let is_over = status.is_some_and(|status| {
                ["active", "device", "pre-switchover", "cancelling", "cancelled"].contains(&status)
                    || status.starts_with("postcopy-")
            });
            if !happened(MilestoneName::Completed) && is_over || is_too_long {
                Ok(Tried::Stuck)
            } else {
                Err(run.verdict.reasons.clone())
            }
        }
        Outcome::Judged if happened(MilestoneName::Hello) => Ok(Tried::Unreached),
        Outcome::Judged | Outcome::Failed | Outcome::Interrupted => Err(run.verdict.reasons.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::scenario::{ExpectedOutcome, parse};
    use crate::lab::timeline::fixture::Story;
    use crate::record::{MigrationSample, Verdict};

    #[test]
    fn what_came_of_a_run_is_told_by_how_far_it_came() {
        let with = |outcome, without: &[MilestoneName]| {
            let mut run = Story::precopy().run_data().run;
            run.verdict.outcome = outcome;
            run.verdict.reasons = vec!["why".into()];
            run.milestones.retain(|milestone| !without.contains(&milestone.name));
            tried(&run, Some(Nanos::from_secs(60)))
        };
        let (migrate, completed) = (MilestoneName::Migrate, MilestoneName::Completed);
        assert_eq!(with(Outcome::Passed, &[]), Ok(Tried::Through));
        assert_eq!(with(Outcome::Judged, &[migrate, completed]), Ok(Tried::Unreached));
        assert_eq!(with(Outcome::Judged, &[]), Err(vec!["why".to_owned()]), "something else is wrong");
        assert_eq!(with(Outcome::Failed, &[completed]), Err(vec!["why".to_owned()]));
        let run = Story::precopy().run_data().run;
        let judged = |most| {
            let mut run = run.clone();
            run.verdict.outcome = Outcome::Judged;
            tried(&run, Some(most))
        };
        assert_eq!(judged(Nanos(1)), Ok(Tried::Stuck), "too long a downtime");
        let downtime = run.source.as_ref().and_then(|sample| sample.downtime_ms).map(Nanos::from_ms).unwrap();
        assert!(judged(downtime).is_err(), "as long as is allowed is not too long");
        let ended = |status: &str| {
            let mut run = run.clone();
            run.verdict = Verdict { outcome: Outcome::Judged, reasons: vec!["why".into()] };
            run.milestones.retain(|milestone| milestone.name != completed);
            run.source = Some(MigrationSample { status: Some(status.into()), ..MigrationSample::default() });
            tried(&run, None)
        };
        for status in ["cancelled", "postcopy-active", "postcopy-device", "device"] {
            assert_eq!(ended(status), Ok(Tried::Stuck), "{status}");
        }
        assert_eq!(
            ended("failed"),
            Err(vec!["why".to_owned()]),
            "a QEMU that fails says nothing of the load"
        );
        let mut completed_after_all = run;
        completed_after_all.verdict = Verdict { outcome: Outcome::Judged, reasons: vec!["why".into()] };
        let last = MigrationSample { status: Some("active".into()), ..MigrationSample::default() };
        completed_after_all.source = Some(last);
        assert_eq!(tried(&completed_after_all, None), Err(vec!["why".to_owned()]), "it got through");
    }

    #[test]
    fn a_run_of_the_search_keeps_the_scenario_but_for_what_is_searched() {
        let mut scenario = Scenario::default();
        scenario.load.link_share = "50%".parse().ok();
        let narrowed = narrowed(&scenario, 512, Nanos::from_secs(30), Some(Nanos::from_ms(200)));
        assert_eq!(narrowed.load.asked.rate, Rate::PagesPerSecond(512));
        assert_eq!(
            (narrowed.migration.timeout, narrowed.migration.bandwidth),
            (Nanos::from_secs(30), scenario.migration.bandwidth)
        );
        assert_eq!(narrowed.expect.max_downtime, Some(Nanos::from_ms(200)));
        assert_eq!(
            (narrowed.load.link_share, narrowed.migration.settle),
            (None, SETTLE),
            "the search sets the rate"
        );
    }

    #[test]
    fn a_run_of_the_search_expects_nothing_but_what_is_searched() {
        let mut scenario = Scenario::default();
        scenario.expect.outcome = ExpectedOutcome::Failed;
        (scenario.expect.throttled, scenario.expect.postcopy) = (Some(true), Some(true));
        (scenario.expect.corruption, scenario.expect.tries) = (Some(true), 5);
        scenario.expect.figures = vec!["downtime_ms < 1".parse().unwrap()];
        let expect = narrowed(&scenario, u64::MAX, Nanos::from_secs(30), None).expect;
        assert_eq!(
            (expect.outcome, expect.throttled, expect.postcopy),
            (ExpectedOutcome::Completed, None, None)
        );
        assert_eq!((expect.corruption, expect.tries, expect.figures), (None, 1, Vec::new()));
        let most = narrowed(&scenario, u64::MAX, Nanos::from_secs(30), None).load.asked.rate;
        assert_eq!(most, Rate::PagesPerSecond(Rate::LIMIT_PAGES_PER_S));
    }

    #[test]
    fn a_scenario_that_says_a_rate_of_its_own_or_cancels_cannot_be_searched() {
        let of = |text: &str| unsearchable(&parse(text, "x").unwrap()).join("; ");
        assert_eq!(of(""), "");
        let phase = "[[load.phase]]\nname = \"a\"\n";
        assert_eq!(of(phase), "");
        assert!(of(&format!("{phase}rate = \"1M/s\"\n")).contains("says its own rate"));
        assert!(of(&format!("{phase}ramp = \"1M/s..9M/s\"\n")).contains("says its own rate"));
        assert!(of("[cycle]\n").contains("does not migrate: search one without"));
        let step = "[[migration.when]]\npass = 2\ndo = \"cancel\"\n";
        assert!(of(step).contains("a step of migration.when cancels the migration: leave it out"));
    }
}
