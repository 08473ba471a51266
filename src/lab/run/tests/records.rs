//! The guest's records in a whole run: asked for, kept, counted.

use super::*;
use crate::lab::run::fake::Cue;
use crate::lab::run::fake::hello;

#[test]
fn the_guest_is_asked_every_second_whether_it_hears_until_it_is_told_to_end() {
    let ran = ran(|_| {});
    let talked = ran.ms(MilestoneName::StopGuest).unwrap() - ran.ms(MilestoneName::Hello).unwrap();
    let pings = ran.told("guest ping") as u64;
    assert!(pings.abs_diff(talked / 1000) <= 1, "{pings} in {talked} ms");
    assert_eq!(ran.told_from("guest stop", "shut down"), ["guest stop"]);
    let stop = ran.heard.borrow().iter().position(|told| told == "guest stop").unwrap();
    assert!(!ran.heard.borrow()[stop..].iter().any(|told| told == "guest ping"), "{ran:?}");
}

#[test]
fn a_guest_program_that_starts_again_is_judged_and_its_first_hello_is_the_one_that_counts() {
    for (cause, ms) in [("boot", 3000), ("source migrate", 5000)] {
        let ran = ran(|vm| {
            vm.when(cause, ms, Cue::Restarts);
        });
        assert_eq!(ran.reason(), "the guest program started 2 times within one run");
        assert_eq!(ran.ms(MilestoneName::Hello), Some(1000));
    }
}

#[test]
fn records_that_never_came_are_judged() {
    let ran = ran(|vm| {
        vm.when("boot", 3000, Cue::Loses(3));
    });
    assert!(ran.reason().contains("3 are missing"), "{ran:?}");
}

#[test]
fn connections_that_are_broken_on_purpose_are_broken_as_often_as_the_scenario_says() {
    let ran = fixture(|scenario| scenario.collect.restarts = 3).run();
    ran.passed();
    assert_eq!(ran.told("reconnect"), 3, "{ran:?}");
}

#[test]
fn no_connection_is_broken_before_the_guest_has_spoken_nor_when_it_was_told_to_end() {
    let mut fixture = fixture(|scenario| scenario.collect.restarts = 3);
    let vm = &mut fixture.vm;
    vm.without("boot").when("boot", 20_000, Cue::Says(hello())).when("boot", 20_000, Cue::Loads(100));
    let ran = fixture.run();
    ran.passed();
    let told = ran.told_from("reconnect", "guest stop");
    assert_eq!((ran.told("reconnect"), told.iter().filter(|told| *told == "reconnect").count()), (3, 3));
    let heard = ran.heard.borrow();
    let first = |what: &str| heard.iter().position(|told| told == what);
    assert!(first("guest ping") < first("reconnect"), "{ran:?}");
}

#[test]
fn the_run_directory_holds_all_that_qemu_was_told_and_said() {
    let ran = ran(|_| {});
    let qemu = fs::read_to_string(ran.dir.join("qemu.ndjson")).unwrap();
    for told in ["\"migrate-incoming\"", "\"migrate\"", "\"STOP\"", "\"RESUME\"", "\"active\""] {
        assert!(qemu.contains(told), "{told}: {qemu}");
    }
}
