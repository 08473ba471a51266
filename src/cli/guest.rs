//! The command line of `sully`.

mod flags;
mod plan_file;
mod verdict;

use crate::cli::{
    print::{answer, print},
    say::say,
};
use crate::guest::{self, Options, boot};
use crate::plan::Plan;
use crate::port::{Target, Token};
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
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
Exit codes: 0 done; 1 failed, or a --report target is not there; 2 the command line is wrong for this machine, or check
found a FAULT; 3 the load stayed below its target, or pages were corrupt.

A first look:           sully run -d 10s
Can it run here?        sully check -m 75% --pages 2M --report virtio
To a file, as NDJSON:   sully run -m 1G -r 200M/s -i 100ms --report file:records.ndjson
In a VM, to its host:   sully run -m 75% -r 500M/s --report virtio";

/// The flags of `sully run`.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
struct RunArgs {
    /// A plan file (TOML): flags by their names, regions of memory, and phases that follow each other; flags given here
    /// go before it
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    #[command(flatten)]
    said: flags::PlanFlags,
    /// Where records go: - (standard output), file:PATH (begun anew, whatever it held), virtio[:NAME] (port org.sully.0),
    /// unix:PATH, tcp:ADDRESS:PORT, vsock:[CID:]PORT (connect, and reconnect), listen:tcp:ADDRESS:PORT, listen:vsock:PORT
    /// (one host at a time); may be repeated. A terminal gets a table, with or without
    #[arg(long, allow_hyphen_values = true, value_name = "TARGET")]
    report: Vec<Target>,
    /// The word that both ends of a network connection know: said first where this program connects, demanded where it
    /// listens. It and the records travel in the clear
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Listen without a token on an address that others than this machine can reach
    #[arg(long)]
    open_to_anyone: bool,
    /// What the VM is called, for example name=web-1; may be repeated
    #[arg(long, allow_hyphen_values = true, value_name = "KEY=VALUE")]
    label: Vec<String>,
}

impl RunArgs {
    /// What is asked for by the plan file and by flags, which go before it.
    ///
    /// # Errors
    /// What is wrong with the plan file; several lines.
    fn options(&self) -> Result<Options, String> {
        let mut plan = match &self.plan {
            Some(path) => plan_file::read(path)?.plan(),
            None => Plan::default(),
        };
        plan.take(&self.said.settings);
        let token = self.token_file.as_deref().map(Token::read).transpose()?;
        if token.is_none() && !self.open_to_anyone {
            self.report.iter().try_for_each(Target::examine_openness)?;
        }
        Ok(Options { plan, targets: self.report.clone(), token, labels: guest::labels(&self.label)? })
    }
}

/// The whole program: as a command, or as PID 1 of our image.
pub fn main() -> ExitCode {
    if boot::is_init() {
        init();
    }
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(instead) => return answer(&instead),
    };
    let (code, message) = match command.args().options() {
        Ok(options) => perform(&command, &options),
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
    let command = Cli::try_parse_from(typed).map_err(|error| error.to_string())?.command;
    let options = command.args().options()?;
    Ok((command, options))
}

/// QEMU's microvm adds its devices to the end of the kernel command line, which is behind `--`: they are not meant for init.
fn without_devices(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    words.filter(|word| !word.as_encoded_bytes().starts_with(b"virtio_mmio.device=")).collect()
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
    let findings = match guest::check(options) {
        Err(error) => return (1, Some(error.to_string())),
        Ok(findings) => findings,
    };
    match print(&findings.to_string()) {
        Err(error) => (1, Some(error.to_string())),
        Ok(()) if findings.is_possible() => (0, None),
        Ok(()) => (2, Some("this guest cannot run the plan".into())),
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
        Cli::try_parse_from(line.split(' ')).unwrap().command.args().options().unwrap()
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
        Cli::try_parse_from(line.split_whitespace())
            .unwrap()
            .command
            .args()
            .options()
            .map(|options| options.plan)
    }

    #[test]
    fn what_is_typed_goes_before_what_the_file_says() {
        let text = "memory = \"1G\"\nrate = \"5M/s\"\nlock = true\nverify = \"off\"\nrepeat = false\n[[phase]]\nname = \"one\"\n";
        let plan = read_plan(text, "-r 7M/s").unwrap();
        assert_eq!((plan.memory.to_string(), plan.rate.to_string()), ("1G".into(), "7M/s".into()));
        assert_eq!((plan.kind.lock, plan.verify, plan.phases.len()), (true, false, 1));
        let twice = read_plan(text, "-r 7M/s -r 8M/s").unwrap();
        assert_eq!(twice.rate.to_string(), "8M/s", "the last one counts");
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
