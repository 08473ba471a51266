//! `sully-lab ctl`: a command for a guest, in words.

mod target;
mod words;

use super::interrupt::interruptions;
use crate::cli::{print::print, say::say};
use crate::lab::collect::ask;
use crate::lab::hostclock;
use crate::lab::wrong::given;
use anyhow::{Context, bail};
use serde_json::{Map, Value};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};
use target::CommandTarget;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    runtime, time,
};

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
  mark TEXT...           put a note into the stream
  phase NAME             begin a phase
  dirty pages=N          dirty exactly N different pages, then hold still; resume or set rate= goes on
  set KEY=VALUE...       change the load, for example set rate=200M/s pattern=random
  '{\"type\":...}'         any line of docs/WIRE.md as it is
What the guest does not know it refuses, and says what it knows.

Exit codes: 0 done; 1 no answer; 2 the command line is wrong; 3 the guest refused.

A socket takes one client at a time. While a collector holds it, give the collector's directory instead.";

/// How long a guest may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// The longest line of a guest that is looked at.
const LINE_LIMIT_BYTES: u64 = 1 << 20;

/// Sends the command, and prints what came of it.
///
/// # Errors
/// When the command is wrong, nobody listens, or nobody answers.
pub fn run(args: &CtlArgs) -> anyhow::Result<ExitCode> {
    // The reply must be told from those to others: the clock makes ids that do not come twice.
    let command = given(words::command(&args.command, hostclock::mono_ns()))?;
    let target = given(target::find(&args.target))?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let reply = runtime.block_on(async {
        let mut interrupt = interruptions()?;
        tokio::select! {
            reply = exchange(target, &command) => reply,
            _ = interrupt.wait_for(|interrupted| *interrupted) => bail!("interrupted before the guest answered"),
        }
    })?;
    let (text, code) = words::told(&reply)?;
    if code == 0 {
        print(&format!("{text}\n"))?;
    } else {
        say(text);
    }
    Ok(ExitCode::from(code))
}

/// Sends the command the way the target stands for; the answer's line.
async fn exchange(target: CommandTarget, command: &Map<String, Value>) -> anyhow::Result<String> {
    match target {
        CommandTarget::Collector(out, vm) => ask(&out, vm.as_deref(), command).await,
        CommandTarget::Socket(socket) => directly(&socket, command).await,
    }
}

async fn directly(socket: &Path, command: &Map<String, Value>) -> anyhow::Result<String> {
    let nobody = || {
        format!("nobody listens at {}: is the VM running, and is this its port's socket?", socket.display())
    };
    let mut stream = UnixStream::connect(socket).await.with_context(nobody)?;
    // An empty line is nothing: it ends what another client may have begun.
    let mut line = b"\n".to_vec();
    line.extend(serde_json::to_vec(command)?);
    line.push(b'\n');
    let talk = async {
        stream.write_all(&line).await?;
        let mut reader = BufReader::new(&mut stream);
        loop {
            let mut heard = Vec::new();
            let count = (&mut reader).take(LINE_LIMIT_BYTES).read_until(b'\n', &mut heard).await?;
            if count == 0 {
                bail!("{} was closed before an answer came", socket.display());
            }
            if words::is_reply(&heard, command.get("id")) {
                return Ok(String::from_utf8_lossy(&heard).into_owned());
            }
        }
    };
    time::timeout(ANSWER_LIMIT, talk).await.unwrap_or_else(|_| {
        bail!(
            "no answer from {} within {} s. A socket takes one client at a time: if a collector holds it, give the \
             collector's directory instead (sully-lab ctl DIR/SESSION ...). Otherwise no guest program listens there",
            socket.display(),
            ANSWER_LIMIT.as_secs()
        )
    })
}
