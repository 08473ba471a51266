//! The guest that a command is for, spoken to directly or through its collector: one command after another.

use super::target::CommandTarget;
use super::words;
use crate::lab::collect::{SessionEnd, ask};
use anyhow::{Context, bail};
use serde_json::{Map, Value};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    time,
};

/// How long a guest may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// The longest line of a guest that is looked at.
const LINE_LIMIT_BYTES: u64 = 1 << 20;

/// A way to a guest.
pub enum GuestLine {
    /// The collector of a directory, and the VM that is meant where one is named.
    Collector(PathBuf, Option<String>),
    /// A VM's own socket.
    Socket(SocketLine),
}

impl GuestLine {
    /// Opens it.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn open(target: CommandTarget) -> anyhow::Result<Self> {
        match target {
            CommandTarget::Collector(out, vm) => Ok(Self::Collector(out, vm)),
            CommandTarget::Socket(socket) => SocketLine::open(socket).await.map(Self::Socket),
        }
    }

    /// Gives a command; the answer's line.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn ask(&mut self, command: &Map<String, Value>) -> anyhow::Result<String> {
        match self {
            Self::Collector(out, vm) => ask(out, vm.as_deref(), command).await,
            Self::Socket(line) => line.ask(command).await,
        }
    }

    /// The last record of the guest, where it came past: only a VM's own socket shows it.
    pub const fn take_end(&mut self) -> Option<SessionEnd> {
        match self {
            Self::Collector(..) => None,
            Self::Socket(line) => line.end.take(),
        }
    }
}

/// A VM's own socket, connected.
pub struct SocketLine {
    socket: PathBuf,
    stream: BufReader<UnixStream>,
    end: Option<SessionEnd>,
}

impl SocketLine {
    async fn open(socket: PathBuf) -> anyhow::Result<Self> {
        let nobody = || {
            format!(
                "nobody listens at {}: is the VM running, and is this its port's socket?",
                socket.display()
            )
        };
        let stream = UnixStream::connect(&socket).await.with_context(nobody)?;
        Ok(Self { stream: BufReader::new(stream), socket, end: None })
    }

    async fn ask(&mut self, command: &Map<String, Value>) -> anyhow::Result<String> {
        // An empty line is nothing: it ends what another client may have begun.
        let mut line = b"\n".to_vec();
        line.extend(serde_json::to_vec(command)?);
        line.push(b'\n');
        let answer = time::timeout(ANSWER_LIMIT, self.talk(&line, command.get("id"))).await;
        answer.unwrap_or_else(|_| Err(silence(&self.socket)))
    }

    async fn talk(&mut self, line: &[u8], id: Option<&Value>) -> anyhow::Result<String> {
        // Who has gone may have left its last record.
        let _ = self.stream.get_mut().write_all(line).await;
        loop {
            let mut heard = Vec::new();
            let count = (&mut self.stream).take(LINE_LIMIT_BYTES).read_until(b'\n', &mut heard).await;
            if count.unwrap_or(0) == 0 {
                bail!("{} was closed before an answer came", self.socket.display());
            }
            if words::is_reply(&heard, id) {
                return Ok(String::from_utf8_lossy(&heard).into_owned());
            }
            if let Some(end) = words::end(&heard) {
                self.end = Some(end);
                bail!("the guest program has ended");
            }
        }
    }
}

fn silence(socket: &Path) -> anyhow::Error {
    anyhow::anyhow!(
        "no answer from {} within {} s. A socket takes one client at a time: if a collector holds it, give the \
         collector's directory instead (sully-lab ctl DIR/SESSION ...). Otherwise no guest program listens there",
        socket.display(),
        ANSWER_LIMIT.as_secs()
    )
}
