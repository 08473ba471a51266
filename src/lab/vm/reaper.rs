//! The one who owns a child process: it alone signals and reaps it, so that a signal can never hit a stranger who
//! got the process id later.

use super::VmError;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    collections::VecDeque, fmt, os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Child,
    sync::{mpsc, watch},
    time,
};

/// How much of what QEMU says on stderr is kept: its end.
const STDERR_BYTES: usize = 16 << 10;
/// How long stderr may stay open after the process ended (a child of its own may hold it).
const STDERR_LIMIT: Duration = Duration::from_millis(500);
/// How long a process may take to be gone after SIGKILL.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// How a QEMU ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exit {
    /// Its exit code, where it ended by itself.
    pub code: Option<i32>,
    /// The signal that ended it, where one did.
    pub signal: Option<i32>,
    /// The end of what it said on stderr; control characters but line ends removed.
    pub stderr_tail: String,
}

impl fmt::Display for Exit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(out, "exit code {code}")?,
            (None, Some(number)) => match Signal::try_from(number) {
                Ok(signal) => write!(out, "killed by {signal}")?,
                Err(_) => write!(out, "killed by signal {number}")?,
            },
            (None, None) => out.write_str("ended in an unknown way")?,
        }
        if self.stderr_tail.is_empty() {
            return out.write_str(", and it said nothing");
        }
        write!(out, ", and it said: {}", self.stderr_tail)
    }
}

/// The handle of a child process. Dropping it kills the process, and the reaper behind it still reaps.
#[derive(Debug)]
pub struct Reaper {
    pid: u32,
    signals: mpsc::UnboundedSender<Signal>,
    ended: watch::Receiver<Option<Exit>>,
}

impl Reaper {
    /// Takes a child over. Its stderr has to be piped to be kept.
    pub fn adopt(child: Child) -> Self {
        let (signals, signal_receiver) = mpsc::unbounded_channel();
        let (publish, ended) = watch::channel(None);
        let pid = child.id().unwrap_or(0);
        tokio::spawn(reap(child, signal_receiver, publish));
        Self { pid, signals, ended }
    }

    /// The process id, also after the end.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended, if it has.
    pub fn exit(&self) -> Option<Exit> {
        self.ended.borrow().clone()
    }

    /// Waits for the end. Cancel-safe, and may be called any number of times.
    pub async fn wait(&self) -> Exit {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(exit) => exit.clone().unwrap_or_default(),
            // The reaper is gone only when the runtime is; the child was killed with it.
            Err(_) => Exit::default(),
        }
    }

    /// Waits for the end, at most `limit`.
    pub async fn wait_within(&self, limit: Duration) -> Option<Exit> {
        time::timeout(limit, self.wait()).await.ok()
    }

    /// Sends a signal, if the process still runs.
    pub fn signal(&self, signal: Signal) {
        let _ = self.signals.send(signal);
    }

    /// Kills the process and waits until it is reaped.
    ///
    /// # Errors
    /// It is still there after 5 s.
    pub async fn kill(&self) -> Result<Exit, VmError> {
        self.signal(Signal::SIGKILL);
        self.wait_within(KILL_LIMIT).await.ok_or(VmError::Unkillable { pid: self.pid, limit: KILL_LIMIT })
    }
}

/// Waits for the child, passes signals on, and publishes how it ended.
async fn reap(
    mut child: Child,
    mut signals: mpsc::UnboundedReceiver<Signal>,
    publish: watch::Sender<Option<Exit>>,
) {
    let stderr = tokio::spawn(keep_tail(child.stderr.take()));
    let abort = stderr.abort_handle();
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.ok(),
            signal = signals.recv() => match signal {
                Some(signal) => deliver(&child, signal),
                // Whoever held the handle is gone.
                None => {
                    deliver(&child, Signal::SIGKILL);
                    break child.wait().await.ok();
                }
            },
        }
    };
    let said = time::timeout(STDERR_LIMIT, stderr).await;
    abort.abort();
    let stderr_tail = said.ok().and_then(Result::ok).unwrap_or_default();
    publish.send_replace(Some(Exit {
        code: status.as_ref().and_then(ExitStatus::code),
        signal: status.as_ref().and_then(ExitStatusExt::signal),
        stderr_tail,
    }));
}

/// The child has an id as long as it is not reaped, and this task is the only one that reaps it.
fn deliver(child: &Child, signal: Signal) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// Reads to the end and keeps the last bytes, as text.
async fn keep_tail(source: Option<impl AsyncRead + Unpin>) -> String {
    let mut tail = VecDeque::with_capacity(STDERR_BYTES);
    let mut chunk = vec![0; 4096];
    let Some(mut source) = source else { return String::new() };
    while let Ok(count @ 1..) = source.read(&mut chunk).await {
        tail.extend(&chunk[..count]);
        let surplus = tail.len().saturating_sub(STDERR_BYTES);
        tail.drain(..surplus);
    }
    let text = String::from_utf8_lossy(tail.make_contiguous()).into_owned();
    let kept = text.chars().filter(|&character| character == '\n' || !character.is_control());
    kept.collect::<String>().trim().to_owned()
}
