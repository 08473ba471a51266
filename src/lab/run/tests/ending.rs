//! Guests that are lost after the migration, or do not end when they are told to.

use super::*;
use crate::lab::run::fake::{Cue, end};
use crate::lab::vm::Exit;

fn failed() -> Exit {
    Exit { code: Some(1), ..Exit::default() }
}

#[test]
fn a_guest_that_is_lost_while_it_settles_is_told_so_and_not_told_to_end() {
    let ran = ran(|vm| {
        vm.when("source migrate", 5000, Cue::Exits(Side::Destination, failed()));
    });
    let said = "the guest was lost while settling; its QEMU ended: exit code 1, and it said nothing";
    assert_eq!(ran.reasons()[0], said);
    assert_eq!(ran.told("guest stop"), 0, "{ran:?}");
}

#[test]
fn a_guest_that_ends_by_itself_while_it_settles_is_not_told_to() {
    let mut own = end();
    if let crate::record::Body::End(end) = &mut own {
        end.reason = crate::record::EndReason::Duration;
    }
    let ran = ran(|vm| {
        vm.when("source migrate", 4000, Cue::Says(own)).when("source migrate", 4100, Cue::PowersOff);
    });
    assert_eq!(ran.reason(), "the guest program ended before it was told to");
    assert_eq!(ran.told("guest stop"), 0, "{ran:?}");
}

#[test]
fn a_guest_that_does_not_end_is_waited_for_twenty_seconds() {
    let ran = ran(|vm| {
        vm.without("guest stop");
    });
    assert!(ran.reasons()[0].starts_with("the guest did not end within 20s of being told"), "{ran:?}");
    assert!(!ran.has(MilestoneName::End), "{ran:?}");
}

#[test]
fn a_guest_that_ends_and_does_not_power_off_is_noted_and_passes() {
    let ran = ran(|vm| {
        vm.without("guest stop").when("guest stop", 50, Cue::IsSilent).when(
            "guest stop",
            50,
            Cue::Says(end()),
        );
    });
    ran.passed();
    assert!(ran.is_noted("the guest did not power off within 20s of its last record"), "{ran:?}");
}

#[test]
fn a_guest_that_is_lost_when_it_was_told_to_end_has_not_ended() {
    let ran = ran(|vm| {
        vm.without("guest stop").when("guest stop", 50, Cue::PowersOff);
    });
    assert!(ran.reasons()[0].starts_with("the guest was lost while ending"), "{ran:?}");
}

#[test]
fn a_guest_whose_port_was_closed_cannot_be_told_and_is_not_waited_for() {
    let ran = ran(|vm| {
        vm.when("source migrate", 12_000, Cue::Closes(Side::Destination)).when(
            "source migrate",
            3040,
            Cue::Loads(50),
        );
    });
    assert!(ran.reasons()[0].starts_with("the guest cannot be told"), "{ran:?}");
    assert_eq!(ran.told("guest stop"), 0, "{ran:?}");
}

#[test]
fn what_the_guest_says_while_its_qemu_is_ended_is_kept() {
    let ran = ran(|vm| {
        vm.without("guest stop").when("guest stop", 50, Cue::IsSilent).when("shut down", 0, Cue::Says(end()));
    });
    assert!(ran.has(MilestoneName::End), "{ran:?}");
}
