//! The command line of `sully`.

mod kind;
mod plan_file;
mod verdict;

use super::word;
use crate::cli::say::say;
use crate::guest::{self, Options, boot};
use crate::plan::{MemoryAmount, PatternSpec, Plan, catch_up, on_or_off, seed, threads, write_bytes};
use crate::port::Target;
use crate::units::{Nanos, Rate, Share, UnitError};
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::io::{Write, stdout};
use std::{path::PathBuf, process::ExitCode};

/// Dirties memory exactly as asked and measures what live migration does to it.
#[derive(Debug, Parser)]
#[command(name = "sully", version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: GuestCommand,
}

#[derive(Debug, Subcommand)]
enum GuestCommand {
    /// Dirty memory and report
    Run(RunArgs),
    /// Say line by line whether this guest can run that: ok, poor (it runs, and measures worse), or FAULT with its remedy
    Check(RunArgs),
}

impl GuestCommand {
    /// Both take the same flags.
    const fn args(&self) -> &RunArgs {
        match self {
            Self::Run(args) | Self::Check(args) => args,
        }
    }
}

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 failed; 2 the command line is wrong for this machine; 3 the load stayed below its target,
or pages were corrupt.

A first look:           sully run -d 10s
Can it run here?        sully check -m 75% --pages 2M --report virtio
To a file, as NDJSON:   sully run -m 1G -r 200M/s -i 100ms --report file:records.ndjson
In a VM, to its host:   sully run -m 75% -r 500M/s --report virtio";

/// Reads a plain number; one type for all such flags, so that the parser of values is there once.
type Number = fn(&str) -> Result<u64, UnitError>;

/// The flags of `sully run`.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
struct RunArgs {
    /// A plan file (TOML): flags by their names, regions of memory, and phases that follow each other; flags given here
    /// go before it
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Memory to dirty: a size (512M, 4G) or a share of the available memory (75%)
    #[arg(short, long, allow_hyphen_values = true, value_name = "SIZE|PERCENT", default_value_t = Plan::default().memory)]
    memory: MemoryAmount,
    #[command(flatten)]
    kind: kind::KindArgs,
    /// Pages dirtied, all writers together: 100M/s (MiB of 4 KiB pages a second), 25600p/s, max, or 0 (hold the
    /// memory, stay silent)
    #[arg(short, long, allow_hyphen_values = true, default_value_t = Plan::default().rate)]
    rate: Rate,
    /// Order of visits: sequential, shuffle (every page once per lap, seeded), random (with replacement), zipf:THETA
    /// (rank k in proportion to 1/k^THETA), hotspot:PAGES%/WRITES%[/DRIFTp/s], or stride:PAGES
    #[arg(short, long, allow_hyphen_values = true, default_value_t = Plan::default().pattern)]
    pattern: PatternSpec,
    /// When visits are due: constant, poisson (seeded random times) or burst:ON/OFF (all of the rate during ON, for
    /// example burst:200ms/800ms); the mean rate stays the same [default: constant]
    #[arg(long, allow_hyphen_values = true, value_parser = word::pace as word::Parse)]
    pace: Option<word::Word>,
    /// Visits that a stall delayed: repay (catch up) or shed (give up what is more than 10ms late; counted)
    /// [default: repay]
    #[arg(long, allow_hyphen_values = true, value_name = "POLICY", value_parser = word::backlog as word::Parse)]
    backlog: Option<word::Word>,
    /// How many times faster than its schedule a writer catches up at most, 1 (never) to 100 [default: 4]
    #[arg(long, allow_hyphen_values = true, value_name = "N", value_parser = catch_up as Number)]
    catch_up: Option<u64>,
    /// Share of visits that only read, seeded; they come on top of the rate, which counts writes
    #[arg(long, allow_hyphen_values = true, value_name = "PERCENT", default_value_t = Plan::default().reads)]
    reads: Share,
    /// Bytes changed per visit of a page, whole words, or page for all 4096; a stamp takes 40
    #[arg(short, long, allow_hyphen_values = true, value_name = "BYTES|page", default_value = "8", value_parser = write_bytes as Number)]
    write: u64,
    /// What pages hold beyond their stamp: random, zero, fill:BYTE, compress:PERCENT (compression saves so much),
    /// delta:BYTES (random, and a visit changes so many scattered bytes) or same (random, and a visit stores what is
    /// there already) [default: random]
    #[arg(short, long, allow_hyphen_values = true, value_name = "CONTENT", value_parser = word::content as word::Parse)]
    content: Option<word::Word>,
    /// Share of pages that hold the same bytes as another page; needs --verify off, since stamps differ
    #[arg(long, allow_hyphen_values = true, value_name = "PERCENT", default_value_t = Plan::default().dedup)]
    dedup: Share,
    /// Page stamps, on or off: every visit proves that its page still holds what was last written there
    #[arg(long, allow_hyphen_values = true, value_name = "on|off", default_value = "on", action = clap::ArgAction::Set, value_parser = on_or_off)]
    verify: bool,
    /// Raw stores only: no visit is timed (for measuring the tool's own cost)
    #[arg(long)]
    no_latency: bool,
    /// Clock that stamps: auto (the CPU's counter where CPU and kernel vouch for it), tsc (insists on the counter, in an
    /// emulated guest too) or monotonic [default: auto]
    #[arg(long, allow_hyphen_values = true, value_name = "CLOCK", value_parser = word::clock as word::Parse)]
    clock: Option<word::Word>,
    /// How often each vCPU's canary wakes, 987us to 100ms, or off: no gaps, no stalls, no throttle are told then. One that
    /// wakes less often costs less and tells no gap below one and a half of its periods, no throttle that sleeps for less than
    /// five [default: 987us]
    #[arg(long, allow_hyphen_values = true, value_name = "TIME|off", value_parser = word::canary as word::Parse)]
    canary: Option<word::Word>,
    /// Writers, each pinned to a CPU and owning an equal slice [default: one per online vCPU]
    #[arg(short, long, allow_hyphen_values = true, value_name = "N", value_parser = threads as Number)]
    threads: Option<u64>,
    /// End after this time, for example 10s or 5m [default: run until told to stop]
    #[arg(short, long, allow_hyphen_values = true, value_name = "TIME")]
    duration: Option<Nanos>,
    /// Unperturbed time at the start that later degradation is judged against; 0s for none
    #[arg(long, allow_hyphen_values = true, value_name = "TIME", default_value_t = Plan::default().baseline)]
    baseline: Nanos,
    /// Length of one interval record, 20ms to 1h
    #[arg(short, long, allow_hyphen_values = true, value_name = "TIME", default_value_t = Plan::default().interval)]
    interval: Nanos,
    /// Where the page sequence and the content start from: the same seed visits the same pages for ever
    #[arg(long, allow_hyphen_values = true, value_name = "N", default_value_t = Plan::default().seed, value_parser = seed as Number)]
    seed: u64,
    /// Where records go: - (standard output), file:PATH, virtio[:NAME] (port org.sully.0), unix:PATH (connects,
    /// and reconnects); may be repeated. A terminal gets a table, with or without
    #[arg(long, allow_hyphen_values = true, value_name = "TARGET")]
    report: Vec<Target>,
}

impl RunArgs {
    fn options(&self) -> Options {
        let usual = Plan::default();
        // The parsers let nothing larger through.
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let mut plan = Plan {
            memory: self.memory,
            kind: self.kind.kind(),
            rate: self.rate,
            pattern: self.pattern,
            pace: usual.pace,
            backlog: usual.backlog,
            catch_up: self.catch_up.map_or(usual.catch_up, small),
            reads: self.reads,
            write_bytes: self.write,
            content: usual.content,
            dedup: self.dedup,
            verify: self.verify,
            latency: !self.no_latency,
            clock: usual.clock,
            canary: usual.canary,
            threads: self.threads.map(small),
            duration: self.duration,
            baseline: self.baseline,
            interval: self.interval,
            seed: self.seed,
            phases: Vec::new(),
            repeat: false,
            regions: Vec::new(),
        };
        word::apply(&mut plan, [self.pace, self.backlog, self.content, self.clock, self.canary]);
        Options { plan, targets: self.report.clone() }
    }
}

/// The whole program: as a command, or as PID 1 of our image.
pub fn main() -> ExitCode {
    if boot::is_init() {
        init();
    }
    let command = Cli::parse().command;
    let (code, message) = match options(std::env::args_os().collect(), command) {
        Ok((command, options)) => perform(&command, &options),
        Err(message) => (2, Some(message)),
    };
    if let Some(message) = message {
        say(format_args!("sully: {message}"));
    }
    ExitCode::from(code)
}

/// PID 1: prepares the system, does what the kernel command line says after `--`, and powers off, whatever happens.
fn init() -> ! {
    boot::install_panic_hook();
    let prepared = boot::prepare();
    let message = match prepared {
        Err(error) => error.to_string(),
        Ok(()) => match read_kernel_line() {
            Err(error) => format!("the kernel command line after -- is wrong: {error}"),
            Ok((command, options)) => {
                boot::announce("starting");
                let (code, message) = perform(&command, &options);
                message.unwrap_or_else(|| format!("done, exit code {code}"))
            }
        },
    };
    boot::announce(&message);
    boot::power_off()
}

fn read_kernel_line() -> Result<(GuestCommand, Options), String> {
    let typed = without_devices(std::env::args_os());
    let command = Cli::try_parse_from(typed.clone()).map_err(|error| error.to_string())?.command;
    options(typed, command)
}

/// QEMU's microvm adds its devices to the end of the kernel command line, which is behind `--`: they are not meant for init.
fn without_devices(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    words.filter(|word| !word.as_encoded_bytes().starts_with(b"virtio_mmio.device=")).collect()
}

/// What `command`, which was read from `typed`, asks for, its plan file taken into account.
fn options(typed: Vec<OsString>, command: GuestCommand) -> Result<(GuestCommand, Options), String> {
    let Some(path) = command.args().plan.clone() else {
        let options = command.args().options();
        return Ok((command, options));
    };
    merged(&plan_file::load(&path)?, typed)
        .map_err(|said| format!("the plan file {} is wrong:\n{said}", path.display()))
}

/// What the plan file of this text and `typed` ask for together.
fn merged(text: &str, typed: Vec<OsString>) -> Result<(GuestCommand, Options), String> {
    let (file, both) = plan_file::read(text, typed)?;
    let command = Cli::try_parse_from(both).map_err(|error| plan_file::said(&error))?.command;
    let mut options = command.args().options();
    (options.plan.phases, options.plan.repeat) = (file.phases, file.repeat);
    options.plan.regions = file.regions;
    Ok((command, options))
}

/// The plan that a plan file of this text asks for by itself.
///
/// # Errors
/// What is wrong with the file; several lines.
#[cfg(feature = "host")]
pub fn plan_of_file(text: &str) -> Result<Plan, String> {
    merged(text, ["sully", "run"].map(OsString::from).into()).map(|(_, options)| options.plan)
}

/// Runs or checks, and says how: the exit code, and what is to be said about it.
fn perform(command: &GuestCommand, options: &Options) -> (u8, Option<String>) {
    if matches!(command, GuestCommand::Check(_)) {
        return inspect(options);
    }
    match guest::run(options) {
        Ok(end) => verdict::judge(&end),
        Err(error) if error.is_of_the_plan() => (2, Some(error.to_string())),
        Err(error) => (1, Some(error.to_string())),
    }
}

/// Prints what was found.
fn inspect(options: &Options) -> (u8, Option<String>) {
    match guest::check(options) {
        Err(error) => (1, Some(error.to_string())),
        Ok(findings) => {
            // Whoever closed the pipe has read enough.
            let _ = write!(stdout(), "{findings}");
            if findings.is_possible() {
                (0, None)
            } else {
                (2, Some("this guest cannot run the plan".into()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Backing, BacklogPolicy, ClockChoice, Numa, PageSize};
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    fn options(line: &str) -> Options {
        Cli::try_parse_from(line.split(' ')).unwrap().command.args().options()
    }

    #[test]
    fn the_devices_that_a_hypervisor_appends_are_not_taken_for_words_of_the_command_line() {
        let line = "/init run -d 1s virtio_mmio.device=512@0xfeb00e00:12".split(' ').map(OsString::from);
        assert_eq!(without_devices(line), ["/init", "run", "-d", "1s"]);
    }

    #[test]
    fn flags_left_out_make_the_default_plan() {
        assert_eq!(options("sully run").plan, Plan::default());
    }

    #[test]
    fn the_kind_of_memory_reaches_the_plan_by_run_and_check_alike() {
        for command in ["run", "check"] {
            let line = format!("sully {command} --pages 2M --backing file:/x --numa 1 --lock");
            let kind = options(&line).plan.kind;
            assert_eq!((kind.pages, kind.numa, kind.lock), (PageSize::Huge2M, Some(Numa::Node(1)), true));
            assert_eq!(kind.backing, Backing::File("/x".into()));
        }
    }

    #[test]
    fn every_flag_reaches_the_plan() {
        let line = "sully run -m 75% -r 5000p/s -p random --pace burst:1s/2s --backlog shed --catch-up 7 --reads 10% -t 3 -d 5s --baseline 1s -i 100ms --seed 9 -w page -c compress:75 --dedup 30% --verify off --no-latency --clock tsc --canary 10ms --report - --report virtio";
        let options = options(line);
        assert_eq!(options.plan.memory, "75%".parse().unwrap());
        assert_eq!(options.plan.reads, "10%".parse().unwrap());
        assert_eq!((options.plan.threads, options.plan.seed), (Some(3), 9));
        assert_eq!((options.plan.pace.to_string().as_str(), options.plan.catch_up), ("burst:1s/2s", 7));
        assert_eq!(options.plan.backlog, BacklogPolicy::Shed);
        assert_eq!(
            (options.plan.write_bytes, options.plan.verify, options.plan.latency),
            (4096, false, false)
        );
        assert_eq!(
            (options.plan.content.to_string().as_str(), options.plan.dedup),
            ("compress:75", "30%".parse().unwrap())
        );
        assert_eq!(options.plan.clock, ClockChoice::Tsc);
        assert_eq!(options.plan.canary.ns(), Some(10_000_000));
        assert_eq!(options.targets, ["-".parse().unwrap(), "virtio".parse().unwrap()]);
    }

    fn read_plan(text: &str, flags: &str) -> Result<Plan, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan.toml");
        std::fs::write(&path, text).unwrap();
        take(&format!("sully run --plan {} {flags}", path.display()))
    }

    fn take(line: &str) -> Result<Plan, String> {
        let typed: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let command = Cli::try_parse_from(&typed).unwrap().command;
        super::options(typed, command).map(|(_, options)| options.plan)
    }

    #[test]
    fn what_is_typed_goes_before_what_the_file_says() {
        let text = "memory = \"1G\"\nrate = \"5M/s\"\nlock = true\nverify = \"off\"\nrepeat = false\n[[phase]]\nname = \"one\"\n";
        let plan = read_plan(text, "-r 7M/s").unwrap();
        assert_eq!((plan.memory.to_string(), plan.rate.to_string()), ("1G".into(), "7M/s".into()));
        assert_eq!((plan.kind.lock, plan.verify, plan.phases.len()), (true, false, 1));
    }

    #[test]
    fn a_wrong_file_is_named_with_what_is_wrong_in_it() {
        for (text, said) in [
            ("rate = \"quick\\u001b[2J\"\n", "'quick\u{fffd}[2J'"),
            ("lock = \"perhaps\"\n", "line 1: lock: 'perhaps'"),
            ("rat = \"1M/s\"\n", "did you mean rate?"),
            ("[[phase]]\nduration = \"5\"\n", "line 2: duration"),
        ] {
            let message = read_plan(text, "").unwrap_err();
            let is_said = message.contains("plan.toml") && message.contains(said);
            assert!(is_said && !message.contains('\u{1b}'), "{message:?}");
        }
        assert!(take("sully run --plan /nonexistent").unwrap_err().contains("/nonexistent cannot be read"));
    }
}
