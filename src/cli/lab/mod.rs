//! The command line of `sully-lab`.

mod calibrate;
mod collect;
mod converge;
mod ctl;
mod image;
mod interrupt;
mod measure;
mod report;
mod run;

use crate::cli::{print::answer, say::say};
use crate::lab::{rundir::ReadError, wrong::WrongInput};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Builds guest images, drives real QEMU migrations under load, and explains what the guest felt.
#[derive(Debug, Parser)]
#[command(name = "sully-lab", version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: LabCommand,
}

#[derive(Debug, Subcommand)]
enum LabCommand {
    Image(image::ImageArgs),
    Run(run::RunArgs),
    Measure(measure::MeasureArgs),
    Scenarios(run::ScenariosArgs),
    Converge(converge::ConvergeArgs),
    Calibrate(calibrate::CalibrateArgs),
    Report(report::ReportArgs),
    Collect(collect::CollectArgs),
    Ctl(ctl::CtlArgs),
}

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 failed; 2 the command line or a file is wrong; 3 it ran, and a judgement failed (migration \
failed, records lost, load below target, an expectation of the scenario not met, a command refused).

From nothing to a report:
  sully-lab image -o sully-image --kernel linux-image-*-cloud-amd64_*.deb
  sully-lab run smoke/auto-converge smoke/post-copy
  sully-lab report runs/smoke-auto-converge-001 runs/smoke-post-copy-001";

/// The whole program.
pub fn main() -> ExitCode {
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(instead) => return answer(&instead),
    };
    let done = match &command {
        LabCommand::Image(args) => image::run(args).map(|()| ExitCode::SUCCESS),
        LabCommand::Run(args) => run::run(args),
        LabCommand::Measure(args) => measure::run(args),
        LabCommand::Scenarios(args) => run::scenarios(args),
        LabCommand::Converge(args) => converge::run(args),
        LabCommand::Calibrate(args) => calibrate::run(args),
        LabCommand::Report(args) => report::run(args).map(|()| ExitCode::SUCCESS),
        LabCommand::Collect(args) => collect::run(args),
        LabCommand::Ctl(args) => ctl::run(args),
    };
    done.unwrap_or_else(|error| {
        say(format_args!("error: {}", with_causes(&error)));
        ExitCode::from(code(&error))
    })
}

/// The error and its causes, each once: many an error says its cause in its own sentence.
fn with_causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string).filter(|cause| !cause.is_empty()) {
        if !text.contains(&cause) {
            text += if text.is_empty() { "" } else { ": " };
            text += &cause;
        }
    }
    text
}

/// What the user gave and has to mend is a wrong command line; everything else is a failure.
fn code(error: &anyhow::Error) -> u8 {
    if error.is::<ReadError>() || error.is::<WrongInput>() { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn a_cause_is_said_once() {
        let full = || std::io::Error::from_raw_os_error(28);
        let error = anyhow::Error::from(full()).context("cannot write x").context("the run");
        assert_eq!(with_causes(&error), "the run: cannot write x: No space left on device (os error 28)");
        let said = anyhow::Error::from(full()).context(format!("cannot write x: {}; elsewhere", full()));
        assert_eq!(with_causes(&said), format!("cannot write x: {}; elsewhere", full()));
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
