//! Transcripts of the switch to post-copy: the mark, the order, and what QEMU makes of it, in every order of events.

use super::*;
use crate::lab::scenario::Trigger;

const ORDER: &str = "source migrate-start-postcopy";

/// Prepared for post-copy, in the first pass, nothing heard.
fn first_pass() -> Play {
    let mut play = Play::prepared(|spec| spec.postcopy = true);
    play.says(Side::Source, &active(1));
    play.heard();
    play
}

/// After the first pass: the mark is awaited.
fn waiting() -> Play {
    let mut play = first_pass();
    play.event(Side::Source, "MIGRATION_PASS", json!({"pass": 2}));
    assert_eq!(play.heard(), ["mark"]);
    play
}

/// QEMU was told to switch.
fn ordered() -> Play {
    let mut play = waiting();
    play.hand(Input::Marked);
    play.tick(1);
    assert_eq!(play.heard(), ["source ?", ORDER]);
    play
}

/// Everything that is said from now on until the source's `completed` and its figures.
fn completes(play: &mut Play) -> Vec<String> {
    play.event(Side::Source, "STOP", json!({}));
    play.event(Side::Destination, "RESUME", json!({}));
    play.event(Side::Source, "MIGRATION", json!({"status": "completed"}));
    play.says(Side::Source, &json!({"status": "completed", "downtime": 12}));
    play.heard()
}

fn is_told(said: &[String], what: &str) -> bool {
    said.iter().any(|line| line.contains(what))
}

#[test]
fn it_is_ordered_once_after_the_mark_was_taken_up_and_told_when_qemu_obeyed() {
    let mut play = waiting();
    play.event(Side::Source, "MIGRATION_PASS", json!({"pass": 3}));
    play.says(Side::Source, &active(3));
    assert!(play.heard().is_empty(), "one mark is enough");
    play.hand(Input::Marked);
    assert!(play.heard().is_empty(), "the writers have not taken it up");
    play.tick(1);
    let ordered_ns = play.now_ns;
    assert_eq!(play.heard(), ["source ?", ORDER]);
    play.tick(1);
    assert_eq!(play.heard(), ["destination ?"], "the source has not answered yet");
    play.event(Side::Source, "MIGRATION", json!({"status": "postcopy-active"}));
    assert_eq!(play.heard(), ["* PostcopyStart"]);
    let last = play.milestones.last();
    assert_eq!(last, Some(&(MilestoneName::PostcopyStart, ordered_ns)), "the moment of the order");
    play.event(Side::Destination, "RESUME", json!({}));
    play.says(Side::Source, &json!({"status": "postcopy-active"}));
    play.says(Side::Destination, &json!({"status": "postcopy-active"}));
    assert_eq!(play.heard(), ["* Resume"]);
    play.says(Side::Source, &json!({"status": "completed", "downtime": 2}));
    assert_eq!(play.heard(), ["* Completed", "source ?", "destination ?"], "the blocktime is missing");
    play.says(Side::Destination, &json!({"status": "completed", "postcopy-blocktime": 77}));
    assert_eq!(play.heard(), ["Completed"]);
    assert!(play.end().postcopy);
    assert_eq!(play.end().destination.as_ref().and_then(|last| last.postcopy_blocktime_ms), Some(77));
}

#[test]
fn after_a_time_it_waits_for_that_time() {
    let mut play = Play::prepared(|spec| {
        spec.postcopy = true;
        spec.postcopy_after = Trigger::After(Nanos::from_secs(5));
    });
    play.says(Side::Source, &active(3));
    play.tick(4);
    assert!(!is_told(&play.heard(), "mark"));
    play.tick(1);
    assert!(is_told(&play.heard(), "mark"));
}

#[test]
fn a_mark_that_never_comes_is_waited_for_two_seconds_and_its_lack_is_noted() {
    let mut play = waiting();
    play.tick(1);
    assert_eq!(play.heard(), ["source ?"]);
    play.tick(1);
    let said = play.heard();
    assert!(is_told(&said, "the guest's mark did not come within 2s") && is_told(&said, ORDER), "{said:?}");
}

#[test]
fn a_mark_from_before_the_moment_is_not_the_one_that_is_awaited() {
    let mut play = waiting();
    let early_ns = play.now_ns - 1;
    assert!(play.driver.on(early_ns, Input::Marked).is_empty());
    play.tick(1);
    assert!(!is_told(&play.heard(), ORDER));
}

#[test]
fn pre_copy_that_completes_while_the_mark_is_awaited_is_no_post_copy() {
    let mut play = waiting();
    let said = completes(&mut play);
    assert!(is_told(&said, "pre-copy was through before post-copy was ordered"), "{said:?}");
    play.hand(Input::Marked);
    play.tick(3);
    assert!(!is_told(&said, ORDER) && !is_told(&play.heard(), ORDER), "an order to a migration that is over");
    assert!(play.milestones.iter().all(|(name, _)| *name != MilestoneName::PostcopyStart));
    assert!(play.end().result == MigrationResult::Completed && !play.end().postcopy);
}

#[test]
fn pre_copy_whose_end_is_known_by_an_answer_with_all_figures_is_noted_too() {
    let mut play = waiting();
    play.event(Side::Destination, "RESUME", json!({}));
    play.says(Side::Source, &json!({"status": "completed", "downtime": 12}));
    let said = play.heard();
    assert!(is_told(&said, "pre-copy was through before post-copy was ordered"), "{said:?}");
    assert!(is_told(&said, "Completed"), "{said:?}");
}

#[test]
fn an_order_that_qemu_accepts_and_does_not_obey_is_no_post_copy() {
    let mut play = ordered();
    play.done(Side::Source, "migrate-start-postcopy");
    let said = completes(&mut play);
    assert!(!is_told(&said, "PostcopyStart") && is_told(&said, "Completed"), "{said:?}");
    assert!(!play.end().postcopy, "and no blocktime is waited for");
}

#[test]
fn a_migration_cancelled_while_the_mark_is_awaited_gets_no_order() {
    let mut play = waiting();
    play.hand(Input::Cancel);
    play.hand(Input::Marked);
    play.tick(3);
    play.says(Side::Source, &json!({"status": "cancelled"}));
    let said = play.heard();
    assert!(!is_told(&said, ORDER) && is_told(&said, "migrate_cancel"), "{said:?}");
    assert_eq!((play.end().result, play.end().postcopy), (MigrationResult::Cancelled, false));
}

#[test]
fn a_migration_that_fails_while_the_mark_is_awaited_gets_no_order() {
    let mut play = waiting();
    play.says(Side::Source, &json!({"status": "failed", "error-desc": "Broken pipe"}));
    play.hand(Input::Marked);
    play.tick(1);
    let said = play.heard();
    assert!(!is_told(&said, ORDER) && is_told(&said, "Failed"), "{said:?}");
}

#[test]
fn a_guest_that_dies_while_the_mark_is_awaited_gets_no_order() {
    for side in [Side::Source, Side::Destination] {
        let mut play = waiting();
        play.hand(Input::VmExited { side, how: "exit code 0: Kernel panic".into() });
        play.hand(Input::Marked);
        play.tick(3);
        assert_eq!(play.heard(), ["Failed"]);
        assert!(play.milestones.iter().all(|(name, _)| *name != MilestoneName::PostcopyStart));
    }
}

#[test]
fn an_order_that_qemu_refuses_ends_the_migration_and_is_no_post_copy() {
    let mut play = ordered();
    let error = "Enable postcopy with migrate_set_capability before the start of migration".to_owned();
    play.hand(Input::CommandFailed { side: Side::Source, command: "migrate-start-postcopy", error });
    play.says(Side::Source, &json!({"status": "cancelled"}));
    let said = play.heard();
    assert!(is_told(&said, "migrate_cancel") && !is_told(&said, "PostcopyStart"), "{said:?}");
    assert_eq!((play.end().result, play.end().postcopy), (MigrationResult::Failed, false));
    let reason = play.end().reason.clone().unwrap_or_default();
    assert!(reason.contains("refused migrate-start-postcopy: Enable postcopy"), "{reason}");
}

#[test]
fn an_order_that_was_refused_is_not_remembered_where_the_migration_completes_after_all() {
    let mut play = ordered();
    let error = "not now".to_owned();
    play.hand(Input::CommandFailed { side: Side::Source, command: "migrate-start-postcopy", error });
    play.event(Side::Destination, "RESUME", json!({}));
    play.says(Side::Source, &json!({"status": "completed"}));
    play.tick(1);
    let said = play.heard();
    assert!(is_told(&said, "* Completed") && !is_told(&said, "destination ?"), "{said:?}");
}

#[test]
fn without_migration_events_a_post_copy_between_two_answers_is_known_by_its_bytes() {
    let mut play = ordered();
    play.says(Side::Source, &json!({"status": "completed", "downtime": 2, "ram": {"postcopy-bytes": 4096}}));
    assert!(is_told(&play.heard(), "* PostcopyStart"));
}

#[test]
fn one_that_breaks_off_or_takes_too_long_was_one() {
    let mut play = ordered();
    play.event(Side::Source, "MIGRATION", json!({"status": "postcopy-paused"}));
    play.tick(1);
    assert_eq!((play.end().result, play.end().postcopy), (MigrationResult::Failed, true));
    let mut play = ordered();
    play.event(Side::Source, "MIGRATION", json!({"status": "postcopy-device"}));
    play.tick(500);
    assert_eq!((play.end().result, play.end().postcopy), (MigrationResult::TimedOut, true));
}
