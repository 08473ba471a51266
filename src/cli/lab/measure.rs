//! `sully-lab measure`: a guest that somebody else migrates.

use super::interrupt::interruptions;
use super::run::{Progress, RunReports, told, word};
use crate::lab::report::never_met;
use crate::lab::run::{MeasureRequest, Watch, measure_guest, writable};
use crate::lab::scenario::Demand;
use crate::lab::wrong::given;
use crate::units::Nanos;
use anyhow::anyhow;
use std::{path::PathBuf, process::ExitCode};
use tokio::runtime;

/// Measure a guest while a command migrates it, whoever's VM it is
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = AFTER)]
pub struct MeasureArgs {
    /// A socket that the guest speaks on, or will when it was migrated, or a pattern such as '/run/vms/*.sock'; may be repeated
    #[arg(long = "guest", required_unless_present = "libvirt", value_name = "TARGET")]
    pub guests: Vec<String>,
    /// A QMP socket, the source's first: QEMU is asked what changes nothing; may be repeated
    #[arg(long, value_name = "SOCKET")]
    pub qmp: Vec<PathBuf>,
    /// A domain of libvirt: its channel and its job statistics are found by virsh, and nothing is changed
    #[arg(long, value_name = "DOMAIN")]
    pub libvirt: Option<String>,
    /// The libvirt that it runs under, as virsh takes it [default: virsh's own]
    #[arg(long, value_name = "URI", requires = "libvirt")]
    pub connect: Option<String>,
    /// The libvirt that it is migrated to, where it can be asked: it alone has the last figures of a domain that has left
    #[arg(long, value_name = "URI", requires = "libvirt")]
    pub connect_to: Option<String>,
    /// Write what became of it as JUnit XML, for the tests of a CI
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Where the run directory goes
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
    /// What the run is called
    #[arg(long, value_name = "NAME", default_value = "measure", value_parser = name)]
    pub name: String,
    /// How long the guest may take to be heard
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub wait: Nanos,
    /// How long its load may take to be steady
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub steady_within: Nanos,
    /// How long the steady load is measured before COMMAND is run
    #[arg(long, value_name = "TIME", default_value = "5s")]
    pub baseline: Nanos,
    /// The longest that COMMAND may take, or without one the measurement [default: until it ends, or ^C]
    #[arg(long, value_name = "TIME")]
    pub limit: Option<Nanos>,
    /// Go on after COMMAND until the guest speaks on another socket: for commands that only order a migration
    #[arg(long)]
    pub until_moved: bool,
    /// How long the load may take to be steady again
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub settle: Nanos,
    /// Do not have the guest look at every page at the end
    #[arg(long)]
    pub no_sweep: bool,
    /// What a figure of the report has to be, for example 'blackout_ms < 300'; may be repeated
    #[arg(long, value_name = "FIGURE<LIMIT")]
    pub expect: Vec<Demand>,
    /// Show neither progress nor what COMMAND says
    #[arg(short, long)]
    pub quiet: bool,
    /// The command that migrates, run once the load was steady for the time of --baseline; without one it is measured until ^C
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

const AFTER: &str = "\
Examples:
  sully-lab measure --guest /run/a.sock --guest /run/b.sock -- ./migrate.sh vm1
  sully-lab measure --guest /run/a.sock --qmp /run/a.qmp --limit 5m

docs/MEASURE-ANY.md shows libvirt, KubeVirt, Proxmox and a gate for CI.

Exit codes: 0 all is well; 1 it could not be measured, or was \
interrupted; 2 the command line is wrong; 3 the command failed, the guest was lost, records are missing, or an --expect does \
not hold.";

/// The longest name of a run.
const NAME_CHARS: usize = 100;

fn name(text: &str) -> Result<String, String> {
    let is_good = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let is_name = !text.is_empty() && text.len() <= NAME_CHARS && text.chars().all(is_good);
    if is_name && !text.starts_with('.') {
        return Ok(text.to_owned());
    }
    Err(format!("expected at most {NAME_CHARS} letters, digits, '-', '_' or '.', for example vm1-live"))
}

impl MeasureArgs {
    fn request(&self) -> MeasureRequest {
        MeasureRequest {
            name: self.name.clone(),
            guests: self.guests.clone(),
            qmp: self.qmp.clone(),
            libvirt: self.libvirt.clone(),
            connect: self.connect.clone(),
            connect_to: self.connect_to.clone(),
            expect: self.expect.iter().map(ToString::to_string).collect(),
            command: self.command.clone(),
            shows: !self.quiet,
            wait: self.wait,
            steady_within: self.steady_within,
            baseline: self.baseline,
            limit: self.limit,
            until_moved: self.until_moved,
            settle: self.settle,
            sweep: !self.no_sweep,
        }
    }
}

/// Measures, reports, and judges.
///
/// # Errors
/// When what was named cannot be, or the run directory cannot be written.
pub fn run(args: &MeasureArgs) -> anyhow::Result<ExitCode> {
    told(args.junit.as_deref(), &args.name, measured(args))
}

fn measured(args: &MeasureArgs) -> anyhow::Result<ExitCode> {
    let never = never_met(&args.expect);
    if !never.is_empty() {
        return given(Err(anyhow!(never.join("; "))));
    }
    writable(&args.out)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let interrupt = interruptions()?;
        // What the command says stands between its lines.
        let mut progress = Progress::in_lines(&args.name, args.quiet);
        let mut on_status = |status: &_| progress.show(status);
        let mut watch = Watch { on_status: &mut on_status, interrupt };
        let result = measure_guest(&args.request(), &args.out, &mut watch).await?;
        progress.finish(word(result.run.verdict.outcome));
        anyhow::Ok(result)
    })?;
    let mut reports = RunReports::default();
    reports.add(result, &args.expect, "");
    reports.conclude(args.junit.as_deref())
}
