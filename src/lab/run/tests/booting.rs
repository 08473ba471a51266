//! Guests that do not come to speak.

use super::*;
use crate::lab::run::fake::Cue;
use crate::lab::vm::Exit;

const PANIC: &str = "[ 1.5] Kernel panic - not syncing: VFS: Unable to mount root fs\r\n";

fn exit(code: i32) -> Exit {
    Exit { code: Some(code), stderr_tail: "its words".into(), ..Exit::default() }
}

#[test]
fn a_guest_that_is_silent_is_waited_for_a_minute_and_its_console_is_told() {
    let mut fixture = fixture(|_| {});
    fixture.vm.without("boot");
    fixture.console = "sully: there is no port\n";
    let ran = fixture.run();
    assert_eq!(ran.run.verdict.outcome, Outcome::Judged);
    let said = [
        "the guest sent no record within vm.hello_within = 1m: sully: there is no port",
        "console: sully: there is no port",
    ];
    assert_eq!(ran.reasons(), said);
    assert!(!ran.has(MilestoneName::Hello) && ran.told("guest stop") == 0, "{ran:?}");
    assert_eq!(ran.told("guest ping"), 0, "before it speaks it is asked nothing");
}

#[test]
fn a_guest_that_panics_while_it_boots_ends_the_run_with_its_own_words() {
    let mut fixture = fixture(|_| {});
    fixture.vm.without("boot").when("boot", 1500, Cue::PowersOff);
    fixture.console = PANIC;
    let ran = fixture.run();
    let said = "the guest was lost while booting: Kernel panic - not syncing: VFS: Unable to mount root fs; \
                its QEMU ended: exit code 0, and it said nothing";
    assert_eq!(ran.reasons()[0], said);
    assert_eq!(ran.steps, ["booting", "shutting down"]);
}

#[test]
fn a_guest_that_has_nothing_to_say_before_its_port_closes_is_waited_for_until_its_qemu_ends() {
    let ran = ran(|vm| {
        vm.without("boot").when("boot", 100, Cue::Closes(Side::Source));
    });
    assert!(ran.reasons()[0].starts_with("the guest sent no record within vm.hello_within = 1m"), "{ran:?}");
    assert_eq!(ran.reasons()[1..], ["the console is empty"]);
}

#[test]
fn before_the_migration_a_destination_that_ends_is_one_qemu_too_few() {
    for (ms, step) in [(500, "booting"), (3000, "measuring the baseline")] {
        let ran = ran(|vm| {
            vm.when("boot", ms, Cue::Exits(Side::Destination, exit(1)));
        });
        let said = format!("the destination QEMU ended while {step}: exit code 1, and it said: its words");
        assert_eq!(ran.reason(), said);
        assert!(!ran.has(MilestoneName::Migrate), "{ran:?}");
    }
}

#[test]
fn a_source_that_ends_in_the_baseline_is_a_lost_guest() {
    let ran = ran(|vm| {
        vm.when("boot", 3000, Cue::Exits(Side::Source, exit(139)));
    });
    let said = "the guest was lost while measuring the baseline; its QEMU ended: exit code 139";
    assert!(ran.reasons()[0].starts_with(said), "{ran:?}");
}
