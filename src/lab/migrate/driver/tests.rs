//! Transcripts: what QEMU says on the left, what the driver does on the right.

mod postcopy;
mod steps;

use super::*;
use crate::lab::migrate::sample;
use serde_json::json;

const SECOND: u64 = 1_000_000_000;

/// A driver, the time, and everything it said so far, one short line each.
struct Play {
    driver: Driver,
    now_ns: u64,
    said: Vec<String>,
    milestones: Vec<(MilestoneName, u64)>,
    end: Option<MigrationEnd>,
}

impl Play {
    fn new(change: impl FnOnce(&mut MigrationSpec)) -> Self {
        let mut spec = MigrationSpec::default();
        change(&mut spec);
        Self {
            driver: Driver::new(&spec, "unix:/m".into()),
            now_ns: SECOND,
            said: Vec::new(),
            milestones: Vec::new(),
            end: None,
        }
    }

    fn hand(&mut self, input: Input) {
        for action in self.driver.on(self.now_ns, input) {
            self.said.push(match action {
                Action::Execute { side, command, .. } => format!("{} {command}", word(side)),
                Action::Query(side) => format!("{} ?", word(side)),
                Action::Milestone(milestone) => {
                    self.milestones.push((milestone.name, milestone.host_ns));
                    format!("* {:?}", milestone.name)
                }
                Action::Mark(_) => "mark".into(),
                Action::Note(note) => format!("note {note}"),
                Action::Finish(end) => {
                    let line = format!("{:?}", end.result);
                    self.end = Some(*end);
                    line
                }
            });
        }
    }

    /// What was said since the last call.
    fn heard(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }

    fn end(&self) -> &MigrationEnd {
        self.end.as_ref().expect("it has finished")
    }

    fn done(&mut self, side: Side, command: &'static str) {
        self.hand(Input::CommandDone { side, command, value: json!({}) });
    }

    fn knows(&mut self, side: Side, names: &[&str]) {
        let value = names.iter().map(|name| json!({"capability": name, "state": false})).collect();
        self.hand(Input::CommandDone { side, command: "query-migrate-capabilities", value });
    }

    /// A side says which parameters it takes.
    fn takes(&mut self, side: Side, names: &[&str]) {
        let members: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
        let value = json!([
            {"name": "migrate-set-parameters", "meta-type": "command", "arg-type": "9"},
            {"name": "9", "meta-type": "object", "members": members},
        ]);
        self.hand(Input::CommandDone { side, command: "query-qmp-schema", value });
    }

    fn says(&mut self, side: Side, answer: &Value) {
        self.hand(Input::Sample(side, Box::new(sample(answer))));
    }

    fn event(&mut self, side: Side, name: &str, data: Value) {
        self.hand(Input::Event { side, name: name.into(), data });
    }

    fn tick(&mut self, seconds: u64) {
        self.now_ns += seconds * SECOND;
        self.hand(Input::Tick);
    }

    /// Through the preparation, with a QEMU that knows everything and refuses what 7.2 refuses.
    fn prepared(change: impl FnOnce(&mut MigrationSpec)) -> Self {
        const ALL: [&str; 5] =
            ["events", "auto-converge", "postcopy-ram", "postcopy-blocktime", "postcopy-preempt"];
        let mut play = Self::new(change);
        play.hand(Input::Start);
        play.knows(Side::Source, &ALL);
        play.knows(Side::Destination, &ALL);
        if play.driver.spec.names_parameters() {
            play.takes(Side::Source, &["downtime-limit"]);
            play.takes(Side::Destination, &["downtime-limit"]);
        }
        for command in ["migrate-set-capabilities", "migrate-set-parameters"] {
            play.done(Side::Destination, command);
            play.done(Side::Source, command);
        }
        play.hand(Input::CommandFailed {
            side: Side::Destination,
            command: "migrate-incoming",
            error: "Parameter 'exit-on-error' is unexpected".into(),
        });
        play.done(Side::Destination, "migrate-incoming");
        play.done(Side::Source, "migrate");
        play
    }
}

fn active(passes: u64) -> Value {
    json!({"status": "active", "ram": {"dirty-sync-count": passes, "remaining": 5}})
}

#[test]
fn pre_copy_from_the_first_question_to_the_last_figure() {
    let mut play = Play::prepared(|_| {});
    let expected = [
        "source query-migrate-capabilities",
        "destination query-migrate-capabilities",
        "destination migrate-set-capabilities",
        "source migrate-set-capabilities",
        "destination migrate-set-parameters",
        "source migrate-set-parameters",
        "destination migrate-incoming",
        "destination migrate-incoming",
        "* Migrate",
        "source migrate",
        "source ?",
    ];
    assert_eq!(play.heard(), expected);
    play.tick(1);
    assert!(play.heard().is_empty(), "a question is out already");
    play.says(Side::Source, &active(1));
    play.tick(1);
    assert_eq!(play.heard(), ["source ?"], "the destination is not asked in pre-copy");
    play.says(Side::Source, &active(3));
    play.event(Side::Source, "STOP", json!({}));
    play.event(Side::Destination, "RESUME", json!({}));
    play.event(Side::Source, "MIGRATION", json!({"status": "completed"}));
    assert_eq!(play.heard(), ["* Stop", "* Resume", "* Completed", "source ?"]);
    play.says(Side::Source, &json!({"status": "completed", "downtime": 0, "total-time": 0}));
    play.tick(1);
    assert_eq!(play.heard(), ["source ?"], "a downtime of 0 is not filled in yet");
    play.says(Side::Source, &json!({"status": "completed", "downtime": 41, "total-time": 9000}));
    assert_eq!(play.heard(), ["Completed"]);
    assert_eq!(play.end().source.as_ref().and_then(|last| last.downtime_ms), Some(41));
    assert!(!play.end().postcopy && play.end().peak_throttle_percent.is_none());
}

#[test]
fn without_migration_events_the_answers_carry_it_through_until_the_guest_runs() {
    let mut play = Play::prepared(|_| {});
    play.heard();
    play.says(Side::Source, &active(2));
    play.says(Side::Source, &json!({"status": "completed", "downtime": 3}));
    assert_eq!(play.heard(), ["* Completed", "source ?"], "the guest does not run yet");
    play.event(Side::Destination, "RESUME", json!({}));
    assert_eq!(play.heard(), ["* Resume", "Completed"]);
}

#[test]
fn figures_that_never_come_do_not_hold_the_end_up() {
    let mut play = Play::prepared(|_| {});
    play.says(Side::Source, &json!({"status": "completed"}));
    play.heard();
    play.tick(3);
    assert_eq!(play.heard(), ["Completed"]);
}

#[test]
fn auto_converge_remembers_its_highest_level() {
    let mut play = Play::prepared(|spec| spec.auto_converge = true);
    for percent in [30, 50, 70] {
        play.says(Side::Source, &json!({"status": "active", "cpu-throttle-percentage": percent}));
    }
    play.event(Side::Destination, "RESUME", json!({}));
    play.says(Side::Source, &json!({"status": "completed", "downtime": 5}));
    assert_eq!(play.end().peak_throttle_percent, Some(70));
}

#[test]
fn a_failure_is_told_in_qemus_own_words() {
    let mut play = Play::prepared(|_| {});
    play.says(Side::Source, &active(1));
    play.heard();
    play.event(Side::Source, "MIGRATION", json!({"status": "failed"}));
    assert_eq!(play.heard(), ["source ?"], "the event has no reason, the answer has");
    play.says(Side::Source, &json!({"status": "failed", "error-desc": "Broken pipe"}));
    assert_eq!((play.heard(), play.end.is_none()), (vec![], true), "the other QEMU may be the cause");
    play.tick(1);
    assert_eq!(play.end().result, MigrationResult::Failed);
    assert!(play.end().reason.as_ref().is_some_and(|reason| reason.contains("Broken pipe")));
    play.tick(1);
    assert_eq!(play.heard(), ["Failed"], "after the end there is nothing to do");
}

#[test]
fn a_qemu_that_dies_ends_it_at_once() {
    for side in [Side::Source, Side::Destination] {
        let mut play = Play::prepared(|_| {});
        play.hand(Input::VmExited { side, how: "signal 9".into() });
        assert_eq!(play.end().result, MigrationResult::Failed);
        let reason = play.end().reason.clone().unwrap_or_default();
        assert!(reason.contains(word(side)) && reason.contains("signal 9"), "{reason}");
    }
}

#[test]
fn a_failure_whose_cause_is_the_other_qemus_end_names_both() {
    let mut play = Play::prepared(|_| {});
    play.says(Side::Source, &json!({"status": "failed", "error-desc": "Broken pipe"}));
    play.hand(Input::VmExited { side: Side::Destination, how: "killed by SIGKILL".into() });
    let reason = play.end().reason.clone().unwrap_or_default();
    assert!(reason.starts_with("the destination QEMU ended in the middle: killed by SIGKILL"), "{reason}");
    assert!(reason.ends_with("Broken pipe"), "{reason}");
}

#[test]
fn a_source_that_ends_after_completion_does_no_harm() {
    let mut play = Play::prepared(|_| {});
    play.event(Side::Source, "MIGRATION", json!({"status": "completed"}));
    play.hand(Input::VmExited { side: Side::Source, how: "exit 0".into() });
    assert_eq!(play.end().result, MigrationResult::Completed);
}

#[test]
fn a_migration_that_takes_too_long_is_cancelled_and_the_guest_comes_back() {
    let mut play = Play::prepared(|spec| spec.timeout = Nanos::from_secs(10));
    play.says(Side::Source, &active(1));
    play.heard();
    play.tick(10);
    assert_eq!(play.heard(), ["source migrate_cancel"]);
    play.hand(Input::VmExited { side: Side::Destination, how: "exit code 1".into() });
    play.tick(1);
    play.says(Side::Source, &json!({"status": "cancelled"}));
    assert_eq!(play.end().result, MigrationResult::TimedOut);
    assert!(play.end().reason.as_ref().is_some_and(|reason| reason.contains("migration.timeout = 10s")));
}

#[test]
fn a_qemu_that_does_not_give_up_is_not_waited_for_for_ever() {
    let mut play = Play::prepared(|spec| spec.timeout = Nanos::from_secs(10));
    play.tick(10);
    play.tick(5);
    assert_eq!(play.end().result, MigrationResult::TimedOut);
}

#[test]
fn a_post_copy_that_takes_too_long_is_left_alone_since_cancelling_would_kill_the_guest() {
    let mut play = Play::prepared(|spec| spec.postcopy = true);
    play.says(Side::Source, &json!({"status": "postcopy-active"}));
    play.heard();
    play.tick(500);
    assert_eq!(play.heard(), ["TimedOut"]);
}

#[test]
fn a_broken_off_post_copy_is_a_failure() {
    let mut play = Play::prepared(|spec| spec.postcopy = true);
    play.says(Side::Source, &json!({"status": "postcopy-active"}));
    play.event(Side::Source, "MIGRATION", json!({"status": "postcopy-paused"}));
    play.tick(1);
    assert_eq!(play.end().result, MigrationResult::Failed);
}

#[test]
fn a_required_capability_that_is_missing_ends_it_before_it_begins_and_an_optional_one_is_noted() {
    let mut play = Play::new(|spec| spec.auto_converge = true);
    play.hand(Input::Start);
    play.knows(Side::Source, &["auto-converge"]);
    play.knows(Side::Destination, &["events"]);
    let heard = play.heard();
    assert!(heard.iter().any(|line| line.starts_with("note ") && line.contains("events")), "{heard:?}");
    assert_eq!(play.end().result, MigrationResult::Failed);
    assert!(play.end().reason.as_ref().is_some_and(|reason| reason.contains("auto-converge")));
}

#[test]
fn a_refused_capability_says_what_post_copy_needs() {
    let mut play = Play::new(|spec| spec.postcopy = true);
    play.hand(Input::Start);
    for side in [Side::Source, Side::Destination] {
        play.knows(side, &["events", "postcopy-ram", "postcopy-blocktime"]);
    }
    let error = "Postcopy is not supported".to_owned();
    play.hand(Input::CommandFailed { side: Side::Destination, command: "migrate-set-capabilities", error });
    assert!(play.end().reason.as_ref().is_some_and(|reason| reason.contains("userfaultfd")));
}

#[test]
fn a_cancelled_migration_says_so() {
    let mut play = Play::prepared(|_| {});
    play.hand(Input::Cancel);
    play.says(Side::Source, &json!({"status": "cancelled"}));
    assert_eq!(play.end().result, MigrationResult::Cancelled);
}
