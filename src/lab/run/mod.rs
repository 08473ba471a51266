//! One run of a scenario: boot, load, migrate, collect, judge, write.

mod account;
mod attached;
mod away;
mod console;
mod cycles;
mod destination;
mod driven;
mod driver;
#[cfg(test)]
mod fake;
mod guest;
mod host;
mod huge_pages;
mod judge;
mod link;
mod link_rate;
mod measure;
mod pair;
mod preflight;
mod proof;
mod restarts;
mod stages;
mod status;
mod steady;
mod vm;

pub use attached::LOG_FILE;
pub use destination::DestinationRequest;
pub use host::{Host, HostRequest};
pub use measure::{MeasureRequest, measure_guest};
pub use preflight::{preflight, writable};
pub use proof::{inapplicable, proved_nothing};
pub use status::{Status, Watch};

use crate::lab::hostclock;
use crate::lab::image::{INITRAMFS_FILE, initramfs_with};
use crate::lab::rundir::RunWriter;
use crate::lab::scenario::{GUEST_PATH, Resolved, Scenario};
use crate::lab::vm::Sockets;
use crate::record::{ClockPair, Outcome, Provenance, Run, Verdict};
use account::Account;
use anyhow::Context as _;
use driver::VmDriver;
use huge_pages::guest_memory;
use judge::{Facts, RunObstacle, judge};
use link::Link;
use pair::{Pair, PairConfig};
use stages::{Played, play};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::{sync::watch, time::timeout};
use vm::{LastWords, Vm as _};

/// How long QEMUs that were being started when somebody interrupted may take to be up, before they are killed.
const START_AFTER_INTERRUPT: Duration = Duration::from_secs(5);

/// A run that was carried out, whatever came of it.
#[derive(Debug)]
pub struct RunResult {
    /// Its directory, complete unless the verdict says otherwise.
    pub dir: PathBuf,
    /// What `run.json` says.
    pub run: Run,
}

/// Carries out one run of a scenario into a new directory below `out`.
///
/// Whatever becomes of the guest, of QEMU, of the migration or of the disk is a result and judged. When it returns, no
/// QEMU of the run is left.
///
/// # Errors
/// When no directory can be made.
pub async fn run_scenario(
    Resolved { scenario, notes }: &Resolved,
    host: &Host,
    out: &Path,
    watch: &mut Watch<'_>,
) -> anyhow::Result<RunResult> {
    let sockets = Sockets::create()?;
    let writer = RunWriter::create(out, &scenario.name)?;
    let clock = hostclock::pair();
    let mut account = Account::new(writer);
    let (memory_bytes, note) = guest_memory(scenario, host)?;
    let initramfs = initramfs(scenario, host, &sockets)?;
    let link = Link::make(&scenario.link, &sockets)?;
    let note = note.into_iter().chain(link.note(&scenario.link)).collect::<Vec<_>>();
    let config = PairConfig { scenario, host, memory_bytes, initramfs, sockets, link };
    let qemu_arguments = config.source(&account.writer).arguments();
    let driver = VmDriver::new(clock.mono_ns);
    watch.show(&Status::step("starting both QEMUs"));
    let played = match start(config, &account.writer, watch.interrupt.clone()).await {
        Ok(pair) => Box::pin(play(scenario, pair, driver, &mut account, watch)).await,
        Err(error) => Played { driver, error: Some(error), last: LastWords::default() },
    };
    let notes =
        notes.iter().chain(&note).chain(played.driver.notes()).chain(&played.last.notes).cloned().collect();
    let mut provenance = host.provenance(memory_bytes, qemu_arguments, notes);
    if let Some(other_machine) = &played.last.other_machine {
        provenance.other_machine = Some(Box::new(other_machine.clone()));
    }
    finish(scenario, account, clock, provenance, &played)
}

/// The image's initramfs with the load's plan in it, beside the sockets.
fn initramfs(scenario: &Scenario, host: &Host, sockets: &Sockets) -> anyhow::Result<PathBuf> {
    let plan = scenario.load.guest_plan();
    let path = sockets.path().join(INITRAMFS_FILE);
    let image = initramfs_with(&host.initramfs, GUEST_PATH.trim_start_matches('/'), plan.as_bytes())?;
    fs::write(&path, image).with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(path)
}

/// Starts both QEMUs, unless somebody interrupts.
async fn start(
    config: PairConfig<'_>,
    writer: &RunWriter,
    mut interrupt: watch::Receiver<bool>,
) -> Result<Pair, RunObstacle> {
    let mut starting = Box::pin(Pair::start(config, writer));
    tokio::select! {
        started = &mut starting => started.map_err(|error| RunObstacle::Failed(format!("{error:#}"))),
        _ = interrupt.wait_for(|interrupted| *interrupted) => {
            // A QEMU that is half started is let in and shown out, so that it is gone when the lab is.
            if let Ok(Ok(pair)) = timeout(START_AFTER_INTERRUPT, starting).await {
                pair.shut_down().await;
            }
            Err(RunObstacle::Interrupted)
        }
    }
}

fn finish(
    scenario: &Scenario,
    mut account: Account,
    clock: ClockPair,
    provenance: Provenance,
    Played { driver, error, last }: &Played,
) -> anyhow::Result<RunResult> {
    let stream = last.stream;
    let write_fault = account.write_fault();
    let mut verdict = judge(&Facts {
        scenario,
        error: error.as_ref(),
        migration: driver.migration(),
        stream,
        sessions: last.sessions.saturating_sub(cycles::forks(driver.cycles())),
        end: driver.guest().end.as_ref(),
        corruptions: &driver.guest().corruptions,
        write_fault,
    });
    cycles::hold(driver.cycles(), scenario.expect.corruption == Some(true), &mut verdict);
    let (source, destination) =
        driver.migration().map_or((None, None), |end| (end.source.clone(), end.destination.clone()));
    let run = Run {
        schema: Run::SCHEMA,
        name: scenario.name.clone(),
        scenario: serde_json::to_value(scenario)?,
        provenance,
        clock,
        milestones: driver.milestones(),
        stream,
        source,
        destination,
        cycles: driver.cycles().to_vec(),
        measured: None,
        verdict,
    };
    Ok(conclude(account, run))
}

/// Writes `run.json`; a run whose directory is not whole has failed.
fn conclude(account: Account, mut run: Run) -> RunResult {
    let dir = account.writer.dir().to_owned();
    if let Err(fault) = account.writer.finish(&run)
        && run.verdict.outcome != Outcome::Failed
    {
        let mut reasons = vec![format!("the run directory is not whole: {fault}")];
        reasons.append(&mut run.verdict.reasons);
        run.verdict = Verdict { outcome: Outcome::Failed, reasons };
    }
    RunResult { dir, run }
}

#[cfg(test)]
mod tests;
