//! The command lines of `sully-lab run` and `sully-lab scenarios`.

use crate::lab::scenario::{Scale, Scan};
use crate::lab::vm::accel::Wanted;
use std::path::PathBuf;

/// Boot a VM, load it, migrate it, collect, and judge
#[derive(Debug, Clone, clap::Args)]
pub struct RunArgs {
    /// Built-in names (`sully-lab scenarios` lists them; 'nova-2016/*' is all of these) or TOML files
    #[arg(required_unless_present = "again", value_name = "SCENARIO")]
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
    /// QEMU; named twice, each scenario is run by both, in turns [default: qemu-system-x86_64 on PATH]
    #[arg(long, value_name = "PATH")]
    pub qemu: Vec<PathBuf>,
    /// How many times each scenario is run
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = repeats)]
    pub repeat: u32,
    /// Multiply memory, load, rate and link of every scenario, for example 1/8, so that its shape fits this machine
    #[arg(long, value_name = "FACTOR")]
    pub scale: Option<Scale>,
    /// Change a value of every scenario, for example load.rate=80M/s; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Run each scenario with every value of a key, for example load.rate=20M/s,40M/s; named twice, with all combinations
    #[arg(long, value_name = "KEY=V1,V2")]
    pub scan: Vec<Scan>,
    /// Run the scenario of an earlier run's directory once more
    #[arg(long, value_name = "DIR", conflicts_with_all = ["scale", "scan"])]
    pub again: Vec<PathBuf>,
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
