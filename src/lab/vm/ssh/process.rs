//! A QEMU on the other machine, as the client that holds its keeper (`keeper.sh`): it ends with its QEMU, by its exit code, and its
//! QEMU and the directory end with it.

use super::super::{exit::Exit, reaper::Reaper};
use super::{SshError, SshLink};
use crate::lab::shell;
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{ChildStdin, ChildStdout},
    sync::{Mutex, mpsc},
    task::JoinHandle,
    time,
};

/// How long the keeper may take to have made its directory.
const BEGIN_LIMIT: Duration = Duration::from_secs(10);
/// How often the keeper hears of us; it gives up after ten times as long.
const BEAT: Duration = Duration::from_secs(3);
/// How long the keeper may take to end QEMU and to remove the directory.
const END_LIMIT: Duration = Duration::from_secs(5);
/// How long the last of the console may take after the end.
const CONSOLE_LIMIT: Duration = Duration::from_secs(2);
/// How long QEMU may take to listen on its sockets.
const LISTEN_LIMIT: Duration = Duration::from_secs(20);
/// What every directory of a keeper is called, but for its last letters.
const DIRECTORY: &str = "/tmp/sully-";
/// How many random letters that are.
const RANDOM_LETTERS: usize = 8;
/// What `ssh` exits with when it failed itself.
const LOST: i32 = 255;
/// What a shell adds to the number of the signal that ended a process.
const SIGNALLED: i32 = 128;

/// The keeper, its private directory, and from when it is told to, QEMU.
#[derive(Debug)]
pub struct SshProcess {
    directory: PathBuf,
    address: String,
    /// Dropped when QEMU is to end.
    start: Mutex<Option<mpsc::Sender<()>>>,
    console: Mutex<Option<JoinHandle<()>>>,
}

impl SshProcess {
    /// Has the directory made; QEMU's console will be in the file `console_log` of this machine.
    ///
    /// # Errors
    /// It cannot be made, or the connection is lost.
    pub async fn begin(link: &SshLink, console_log: &Path) -> Result<(Reaper, Self), SshError> {
        let deed = "make a private directory in /tmp";
        let log = fs::File::create(console_log);
        let log =
            log.map_err(|error| link.failed(&format!("keep {}", console_log.display()), error.to_string()))?;
        let pattern = format!("{DIRECTORY}{}", "X".repeat(RANDOM_LETTERS));
        let mut command = link.command(include_str!("keeper.sh"), &[&pattern]);
        let mut child =
            command.stdin(Stdio::piped()).spawn().map_err(|source| SshError::NoClient { source })?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let process = Reaper::adopt(child);
        let Some((stdin, stdout)) = pipes else { return Err(link.failed(deed, "no pipes".into())) };
        let mut stdout = BufReader::new(stdout);
        let directory = time::timeout(BEGIN_LIMIT, directory(&mut stdout)).await;
        let Some(directory) = directory.ok().flatten() else {
            let exit = process.kill().await.map(|exit| exit.to_string());
            return Err(link.failed(deed, exit.unwrap_or_else(|error| error.to_string())));
        };
        let (start, started) = mpsc::channel(1);
        tokio::spawn(keep_alive(stdin, started));
        let console = tokio::spawn(keep_console(stdout, log));
        let address = link.address().to_string();
        let console = Mutex::new(Some(console));
        Ok((process, Self { directory, address, start: Mutex::new(Some(start)), console }))
    }

    /// The directory there.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Starts the program, and waits until it listens on `sockets`; `scratch` is a directory of this machine. The caller sees
    /// whether it ends meanwhile.
    ///
    /// # Errors
    /// It cannot be started, does not listen in time, or the connection is lost.
    pub async fn start(
        &self,
        link: &SshLink,
        scratch: &Path,
        program: &str,
        arguments: &[String],
        sockets: [&Path; 2],
    ) -> Result<(), SshError> {
        let words = [program].into_iter().chain(arguments.iter().map(String::as_str)).map(shell::word);
        let script = format!("exec {}\n", words.collect::<Vec<_>>().join(" "));
        let here = scratch.join("start");
        fs::write(&here, script).map_err(|error| link.failed("start QEMU", error.to_string()))?;
        link.copy(&here, &self.directory.join("start").display().to_string()).await?;
        if let Some(start) = &*self.start.lock().await {
            let _ = start.send(()).await;
        }
        let [one, other] = sockets.map(|socket| socket.display().to_string());
        let wait = r#"i=0; until [ -S "$1" ] && [ -S "$2" ]; do i=$((i+1)); [ "$i" -lt 150 ] || exit 1; sleep 0.1; done"#;
        link.run("wait for QEMU's sockets", wait, &[&one, &other], LISTEN_LIMIT).await.map(drop)
    }

    /// Has QEMU killed and the directory removed, as far as the other machine can still be told.
    pub async fn end(&self, process: &Reaper) -> Option<Exit> {
        self.start.lock().await.take();
        let exit = process.wait_within(END_LIMIT).await?;
        Some(self.seen(exit).await)
    }

    /// The end of the client as that of QEMU. The last of the console is there by then.
    pub async fn seen(&self, mut exit: Exit) -> Exit {
        if let Some(console) = self.console.lock().await.take() {
            let _ = time::timeout(CONSOLE_LIMIT, console).await;
        }
        match exit.code {
            Some(LOST) => exit.lost = Some(self.address.clone()),
            Some(code) if code > SIGNALLED => (exit.code, exit.signal) = (None, Some(code - SIGNALLED)),
            _ => {}
        }
        exit
    }
}

/// The directory that the keeper says it has made; none where it says anything else.
async fn directory(stdout: &mut BufReader<ChildStdout>) -> Option<PathBuf> {
    let mut line = String::new();
    stdout.read_line(&mut line).await.ok()?;
    let name = line.strip_suffix('\n')?;
    let random = name.strip_prefix(DIRECTORY)?;
    let is_plain =
        random.len() == RANDOM_LETTERS && random.bytes().all(|letter| letter.is_ascii_alphanumeric());
    is_plain.then(|| PathBuf::from(name))
}

/// Writes down what comes. What the disk does not take is missing from the console, as it would be with a QEMU of this machine.
async fn keep_console(mut stdout: BufReader<ChildStdout>, mut log: fs::File) {
    let mut chunk = vec![0; 4096];
    while let Ok(count @ 1..) = stdout.read(&mut chunk).await {
        let _ = log.write_all(&chunk[..count]);
    }
}

/// Tells the keeper that we are there, and when to start, until the other end of `started` is gone.
async fn keep_alive(mut stdin: ChildStdin, mut started: mpsc::Receiver<()>) {
    let mut beat = time::interval(BEAT);
    loop {
        let word: &[u8] = tokio::select! {
            start = started.recv() => if start.is_some() { b"start\n" } else { return },
            _ = beat.tick() => b"\n",
        };
        if stdin.write_all(word).await.is_err() {
            return;
        }
    }
}
