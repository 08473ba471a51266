//! `sully-lab converge`: the largest load that still gets through a migration.

use super::run::{PlaceArgs, RunPlace, RunReports, wrong};
use crate::cli::print::print;
use crate::lab::{
    experiment::{Border, BorderFound, NextRate, Tried, narrowed, tried, unsearchable},
    run::RunResult,
    scenario::{Resolved, ScenarioError, find_scaled},
};
use crate::units::{ByteSize, Nanos, PAGE_BYTES, Rate};
use anyhow::bail;
use std::{path::PathBuf, process::ExitCode, slice};
use tokio::runtime;

/// Find the largest load with which a scenario's migration still completes
#[derive(Debug, Clone, clap::Args)]
pub struct ConvergeArgs {
    /// A built-in name (`sully-lab scenarios` lists them) or a TOML file; the search begins at its load.rate
    #[arg(value_name = "SCENARIO")]
    pub scenario: String,
    /// The longest the migration may take
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub within: Nanos,
    /// The most downtime that QEMU may report [default: any]
    #[arg(long, value_name = "TIME")]
    pub max_downtime: Option<Nanos>,
    /// How often the rate that is found must get through
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub times: u32,
    /// QEMU [default: qemu-system-x86_64 on PATH]
    #[arg(long, value_name = "PATH")]
    pub qemu: Option<PathBuf>,
    /// Where and on what
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// The rate with which a search begins where the scenario has none: 64 MiB/s.
const FIRST_PAGES_PER_S: u64 = 64 << 8;

/// Searches, and says what was found. The exit code is 3 when no border was found, 2 when the scenario is wrong.
///
/// # Errors
/// When a run cannot be carried out, or says nothing of the load.
pub fn run(args: &ConvergeArgs) -> anyhow::Result<ExitCode> {
    let resolved = match find_scaled(&args.scenario, args.place.scale, &args.place.set) {
        Ok(resolved) => resolved,
        Err(error) => return Ok(wrong(&error)),
    };
    let first = narrowed(&resolved.scenario, FIRST_PAGES_PER_S, args.within, args.max_downtime);
    let faults = unsearchable(&first);
    if !faults.is_empty() {
        let (origin, message) = (resolved.scenario.name, faults.join("; "));
        return Ok(wrong(&ScenarioError::Wrong { origin, place: String::new(), message }));
    }
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let found = runtime.block_on(search(args, resolved))?;
    print(&format!("\n{}\n", conclusion(found, args)))?;
    let is_told = matches!(found, BorderFound::Border { .. } | BorderFound::AllThrough { .. });
    Ok(ExitCode::from(if is_told { 0 } else { 3 }))
}

async fn search(args: &ConvergeArgs, mut resolved: Resolved) -> anyhow::Result<BorderFound> {
    let place = RunPlace::prepare(&args.place, args.qemu.as_slice(), slice::from_mut(&mut resolved)).await?;
    let Resolved { scenario, notes } = resolved;
    let first = match scenario.load.asked.rate {
        Rate::PagesPerSecond(rate) if rate > 0 => rate,
        Rate::PagesPerSecond(_) | Rate::Max => FIRST_PAGES_PER_S,
    };
    let mut border = Border::new(first, args.times);
    loop {
        let rate = match border.next_rate() {
            NextRate::Done(found) => return Ok(found),
            NextRate::Try(rate) => rate,
        };
        let scenario = narrowed(&scenario, rate, args.within, args.max_downtime);
        let title = format!("{} at {}", scenario.name, scenario.load.asked.rate);
        let resolved = Resolved { scenario, notes: notes.clone() };
        let result = place.carry_out(&title, &resolved, &place.hosts[0]).await?;
        let what = match tried(&result.run, args.max_downtime) {
            Ok(what) => what,
            Err(reasons) => {
                bail!("{} says nothing of the load: {}", result.dir.display(), reasons.join("; "))
            }
        };
        print(&format!("{:>12}  {:<28}  {}\n", shown(rate), told(what, &result), result.dir.display()))?;
        RunReports::default().add(result, &[], "");
        border.take(rate, what);
    }
}

/// What came of a run, in a few words.
fn told(what: Tried, result: &RunResult) -> String {
    let sample = result.run.source.as_ref();
    let after = sample.and_then(|sample| sample.total_time_ms).map(|time| Nanos::from_ms(time).human());
    let downtime = sample.and_then(|sample| sample.downtime_ms).map(|time| Nanos::from_ms(time).human());
    match what {
        Tried::Through => format!(
            "through in {}, downtime {}",
            after.unwrap_or_else(|| "n/a".into()),
            downtime.unwrap_or_else(|| "n/a".into())
        ),
        Tried::Stuck => {
            downtime.map_or_else(|| "not through".into(), |downtime| format!("downtime {downtime}"))
        }
        Tried::Unreached => "not reached by the guest".into(),
    }
}

/// A rate as people say it.
fn shown(pages_per_s: u64) -> String {
    format!("{}/s", ByteSize(pages_per_s.saturating_mul(PAGE_BYTES)).human())
}

fn conclusion(found: BorderFound, args: &ConvergeArgs) -> String {
    let downtime =
        args.max_downtime.map(|most| format!(" with at most {most} of downtime")).unwrap_or_default();
    let limit = format!("within {}{downtime}", args.within);
    let every = if args.times == 1 { "once".into() } else { format!("{} times in {0}", args.times) };
    match found {
        BorderFound::Border { through, stuck } => format!(
            "The largest load that gets through {limit} is between {} ({every}) and {} (not).",
            shown(through),
            shown(stuck)
        ),
        BorderFound::AllThrough { through } => format!(
            "Every load that the guest can make gets through {limit}: {} did ({every}), and it is no faster.",
            shown(through)
        ),
        BorderFound::NoneThrough { stuck } => {
            format!("No load gets through {limit}: even {} did not.", shown(stuck))
        }
        BorderFound::NoLoad => {
            "The guest reached none of these rates: the host may be busy, or vm.cpus too few.".into()
        }
        BorderFound::Unclear => {
            format!("Runs with the same load got through {limit} and did not: no border was found.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        converge: ConvergeArgs,
    }

    fn args(line: &[&str]) -> ConvergeArgs {
        Line::try_parse_from([&["x", "smoke/precopy"], line].concat()).unwrap().converge
    }

    #[test]
    fn what_was_found_is_said_with_its_limits() {
        let said = |found| conclusion(found, &args(&["--within", "20s", "--max-downtime", "200ms"]));
        assert_eq!(
            said(BorderFound::Border { through: 2560, stuck: 3072 }),
            "The largest load that gets through within 20s with at most 200ms of downtime is between 10.0 MiB/s (3 times in \
             3) and 12.0 MiB/s (not)."
        );
        assert!(said(BorderFound::AllThrough { through: 2560 }).contains("it is no faster"));
        assert!(said(BorderFound::NoneThrough { stuck: 256 }).contains("even 1.0 MiB/s did not"));
        assert!(said(BorderFound::NoLoad).contains("host may be busy"));
        assert!(conclusion(BorderFound::Unclear, &args(&[])).contains("within 30s and did not"));
    }

    #[test]
    fn the_command_line_reads_as_documented() {
        assert_eq!((args(&[]).times, args(&["--times", "1"]).times), (3, 1));
        assert!(Line::try_parse_from(["x", "a", "--times", "0"]).is_err());
        assert!(Line::try_parse_from(["x"]).is_err());
    }
}
