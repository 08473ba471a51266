//! The switch to post-copy in a whole run: the mark, the hold, the order, and what becomes of it.

use super::*;
use crate::lab::run::fake::{Cue, completed, mark};
use serde_json::json;

const ORDER: &str = "source migrate-start-postcopy";

fn postcopy(change: impl FnOnce(&mut FakeVm)) -> Ran {
    let mut fixture = fixture(|scenario| scenario.migration.postcopy = true);
    change(&mut fixture.vm);
    fixture.run()
}

#[test]
fn the_guest_is_marked_the_order_held_until_its_writers_know_and_the_switch_is_a_milestone() {
    let ran = postcopy(|_| {});
    ran.passed();
    assert_eq!(ran.told_from("source migrate", "guest stop"), ["source migrate", "guest mark", ORDER]);
    // The mark is asked for after the first pass, comes 20 ms later, and is taken up within 50 ms: then the next tick.
    let ordered = ran.ms(MilestoneName::PostcopyStart).unwrap() - ran.ms(MilestoneName::Migrate).unwrap();
    assert!((1070..=1200).contains(&ordered), "{ordered} ms: {ran:?}");
    assert_eq!(ran.run.destination.as_ref().and_then(|last| last.postcopy_blocktime_ms), Some(77));
    assert!(ran.has(MilestoneName::Settled), "{ran:?}");
}

#[test]
fn a_mark_that_is_not_acknowledged_holds_the_order_for_two_seconds_and_its_lack_is_noted() {
    let ran = postcopy(|vm| {
        vm.without("guest mark").when("source migrate", 2900, Cue::Drops("source migrate"));
    });
    ran.passed();
    assert!(ran.is_noted("the guest's mark did not come within 2s"), "{ran:?}");
    let ordered = ran.ms(MilestoneName::PostcopyStart).unwrap() - ran.ms(MilestoneName::Migrate).unwrap();
    assert!((3000..=3100).contains(&ordered), "{ordered} ms: {ran:?}");
}

#[test]
fn pre_copy_that_is_through_while_the_order_is_held_gets_no_order() {
    let ran = postcopy(|vm| {
        vm.without("guest mark")
            .when("guest mark", 300, Cue::Stops)
            .when("guest mark", 340, Cue::Runs(Side::Destination))
            .when("guest mark", 345, Cue::Answers(Side::Source, completed()))
            .when("guest mark", 345, Cue::Drops("source migrate"));
    });
    ran.passed();
    assert!(ran.is_noted("pre-copy was through before post-copy was ordered"), "{ran:?}");
    assert_eq!(ran.told(ORDER), 0, "{ran:?}");
    assert!(!ran.has(MilestoneName::PostcopyStart) && ran.has(MilestoneName::Completed), "{ran:?}");
}

#[test]
fn a_mark_that_comes_when_pre_copy_is_through_leads_to_no_order_though_figures_are_missing() {
    let ran = postcopy(|vm| {
        let through = json!({"status": "completed"});
        vm.without("guest mark")
            .when("guest mark", 300, Cue::Stops)
            .when("guest mark", 320, Cue::Runs(Side::Destination))
            .when("guest mark", 330, Cue::Answers(Side::Source, through))
            .when("guest mark", 330, Cue::Drops("source migrate"))
            .when("guest mark", 420, Cue::Says(mark()))
            .when("guest mark", 900, Cue::Answers(Side::Source, completed()));
    });
    ran.passed();
    assert_eq!(ran.told(ORDER), 0, "{ran:?}");
    assert!(ran.is_noted("pre-copy was through before post-copy was ordered"), "{ran:?}");
}

#[test]
fn an_order_that_qemu_accepts_while_pre_copy_completes_is_no_post_copy() {
    let mut fixture = fixture(|scenario| {
        scenario.migration.postcopy = true;
        scenario.expect.postcopy = Some(true);
    });
    fixture.vm.without(ORDER);
    let ran = fixture.run();
    assert_eq!(ran.told(ORDER), 1, "{ran:?}");
    let said = "the migration was complete before it came to post-copy, expect.postcopy is true";
    assert_eq!(ran.reason(), said);
    assert!(!ran.has(MilestoneName::PostcopyStart), "{ran:?}");
}

#[test]
fn an_order_that_qemu_refuses_ends_the_migration_and_the_guest_stays() {
    let ran = postcopy(|vm| {
        vm.refuse(ORDER, "Enable postcopy first");
    });
    assert!(ran.reason().contains("the source QEMU refused migrate-start-postcopy"), "{ran:?}");
    assert_eq!(ran.told("source migrate_cancel"), 1, "{ran:?}");
    assert!(!ran.has(MilestoneName::PostcopyStart) && ran.has(MilestoneName::End), "{ran:?}");
}

#[test]
fn one_that_breaks_off_was_one_and_the_guest_is_where_it_cannot_be_ended() {
    let ran = postcopy(|vm| {
        vm.when(ORDER, 100, Cue::Event(Side::Source, "MIGRATION", json!({"status": "postcopy-paused"})))
            .when(ORDER, 100, Cue::Drops(ORDER))
            .without("guest stop");
    });
    assert_eq!(ran.run.verdict.outcome, Outcome::Judged);
    assert!(ran.reasons()[0].contains("post-copy broke off"), "{ran:?}");
    assert!(ran.reasons()[1].starts_with("the guest did not end within 20s of being told"), "{ran:?}");
    assert!(ran.has(MilestoneName::PostcopyStart), "{ran:?}");
}

#[test]
fn one_that_takes_too_long_is_left_alone_since_cancelling_would_kill_the_guest() {
    let mut fixture = fixture(|scenario| {
        scenario.migration.postcopy = true;
        scenario.migration.timeout = crate::units::Nanos::from_secs(20);
    });
    fixture.vm.when(ORDER, 40, Cue::Drops(ORDER));
    let ran = fixture.run();
    assert!(ran.reason().starts_with("the migration timed out"), "{ran:?}");
    assert_eq!(ran.told("source migrate_cancel"), 0, "{ran:?}");
    assert!(ran.has(MilestoneName::End), "the guest runs at the destination and is ended there: {ran:?}");
}

#[test]
fn a_mark_that_came_before_it_was_asked_for_is_not_the_one_however_late_it_is_handed_in() {
    let ran = postcopy(|vm| {
        vm.without("guest mark").when("guest mark", 20, Cue::SaidBefore(500, mark()));
    });
    assert!(ran.is_noted("the guest's mark did not come within 2s"), "{ran:?}");
    let ran = postcopy(|vm| {
        vm.without("guest mark").when("guest mark", 520, Cue::SaidBefore(500, mark()));
    });
    assert!(!ran.is_noted("mark did not come"), "{ran:?}");
}
