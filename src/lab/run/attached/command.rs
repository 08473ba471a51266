//! The command that migrates: run in a process group of its own, its words kept and shown, and ended with all that it started.

use crate::lab::hostclock;
use crate::lab::run::vm::VmEvent;
use crate::lab::vm::locate;
use crate::record::CommandEnd;
use crate::units::shown;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::{
    collections::VecDeque,
    fs::File,
    io::{Write, stderr},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    sync::{mpsc, watch},
    task::JoinHandle,
    time,
};

/// What the command said, in the run directory.
pub const LOG_FILE: &str = "command.log";
/// The most that is kept of it.
const LOG_LIMIT_BYTES: usize = 16 << 20;
/// How many of its last lines are repeated, and how much of each.
const LAST_LINES: usize = 5;
const LINE_CHARS: usize = 300;
/// How long what it said last may take to come when it has ended: a child of its own may hold the pipe.
const LAST_BYTES_LIMIT: Duration = Duration::from_millis(500);
/// How long it may take to end at each signal, from the kindest on.
const SIGNALS: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(5)),
    (Signal::SIGTERM, Duration::from_secs(2)),
    (Signal::SIGKILL, Duration::from_secs(5)),
];

/// The program that a command names, as the shell would find it.
///
/// # Errors
/// There is none, or it cannot be run: a sentence.
pub fn program(name: &str) -> Result<PathBuf, String> {
    let given = Path::new(name);
    locate::program(given).ok_or_else(|| match (name.contains('/'), given.exists()) {
        (true, true) => format!("'{name}' is no program that can be run"),
        (true, false) => format!("there is no program '{name}'"),
        (false, _) => format!("there is no program '{name}' on PATH"),
    })
}

/// A command at work, or ended and not yet reaped: as long as it is not, its process group can be nobody else's.
pub struct RunningCommand {
    child: Child,
    group: Pid,
    has_ended: watch::Receiver<bool>,
    said: Arc<Mutex<Said>>,
    readers: Vec<JoinHandle<()>>,
}

/// What it has said so far.
#[derive(Debug)]
struct Said {
    log: File,
    written: usize,
    shows: bool,
    lines: VecDeque<String>,
    open: Vec<u8>,
}

impl RunningCommand {
    /// Starts it; how it ends is sent to `ended`.
    ///
    /// # Errors
    /// It cannot be started: a sentence.
    pub fn start(
        words: &[String],
        log: &Path,
        shows: bool,
        ended: mpsc::UnboundedSender<VmEvent>,
    ) -> Result<Self, String> {
        let (name, arguments) = words.split_first().ok_or("there is no command")?;
        let file = File::create(log).map_err(|error| format!("cannot write {}: {error}", log.display()))?;
        let (lines, open) = (VecDeque::new(), Vec::new());
        let said = Arc::new(Mutex::new(Said { log: file, written: 0, shows, lines, open }));
        let mut command = Command::new(name);
        command.args(arguments).process_group(0).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("the command cannot be started: {error}"))?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).unwrap_or(0);
        let group = Pid::from_raw(id);
        let pipes = (child.stdout.take(), child.stderr.take());
        let readers = vec![
            tokio::spawn(listen(pipes.0, Arc::clone(&said))),
            tokio::spawn(listen(pipes.1, Arc::clone(&said))),
        ];
        let (tell, has_ended) = watch::channel(false);
        tokio::spawn(async move {
            let end = tokio::task::spawn_blocking(move || wait(group)).await.ok().flatten();
            tell.send_replace(true);
            // What it said last is to be there when its end is told.
            time::sleep(Duration::from_millis(20)).await;
            let end = end.unwrap_or(CommandEnd { host_ns: hostclock::mono_ns(), code: None, signal: None });
            let _ = ended.send(VmEvent::CommandEnded(end));
        });
        Ok(Self { child, group, has_ended, said, readers })
    }

    /// Ends it and all that it started, however long it takes. Its last lines, and what is to be noted.
    pub async fn end(mut self) -> (Vec<String>, Option<String>) {
        let mut note = None;
        for (signal, limit) in SIGNALS {
            if *self.has_ended.borrow() {
                break;
            }
            note = Some(format!("the command was ended by {signal}"));
            let _ = killpg(self.group, signal);
            let _ = time::timeout(limit, self.has_ended.wait_for(|ended| *ended)).await;
        }
        // Those that it left behind, and itself where nothing else helped.
        let _ = killpg(self.group, Signal::SIGKILL);
        for reader in &mut self.readers {
            if time::timeout(LAST_BYTES_LIMIT, &mut *reader).await.is_err() {
                reader.abort();
            }
        }
        if time::timeout(LAST_BYTES_LIMIT, self.child.wait()).await.is_err() {
            note = Some("the command could not be ended".to_owned());
        }
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.line();
        (said.lines.iter().cloned().collect(), note)
    }
}

/// Waits until the process has ended, and leaves it to be reaped.
fn wait(pid: Pid) -> Option<CommandEnd> {
    loop {
        match waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
            Ok(WaitStatus::Exited(_, code)) => {
                return Some(CommandEnd { host_ns: hostclock::mono_ns(), code: Some(code), signal: None });
            }
            Ok(WaitStatus::Signaled(_, signal, _)) => {
                let signal = Some(signal as i32);
                return Some(CommandEnd { host_ns: hostclock::mono_ns(), code: None, signal });
            }
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
}

async fn listen(pipe: Option<impl AsyncRead + Unpin>, said: Arc<Mutex<Said>>) {
    let Some(mut pipe) = pipe else { return };
    let mut chunk = vec![0; 16 << 10];
    while let Ok(count @ 1..) = pipe.read(&mut chunk).await {
        said.lock().unwrap_or_else(PoisonError::into_inner).take(&chunk[..count]);
    }
}

impl Said {
    fn take(&mut self, bytes: &[u8]) {
        if self.shows {
            // A terminal that is gone keeps nobody from measuring.
            let _ = stderr().write_all(bytes);
        }
        let room = LOG_LIMIT_BYTES.saturating_sub(self.written).min(bytes.len());
        if self.log.write_all(&bytes[..room]).is_ok() {
            self.written += room;
        }
        for byte in bytes {
            match byte {
                b'\n' | b'\r' => self.line(),
                _ if self.open.len() < 4 * LINE_CHARS => self.open.push(*byte),
                _ => {}
            }
        }
    }

    fn line(&mut self) {
        let line = shown(&String::from_utf8_lossy(&std::mem::take(&mut self.open)), LINE_CHARS);
        if line.trim().is_empty() {
            return;
        }
        if self.lines.len() == LAST_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Runs a shell's words; how it ended, what it said, and what is kept of that.
    fn ran(script: &str, is_ended: bool) -> (Option<CommandEnd>, Vec<String>, Option<String>, String) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join(LOG_FILE);
        let (end, lines, note) = runtime.block_on(async {
            let (ended, mut receiver) = mpsc::unbounded_channel();
            let words = ["sh", "-c", script].map(str::to_owned);
            let command = RunningCommand::start(&words, &log, false, ended).unwrap();
            let limit = Duration::from_millis(if is_ended { 300 } else { 20_000 });
            let end = match time::timeout(limit, receiver.recv()).await {
                Ok(Some(VmEvent::CommandEnded(end))) => Some(end),
                _ => None,
            };
            let (lines, note) = command.end().await;
            (end, lines, note)
        });
        (end, lines, note, fs::read_to_string(&log).unwrap())
    }

    #[test]
    fn what_a_command_says_is_kept_and_how_it_ends_is_known() {
        let (end, lines, note, log) = ran("echo one; echo two >&2; exit 7", false);
        assert_eq!(end.map(|end| (end.code, end.signal)), Some((Some(7), None)));
        assert_eq!((lines.len(), note), (2, None), "{lines:?}");
        assert!(log.contains("one\n") && log.contains("two\n"), "{log}");
        let (end, ..) = ran("kill -9 $$", false);
        assert_eq!(end.map(|end| end.to_string()), Some("killed by signal 9".into()));
    }

    #[test]
    fn a_command_that_does_not_end_is_ended_with_all_that_it_started() {
        let begun_ns = hostclock::mono_ns();
        let (end, lines, note, _) = ran("sleep 1000 & echo $!; wait", true);
        assert_eq!(end, None);
        assert_eq!(note.as_deref(), Some("the command was ended by SIGINT"));
        let child = lines[0].parse::<u32>().unwrap();
        assert!(!is_alive(child), "{child}");
        assert!(hostclock::mono_ns() - begun_ns < 5_000_000_000);
    }

    #[test]
    fn what_a_command_left_behind_is_ended_at_the_end() {
        let (end, lines, note, _) = ran("sleep 1000 >/dev/null 2>&1 & echo $!", false);
        assert!(end.is_some_and(CommandEnd::is_good) && note.is_none());
        assert!(!is_alive(lines[0].parse().unwrap()));
    }

    /// Whether a process runs: one that nobody has reaped yet does not.
    fn is_alive(id: u32) -> bool {
        let state = |stat: String| stat.rsplit(')').next().map(|rest| rest.trim_start().starts_with('Z'));
        let is_zombie = fs::read_to_string(format!("/proc/{id}/stat")).ok().and_then(state);
        is_zombie == Some(false)
    }

    #[test]
    fn a_program_is_found_as_a_shell_finds_it() {
        assert!(program("sh").unwrap().ends_with("sh") && program("/bin/sh").is_ok());
        assert!(program("no-such-program").unwrap_err().contains("'no-such-program' on PATH"));
        assert!(program("/nonexistent/x").unwrap_err().contains("there is no program '/nonexistent/x'"));
        assert!(program("/etc/passwd").unwrap_err().contains("no program that can be run"));
    }
}
