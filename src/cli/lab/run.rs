//! `sully-lab run` and `sully-lab scenarios`.

mod outcome;
mod progress;
mod reports;

use super::interrupt::interruptions;
use super::print::print;
use crate::cli::say::say;
use crate::lab::run::{Host, HostRequest, Watch, preflight, run_scenario, writable};
use crate::lab::scenario::{BUILTIN, Resolved, ScenarioError, find};
use crate::lab::vm::accel::Wanted;
use crate::record::Outcome;
use outcome::word;
use progress::Progress;
use reports::RunReports;
use std::{path::PathBuf, process::ExitCode};
use tokio::runtime;

/// Boot a VM, load it, migrate it, collect, and judge
#[derive(Debug, Clone, clap::Args)]
pub struct RunArgs {
    /// Built-in names (`sully-lab scenarios` lists them) or TOML files
    #[arg(required = true, value_name = "SCENARIO")]
    pub scenarios: Vec<String>,
    /// Where the run directories go
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
    /// The guest image, as `sully-lab image -o DIR` makes it [default: sully-image, or else target/image]
    #[arg(long, value_name = "DIR")]
    pub image: Option<PathBuf>,
    /// How the guest's CPUs are run: auto tries KVM first and says why when it does not work [auto|kvm|tcg]
    #[arg(long, value_name = "ACCEL", default_value = "auto")]
    pub accel: Wanted,
    /// QEMU [default: qemu-system-x86_64 on PATH]
    #[arg(long, value_name = "PATH")]
    pub qemu: Option<PathBuf>,
    /// How many times each scenario is run
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = repeats)]
    pub repeat: u32,
    /// Change a value of every scenario, for example load.rate=80M/s; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
}

/// List the built-in scenarios, or print one as TOML
#[derive(Debug, Clone, clap::Args)]
pub struct ScenariosArgs {
    /// The one to print: a start for a file of your own
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// The most times a scenario is run.
const REPEAT_LIMIT: u32 = 10_000;

fn repeats(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (1..=REPEAT_LIMIT).contains(number));
    number.ok_or_else(|| format!("expected a whole number from 1 to {REPEAT_LIMIT}, for example 6"))
}

/// Exit code for a command line or a file that is wrong.
const WRONG: u8 = 2;

/// Runs every scenario, whatever becomes of the others, and says where the run directories are. The exit code is the
/// worst of all runs: 0, 3 (a judgement failed), 1 (could not run, or interrupted); 2 when a scenario, or something else that
/// was named, is wrong, and nothing was run.
///
/// # Errors
/// When the image, QEMU or the accelerator is missing, a scenario cannot run here, or run directories cannot be written.
pub fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let scenarios: Result<Vec<Resolved>, ScenarioError> =
        args.scenarios.iter().map(|name| find(name, &args.set)).collect();
    let scenarios = match scenarios {
        Ok(scenarios) => scenarios,
        Err(error) => return Ok(wrong(&error)),
    };
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let reports = runtime.block_on(run_all(args, scenarios))?;
    let worst = reports.exit_code();
    let explained = reports.finish();
    // A run whose directory is not whole has said why: what else could not be written has the same cause.
    if worst != 1 {
        explained?;
    }
    Ok(ExitCode::from(worst))
}

/// Lists the built-in scenarios, or prints one.
///
/// # Errors
/// When it cannot be printed.
pub fn scenarios(args: &ScenariosArgs) -> anyhow::Result<ExitCode> {
    let text = match &args.name {
        None => listing(),
        Some(name) => match find(name, &[]) {
            Ok(found) => found.scenario.to_toml(),
            Err(error) => return Ok(wrong(&error)),
        },
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Finds what the runs need, and tries what it can before the first VM boots.
async fn prepare(args: &RunArgs, scenarios: &mut [Resolved]) -> anyhow::Result<Host> {
    let request = HostRequest { image: args.image.clone(), qemu: args.qemu.clone(), wanted: args.accel };
    let host = Host::prepare(&request).await?;
    writable(&args.out)?;
    for Resolved { scenario, notes } in scenarios.iter_mut() {
        notes.extend(preflight(scenario, &host).await?);
    }
    Ok(host)
}

async fn run_all(args: &RunArgs, mut scenarios: Vec<Resolved>) -> anyhow::Result<RunReports> {
    let mut interrupt = interruptions()?;
    let host = tokio::select! {
        host = prepare(args, &mut scenarios) => host?,
        _ = interrupt.wait_for(|interrupted| *interrupted) => anyhow::bail!("interrupted before the first run"),
    };
    if let Some(reason) = host.accelerator_reason()
        && !args.quiet
    {
        say(format_args!("emulating the guest: {reason}"));
    }
    for Resolved { scenario, notes } in scenarios.iter().filter(|_| !args.quiet) {
        for note in notes {
            say(format_args!("{}: {note}", scenario.name));
        }
    }
    let mut reports = RunReports::default();
    let runs = (1..=args.repeat).flat_map(|round| scenarios.iter().map(move |scenario| (round, scenario)));
    for (round, resolved) in runs {
        let name = &resolved.scenario.name;
        let title = if args.repeat > 1 { format!("{name} ({round}/{})", args.repeat) } else { name.clone() };
        let mut progress = Progress::new(&title, args.quiet);
        let mut on_status = |status: &_| progress.show(status);
        let mut watch = Watch { on_status: &mut on_status, interrupt: interrupt.clone() };
        let result = run_scenario(resolved, &host, &args.out, &mut watch).await?;
        progress.finish(word(result.run.verdict.outcome));
        let interrupted = result.run.verdict.outcome == Outcome::Interrupted;
        reports.add(result);
        if interrupted {
            break;
        }
    }
    Ok(reports)
}

fn wrong(error: &ScenarioError) -> ExitCode {
    say(format_args!("error: {error}"));
    ExitCode::from(WRONG)
}

/// One built-in scenario a line.
fn listing() -> String {
    let width = BUILTIN.iter().map(|builtin| builtin.name.len()).max().unwrap_or(0);
    let line = |name: &str, summary: &str| format!("{name:<width$}  {summary}\n");
    let lines = BUILTIN.iter().filter_map(|builtin| find(builtin.name, &[]).ok());
    lines.map(|Resolved { scenario, .. }| line(&scenario.name, &scenario.summary)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        run: RunArgs,
    }

    #[test]
    fn the_command_line_reads_as_documented() {
        let line = [
            "x",
            "smoke/precopy",
            "my.toml",
            "--set",
            "load.rate=1M/s",
            "--set",
            "vm.cpus=2",
            "--accel",
            "tcg",
        ];
        let args = Line::try_parse_from(line).unwrap().run;
        assert_eq!(args.scenarios, ["smoke/precopy", "my.toml"]);
        assert_eq!((args.set.len(), args.accel, args.repeat), (2, Wanted::Tcg, 1));
        let error = Line::try_parse_from(["x", "a", "--accel", "hvf"]).err().unwrap().to_string();
        assert!(error.contains("'hvf'") && error.contains("auto, kvm or tcg"), "{error}");
        assert!(Line::try_parse_from(["x", "a", "--repeat", "0"]).is_err());
    }

    #[test]
    fn every_built_in_scenario_is_listed_with_its_summary() {
        let listing = listing();
        assert_eq!(listing.lines().count(), BUILTIN.len());
        assert!(listing.lines().all(|line| line.contains('/') && line.len() > 40), "{listing}");
    }
}
