//! Migrations that fail, are given up, or lose a QEMU.

use super::*;
use crate::lab::run::fake::{Cue, active};
use crate::lab::vm::Exit;
use crate::units::Nanos;
use serde_json::json;

const SOURCE: Side = Side::Source;
const DESTINATION: Side = Side::Destination;

fn killed() -> Exit {
    Exit { signal: Some(9), ..Exit::default() }
}

/// A migration that never completes, but for what a test adds to it.
fn endless(vm: &mut FakeVm) -> &mut FakeVm {
    vm.without("source migrate").when("source migrate", 5, Cue::Answers(SOURCE, active(1)))
}

/// The guest stayed where it was, and was ended there in order.
fn was_ended_at_the_source(ran: &Ran) {
    assert!(ran.has(MilestoneName::End) && !ran.has(MilestoneName::Resume), "{ran:?}");
    assert_eq!(ran.told("guest stop"), 1, "{ran:?}");
    assert!(!ran.steps.contains(&"settling"), "{ran:?}");
}

#[test]
fn a_failure_is_told_in_qemus_own_words_and_the_guest_goes_on_at_the_source() {
    let ran = ran(|vm| {
        let failed = json!({"status": "failed", "error-desc": "Unable to write to socket"});
        endless(vm).when("source migrate", 500, Cue::Answers(SOURCE, failed)).when(
            "source migrate",
            500,
            Cue::Event(SOURCE, "MIGRATION", json!({"status": "failed"})),
        );
    });
    let said = "the migration failed: the source QEMU says failed: Unable to write to socket";
    assert_eq!(ran.reason(), said);
    was_ended_at_the_source(&ran);
    assert_eq!(ran.run.source.as_ref().and_then(|last| last.status.as_deref()), Some("failed"));
}

#[test]
fn a_migration_that_somebody_else_cancelled_is_one_that_failed() {
    let ran = ran(|vm| {
        endless(vm).when("source migrate", 500, Cue::Answers(SOURCE, json!({"status": "cancelled"})));
    });
    assert!(ran.reason().starts_with("the migration failed: the source QEMU says cancelled"), "{ran:?}");
    was_ended_at_the_source(&ran);
}

#[test]
fn a_migration_that_takes_too_long_is_cancelled_and_the_guest_ended_at_the_source() {
    let mut fixture = fixture(|scenario| scenario.migration.timeout = Nanos::from_secs(20));
    endless(&mut fixture.vm);
    let ran = fixture.run();
    assert!(ran.reason().contains("timed out: it was not complete after migration.timeout = 20s"), "{ran:?}");
    assert_eq!(ran.told("source migrate_cancel"), 1, "{ran:?}");
    was_ended_at_the_source(&ran);
    let took = ran.ms(MilestoneName::StopGuest).unwrap() - ran.ms(MilestoneName::Migrate).unwrap();
    assert!((20_000..20_400).contains(&took), "{took} ms: {ran:?}");
}

#[test]
fn a_qemu_that_does_not_give_a_migration_up_is_waited_for_five_seconds() {
    let mut fixture = fixture(|scenario| scenario.migration.timeout = Nanos::from_secs(20));
    endless(&mut fixture.vm).without("source migrate_cancel");
    let ran = fixture.run();
    assert!(ran.reason().ends_with("QEMU did not give it up in time"), "{ran:?}");
    let took = ran.ms(MilestoneName::StopGuest).unwrap() - ran.ms(MilestoneName::Migrate).unwrap();
    assert!((25_000..25_200).contains(&took), "{took} ms: {ran:?}");
}

#[test]
fn a_qemu_that_does_not_even_answer_holds_the_run_up_for_so_long_and_no_longer() {
    let mut fixture = fixture(|scenario| scenario.migration.timeout = Nanos::from_secs(20));
    fixture.vm.ignore("destination migrate-set-parameters");
    let ran = fixture.run();
    assert_eq!(ran.reason(), "the migration neither ended nor could be ended");
    assert!(!ran.has(MilestoneName::Migrate) && ran.told("guest stop") == 0, "{ran:?}");
}

#[test]
fn a_command_that_qemu_refuses_ends_the_migration_before_it_begins() {
    let ran = ran(|vm| {
        vm.refuse("source migrate-set-parameters", "max-bandwidth is too low");
    });
    let said = "the source QEMU refused migrate-set-parameters: max-bandwidth is too low";
    assert!(ran.reason().ends_with(said), "{ran:?}");
    was_ended_at_the_source(&ran);
    assert_eq!(ran.told("source migrate"), 0, "{ran:?}");
}

#[test]
fn a_destination_that_ends_is_named_with_how_and_the_guest_is_ended_at_the_source() {
    let ran = ran(|vm| {
        endless(vm).when("source migrate", 500, Cue::Exits(DESTINATION, killed()));
    });
    let said = "the destination QEMU ended in the middle: killed by SIGKILL, and it said nothing";
    assert!(ran.reason().ends_with(said), "{ran:?}");
    was_ended_at_the_source(&ran);
}

#[test]
fn a_source_that_ends_takes_the_guest_with_it() {
    let ran = ran(|vm| {
        endless(vm).when("source migrate", 500, Cue::Exits(SOURCE, killed()));
    });
    assert_eq!(ran.run.verdict.outcome, Outcome::Judged);
    let migration = "the migration failed: the source QEMU ended in the middle: killed by SIGKILL";
    assert!(ran.reasons()[0].starts_with(migration), "{ran:?}");
    let guest = "the guest cannot be told; its QEMU ended: killed by SIGKILL";
    assert!(ran.reasons()[1].starts_with(guest), "{ran:?}");
}

#[test]
fn a_guest_that_panics_while_it_is_migrated_is_told_in_its_own_words() {
    let mut fixture = fixture(|_| {});
    endless(&mut fixture.vm).when("source migrate", 500, Cue::PowersOff);
    fixture.console = "[ 9.9] Kernel panic - not syncing: Attempted to kill init!\n";
    let ran = fixture.run();
    let cause = "exit code 0, and it said nothing: Kernel panic - not syncing: Attempted to kill init!";
    assert!(ran.reasons()[0].ends_with(cause), "{ran:?}");
}

#[test]
fn a_source_that_ends_when_all_is_done_does_no_harm() {
    let ran = ran(|vm| {
        vm.when("source migrate", 3500, Cue::Exits(SOURCE, Exit { code: Some(0), ..Exit::default() }));
    });
    ran.passed();
}

#[test]
fn a_throttle_is_told_by_its_highest_level() {
    let mut fixture = fixture(|scenario| {
        scenario.migration.auto_converge = true;
        scenario.expect.throttled = Some(false);
    });
    for (ms, percent) in [(1100, 20), (1300, 70), (1500, 30)] {
        let answer = json!({"status": "active", "cpu-throttle-percentage": percent});
        fixture.vm.when("source migrate", ms, Cue::Answers(SOURCE, answer));
    }
    let ran = fixture.run();
    assert_eq!(ran.reason(), "QEMU throttled the guest up to 70 %, expect.throttled is false");
}

#[test]
fn a_migration_that_was_to_fail_and_did_passes() {
    let mut fixture = fixture(|scenario| {
        scenario.expect.outcome = crate::lab::scenario::ExpectedOutcome::Failed;
    });
    endless(&mut fixture.vm).when("source migrate", 500, Cue::Exits(DESTINATION, killed()));
    fixture.run().passed();
}
