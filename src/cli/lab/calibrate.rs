//! `sully-lab calibrate`: QEMU's dirty-rate meters against what the guest counts.

use super::interrupt::interruptions;
use crate::cli::{print::print, say::say};
use crate::files::replace;
use crate::lab::{
    experiment::{Calibration, CalibrationHost, CalibrationLoads, calibrate, markdown, svg, text},
    run::{Host, HostRequest, writable},
    vm::accel::Wanted,
    wrong::given,
};
use crate::plan::{PageSize, PatternSpec};
use crate::units::{ByteSize, Rate};
use anyhow::Context;
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};
use tokio::runtime;

/// The widest line of the table.
const WIDTH: usize = 160;
/// The files that are written.
const FILES: [&str; 3] = ["calibration.json", "calibration.md", "calibration.svg"];

/// Hold QEMU's dirty-rate meters against the different pages that a guest counts, before and during a migration
#[derive(Debug, Clone, clap::Args)]
pub struct CalibrateArgs {
    /// Visits a second; may be repeated [default: 4M/s, 16M/s and 40M/s; with --quick 16M/s]
    #[arg(long = "rate", value_name = "RATE")]
    pub rates: Vec<Rate>,
    /// The order of the visits; may be repeated [default: shuffle, random and hotspot:10%/90%; with --quick shuffle]
    #[arg(long = "pattern", value_name = "PATTERN")]
    pub patterns: Vec<PatternSpec>,
    /// The size of the pages that back the memory; may be repeated [default: 4k and thp; with --quick 4k]
    #[arg(long = "pages", value_name = "SIZE")]
    pub pages: Vec<PageSize>,
    /// The memory that is dirtied
    #[arg(short, long, value_name = "SIZE", default_value = "128M")]
    pub memory: ByteSize,
    /// One load of each kind alone, half a minute instead of five
    #[arg(long)]
    pub quick: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
    /// Where the table, the figures and the picture go
    #[arg(long, value_name = "DIR", default_value = "calibration")]
    pub out: PathBuf,
    /// The guest image, as `sully-lab image -o DIR` makes it [default: sully-image, or else target/image]
    #[arg(long, value_name = "DIR")]
    pub image: Option<PathBuf>,
    /// QEMU [default: qemu-system-x86_64 on PATH]
    #[arg(long, value_name = "PATH")]
    pub qemu: Option<PathBuf>,
    /// How the guest's CPU is run: auto tries KVM first and says why when it does not work [auto|kvm|tcg]
    #[arg(long, value_name = "ACCEL", default_value = "auto")]
    pub accel: Wanted,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
}

/// Makes every load, and says what each meter said of it. The exit code is 3 when none said anything, 1 when it was
/// interrupted or failed on the way.
///
/// # Errors
/// The image or QEMU is missing, the first guest does not boot, or a file cannot be written.
pub fn run(args: &CalibrateArgs) -> anyhow::Result<ExitCode> {
    let loads = given(loads(args).map_err(anyhow::Error::msg))?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let found = runtime.block_on(measure(args, &loads))?;
    // Minutes of measuring are printed, too, where the files cannot be written.
    let written = write(&args.out, &found);
    if args.json {
        print(&(serde_json::to_string_pretty(&found)? + "\n"))?;
    } else {
        print(&text(&found, WIDTH))?;
    }
    if let Some(why) = &found.failed {
        say(format_args!("ended before its time: {why}"));
    }
    written?;
    if !args.quiet {
        say(format_args!("{} are in {}", FILES.join(", "), args.out.display()));
    }
    Ok(ExitCode::from(code(&found)))
}

fn code(found: &Calibration) -> u8 {
    let mut readings = found.loads.iter().flat_map(|load| &load.readings);
    match readings.any(|reading| reading.error_percent.is_some()) {
        _ if found.interrupted || found.failed.is_some() => 1,
        true => 0,
        false => 3,
    }
}

/// The loads that were asked for.
fn loads(args: &CalibrateArgs) -> Result<CalibrationLoads, String> {
    let rates = or_else(&args.rates, args.quick, [16, 4, 40].map(|mib| Rate::PagesPerSecond(mib << 8)));
    let hotspot = "hotspot:10%/90%".parse::<PatternSpec>().map_err(|error| error.to_string())?;
    let patterns = or_else(&args.patterns, args.quick, [PatternSpec::Shuffle, PatternSpec::Random, hotspot]);
    let pages = or_else(&args.pages, args.quick, [PageSize::Base, PageSize::Transparent]);
    CalibrationLoads::of(args.memory, &rates, &patterns, &pages)
}

/// What was named, or else what is usual; of that the first alone where it is to be quick.
fn or_else<T: Clone, const N: usize>(named: &[T], quick: bool, usual: [T; N]) -> Vec<T> {
    match (named.is_empty(), quick) {
        (false, _) => named.to_vec(),
        (true, true) => usual.into_iter().take(1).collect(),
        (true, false) => usual.into(),
    }
}

async fn measure(args: &CalibrateArgs, loads: &CalibrationLoads) -> anyhow::Result<Calibration> {
    let interrupt = interruptions()?;
    let request = HostRequest {
        image: args.image.clone(),
        qemu: args.qemu.clone(),
        wanted: args.accel,
        destination: None,
    };
    let host = Host::prepare(&request).await?;
    writable(&args.out)?;
    if let Some(reason) = host.accelerator_reason().filter(|_| !args.quiet) {
        say(format_args!("emulating the guest: {reason}"));
    }
    let accelerator = host.accelerator();
    let version = host.version().clone();
    let Host { qemu, kernel, initramfs, .. } = host;
    let host = CalibrationHost { qemu, version, kernel, initramfs, accelerator, load_bytes: args.memory.0 };
    let (mut number, count) = (0, loads.count());
    let mut on_step = |step: &str| {
        if !args.quiet {
            number += usize::from(!step.starts_with("booting"));
            say(format_args!("{number}/{count}: {step}"));
        }
    };
    calibrate(&host, loads, interrupt, &mut on_step).await
}

/// Writes the figures, the table and the picture.
fn write(out: &Path, found: &Calibration) -> anyhow::Result<()> {
    let [json, table, picture] = FILES;
    let texts = [
        (json, serde_json::to_string_pretty(found)? + "\n"),
        (table, markdown(found, picture)),
        (picture, svg(found)),
    ];
    for (name, text) in texts {
        let path = out.join(name);
        replace(&path, |file| file.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write {}; --out DIR names another place", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        calibrate: CalibrateArgs,
    }

    fn asked(line: &[&str]) -> Result<CalibrationLoads, String> {
        loads(&Line::try_parse_from([&["x"], line].concat()).unwrap().calibrate)
    }

    #[test]
    fn the_usual_loads_are_each_with_each_and_the_quick_ones_few() {
        assert_eq!(asked(&[]).unwrap().count(), 18);
        assert_eq!(asked(&["--quick"]).unwrap().count(), 1);
        let named = asked(&["--quick", "--rate", "8M/s", "--rate", "512p/s", "--pages", "thp"]).unwrap();
        assert_eq!(
            (named.rates.as_slice(), named.pages.as_slice()),
            (&[2048, 512][..], &["thp".to_owned()][..])
        );
        assert!(asked(&["--rate", "max"]).unwrap_err().contains("not max"));
    }
}
