//! What is done in the middle of a migration: each step once, as soon as its conditions hold.

use super::*;
use crate::lab::scenario::{Deed, When};

fn step(deed: Deed) -> When {
    When { deed, ..When::default() }
}

fn with(steps: Vec<When>) -> Play {
    let mut play = Play::prepared(|spec| spec.when = steps);
    play.heard();
    play
}

fn left(pass: u64, bytes: u64) -> Value {
    json!({"status": "active", "ram": {"dirty-sync-count": pass, "remaining": bytes}})
}

#[test]
fn a_step_is_taken_once_and_only_when_all_its_conditions_hold() {
    let parameters = [("downtime-limit".to_owned(), json!(500))].into();
    let when = When { pass: Some(3), after: Some(Nanos::from_secs(9)), parameters, ..step(Deed::Set) };
    let mut play = with(vec![when]);
    play.says(Side::Source, &active(3));
    assert_eq!(play.heard(), <[String; 0]>::default(), "too early");
    play.tick(9);
    let said = play.heard();
    assert!(said.contains(&"source migrate-set-parameters".into()), "{said:?}");
    let note = "note 9.0 s after the start, when pass 3 had begun and 9s were over, QEMU was told downtime-limit = 500";
    assert!(said.contains(&note.into()), "{said:?}");
    play.tick(1);
    play.says(Side::Source, &active(4));
    assert!(!play.heard().contains(&"source migrate-set-parameters".into()));
}

#[test]
fn a_load_that_outruns_the_link_is_seen_by_what_its_passes_have_left() {
    let mut play = with(vec![When { not_converging: Some(2), ..step(Deed::PostCopy) }]);
    for (pass, bytes) in [(1, 900), (2, 500), (2, 100), (3, 500), (4, 400), (5, 400)] {
        play.says(Side::Source, &left(pass, bytes));
        assert!(!play.heard().contains(&"mark".into()), "pass {pass}: one in a row");
    }
    play.says(Side::Source, &left(6, 401));
    assert!(play.heard().contains(&"mark".into()));
}

#[test]
fn a_migration_that_waits_before_its_switch_is_told_to_go_on_once() {
    let status = Some("pre-switchover".to_owned());
    let mut play = with(vec![When { status, ..step(Deed::Continue) }]);
    play.says(Side::Source, &active(2));
    play.heard();
    play.event(Side::Source, "MIGRATION", json!({"status": "pre-switchover"}));
    assert_eq!(play.heard(), ["source ?"], "the guest stands: nobody waits for the next tick");
    play.says(Side::Source, &json!({"status": "pre-switchover"}));
    let count = |said: &[String]| said.iter().filter(|said| *said == "source migrate-continue").count();
    assert_eq!(count(&play.heard()), 1);
    play.says(Side::Source, &json!({"status": "pre-switchover"}));
    assert_eq!(count(&play.heard()), 0);
}

#[test]
fn a_step_that_was_never_due_is_said() {
    let mut play = with(vec![When { pass: Some(9), ..step(Deed::Pause) }]);
    play.event(Side::Destination, "RESUME", json!({}));
    play.says(Side::Source, &json!({"status": "completed", "downtime": 7, "ram": {}}));
    let note = "note a step of migration.when was never due: when pass 9 had begun";
    assert!(play.heard().contains(&note.into()));
}

#[test]
fn a_pass_that_begins_is_asked_about_at_once() {
    let mut play = with(vec![When { not_converging: Some(3), ..step(Deed::Pause) }]);
    play.says(Side::Source, &active(1));
    play.event(Side::Source, "MIGRATION_PASS", json!({"pass": 2}));
    assert_eq!(play.heard(), ["source ?"]);
}

#[test]
fn a_guest_that_was_paused_goes_on_where_it_is_at_the_end() {
    let pause = || vec![When { after: Some(Nanos::from_secs(1)), ..step(Deed::Pause) }];
    let mut play = with(pause());
    play.tick(1);
    assert!(play.heard().contains(&"source stop".into()));
    play.event(Side::Source, "STOP", json!({}));
    play.says(Side::Source, &json!({"status": "completed", "downtime": 7, "ram": {}}));
    assert!(play.heard().contains(&"destination cont".into()));
    play.event(Side::Destination, "RESUME", json!({}));
    assert_eq!(play.end().result, MigrationResult::Completed);
    assert!(!play.heard().contains(&"source cont".into()));

    let mut play = with(pause());
    play.tick(1);
    play.tick(200);
    play.says(Side::Source, &json!({"status": "cancelled"}));
    let said = play.heard();
    assert_eq!(said[said.len() - 2..], ["source cont", "TimedOut"], "{said:?}");
}

#[test]
fn a_migration_that_is_cancelled_says_what_cancelled_it() {
    let mut play = with(vec![When { after: Some(Nanos::from_secs(2)), ..step(Deed::Cancel) }]);
    play.tick(2);
    assert!(play.heard().contains(&"source migrate_cancel".into()));
    play.says(Side::Source, &json!({"status": "cancelled"}));
    assert_eq!(play.end().result, MigrationResult::Cancelled);
    assert_eq!(play.end().reason.as_deref(), Some("migration.when cancelled it when 2s were over"));
}

#[test]
fn a_post_copy_that_was_cut_goes_on_over_a_new_link() {
    let status = |status: &str| When { status: Some(status.into()), ..When::default() };
    let cut = When { deed: Deed::Cut, ..status("postcopy-active") };
    let recover = When { deed: Deed::Recover, ..status("postcopy-paused") };
    let mut play = Play::prepared(|spec| {
        spec.postcopy = true;
        spec.when = vec![cut, recover];
    });
    play.says(Side::Source, &active(2));
    play.hand(Input::Marked);
    play.tick(1);
    play.says(Side::Source, &json!({"status": "postcopy-active", "ram": {"postcopy-bytes": 1}}));
    assert!(!play.heard().contains(&"source migrate-pause".into()), "the guest does not run there yet");
    play.event(Side::Destination, "RESUME", json!({}));
    assert!(play.heard().contains(&"source migrate-pause".into()));
    play.says(Side::Source, &json!({"status": "postcopy-paused", "error-desc": "gone"}));
    play.says(Side::Destination, &json!({"status": "postcopy-active"}));
    assert!(!play.heard().contains(&"destination migrate-recover".into()), "it does not know yet");
    play.event(Side::Destination, "MIGRATION", json!({"status": "postcopy-paused"}));
    assert!(play.heard().contains(&"destination migrate-recover".into()), "its monitor may hang");
    play.done(Side::Destination, "migrate-recover");
    assert_eq!(play.heard(), ["source migrate"]);
    play.done(Side::Source, "migrate");
    play.says(Side::Destination, &json!({"status": "completed", "postcopy-blocktime": 5}));
    play.says(Side::Source, &json!({"status": "completed", "downtime": 7, "ram": {}}));
    assert_eq!(play.end().result, MigrationResult::Completed);
}

#[test]
fn a_link_that_is_cut_in_pre_copy_ends_the_migration() {
    let mut play = with(vec![When { pass: Some(2), ..step(Deed::Cut) }]);
    play.says(Side::Source, &active(1));
    assert!(!play.heard().contains(&"source yank".into()));
    play.says(Side::Source, &active(2));
    assert!(play.heard().contains(&"source yank".into()));
    play.says(Side::Source, &json!({"status": "failing"}));
    play.says(Side::Source, &json!({"status": "failed", "error-desc": "Unable to write to socket"}));
    play.tick(2);
    assert_eq!(play.end().result, MigrationResult::Failed);
    assert!(play.end().reason.as_deref().is_some_and(|why| why.contains("Unable to write to socket")));
}

#[test]
fn a_link_that_the_guest_has_left_behind_is_not_cut_any_more() {
    let after = When { after: Some(Nanos::from_secs(5)), ..step(Deed::Cut) };
    let mut play = with(vec![after]);
    play.says(Side::Source, &active(2));
    play.event(Side::Destination, "RESUME", json!({}));
    play.tick(60);
    assert!(!play.heard().contains(&"source yank".into()));
    play.says(Side::Source, &json!({"status": "completed", "downtime": 3}));
    assert_eq!(play.end().result, MigrationResult::Completed);
    assert!(play.heard().iter().any(|line| line.contains("a step of migration.when was never due")));
}

#[test]
fn a_post_copy_that_is_lost_a_second_time_has_failed() {
    let mut play = Play::prepared(|spec| {
        spec.postcopy = true;
        spec.when = vec![When { status: Some("postcopy-paused".into()), ..step(Deed::Recover) }];
    });
    play.says(Side::Source, &json!({"status": "postcopy-paused"}));
    play.says(Side::Destination, &json!({"status": "postcopy-paused"}));
    play.done(Side::Destination, "migrate-recover");
    play.done(Side::Source, "migrate");
    play.says(Side::Source, &json!({"status": "postcopy-paused", "error-desc": "gone again"}));
    play.tick(2);
    assert!(play.end().reason.as_deref().is_some_and(|why| why.contains("post-copy broke off: gone again")));
}

#[test]
fn parameters_that_a_qemu_does_not_have_are_said_before_anything_is_switched() {
    let mut play = Play::new(|spec| {
        spec.parameters.insert("no-such".into(), json!(1));
    });
    play.hand(Input::Start);
    assert_eq!(play.heard().iter().filter(|line| line.ends_with("query-qmp-schema")).count(), 2);
    play.knows(Side::Source, &["events"]);
    play.knows(Side::Destination, &["events"]);
    assert!(play.end.is_none());
    play.takes(Side::Source, &["downtime-limit"]);
    play.takes(Side::Destination, &["downtime-limit"]);
    let reason = play.end().reason.clone().unwrap_or_default();
    assert!(reason.contains("QEMU does not offer the migration parameter no-such"), "{reason}");
}

#[test]
fn a_step_that_cannot_be_taken_where_the_guest_is_is_noted_and_not_tried() {
    let after = |deed| When { after: Some(Nanos::from_secs(2)), ..step(deed) };
    let mut play = Play::prepared(|spec| {
        spec.postcopy = true;
        spec.when = vec![after(Deed::Pause)];
    });
    play.says(Side::Source, &json!({"status": "postcopy-active", "ram": {"postcopy-bytes": 1}}));
    play.heard();
    play.tick(2);
    let said = play.heard();
    assert!(said.iter().any(|line| line.contains("the guest was at the destination already")), "{said:?}");
    assert!(!said.contains(&"source stop".into()), "{said:?}");

    let mut play = Play::prepared(|spec| {
        spec.postcopy = true;
        spec.when = vec![after(Deed::Cut)];
    });
    play.event(Side::Destination, "RESUME", json!({}));
    play.tick(2);
    let said = play.heard();
    assert!(
        said.iter().any(|line| line.contains("there was no post-copy whose link could be cut")),
        "{said:?}"
    );
    assert!(!said.contains(&"source migrate-pause".into()), "{said:?}");
}

#[test]
fn the_same_pass_told_twice_is_one_that_does_not_converge_at_most_once() {
    let mut play = with(vec![When { not_converging: Some(2), ..step(Deed::PostCopy) }]);
    for (pass, bytes) in [(1, 500), (2, 500), (2, 600), (2, 700)] {
        play.says(Side::Source, &left(pass, bytes));
    }
    assert!(!play.heard().contains(&"mark".into()));
}
