//! A VM of somebody else's, whole: heard, waited for, watched while a command migrates it, and looked at.

use super::super::attached::AttachedFacts;
use super::super::measure::{MeasureRequest, Watched, finish, watched};
use super::*;
use crate::record::{Body, Measured, SweepEnd};
use crate::units::Nanos;

fn request(change: impl FnOnce(&mut MeasureRequest)) -> MeasureRequest {
    let mut request = MeasureRequest {
        name: "fake".into(),
        guests: vec!["/fake/port".into()],
        qmp: Vec::new(),
        libvirt: None,
        connect: None,
        connect_to: None,
        expect: Vec::new(),
        command: vec!["migrate".into()],
        shows: false,
        wait: Nanos::from_secs(10),
        steady_within: Nanos::from_secs(60),
        baseline: Nanos::from_secs(5),
        limit: None,
        until_moved: false,
        settle: Nanos::from_secs(30),
        sweep: true,
    };
    change(&mut request);
    request
}

/// A VM that speaks, and whose guest goes to the other side while a command runs that ends well.
fn vm() -> FakeVm {
    let mut vm = FakeVm::new(&Scenario::default());
    vm.without("source migrate").when("command", 2000, Cue::Stops).when(
        "command",
        2040,
        Cue::Runs(Side::Destination),
    );
    vm.when("command", 3000, Cue::CommandEnds(0));
    let swept = SweepEnd { sweeps: 1, pages: 16384, corrupt_pages: Some(0) };
    vm.when("guest sweep", 300, Cue::Says(Body::Sweep(swept)));
    vm
}

/// What `run.json` says of a measurement, and what the VM was told.
struct Measurement {
    run: Run,
    heard: Vec<String>,
}

fn measured(request: &MeasureRequest, vm: FakeVm, interrupted_while: Option<&'static str>) -> Measurement {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let out = tempfile::tempdir().unwrap();
    let mut account = Account::new(RunWriter::create(out.path(), "fake").unwrap());
    let heard = vm.heard();
    let (interrupt, interrupted) = watch::channel(false);
    let mut on_status = |status: &Status| {
        if interrupted_while == Some(status.step) {
            interrupt.send_replace(true);
        }
    };
    let mut watch = Watch { on_status: &mut on_status, interrupt: interrupted };
    let playing = Box::pin(watched(request, vm, VmDriver::attached(BOOT_NS), &mut account, &mut watch));
    let came: Watched =
        runtime.block_on(async { timeout(HANGS_AFTER, playing).await.expect("it comes to its end") });
    let clock = ClockPair { mono_ns: BOOT_NS, real_ns: 0 };
    let run = finish(request, account, clock, &came, AttachedFacts::default()).run;
    let heard = heard.borrow().iter().filter(|told| *told != "guest ping").cloned().collect();
    Measurement { run, heard }
}

impl Measurement {
    fn reasons(&self) -> String {
        self.run.verdict.reasons.join("\n")
    }

    fn told(&self) -> &Measured {
        self.run.measured.as_deref().unwrap()
    }

    fn ms(&self, name: MilestoneName) -> Option<u64> {
        Some((self.run.when(name)? - BOOT_NS) / 1_000_000)
    }
}

#[test]
fn a_command_that_migrates_is_waited_for_and_the_guest_looked_at_and_left_alone() {
    use MilestoneName::{Completed, Hello, Migrate, Resume, Settled, Steady, Stop};
    let came = measured(&request(|_| {}), vm(), None);
    assert_eq!(
        (came.run.verdict.outcome, came.reasons()),
        (Outcome::Passed, String::new()),
        "{:?}",
        came.heard
    );
    assert_eq!(came.heard, ["command", "guest sweep", "shut down"], "nobody ends the guest");
    let names: Vec<MilestoneName> = came.run.milestones.iter().map(|milestone| milestone.name).collect();
    assert_eq!(
        names,
        [Hello, Steady, Migrate, Stop, Resume, Settled, Completed],
        "it was steady before the command ended"
    );
    // Its own baseline is over after 5 s, three intervals later it is steady, and is measured for 5 s.
    assert_eq!((came.ms(Steady), came.ms(Migrate)), (Some(5200), Some(10_200)));
    assert_eq!(came.ms(Completed), Some(13_200));
    assert_eq!(came.told().pages.map(|pages| pages.corrupt), Some(0), "{:?}", came.told());
    assert_eq!(came.told().end.map(|end| end.code), Some(Some(0)));
}

#[test]
fn a_command_that_fails_is_told_with_the_guests_view() {
    let mut vm = vm();
    vm.without("command").when("command", 100, Cue::CommandEnds(4));
    let came = measured(&request(|_| {}), vm, None);
    assert_eq!(came.run.verdict.outcome, Outcome::Judged);
    assert_eq!(came.reasons(), "the command failed: exit code 4, and it said nothing");
    assert!(came.told().pages.is_some() && came.ms(MilestoneName::Settled).is_some(), "{:?}", came.run);
}

#[test]
fn a_command_that_never_ends_is_ended_by_the_limit_or_by_an_interruption() {
    let mut stuck = vm();
    stuck.without("command");
    let came = measured(&request(|request| request.limit = Some(Nanos::from_secs(3))), stuck, None);
    assert_eq!(came.run.verdict.outcome, Outcome::Judged);
    assert!(came.reasons().starts_with("the command had not ended after --limit 3s"), "{}", came.reasons());
    let mut stuck = vm();
    stuck.without("command");
    let came = measured(&request(|_| {}), stuck, Some("running the command"));
    assert_eq!(came.run.verdict.outcome, Outcome::Interrupted);
    assert_eq!(came.heard.last().map(String::as_str), Some("shut down"), "which ends the command");
    assert_eq!(came.told().end, None);
}

#[test]
fn a_guest_that_is_not_there_is_no_measurement_and_its_sockets_are_told_of() {
    let mut vm = vm();
    vm.without("boot");
    let came = measured(&request(|_| {}), vm, None);
    assert_eq!(came.run.verdict.outcome, Outcome::Failed);
    assert_eq!(came.reasons(), "no guest was heard within --wait 10s: /fake/port: there is no such socket");
    assert_eq!(came.heard, ["shut down"], "no command is run");
}

#[test]
fn a_migration_that_loses_the_guest_is_told_within_seconds_however_little_is_waited_for() {
    for settle in [0, 2, 30].map(Nanos::from_secs) {
        for sweep in [true, false] {
            let mut vm = vm();
            vm.without("command").when("command", 2000, Cue::Stops).when(
                "command",
                3000,
                Cue::CommandEnds(0),
            );
            let came =
                measured(&request(|request| (request.settle, request.sweep) = (settle, sweep)), vm, None);
            assert_eq!(came.run.verdict.outcome, Outcome::Judged, "{settle} {sweep}");
            let reasons = came.reasons();
            let lost = "the guest has been silent for 10s while settling\n/fake/port: ";
            assert!(reasons.starts_with(lost), "{settle} {sweep}: {reasons}");
            assert!(reasons.contains("--guest names every socket"), "{reasons}");
        }
    }
}

#[test]
fn without_a_command_it_is_watched_until_somebody_ends_it() {
    let came = measured(&request(|request| request.command.clear()), vm(), Some("watching"));
    assert_eq!((came.run.verdict.outcome, came.reasons()), (Outcome::Passed, String::new()));
    assert_eq!(came.heard, ["shut down"]);
    assert!(came.told().pages_reason.as_deref().unwrap().contains("ended before"), "{:?}", came.told());
    let limit = |request: &mut MeasureRequest| {
        request.command.clear();
        request.limit = Some(Nanos::from_secs(20));
    };
    let came = measured(&request(limit), vm(), None);
    assert_eq!(came.run.verdict.outcome, Outcome::Passed);
    assert_eq!(came.heard, ["guest sweep", "shut down"]);
}

#[test]
fn corrupt_pages_are_judged_and_a_load_that_is_never_steady_is_not_migrated() {
    let mut corrupt = vm();
    let swept = SweepEnd { sweeps: 1, pages: 16384, corrupt_pages: Some(2) };
    corrupt.without("guest sweep").when("guest sweep", 300, Cue::Says(Body::Sweep(swept)));
    let came = measured(&request(|_| {}), corrupt, None);
    assert_eq!(came.run.verdict.outcome, Outcome::Judged);
    assert!(came.reasons().contains("2 corrupt pages"), "{}", came.reasons());
    let mut slow = vm();
    slow.when("boot", 1100, Cue::Loads(50));
    let came = measured(&request(|_| {}), slow, None);
    assert!(
        came.reasons().starts_with("the load was not steady within --steady-within 1m"),
        "{}",
        came.reasons()
    );
    assert_eq!(came.heard, ["shut down"]);
}
