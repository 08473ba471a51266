//! `sully-lab run` and `sully-lab scenarios`.

mod outcome;
mod progress;

use super::interrupt::interruptions;
use super::report::{page_path, told};
use crate::lab::report::write_html;
use crate::lab::run::{Host, HostRequest, RunResult, Watch, run_scenario};
use crate::lab::rundir::RunData;
use crate::lab::scenario::{BUILTIN, Scenario, ScenarioError, find};
use crate::lab::vm::accel::Wanted;
use crate::record::{Outcome, Run};
use outcome::{badness, exit_code, word};
use progress::Progress;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};
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
    /// The guest image, as `sully-lab image -o DIR` makes it
    #[arg(long, value_name = "DIR", default_value = "sully-image")]
    pub image: PathBuf,
    /// How the guest's CPUs are run: auto tries KVM first and says why when it does not work [auto|kvm|tcg]
    #[arg(long, value_name = "ACCEL", default_value = "auto")]
    pub accel: Wanted,
    /// QEMU [default: qemu-system-x86_64 on PATH]
    #[arg(long, value_name = "PATH")]
    pub qemu: Option<PathBuf>,
    /// How many times each scenario is run
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
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

/// Exit code for a command line or a file that is wrong.
const WRONG: u8 = 2;

/// Runs every scenario, whatever becomes of the others, and says where the run directories are. The exit code is the
/// worst of all runs: 0, 3 (judged), 1 (failed or interrupted); 2 when a scenario is wrong, and nothing was run.
///
/// # Errors
/// When the image, QEMU or the accelerator is missing, or a run directory cannot be written.
pub fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let scenarios: Result<Vec<Scenario>, ScenarioError> =
        args.scenarios.iter().map(|name| find(name, &args.set)).collect();
    let scenarios = match scenarios {
        Ok(scenarios) => scenarios,
        Err(error) => return Ok(wrong(&error)),
    };
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let results = runtime.block_on(run_all(args, &scenarios))?;
    after_runs(&results)?;
    Ok(ExitCode::from(
        results
            .iter()
            .map(|result| exit_code(result.run.verdict.outcome))
            .max_by_key(|code| badness(*code))
            .unwrap_or(0),
    ))
}

/// Lists the built-in scenarios, or prints one.
pub fn scenarios(args: &ScenariosArgs) -> ExitCode {
    let text = match &args.name {
        None => listing(),
        Some(name) => match find(name, &[]) {
            Ok(scenario) => scenario.to_toml(),
            Err(error) => return wrong(&error),
        },
    };
    print!("{text}");
    ExitCode::SUCCESS
}

/// Explains what was run: a page in each run directory, one that compares them beside several, and the text.
fn after_runs(results: &[RunResult]) -> anyhow::Result<()> {
    let dirs: Vec<PathBuf> = results.iter().map(|result| result.dir.clone()).collect();
    for dir in &dirs {
        // What cannot be read is said below, and the others have their pages.
        if let Ok(data) = RunData::read(dir) {
            write_html(&[data], &page_path(std::slice::from_ref(dir)))?;
        }
    }
    let (text, unread) = told(&dirs)?;
    println!("\n{text}");
    for RunResult { dir, run } in results {
        println!("{}", conclusion(dir, run));
    }
    unread.map_or(Ok(()), |error| Err(error.into()))
}

async fn run_all(args: &RunArgs, scenarios: &[Scenario]) -> anyhow::Result<Vec<RunResult>> {
    let mut interrupt = interruptions()?;
    let request = HostRequest { image: args.image.clone(), qemu: args.qemu.clone(), wanted: args.accel };
    let host = tokio::select! {
        host = Host::prepare(&request) => host?,
        _ = interrupt.wait_for(|interrupted| *interrupted) => anyhow::bail!("interrupted before the first run"),
    };
    if let Some(reason) = host.accelerator_reason()
        && !args.quiet
    {
        eprintln!("emulating the guest: {reason}");
    }
    let mut results = Vec::new();
    let runs = (1..=args.repeat).flat_map(|round| scenarios.iter().map(move |scenario| (round, scenario)));
    for (round, scenario) in runs {
        let title = if args.repeat > 1 {
            format!("{} ({round}/{})", scenario.name, args.repeat)
        } else {
            scenario.name.clone()
        };
        let mut progress = Progress::new(&title, args.quiet);
        let mut on_status = |status: &_| progress.show(status);
        let mut watch = Watch { on_status: &mut on_status, interrupt: interrupt.clone() };
        let result = run_scenario(scenario, &host, &args.out, &mut watch).await?;
        progress.finish(word(result.run.verdict.outcome));
        let interrupted = result.run.verdict.outcome == Outcome::Interrupted;
        results.push(result);
        if interrupted {
            break;
        }
    }
    Ok(results)
}

fn wrong(error: &ScenarioError) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(WRONG)
}

/// One run's end: its directory, its outcome, and each reason on a line of its own.
fn conclusion(dir: &Path, run: &Run) -> String {
    let mut text = format!("{:<11} {}", word(run.verdict.outcome), dir.display());
    for reason in &run.verdict.reasons {
        text.push_str("\n            ");
        text.push_str(reason);
    }
    text
}

/// One built-in scenario a line.
fn listing() -> String {
    let width = BUILTIN.iter().map(|builtin| builtin.name.len()).max().unwrap_or(0);
    let line = |name: &str, summary: &str| format!("{name:<width$}  {summary}\n");
    let lines = BUILTIN.iter().filter_map(|builtin| find(builtin.name, &[]).ok());
    lines.map(|scenario| line(&scenario.name, &scenario.summary)).collect()
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
