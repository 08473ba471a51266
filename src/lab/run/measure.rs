//! One measurement of a VM that somebody else migrates: attach, wait, watch, look, judge, write.

use super::account::Account;
use super::attached::{AttachedConfig, AttachedFacts, AttachedVm, LibvirtTarget, program};
use super::driven::DrivenVm;
use super::driver::{Baseline, ObservePlan, Obstacle, VmDriver};
use super::host::this_machine;
use super::judge::{Facts, RunObstacle, judge};
use super::restarts::Restarts;
use super::status::{Status, Watch};
use super::vm::{CommandedVm, LastWords};
use super::{RunResult, conclude};
use crate::lab::collect::Finder;
use crate::lab::hostclock;
use crate::lab::libvirt::{Domain, Virsh};
use crate::lab::rundir::RunWriter;
use crate::lab::scenario::Scenario;
use crate::lab::wrong::given;
use crate::record::{CommandEnd, EndReason, Measured, Provenance, Run};
use crate::units::Nanos;
use anyhow::anyhow;
use std::{
    path::{Path, PathBuf},
    sync::PoisonError,
};

/// What is measured, and how.
#[derive(Debug, Clone)]
pub struct MeasureRequest {
    /// What the run is called.
    pub name: String,
    /// The sockets that the guest may speak on, or patterns of them: now, or when it was migrated.
    pub guests: Vec<String>,
    /// QMP sockets, the source's first.
    pub qmp: Vec<PathBuf>,
    /// The domain of libvirt that it is, whose channel is one of the sockets.
    pub libvirt: Option<String>,
    /// The libvirt that it runs under; none for the one that virsh takes by itself.
    pub connect: Option<String>,
    /// The libvirt that it is migrated to, where that can be asked.
    pub connect_to: Option<String>,
    /// What is demanded of figures, for whoever reads the run later.
    pub expect: Vec<String>,
    /// The command that migrates, word by word; empty for none.
    pub command: Vec<String>,
    /// Whether what the command says is shown.
    pub shows: bool,
    /// How long the guest may take to be heard.
    pub wait: Nanos,
    /// What is waited for then.
    pub steady_within: Nanos,
    /// How long its load is measured before anything is done to it.
    pub baseline: Nanos,
    /// The longest that the command, or without one the watching, may take.
    pub limit: Option<Nanos>,
    /// Whether the guest has to come out on another socket.
    pub until_moved: bool,
    /// How long its load may take to be steady again.
    pub settle: Nanos,
    /// Whether it looks at every page at the end.
    pub sweep: bool,
}

/// Measures a guest while somebody migrates it, into a new directory below `out`.
///
/// Whatever becomes of the guest and of the command is a result and judged. When it returns, nothing of the command is left.
///
/// # Errors
/// When what was named cannot be, or no directory can be made.
pub async fn measure_guest(
    request: &MeasureRequest,
    out: &Path,
    watch: &mut Watch<'_>,
) -> anyhow::Result<RunResult> {
    let libvirt = given(libvirt(request).await.map_err(|error| anyhow!(error)))?;
    let channel = libvirt.iter().map(|target| target.domain.socket.display().to_string());
    let guests: Vec<String> = channel.chain(request.guests.iter().cloned()).collect();
    let finder = given(Finder::new(&guests))?;
    if let Some(name) = request.command.first() {
        given(program(name).map_err(|error| anyhow!(error)))?;
    }
    let mut account = Account::new(RunWriter::create(out, &request.name)?);
    let clock = hostclock::pair();
    let config = AttachedConfig {
        qmp: request.qmp.clone(),
        libvirt,
        command: request.command.clone(),
        shows: request.shows,
    };
    let vm = AttachedVm::new(config, finder, &account.writer);
    let facts = vm.facts();
    watch.show(&Status::step("attaching"));
    let played = Box::pin(watched(request, vm, VmDriver::attached(clock.mono_ns), &mut account, watch)).await;
    let facts = facts.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(finish(request, account, clock, &played, facts))
}

/// The domain that is meant, where one is.
async fn libvirt(request: &MeasureRequest) -> Result<Option<LibvirtTarget>, String> {
    let Some(name) = &request.libvirt else { return Ok(None) };
    let here = Virsh { uri: request.connect.clone() };
    let there = request.connect_to.clone().map(|uri| Virsh { uri: Some(uri) });
    let domain = Domain::find(&here, name).await?;
    Ok(Some(LibvirtTarget { domain, here, there }))
}

/// What came of a measurement.
#[derive(Debug)]
pub(super) struct Watched {
    driver: VmDriver,
    error: Option<RunObstacle>,
    last: LastWords,
    /// Why no page was looked at, where none was.
    unswept: &'static str,
}

/// Takes `vm` through a measurement, and leaves it.
pub(super) async fn watched<V: CommandedVm>(
    request: &MeasureRequest,
    vm: V,
    driver: VmDriver,
    account: &mut Account,
    watch: &mut Watch<'_>,
) -> Watched {
    let mut vm = DrivenVm::new(vm, driver, account, watch, Restarts::new(0));
    let outcome = course(request, &mut vm).await;
    let unswept = match &outcome {
        _ if !request.sweep => "nobody asked the guest to look: --no-sweep",
        Ok(()) => "the watching was ended before the guest could be asked to look",
        Err(_) => "the measurement did not come to it",
    };
    let ports = vm.ports();
    let error = outcome.err().map(|obstacle| run_obstacle(obstacle, vm.driver(), ports));
    let (driver, last) = vm.shut_down().await;
    Watched { driver, error, last, unswept }
}

async fn course<V: CommandedVm>(
    request: &MeasureRequest,
    vm: &mut DrivenVm<'_, '_, V>,
) -> Result<(), Obstacle> {
    let has_command = !request.command.is_empty();
    vm.attach(request.wait).await?;
    if has_command {
        let baseline = Baseline { steady_within: request.steady_within, length: request.baseline };
        vm.take_baseline(baseline).await?;
    }
    let MeasureRequest { until_moved, limit, .. } = *request;
    vm.observe(ObservePlan { has_command, until_moved, limit }).await?;
    if vm.is_interrupted() {
        return Ok(());
    }
    if has_command || vm.driver().has_moved() {
        vm.settle(request.settle).await?;
    }
    if request.sweep && vm.driver().guest().end.is_none() {
        vm.sweep().await?;
    }
    Ok(())
}

/// An obstacle in sentences, with what is known of the guest's sockets.
fn run_obstacle(obstacle: Obstacle, driver: &VmDriver, ports: Vec<String>) -> RunObstacle {
    match obstacle {
        Obstacle::Interrupted => RunObstacle::Interrupted,
        Obstacle::NeverSteady(sentence) | Obstacle::Vm(sentence) => RunObstacle::Judged(vec![sentence]),
        Obstacle::Guest { sentence, .. } if driver.guest().first_ns.is_none() => {
            RunObstacle::Failed(format!("{sentence}: {}", ports.join("; ")))
        }
        Obstacle::Guest { sentence, .. } => {
            let way_out = "--guest names every socket that it may come out on, or a pattern of them";
            RunObstacle::Judged([vec![sentence], ports, vec![way_out.to_owned()]].concat())
        }
    }
}

pub(super) fn finish(
    request: &MeasureRequest,
    mut account: Account,
    clock: crate::record::ClockPair,
    watched: &Watched,
    facts: AttachedFacts,
) -> RunResult {
    let Watched { driver, error, last, .. } = watched;
    let failed = driver.command_end().filter(|end| !end.is_good());
    let failed = failed.map(|end| command_failed(end, &facts.last_lines));
    let found = driver.pages().and_then(|pages| pages.as_ref().ok()).map_or(0, |pages| pages.corrupt);
    let is_named = !driver.guest().corruptions.is_empty() || driver.guest().end.is_some();
    let unnamed =
        (found > 0 && !is_named).then(|| format!("the guest found {found} corrupt pages, and named none"));
    let failed: Vec<String> = failed.into_iter().chain(unnamed).collect();
    let error = match (error, failed) {
        (error, failed) if failed.is_empty() => error.clone(),
        (Some(RunObstacle::Judged(sentences)), failed) => {
            Some(RunObstacle::Judged([failed, sentences.clone()].concat()))
        }
        (None, failed) => Some(RunObstacle::Judged(failed)),
        (error, _) => error.clone(),
    };
    // A guest that ends when its own time is over has done what it was to.
    let end = driver.guest().end.as_ref();
    let end = end.filter(|end| !matches!(end.reason, EndReason::Duration | EndReason::Signal));
    let scenario = Scenario::default();
    let write_fault = account.write_fault();
    let verdict = judge(&Facts {
        scenario: &scenario,
        error: error.as_ref(),
        migration: driver.migration(),
        stream: last.stream,
        sessions: last.sessions,
        end,
        corruptions: &driver.guest().corruptions,
        write_fault,
    });
    let (source, destination) =
        driver.migration().map_or((None, None), |end| (end.source.clone(), end.destination.clone()));
    let run = Run {
        schema: Run::SCHEMA,
        name: request.name.clone(),
        scenario: serde_json::Value::Null,
        provenance: provenance(driver, last, &facts),
        clock,
        milestones: driver.milestones(),
        stream: last.stream,
        source,
        destination,
        cycles: Vec::new(),
        measured: Some(Box::new(measured(request, watched, facts))),
        verdict,
    };
    conclude(account, run)
}

/// The command's own failure, with its last words.
fn command_failed(end: CommandEnd, last_lines: &[String]) -> String {
    let said = match last_lines {
        [] => ", and it said nothing".to_owned(),
        lines => format!(", and it said: {}", lines.join("; ")),
    };
    format!("the command failed: {end}{said}")
}

fn provenance(driver: &VmDriver, last: &LastWords, facts: &AttachedFacts) -> Provenance {
    let mut notes: Vec<String> = driver.notes().iter().chain(&last.notes).cloned().collect();
    notes.extend(facts.troubles.values().cloned());
    let monitor = facts.monitors.first();
    Provenance {
        qemu_version: monitor.map(|monitor| monitor.version.clone()).unwrap_or_default(),
        accelerator: facts.accelerator(),
        notes,
        ..this_machine()
    }
}

fn measured(request: &MeasureRequest, watched: &Watched, facts: AttachedFacts) -> Measured {
    let driver = &watched.driver;
    let has_command = !request.command.is_empty();
    let (pages, pages_reason) = match driver.pages() {
        Some(Ok(pages)) => (Some(*pages), None),
        Some(Err(why)) => (None, Some(why.clone())),
        None => (None, Some(watched.unswept.to_owned())),
    };
    Measured {
        command: request.command.clone(),
        started_ns: driver.started_ns().filter(|_| has_command),
        end: driver.command_end(),
        guests: request
            .libvirt
            .iter()
            .map(|name| format!("libvirt domain {name}"))
            .chain(request.guests.clone())
            .collect(),
        expect: request.expect.clone(),
        accelerator: facts.accelerator(),
        sockets: facts.sockets,
        monitors: facts.monitors.into_iter().map(|monitor| monitor.name).collect(),
        pages,
        pages_reason,
    }
}
