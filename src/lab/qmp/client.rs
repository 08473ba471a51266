//! The client: one connection, many commands in flight, events as they come.

use super::{Decoder, Incoming, QemuVersion, QmpError, waiters::Waiters};
use crate::lab::hostclock;
use serde_json::{Value, json};
use std::{io, path::Path, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    time,
};

/// How long a command's answer is waited for.
const COMMAND_LIMIT: Duration = Duration::from_secs(10);
/// Commands that QEMU takes while its main thread waits: for a page that a broken post-copy does not bring, or for a link.
const OUT_OF_BAND: [&str; 3] = ["migrate-recover", "migrate-pause", "yank"];
/// How long to wait before the next try to connect.
const RETRY_STEP: Duration = Duration::from_millis(20);
/// Commands that may wait to be written; more make their callers wait.
const QUEUED_COMMANDS: usize = 64;
/// Bytes taken from the socket at once.
const CHUNK_BYTES: usize = 16 << 10;

/// Something QEMU announced.
#[derive(Debug, Clone, PartialEq)]
pub struct QmpEvent {
    /// Host CLOCK_MONOTONIC when it arrived.
    pub host_ns: u64,
    /// What, as QEMU spells it: `STOP`, `RESUME`, `MIGRATION_PASS`, ...
    pub name: String,
    /// When, by QEMU: CLOCK_REALTIME in µs since 1970; none where it could not tell.
    pub qemu_real_us: Option<u64>,
    /// Details; null where there are none.
    pub data: Value,
}

/// A connection to one QEMU's QMP socket. Clones share it; the last one dropped closes it.
#[derive(Debug, Clone)]
pub struct Qmp {
    waiters: Waiters,
    lines: mpsc::Sender<Vec<u8>>,
    version: Arc<QemuVersion>,
    /// Whether QEMU takes commands past those that wait.
    out_of_band: bool,
}

impl Qmp {
    /// Connects to the socket at `path`, which need not exist yet, and negotiates, all within `deadline` from now.
    /// Events arrive at the receiver from then on; they are dropped when it is.
    ///
    /// # Errors
    /// Nobody listens in time, the connection is closed early, or what answers is no QMP.
    pub async fn connect(
        path: &Path,
        deadline: Duration,
    ) -> Result<(Self, mpsc::UnboundedReceiver<QmpEvent>), QmpError> {
        let failed = |reason: String| QmpError::Connect { path: path.to_owned(), limit: deadline, reason };
        let mut last_try = String::from("nobody tried");
        let connected = time::timeout(deadline, async {
            let stream = open(path, &mut last_try).await.map_err(|error| failed(error.to_string()))?;
            last_try = String::from("connected, but no greeting came");
            Self::negotiate(stream).await
        });
        let connected = connected.await;
        connected.unwrap_or_else(|_| Err(failed(last_try)))
    }

    /// Waits for the greeting and leaves the negotiation mode.
    async fn negotiate(stream: UnixStream) -> Result<(Self, mpsc::UnboundedReceiver<QmpEvent>), QmpError> {
        let (input, output) = stream.into_split();
        let (events, event_receiver) = mpsc::unbounded_channel();
        let mut reader = Reader {
            input,
            decoder: Decoder::default(),
            waiters: Waiters::default(),
            events,
            chunk: vec![0; CHUNK_BYTES],
        };
        let version = Arc::new(reader.greeting().await?);
        let (lines, line_receiver) = mpsc::channel(QUEUED_COMMANDS);
        let mut qmp = Self { waiters: reader.waiters.clone(), lines, version, out_of_band: false };
        tokio::spawn(write_lines(output, line_receiver));
        tokio::spawn(reader.run());
        match qmp.execute("qmp_capabilities", json!({ "enable": ["oob"] })).await {
            Ok(_) => qmp.out_of_band = true,
            Err(QmpError::Refused { .. }) => {
                qmp.execute("qmp_capabilities", Value::Null).await?;
            }
            Err(error) => return Err(error),
        }
        Ok((qmp, event_receiver))
    }

    /// Gives QEMU a command and waits for its answer, at most 10 s. `arguments` is an object, or null for none.
    /// Cancel-safe: a caller that gives up leaves the command with QEMU and its answer to nobody.
    ///
    /// # Errors
    /// QEMU refused it, did not answer in time, or closed the connection.
    pub async fn execute(&self, command: &str, arguments: Value) -> Result<Value, QmpError> {
        self.execute_within(command, arguments, COMMAND_LIMIT).await
    }

    /// [`Qmp::execute`] with another time limit.
    ///
    /// # Errors
    /// QEMU refused it, did not answer in time, or closed the connection.
    pub async fn execute_within(
        &self,
        command: &str,
        arguments: Value,
        limit: Duration,
    ) -> Result<Value, QmpError> {
        let mut place = self.waiters.enter(command)?;
        let is_urgent = self.out_of_band && OUT_OF_BAND.contains(&command);
        let line = line(place.id, if is_urgent { "exec-oob" } else { "execute" }, command, arguments);
        let answered = time::timeout(limit, async {
            // A writer that is gone says nothing by itself: the reader knows why, and tells the waiters.
            let _ = self.lines.send(line).await;
            (&mut place.answer).await.unwrap_or(Err(QmpError::Closed))
        });
        let answered = answered.await;
        answered.unwrap_or_else(|_| Err(QmpError::TimedOut { command: command.to_owned(), limit }))
    }

    /// QEMU's version as it names itself, such as `7.2.22 (Debian 1:7.2+dfsg-7)`.
    pub fn version(&self) -> &str {
        self.version.text()
    }

    /// QEMU's version as numbers: major, minor, micro.
    pub fn version_triple(&self) -> (u32, u32, u32) {
        self.version.triple()
    }
}

/// Tries until somebody listens; the caller bounds the time and learns from `last_try` why it was not enough.
async fn open(path: &Path, last_try: &mut String) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
            {
                *last_try = error.to_string();
                time::sleep(RETRY_STEP).await;
            }
            outcome => return outcome,
        }
    }
}

/// One command as QMP writes it.
fn line(id: u64, how: &str, command: &str, arguments: Value) -> Vec<u8> {
    let mut message = json!({ how: command, "id": id });
    if !arguments.is_null() {
        message["arguments"] = arguments;
    }
    let mut line = message.to_string().into_bytes();
    line.push(b'\n');
    line
}

/// Writes whole lines, so that a caller that gives up never leaves half of one. Ends with the last client.
async fn write_lines(mut output: OwnedWriteHalf, mut lines: mpsc::Receiver<Vec<u8>>) {
    while let Some(line) = lines.recv().await {
        if output.write_all(&line).await.is_err() {
            return;
        }
    }
}

/// The one who reads the socket.
struct Reader {
    input: OwnedReadHalf,
    decoder: Decoder,
    waiters: Waiters,
    chunk: Vec<u8>,
    events: mpsc::UnboundedSender<QmpEvent>,
}

impl Reader {
    /// The first message, which has to be the greeting.
    async fn greeting(&mut self) -> Result<QemuVersion, QmpError> {
        loop {
            if let Incoming::Greeting { version } = self.message().await? {
                return Ok(version);
            }
        }
    }

    /// Hands out messages until the connection ends, and then tells everybody why.
    async fn run(mut self) {
        loop {
            match self.message().await {
                Ok(message) => self.hand_out(message),
                Err(reason) => return self.waiters.end(&reason),
            }
        }
    }

    async fn message(&mut self) -> Result<Incoming, QmpError> {
        loop {
            if let Some(message) = self.decoder.next_message() {
                return Ok(message?);
            }
            match self.input.read(&mut self.chunk).await {
                Ok(0) | Err(_) => return Err(QmpError::Closed),
                Ok(count) => self.decoder.push(&self.chunk[..count]),
            }
        }
    }

    fn hand_out(&self, message: Incoming) {
        match message {
            Incoming::Return { id: Some(id), value } => self.waiters.done(id, value),
            Incoming::Error { id: Some(id), class, desc } => self.waiters.refused(id, class, desc),
            Incoming::Event { name, qemu_real_us, data } => {
                // Nobody may want the events; commands go on all the same.
                let _ =
                    self.events.send(QmpEvent { host_ns: hostclock::mono_ns(), name, qemu_real_us, data });
            }
            // Every command has an id, so an answer without one belongs to nobody; a second greeting says nothing.
            Incoming::Return { .. } | Incoming::Error { .. } | Incoming::Greeting { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests;
