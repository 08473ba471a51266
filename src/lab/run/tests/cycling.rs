//! Runs of saves and restores, on a scripted VM.

use super::*;
use crate::lab::run::fake::{Cue, completed, end};
use crate::lab::scenario::CycleSpec;
use crate::lab::vm::Exit;
use crate::record::{Body, Corruption, CorruptionKind, Dirtied, Paid, SweepEnd};
use crate::units::Nanos;
use serde_json::json;

const PAGES: u64 = 256;

/// A run of so many cycles, with so many guests of each file, in which all is well.
fn cycling(cycles: u32, forks: u32) -> RunFixture {
    let mut fixture = fixture(|scenario| {
        scenario.migration.settle = Nanos::from_secs(4);
        let dirty = Some("1M".parse().unwrap());
        scenario.cycle = Some(CycleSpec { cycles, forks, dirty, mapped_ram: false });
    });
    let done = |side| Cue::Event(side, "MIGRATION", json!({"status": "completed"}));
    let vm = fixture.vm.without("source migrate");
    vm.when("guest dirty", 50, Cue::Says(Body::Dirtied(Dirtied { dirties: 1, pages: PAGES })));
    vm.when("guest sweep", 100, Cue::Says(swept(0)));
    for (stop, save, restore, resume, side) in [
        ("source stop", "source migrate", "source migrate-incoming", "source cont", Side::Source),
        (
            "destination stop",
            "destination migrate",
            "destination migrate-incoming",
            "destination cont",
            Side::Destination,
        ),
    ] {
        vm.when(stop, 1, Cue::Stops).when(save, 300, done(side)).when(
            save,
            300,
            Cue::Answers(side, completed()),
        );
        vm.when(restore, 200, done(side)).when(resume, 2, Cue::Runs(side));
    }
    fixture
}

fn swept(corrupt: u64) -> Body {
    // As many pages as the guest of the script has.
    Body::Sweep(SweepEnd { sweeps: 1, pages: u64::MAX, corrupt_pages: Some(corrupt) })
}

#[test]
fn a_guest_is_saved_and_restored_from_side_to_side_and_every_figure_is_told() {
    let fixture = cycling(2, 1);
    let arguments = Rc::clone(&fixture.vm.arguments);
    let ran = fixture.run();
    ran.passed();
    let told = ran.told_from("guest dirty", "guest stop");
    let one = |home: &str, other: &str| {
        let prepared = ["migrate-set-capabilities", "migrate-set-parameters"];
        let mut told = vec!["guest dirty".to_owned(), format!("{home} stop")];
        told.extend(prepared.map(|command| format!("{home} {command}")));
        told.extend([format!("{home} migrate"), format!("{other} renew")]);
        told.extend(prepared.map(|command| format!("{other} {command}")));
        told.extend(["migrate-incoming", "cont"].map(|command| format!("{other} {command}")));
        told.extend(["guest phase", "guest resume", "guest sweep"].map(str::to_owned));
        told
    };
    let asked =
        ["query-qmp-schema", "query-migrate-capabilities"].map(|command| format!("destination {command}"));
    let all = [one("source", "destination"), asked.to_vec(), one("destination", "source")].concat();
    assert_eq!(told, all);
    assert_eq!(ran.run.cycles.len(), 2);
    for (cycle, number) in ran.run.cycles.iter().zip(1..) {
        let times = (cycle.save_ns, cycle.restore_ns, cycle.recover_ns.map(|ns| ns < 200_000_000));
        assert_eq!(times, (Some(300_000_000), Some(200_000_000), Some(true)), "{cycle:?}");
        assert_eq!((cycle.number, cycle.dirtied_pages, cycle.paid), (number, Some(PAGES), Some(Paid::Eager)));
        assert_eq!((cycle.file_bytes, cycle.stored_bytes), (Some(1 << 20), Some(1 << 19)));
        assert!(cycle.first_touch.is_some_and(|first| first.count > 1000), "{cycle:?}");
        assert!(cycle.pages.is_some_and(|pages| pages.is_right()) && cycle.fork.is_none(), "{cycle:?}");
    }
    let uris = arguments
        .borrow()
        .iter()
        .filter_map(|(_, given)| given["uri"].as_str().map(str::to_owned))
        .collect::<Vec<_>>();
    assert_eq!(uris, ["exec:cat > '/fake/state'", "exec:cat '/fake/state'"].repeat(2));
    assert!(ran.steps.contains(&"recovering") && !ran.steps.contains(&"migrating"), "{:?}", ran.steps);
}

#[test]
fn a_qemu_that_opens_files_itself_is_given_the_file_and_mapped_ram_needs_one() {
    let mut fixture = cycling(1, 1);
    fixture.vm.schema = json!([{ "values": ["socket", "exec", "rdma", "file"] }]);
    let arguments = Rc::clone(&fixture.vm.arguments);
    fixture.run().passed();
    assert_eq!(arguments.borrow().iter().filter(|(_, given)| given["uri"] == "file:/fake/state").count(), 2);
    let mut fixture = cycling(1, 1);
    fixture.scenario.cycle.as_mut().unwrap().mapped_ram = true;
    let ran = fixture.run();
    assert!(ran.reason().contains("has no mapped-ram") && ran.told("source stop") == 0, "{ran:?}");
}

#[test]
fn two_guests_of_one_file_are_told_apart_and_both_are_looked_at() {
    let mut fixture = cycling(1, 2);
    fixture.vm.when("source cont", 3, Cue::Restarts).when("source cont", 3, Cue::Forks);
    let ran = fixture.run();
    ran.passed();
    let fork = ran.run.cycles[0].fork.clone().unwrap();
    let is_right = fork.pages.is_some_and(|pages| pages.is_right());
    assert!(fork.is_apart && is_right && fork.restore_ns == 200_000_000, "{fork:?}");
    assert_eq!((ran.told("guest sweep"), ran.told("source stop"), ran.told("guest stop")), (2, 2, 1));
    let mut fixture = cycling(1, 2);
    fixture.vm.when("source cont", 3, Cue::Forks);
    assert!(fixture.run().reason().contains("cycle 1: the two guests of its file were not told apart"));
}

#[test]
fn a_page_that_is_wrong_after_a_restore_fails_the_run() {
    let mut fixture = cycling(1, 1);
    fixture.vm.without("guest sweep").when("guest sweep", 100, Cue::Says(swept(3)));
    let ran = fixture.run();
    assert!(ran.reason().starts_with("cycle 1: 3 corrupt pages after the restore"), "{ran:?}");
}

/// Of two cycles the first one fails, and says so.
fn fails(said: &str, change: impl FnOnce(&mut FakeVm)) {
    let mut fixture = cycling(2, 1);
    change(&mut fixture.vm);
    let ran = fixture.run();
    assert!(ran.reason().starts_with(said), "{said}: {ran:?}");
    assert_eq!((ran.run.cycles.len(), ran.told("guest stop")), (1, 0), "{said}");
    let cycle = &ran.run.cycles[0];
    for (is_told, reason) in [
        (cycle.first_touch.is_some(), &cycle.first_touch_reason),
        (cycle.paid.is_some(), &cycle.paid_reason),
        (cycle.recover_ns.is_some(), &cycle.recover_reason),
    ] {
        assert_ne!(is_told, reason.is_some(), "{cycle:?}");
    }
}

#[test]
fn what_goes_wrong_in_a_cycle_is_told_with_its_step_and_ends_the_run() {
    fails("cycle 1, saving: No space left", |vm| {
        let failed = json!({"status": "failed", "error-desc": "No space left"});
        vm.without("source migrate").when("source migrate", 100, Cue::Answers(Side::Source, failed));
    });
    fails("cycle 1, saving: QEMU refused migrate: no such thing", |vm| {
        vm.refuse("source migrate", "no such thing");
    });
    fails("cycle 1, saving: it was not over within migration.timeout = 2m", |vm| {
        vm.without("source migrate");
    });
    fails("cycle 1, restoring: the sockets are gone", |vm| {
        vm.refuse("destination renew", "the sockets are gone");
    });
    fails("cycle 1, recovering: the QEMU of the destination ended", |vm| {
        let gone = Exit { signal: Some(9), ..Exit::default() };
        vm.when("destination cont", 500, Cue::Exits(Side::Destination, gone));
    });
    fails(
        "cycle 1, looking at every page: the guest looked at its pages and did not say what it found",
        |vm| {
            let silent = SweepEnd { sweeps: 1, pages: u64::MAX, corrupt_pages: None };
            vm.without("guest sweep").when("guest sweep", 100, Cue::Says(Body::Sweep(silent)));
        },
    );
}

#[test]
fn a_guest_that_ends_in_a_cycle_is_not_waited_for() {
    let mut fixture = cycling(2, 1);
    fixture.vm.when("destination cont", 500, Cue::Says(end()));
    let ran = fixture.run();
    assert_eq!(
        (ran.run.verdict.outcome, ran.reasons()[0].as_str()),
        (Outcome::Judged, "the guest ended while recovering")
    );
}

/// A run of one cycle whose file makes two guests, told apart.
fn forking() -> RunFixture {
    let mut fixture = cycling(1, 2);
    fixture.vm.when("source cont", 3, Cue::Restarts).when("source cont", 3, Cue::Forks);
    fixture
}

#[test]
fn a_second_guest_that_is_not_looked_at_to_the_end_is_told_apart_all_the_same() {
    let gone = Exit { signal: Some(9), ..Exit::default() };
    let exits = |side| Cue::Exits(side, gone.clone());
    for (cue, said) in [
        (exits(Side::Source), "cycle 1, looking at every page: the QEMU of the source ended"),
        (exits(Side::Destination), "cycle 1, looking at every page: the QEMU of the destination ended"),
        (Cue::ForkSays(end()), "cycle 1, looking at every page: the second guest of its file ended"),
    ] {
        let mut fixture = forking();
        fixture.vm.when("source cont", 50, cue);
        let ran = fixture.run();
        assert!(ran.reason().starts_with(said), "{said}: {ran:?}");
        let fork = ran.run.forks().next().expect("its session is kept");
        assert_eq!((fork.is_apart, fork.pages), (true, None), "{fork:?}");
    }
}

#[test]
fn what_a_second_guest_says_late_is_not_the_runs() {
    let corruption =
        Corruption { page: 7, kind: CorruptionKind::Stale, expected: String::new(), found: String::new() };
    let mut fixture = forking();
    fixture.vm.when("guest stop", 10, Cue::ForkSays(Body::Corruption(corruption)));
    fixture.vm.when("guest stop", 20, Cue::ForkSays(end()));
    let ran = fixture.run();
    ran.passed();
    assert_eq!(
        ran.ms(MilestoneName::End).zip(ran.ms(MilestoneName::StopGuest)).map(|(end, told)| end - told),
        Some(50)
    );
}

#[test]
fn corrupt_pages_that_are_expected_are_no_fault_of_a_cycle() {
    let mut fixture = cycling(1, 1);
    fixture.scenario.expect.corruption = Some(true);
    let corruption =
        Corruption { page: 7, kind: CorruptionKind::Stale, expected: String::new(), found: String::new() };
    fixture.vm.without("guest sweep").when("guest sweep", 50, Cue::Says(Body::Corruption(corruption)));
    fixture.vm.when("guest sweep", 100, Cue::Says(swept(1)));
    let ran = fixture.run();
    assert_eq!(ran.run.verdict.outcome, Outcome::Passed, "{ran:?}");
    assert!(ran.reasons()[0].starts_with("as expected, the guest found corrupt pages"), "{ran:?}");
}

#[test]
fn a_busy_guest_is_stopped_in_the_midst_and_its_first_touches_are_not_told() {
    let mut fixture = cycling(1, 1);
    fixture.scenario.cycle.as_mut().unwrap().dirty = None;
    let ran = fixture.run();
    ran.passed();
    let cycle = &ran.run.cycles[0];
    assert_eq!((cycle.first_touch, cycle.paid, cycle.dirtied_pages), (None, None, None));
    assert!(cycle.first_touch_reason.as_ref().is_some_and(|why| why.contains("cycle.dirty")), "{cycle:?}");
    assert!(cycle.recover_ns.is_some() && ran.told("guest resume") == 0, "{cycle:?}");
}
