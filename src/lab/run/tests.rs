//! Whole runs on a scripted VM, from its start to the verdict, each in a few milliseconds.

mod booting;
mod cycling;
mod ending;
mod link;
mod measuring;
mod migrating;
mod postcopy;
mod records;
mod steady;

use super::fake::{BOOT_NS, Cue, FakeVm};
use super::*;
use crate::record::{Milestone, MilestoneName, Side};
use std::cell::RefCell;
use std::rc::Rc;

/// A run takes milliseconds: one that takes longer goes round in a circle.
const HANGS_AFTER: Duration = Duration::from_secs(20);

/// A run that is about to begin.
struct RunFixture {
    scenario: Scenario,
    vm: FakeVm,
    /// What is on the guest's console by the time somebody reads it.
    console: &'static str,
    /// The step in which somebody interrupts.
    interrupted_while: Option<&'static str>,
    /// A file could not be written, early on.
    disk_is_full: bool,
}

/// A run that is over.
struct Ran {
    run: Run,
    heard: Rc<RefCell<Vec<String>>>,
    steps: Vec<&'static str>,
    dir: PathBuf,
    _out: tempfile::TempDir,
}

/// A run that goes well, but for `change`.
fn fixture(change: impl FnOnce(&mut Scenario)) -> RunFixture {
    let mut scenario = Scenario::default();
    change(&mut scenario);
    let vm = FakeVm::new(&scenario);
    RunFixture { scenario, vm, console: "", interrupted_while: None, disk_is_full: false }
}

/// A run of the default scenario on a VM that `change` had a hand in.
fn ran(change: impl FnOnce(&mut FakeVm)) -> Ran {
    let mut fixture = fixture(|_| {});
    change(&mut fixture.vm);
    fixture.run()
}

impl RunFixture {
    fn run(self) -> Ran {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let out = tempfile::tempdir().unwrap();
        let writer = RunWriter::create(out.path(), "fake").unwrap();
        fs::write(writer.console(Side::Source), self.console).unwrap();
        fs::write(writer.console(Side::Destination), self.console).unwrap();
        let mut account = Account::new(writer);
        if self.disk_is_full {
            account.keep_fault(RunWriter::create(Path::new("/proc/full"), "x").map(drop));
        }
        let heard = self.vm.heard();
        let (interrupt, interrupted) = watch::channel(false);
        let mut steps = Vec::new();
        let mut on_status = |status: &Status| {
            if steps.last() != Some(&status.step) {
                steps.push(status.step);
            }
            if self.interrupted_while == Some(status.step) {
                interrupt.send_replace(true);
            }
        };
        let mut watch = Watch { on_status: &mut on_status, interrupt: interrupted };
        let driver = VmDriver::new(BOOT_NS);
        let playing = Box::pin(play(&self.scenario, self.vm, driver, &mut account, &mut watch));
        let played =
            runtime.block_on(async { timeout(HANGS_AFTER, playing).await.expect("it comes to its end") });
        let notes = played.driver.notes().iter().chain(&played.last.notes).cloned().collect();
        let provenance = Provenance { notes, ..Provenance::default() };
        let clock = ClockPair { mono_ns: BOOT_NS, real_ns: 0 };
        let RunResult { dir, run } = finish(&self.scenario, account, clock, provenance, &played).unwrap();
        Ran { run, heard, steps, dir, _out: out }
    }
}

impl Ran {
    /// That it was judged for one reason and no other; which.
    fn reason(&self) -> &str {
        assert_eq!((self.run.verdict.outcome, self.reasons().len()), (Outcome::Judged, 1), "{self:?}");
        &self.reasons()[0]
    }

    fn reasons(&self) -> &[String] {
        &self.run.verdict.reasons
    }

    fn passed(&self) {
        assert_eq!((self.run.verdict.outcome, self.reasons()), (Outcome::Passed, &[][..]), "{self:?}");
    }

    /// When it happened, in ms since the boot.
    fn ms(&self, name: MilestoneName) -> Option<u64> {
        Some((self.run.when(name)? - BOOT_NS) / 1_000_000)
    }

    fn has(&self, name: MilestoneName) -> bool {
        self.run.when(name).is_some()
    }

    /// How often the VM was told `what`.
    fn told(&self, what: &str) -> usize {
        self.heard.borrow().iter().filter(|told| *told == what).count()
    }

    /// What the VM was told between `first` and `last`, without the pings.
    fn told_from(&self, first: &str, last: &str) -> Vec<String> {
        let heard = self.heard.borrow();
        let told = heard.iter().skip_while(|told| *told != first).take_while(|told| *told != last);
        told.filter(|told| *told != "guest ping").cloned().collect()
    }

    fn is_noted(&self, what: &str) -> bool {
        self.run.provenance.notes.iter().any(|note| note.contains(what))
    }
}

impl std::fmt::Debug for Ran {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { run, heard, steps, .. } = self;
        let (verdict, notes, milestones) = (&run.verdict, &run.provenance.notes, &run.milestones);
        write!(out, "{verdict:#?} {notes:#?} {milestones:#?} {steps:?} {:#?}", heard.borrow())
    }
}

#[test]
fn a_run_in_which_all_is_well_passes_and_goes_through_every_step_once() {
    use MilestoneName::{Boot, Completed, End, Hello, Migrate, Resume, Settled, Steady, Stop, StopGuest};
    let ran = ran(|_| {});
    ran.passed();
    let names: Vec<MilestoneName> = ran.run.milestones.iter().map(|milestone| milestone.name).collect();
    let all = [Boot, Hello, Steady, Migrate, Stop, Resume, Completed, Settled, StopGuest, End];
    assert_eq!(names, all, "{ran:?}");
    assert!(ran.run.milestones.is_sorted_by_key(|Milestone { host_ns, .. }| *host_ns));
    let steps = ["booting", "measuring the baseline", "migrating", "settling", "ending", "shutting down"];
    assert_eq!(ran.steps, steps);
    assert_eq!(ran.run.source.as_ref().and_then(|last| last.downtime_ms), Some(41));
    assert!(ran.run.provenance.notes.is_empty(), "{ran:?}");
}

#[test]
fn a_baseline_is_awaited_and_three_steady_intervals_after_it() {
    let ran = ran(|_| {});
    // The load begins after 1 s, its baseline takes 4 s, and of the intervals after it the third is the third in a row.
    assert_eq!(ran.ms(MilestoneName::Hello), Some(1000));
    assert_eq!(ran.ms(MilestoneName::Steady), Some(5200));
    assert_eq!(ran.ms(MilestoneName::Migrate), ran.ms(MilestoneName::Steady), "it begins at once");
}

#[test]
fn a_settled_guest_is_kept_for_six_seconds_and_then_told_to_end_where_it_is() {
    let ran = ran(|_| {});
    let kept = ran.ms(MilestoneName::StopGuest).unwrap() - ran.ms(MilestoneName::Completed).unwrap();
    assert!((6000..6200).contains(&kept), "{kept} ms: {ran:?}");
    assert_eq!(ran.told_from("guest stop", "nothing"), ["guest stop", "shut down"]);
}

#[test]
fn whatever_is_being_done_an_interruption_ends_it_at_once() {
    let steps = ["booting", "measuring the baseline", "migrating", "settling", "ending"];
    for (count, step) in steps.into_iter().enumerate() {
        let mut fixture = fixture(|_| {});
        fixture.interrupted_while = Some(step);
        let ran = fixture.run();
        assert_eq!(ran.run.verdict.outcome, Outcome::Interrupted, "{step}: {ran:?}");
        assert_eq!(ran.steps[..=count], steps[..=count], "{step}");
        assert_eq!(ran.steps[count + 1..], ["shutting down"], "{step}");
        assert_eq!(ran.told("shut down"), 1, "{step}: both QEMUs are ended");
        let was_told = usize::from(step == "ending");
        assert_eq!(ran.told("guest stop"), was_told, "{step}: nobody waits for the guest");
    }
}

#[test]
fn a_disk_that_is_full_costs_the_verdict_and_not_the_run() {
    let mut fixture = fixture(|_| {});
    fixture.disk_is_full = true;
    let ran = fixture.run();
    assert_eq!(ran.run.verdict.outcome, Outcome::Failed);
    assert!(ran.reasons()[0].starts_with("the run directory is not whole: "), "{ran:?}");
    assert!(ran.reasons()[0].contains("/proc/full"), "the first fault is the one that is told: {ran:?}");
    assert!(ran.has(MilestoneName::Completed) && ran.has(MilestoneName::End), "{ran:?}");
}

#[test]
fn a_record_that_cannot_be_written_costs_the_verdict_and_not_the_run() {
    let ran = ran(|vm| {
        vm.when("source migrate", 100, Cue::FillsTheDisk);
    });
    assert_eq!(ran.run.verdict.outcome, Outcome::Failed);
    assert!(ran.reasons()[0].contains("records.ndjson: no storage space"), "{ran:?}");
    assert!(ran.has(MilestoneName::Completed) && ran.has(MilestoneName::End), "{ran:?}");
}

#[test]
fn a_qemu_that_would_not_end_is_noted() {
    let ran = ran(|vm| {
        vm.is_stubborn();
    });
    assert!(ran.is_noted("QEMU still runs"), "{ran:?}");
}
