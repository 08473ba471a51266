//! From what happened to the verdict, in sentences.

use crate::lab::migrate::{MigrationEnd, MigrationResult};
use crate::lab::scenario::{ExpectedOutcome, Scenario};
use crate::record::{Corruption, CorruptionCounts, End, EndReason, Outcome, StreamAudit, Verdict};
use crate::units::Nanos;

/// What kept a run from going its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunObstacle {
    /// It could not run at all.
    Failed(String),
    /// It ran, and something went wrong: sentences, the first says what.
    Judged(Vec<String>),
    /// Somebody ended it.
    Interrupted,
}

/// What a verdict is made from.
#[derive(Debug)]
pub struct Facts<'a> {
    /// What was asked and expected.
    pub scenario: &'a Scenario,
    /// What kept the run from going its way.
    pub error: Option<&'a RunObstacle>,
    /// How the migration ended, where there was one.
    pub migration: Option<&'a MigrationEnd>,
    /// How the guest's records arrived.
    pub stream: StreamAudit,
    /// How many times the guest program spoke as a new one.
    pub sessions: usize,
    /// The guest's last record.
    pub end: Option<&'a End>,
    /// The corrupt pages it told of.
    pub corruptions: &'a [Corruption],
    /// Why the run directory is not whole.
    pub write_fault: Option<String>,
}

/// The verdict.
pub fn judge(facts: &Facts<'_>) -> Verdict {
    if let Some(fault) = &facts.write_fault {
        return Verdict { outcome: Outcome::Failed, reasons: vec![fault.clone()] };
    }
    match facts.error {
        Some(RunObstacle::Interrupted) => {
            return Verdict { outcome: Outcome::Interrupted, reasons: vec!["it was interrupted".into()] };
        }
        Some(RunObstacle::Failed(reason)) => {
            return Verdict { outcome: Outcome::Failed, reasons: vec![reason.clone()] };
        }
        Some(RunObstacle::Judged(_)) | None => {}
    }
    let mut reasons = Vec::new();
    if let Some(migration) = facts.migration {
        expectations(facts.scenario, migration, &mut reasons);
    }
    if let Some(RunObstacle::Judged(sentences)) = facts.error {
        reasons.extend(sentences.iter().cloned());
    }
    let corrupt = corruption(facts);
    match (facts.scenario.expect.corruption, corrupt) {
        (Some(true), Some(found)) => return proof(&found, reasons),
        (Some(true), None) => reasons.push(
            "no corrupt page was named, expect.corruption is true: this run proved nothing; expect.tries = N allows up to N runs, \
             until one does"
                .into(),
        ),
        (_, found) => reasons.extend(found),
    }
    stream(facts, &mut reasons);
    if let Some(end) = facts.end {
        last_record(end, &mut reasons);
    }
    let outcome = if reasons.is_empty() { Outcome::Passed } else { Outcome::Judged };
    Verdict { outcome, reasons }
}

fn expectations(scenario: &Scenario, migration: &MigrationEnd, reasons: &mut Vec<String>) {
    let expect = &scenario.expect;
    let completed = migration.result == MigrationResult::Completed;
    match (expect.outcome, completed) {
        (ExpectedOutcome::Completed, false) => {
            let word = match migration.result {
                MigrationResult::TimedOut => "timed out",
                MigrationResult::Cancelled => "was cancelled",
                MigrationResult::Completed | MigrationResult::Failed => "failed",
            };
            let why = migration.reason.as_deref().unwrap_or("no reason is known");
            reasons.push(format!("the migration {word}: {why}"));
        }
        (ExpectedOutcome::Failed, true) => {
            reasons.push("the migration completed, expect.outcome is failed".into());
        }
        _ => {}
    }
    if !completed {
        return;
    }
    let throttled = migration.peak_throttle_percent.is_some();
    if expect.throttled.is_some_and(|wanted| wanted != throttled) {
        reasons.push(match migration.peak_throttle_percent {
            Some(percent) => {
                format!("QEMU throttled the guest up to {percent} %, expect.throttled is false")
            }
            None => "QEMU never throttled the guest, expect.throttled is true".into(),
        });
    }
    if expect.postcopy.is_some_and(|wanted| wanted != migration.postcopy) {
        reasons.push(if migration.postcopy {
            "the migration went through post-copy, expect.postcopy is false".into()
        } else {
            "the migration was complete before it came to post-copy, expect.postcopy is true".into()
        });
    }
    let downtime = migration.source.as_ref().and_then(|sample| sample.downtime_ms).map(Nanos::from_ms);
    if let (Some(most), Some(downtime)) = (expect.max_downtime, downtime)
        && downtime > most
    {
        reasons.push(format!("QEMU reports a downtime of {downtime}, expect.max_downtime is {most}"));
    }
}

/// The run that was to find corrupt pages found some; what the corruption did to the guest besides is part of that.
fn proof(found: &str, consequences: Vec<String>) -> Verdict {
    let mut reasons = vec![format!("as expected, {found}")];
    reasons.extend(consequences);
    Verdict { outcome: Outcome::Passed, reasons }
}

/// The corrupt pages in a sentence. They are judged unless they were expected: the guest's memory is not what it was.
fn corruption(facts: &Facts<'_>) -> Option<String> {
    /// So many pages are named; the records hold them all.
    const NAMED: usize = 8;
    let counted = facts.end.and_then(|end| end.totals.corruptions);
    let counts = counted.unwrap_or_else(|| {
        let mut counts = CorruptionCounts::default();
        facts.corruptions.iter().for_each(|corruption| *counts.of(corruption.kind) += 1);
        counts
    });
    if counts.sum() == 0 {
        return None;
    }
    let named = facts.corruptions.iter().take(NAMED);
    let named: Vec<String> =
        named.map(|corruption| format!("{} {}", corruption.page, corruption.kind.name())).collect();
    let more = if counts.sum() > named.len() as u64 { ", ..." } else { "" };
    Some(format!("the guest found corrupt pages: {counts} (page {}{more})", named.join(", page ")))
}

fn stream(facts: &Facts<'_>, reasons: &mut Vec<String>) {
    let StreamAudit { records, holes, doubles, torn, unwritten, dropped_by_guest, .. } = facts.stream;
    if dropped_by_guest > 0 {
        reasons.push(format!(
            "the guest gave up {dropped_by_guest} records (single gaps, heartbeats, marks) that were not taken in time: its \
             intervals have their sums, and a longer load.interval leaves more room"
        ));
    }
    if unwritten > 0 {
        reasons.push(format!(
            "{unwritten} of {records} records came when the file of records was full: a longer load.interval makes fewer"
        ));
    }
    if !facts.stream.is_sound() {
        reasons.push(format!(
            "the guest's records did not arrive whole: of {records}, {holes} are missing, {doubles} came twice, \
             {torn} lines were torn"
        ));
    }
    if facts.sessions > 1 {
        reasons.push(format!("the guest program started {} times within one run", facts.sessions));
    }
}

fn last_record(end: &End, reasons: &mut Vec<String>) {
    let detail = end.detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
    match end.reason {
        EndReason::Stop => {}
        EndReason::Failed => reasons.push(format!("the guest program failed{detail}")),
        EndReason::ReportFailed => reasons.push(format!("the guest could not report{detail}")),
        EndReason::Duration | EndReason::Signal | EndReason::Unknown => {
            reasons.push(format!("the guest program ended before it was told to{detail}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::scenario::ExpectSpec;
    use crate::record::{Latency, MigrationSample, Totals};

    fn completed() -> MigrationEnd {
        MigrationEnd {
            result: MigrationResult::Completed,
            reason: None,
            source: Some(MigrationSample { downtime_ms: Some(250), ..MigrationSample::default() }),
            destination: None,
            postcopy: false,
            peak_throttle_percent: None,
        }
    }

    fn end(reason: EndReason) -> End {
        End {
            reason,
            detail: Some("why".into()),
            totals: Totals::default(),
            service_ns: Latency::default(),
            response_ns: Latency::default(),
            service_hist: String::new(),
            response_hist: String::new(),
            records_dropped: 0,
        }
    }

    /// The verdict on a good run after `change`.
    fn verdict(change: impl FnOnce(&mut Scenario, &mut MigrationEnd, &mut StreamAudit)) -> Verdict {
        let (mut scenario, mut migration) = (Scenario::default(), completed());
        let mut stream = StreamAudit { records: 100, ..StreamAudit::default() };
        change(&mut scenario, &mut migration, &mut stream);
        let end = end(EndReason::Stop);
        judge(&Facts {
            scenario: &scenario,
            error: None,
            migration: Some(&migration),
            stream,
            sessions: 1,
            end: Some(&end),
            corruptions: &[],
            write_fault: None,
        })
    }

    fn reason(change: impl FnOnce(&mut Scenario, &mut MigrationEnd, &mut StreamAudit)) -> String {
        let verdict = verdict(change);
        assert_eq!(verdict.outcome, Outcome::Judged);
        assert_eq!(verdict.reasons.len(), 1, "{:?}", verdict.reasons);
        verdict.reasons[0].clone()
    }

    #[test]
    fn a_run_in_which_all_is_well_passes_without_a_word() {
        let verdict = verdict(|_, _, _| {});
        assert_eq!((verdict.outcome, verdict.reasons.len()), (Outcome::Passed, 0));
    }

    #[test]
    fn records_that_are_missing_are_judged() {
        assert!(reason(|_, _, stream| stream.holes = 3).contains("3 are missing"));
    }

    #[test]
    fn records_that_the_guest_gave_up_are_judged() {
        assert!(
            reason(|_, _, stream| stream.dropped_by_guest = 3).starts_with("the guest gave up 3 records")
        );
    }

    #[test]
    fn records_that_found_no_room_are_judged() {
        let reason = reason(|_, _, stream| stream.unwritten = 3);
        assert!(reason.starts_with("3 of 100 records") && reason.contains("load.interval"), "{reason}");
    }

    #[test]
    fn a_failed_migration_is_judged_in_its_own_words_unless_it_was_to_fail() {
        let fail = |migration: &mut MigrationEnd| {
            migration.result = MigrationResult::Failed;
            migration.reason = Some("Broken pipe".into());
        };
        assert!(reason(|_, migration, _| fail(migration)).contains("failed: Broken pipe"));
        let expected = verdict(|scenario, migration, _| {
            scenario.expect.outcome = ExpectedOutcome::Failed;
            fail(migration);
        });
        assert_eq!(expected.outcome, Outcome::Passed);
        assert!(
            reason(|scenario, _, _| scenario.expect.outcome = ExpectedOutcome::Failed).contains("completed")
        );
    }

    #[test]
    fn every_expectation_that_is_not_met_names_its_key() {
        assert!(reason(|scenario, _, _| scenario.expect.throttled = Some(true)).contains("expect.throttled"));
        assert!(reason(|scenario, _, _| scenario.expect.postcopy = Some(true)).contains("expect.postcopy"));
        let downtime = reason(|scenario, _, _| scenario.expect.max_downtime = Some(Nanos::from_ms(200)));
        assert!(downtime.contains("250ms") && downtime.contains("200ms"), "{downtime}");
        let throttled = reason(|scenario, migration, _| {
            scenario.expect.throttled = Some(false);
            migration.peak_throttle_percent = Some(70);
        });
        assert!(throttled.contains("70 %"), "{throttled}");
    }

    #[test]
    fn trouble_decides_how_bad_it_is() {
        let scenario = Scenario::default();
        let outcome = |trouble: RunObstacle| {
            let facts = Facts {
                scenario: &scenario,
                error: Some(&trouble),
                migration: None,
                stream: StreamAudit { torn: 1, ..StreamAudit::default() },
                sessions: 0,
                end: None,
                corruptions: &[],
                write_fault: None,
            };
            judge(&facts).outcome
        };
        assert_eq!(outcome(RunObstacle::Interrupted), Outcome::Interrupted);
        assert_eq!(outcome(RunObstacle::Failed("no QEMU".into())), Outcome::Failed);
        assert_eq!(outcome(RunObstacle::Judged(vec!["the guest died".into()])), Outcome::Judged);
    }

    #[test]
    fn corrupt_pages_are_judged_and_named_even_when_the_guest_died_of_them() {
        use crate::record::CorruptionKind;
        let scenario = Scenario {
            expect: ExpectSpec { outcome: ExpectedOutcome::Any, ..ExpectSpec::default() },
            ..Scenario::default()
        };
        let corruption = |page| Corruption {
            page,
            kind: CorruptionKind::Stale,
            expected: String::new(),
            found: String::new(),
        };
        let corruptions: Vec<Corruption> = (100..120).map(corruption).collect();
        let facts = Facts {
            scenario: &scenario,
            error: None,
            migration: Some(&completed()),
            stream: StreamAudit::default(),
            sessions: 1,
            end: None,
            corruptions: &corruptions,
            write_fault: None,
        };
        let verdict = judge(&facts);
        assert_eq!((verdict.outcome, verdict.reasons.len()), (Outcome::Judged, 1));
        assert!(
            verdict.reasons[0].contains("20 stale (page 100 stale, page 101 stale"),
            "{:?}",
            verdict.reasons
        );
        let write_fault = Some("cannot write run.json".to_owned());
        let verdict = judge(&Facts { write_fault, corruptions: &[], ..facts });
        assert_eq!((verdict.outcome, &*verdict.reasons[0]), (Outcome::Failed, "cannot write run.json"));
    }

    #[test]
    fn a_run_that_is_to_find_corrupt_pages_passes_with_them_and_fails_without_whatever_else_happened() {
        let expect =
            ExpectSpec { outcome: ExpectedOutcome::Any, corruption: Some(true), ..ExpectSpec::default() };
        let scenario = Scenario { expect, ..Scenario::default() };
        let corruption = Corruption {
            page: 7,
            kind: crate::record::CorruptionKind::Stale,
            expected: String::new(),
            found: String::new(),
        };
        let died = RunObstacle::Judged(vec!["the guest was lost while settling".into()]);
        let of = |corruptions: &[Corruption], trouble: Option<&RunObstacle>| {
            judge(&Facts {
                scenario: &scenario,
                error: trouble,
                migration: Some(&completed()),
                stream: StreamAudit::default(),
                sessions: 1,
                end: None,
                corruptions,
                write_fault: None,
            })
        };
        for trouble in [None, Some(&died)] {
            let found = of(std::slice::from_ref(&corruption), trouble);
            assert_eq!(found.outcome, Outcome::Passed);
            assert!(found.reasons[0].starts_with("as expected, the guest found corrupt pages: 1 stale"));
            let nothing = of(&[], trouble);
            assert_eq!(nothing.outcome, Outcome::Judged);
            assert!(nothing.reasons.iter().any(|reason| reason.contains("this run proved nothing")));
        }
        assert_eq!(
            of(std::slice::from_ref(&corruption), Some(&RunObstacle::Interrupted)).outcome,
            Outcome::Interrupted
        );
    }

    #[test]
    fn a_guest_that_ends_by_itself_is_judged() {
        for bad in [EndReason::Failed, EndReason::Duration, EndReason::ReportFailed, EndReason::Signal] {
            let mut reasons = Vec::new();
            last_record(&end(bad), &mut reasons);
            assert!(reasons.first().is_some_and(|reason| reason.ends_with("why")), "{reasons:?}");
        }
    }
}
