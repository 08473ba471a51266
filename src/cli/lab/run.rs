//! `sully-lab run` and `sully-lab scenarios`.

mod args;
mod outcome;
mod place;
mod progress;
mod reports;
mod turns;

pub use args::{RunArgs, ScenariosArgs};

use crate::cli::{print::print, say::say};
use crate::lab::run::{Host, RunResult, inapplicable, proved_nothing};
use crate::lab::scenario::{BUILTIN, Resolved, ScenarioError, find};
use crate::record::Outcome;
pub use outcome::word;
pub use place::{PlaceArgs, RunPlace};
pub use progress::Progress;
pub use reports::{RunReports, told};
use std::process::ExitCode;
use tokio::runtime;
use turns::{nameable, turns, wanted};

/// Exit code for a command line or a file that is wrong.
const WRONG: u8 = 2;

/// Runs every scenario, whatever becomes of the others, and says where the run directories are. The exit code is the
/// worst of all runs: 0, 3 (a judgement failed), 1 (could not run, or interrupted); 2 when a scenario, or something else that
/// was named, is wrong, and nothing was run.
///
/// # Errors
/// When the image, QEMU or the accelerator is missing, a scenario cannot run here, or run directories cannot be written.
pub fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    told(args.junit.as_deref(), "run", carried_out(args))
}

fn carried_out(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let scenarios = match wanted(args) {
        Ok(scenarios) => scenarios,
        Err(error) => return Ok(wrong(&error)),
    };
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let reports = runtime.block_on(run_all(args, scenarios))?;
    reports.conclude(args.junit.as_deref())
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

async fn run_all(args: &RunArgs, mut scenarios: Vec<Resolved>) -> anyhow::Result<RunReports> {
    let place = RunPlace::prepare(&args.place, &args.qemu, &mut scenarios).await?;
    nameable(&scenarios, &place.hosts)?;
    let mut reports = RunReports::default();
    for (round, resolved, host) in turns(args.repeat, &scenarios, &place.hosts) {
        let name = &resolved.scenario.name;
        let title = if args.repeat > 1 { format!("{name} ({round}/{})", args.repeat) } else { name.clone() };
        if let Some(why) = inapplicable(&resolved.scenario, host) {
            print(&format!("{why}\n"))?;
            continue;
        }
        let result = carry_out_until_shown(&place, &title, &resolved, host).await?;
        let interrupted = result.run.verdict.outcome == Outcome::Interrupted;
        let again = args.place.again(&result.dir, host, !args.qemu.is_empty());
        reports.add(result, &resolved.scenario.expect.figures, &again);
        if interrupted {
            break;
        }
    }
    Ok(reports)
}

/// Carries out a run; one that was to name corrupt pages and named none again, as often as the scenario has it.
async fn carry_out_until_shown(
    place: &RunPlace<'_>,
    title: &str,
    resolved: &Resolved,
    host: &Host,
) -> anyhow::Result<RunResult> {
    let (scenario, mut number) = (&resolved.scenario, 1);
    loop {
        let result = place.carry_out(title, resolved, host).await?;
        if number == scenario.expect.tries || !proved_nothing(scenario, &result.run.verdict) {
            return Ok(result);
        }
        let (dir, tries) = (result.dir.display(), scenario.expect.tries);
        say(format_args!("try {number} of {tries}: no corrupt page was named, {dir} proves nothing"));
        number += 1;
    }
}

/// Says what is wrong with a scenario; the exit code for it.
pub fn wrong(error: &ScenarioError) -> ExitCode {
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
    use crate::lab::vm::accel::Wanted;
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
        assert_eq!((args.place.set.len(), args.place.accel, args.repeat), (2, Wanted::Tcg, 1));
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
