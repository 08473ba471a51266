//! `sully-lab ctl`: a command for a guest, in words.

mod gate;
mod talk;
mod target;
mod words;

use super::interrupt::interruptions;
use crate::cli::{
    print::{answer, print},
    say::say,
};
use crate::lab::hostclock;
use crate::lab::wrong::given;
use anyhow::bail;
use gate::Gate;
use serde_json::{Map, Value};
use std::{path::PathBuf, process::ExitCode};
use talk::GuestLine;
use tokio::runtime;

/// Give a running guest a command, and print its answer
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = AFTER)]
pub struct CtlArgs {
    /// The VM's virtio-serial socket, a pattern of it or a domain of libvirt; or a collector's directory DIR, or DIR/VM for
    /// one of several VMs (VM is a session, a socket's file name, a domain of libvirt or a host name)
    #[arg(value_name = "SOCKET|DOMAIN|DIR[/VM]")]
    pub target: PathBuf,
    /// The command and its words
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

const AFTER: &str = "\
Commands:
  ping, status, pause, resume, sweep, stop
  mark TEXT...      put a note into the stream
  phase NAME        begin a phase
  dirty pages=N     dirty exactly N different pages, then hold still;
                    resume or set rate= goes on
  set KEY=VALUE...  change the load: set rate=200M/s pattern=random
  '{\"type\":...}'    any line of docs/WIRE.md as it is
What the guest does not know it refuses, and says what it knows.

Gates, for scripts; each waits, and says by its exit code whether it came:
  wait-steady       the load holds what was asked [--within, --for, --timeout]
  wait-done         the guest program ended, and lost nothing [--timeout]
  verify            every page was looked at, and none is corrupt [--timeout]
`wait-steady --help` and so on tell more.

Exit codes: 0 done; 1 no answer; 2 the command line is wrong; 3 the guest refused, or a gate stayed closed.

A socket takes one client at a time. While a collector holds it, give the collector's directory instead.";

/// What is wanted of a guest.
enum Errand {
    /// To wait for something.
    Gate(Gate),
    /// A command.
    Command(Map<String, Value>),
}

/// Sends the command, and prints what came of it.
///
/// # Errors
/// When the command is wrong, nobody listens, or nobody answers.
pub fn run(args: &CtlArgs) -> anyhow::Result<ExitCode> {
    let errand = match Gate::of(&args.command) {
        Ok(Some(gate)) => Errand::Gate(gate),
        // The reply must be told from those to others: the clock makes ids that do not come twice.
        Ok(None) => Errand::Command(given(words::command(&args.command, hostclock::mono_ns()))?),
        Err(instead) => return Ok(answer(&instead)),
    };
    let target = given(target::find(&args.target))?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (text, code) = runtime.block_on(async {
        let mut interrupt = interruptions()?;
        let given = async {
            let mut line = GuestLine::open(target).await?;
            match errand {
                Errand::Gate(gate) => gate.pass(&mut line).await,
                Errand::Command(command) => words::told(&line.ask(&command).await?),
            }
        };
        tokio::select! {
            passed = given => passed,
            _ = interrupt.wait_for(|interrupted| *interrupted) => bail!("interrupted before the guest answered"),
        }
    })?;
    if code == 0 {
        print(&format!("{text}\n"))?;
    } else {
        say(text);
    }
    Ok(ExitCode::from(code))
}
