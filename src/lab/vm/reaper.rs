//! The one who owns a child process: it alone signals and reaps it, so that a signal can never hit a stranger who
//! got the process id later.

use super::{error::VmError, exit::Exit};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{collections::VecDeque, os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};
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
            signal = signals.recv() => {
                // Whoever held the handle is gone: so shall the process be.
                let abandoned = signal.is_none();
                deliver(&child, signal.unwrap_or(Signal::SIGKILL));
                if abandoned {
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
        lost: None,
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;
    use tokio::process::Command;

    fn shell(script: &str) -> Reaper {
        let command =
            Command::new("sh").args(["-c", script]).stderr(Stdio::piped()).kill_on_drop(true).spawn();
        Reaper::adopt(command.unwrap())
    }

    fn is_there(pid: u32) -> bool {
        std::path::Path::new(&format!("/proc/{pid}")).exists()
    }

    #[tokio::test]
    async fn the_end_is_known_to_everybody_who_asks_and_as_often_as_they_ask() {
        let process = shell("echo no such option >&2; exit 3");
        let (one, other) = tokio::join!(process.wait(), process.wait());
        assert_eq!(one, other);
        assert_eq!(one.to_string(), "exit code 3, and it said: no such option");
        assert_eq!(process.wait().await, one);
        assert_eq!(process.exit(), Some(one));
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_loses_nothing() {
        let process = shell("exec sleep 60");
        assert_eq!(process.wait_within(Duration::from_millis(1)).await, None);
        assert_eq!(process.exit(), None);
        process.signal(Signal::SIGTERM);
        let exit = process.wait().await;
        assert_eq!((exit.code, exit.signal), (None, Some(15)));
        assert_eq!(exit.to_string(), "killed by SIGTERM, and it said nothing");
    }

    #[tokio::test]
    async fn what_ignores_sigterm_is_killed_and_reaped() {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; echo ready; exec sleep 60"]).stdout(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0; 6]).await.unwrap();
        let process = Reaper::adopt(child);
        process.signal(Signal::SIGTERM);
        assert_eq!(process.kill().await.unwrap().signal, Some(9));
        assert!(!is_there(process.pid()));
    }

    #[tokio::test]
    async fn a_dropped_handle_ends_the_process_and_leaves_no_zombie() {
        let process = shell("exec sleep 60");
        let (pid, mut ended) = (process.pid(), process.ended.clone());
        drop(process);
        ended.wait_for(Option::is_some).await.unwrap();
        assert!(!is_there(pid));
    }

    #[tokio::test]
    async fn of_much_talk_the_end_is_kept() {
        let process =
            shell("yes 'a line that says little' | head -c 100000 >&2; printf '\\033[1mthe reason' >&2");
        let said = process.wait().await.stderr_tail;
        assert!(said.ends_with("[1mthe reason"), "{said}");
        assert!(said.len() <= STDERR_BYTES);
    }
}
