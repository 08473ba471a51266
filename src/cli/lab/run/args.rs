//! The command lines of `sully-lab run` and `sully-lab scenarios`.

use super::place::PlaceArgs;
use crate::lab::scenario::Scan;
use std::path::PathBuf;

/// Boot a VM, load it, migrate it, collect, and judge
#[derive(Debug, Clone, clap::Args)]
pub struct RunArgs {
    /// Built-in names (`sully-lab scenarios` lists them; 'nova-2016/*' is all of these) or TOML files
    #[arg(required_unless_present = "again", value_name = "SCENARIO")]
    pub scenarios: Vec<String>,
    /// QEMU; named twice, each scenario is run by both, in turns [default: qemu-system-x86_64 on PATH]
    #[arg(long, value_name = "PATH")]
    pub qemu: Vec<PathBuf>,
    /// How many times each scenario is run
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = repeats)]
    pub repeat: u32,
    /// Run each scenario with every value of a key, for example load.rate=20M/s,40M/s; named twice, with all combinations
    #[arg(long, value_name = "KEY=V1,V2")]
    pub scan: Vec<Scan>,
    /// Run the scenario of an earlier run's directory once more
    #[arg(long, value_name = "DIR", conflicts_with_all = ["scale", "scan"])]
    pub again: Vec<PathBuf>,
    /// Write what became of the runs as JUnit XML, for the tests of a CI
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Where and on what
    #[command(flatten)]
    pub place: PlaceArgs,
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
