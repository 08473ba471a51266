//! One side's virtio-serial socket: always drained, stamped on arrival.

use crate::lab::hostclock;
use crate::record::{Command, Side};
use crate::wire::encode_command;
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, Shutdown, recv, shutdown},
};
use std::{
    io,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::UnixStream,
    sync::{Notify, mpsc},
    task::JoinHandle,
    time,
};

/// Bytes taken from the socket at once: more than QEMU's socket buffer ever holds.
const CHUNK_BYTES: usize = 256 << 10;
/// How long the socket may take to be there.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long to wait before the next try to connect.
const RETRY_STEP: Duration = Duration::from_millis(20);
/// How long QEMU may take to accept a command.
const SEND_LIMIT: Duration = Duration::from_secs(5);

/// What a socket gave.
#[derive(Debug)]
pub enum PortMessage {
    /// Bytes, and when they arrived (host CLOCK_MONOTONIC).
    Bytes {
        /// Whose socket.
        side: Side,
        /// When.
        host_ns: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// Asked by [`Port::probe`]: the socket was read until it was empty.
    Drained(Side),
    /// The other end closed it.
    Closed(Side),
}

/// A socket that does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Nobody listens.
    #[error("cannot connect to the guest's port at {}: {source}", path.display())]
    Connect {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A command did not get through.
    #[error("cannot send the command to the guest: {0}")]
    Send(io::Error),
}

/// One side's socket. Its reader runs until the socket is closed or this is dropped.
#[derive(Debug)]
pub struct Port {
    stream: Arc<UnixStream>,
    probe: Arc<Notify>,
    reader: JoinHandle<()>,
}

impl Drop for Port {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Port {
    /// Connects, and hands what arrives to `sink` from then on.
    ///
    /// # Errors
    /// Nobody listens at `path` within 10 s.
    pub async fn connect(
        path: &Path,
        side: Side,
        sink: mpsc::Sender<PortMessage>,
    ) -> Result<Self, PortError> {
        let refused = |source| PortError::Connect { path: path.to_owned(), source };
        let connecting = time::timeout(CONNECT_LIMIT, open(path)).await;
        let stream = connecting.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(refused)?;
        let (stream, probe) = (Arc::new(stream), Arc::new(Notify::new()));
        let reader = tokio::spawn(read(Arc::clone(&stream), Arc::clone(&probe), side, sink));
        Ok(Self { stream, probe, reader })
    }

    /// Has the socket read until it is empty, which [`PortMessage::Drained`] then says.
    pub fn probe(&self) {
        self.probe.notify_one();
    }

    /// Sends a command to the guest if the socket takes it at once; one that must arrive is sent again by its sender.
    pub fn offer(&self, command: &Command) {
        // An empty line is nothing: it ends what another connection may have begun.
        let line = [b"\n".as_slice(), &encode_command(command)].concat();
        // A socket takes a short line whole or not at all.
        let _ = self.stream.try_write(&line);
    }

    /// Closes this end; when it returns, no message comes any more.
    pub async fn close(&mut self) {
        self.reader.abort();
        let _ = (&mut self.reader).await;
        // The reader's share of the socket is gone with it; this end's is closed for good.
        let _ = shutdown(self.stream.as_raw_fd(), Shutdown::Both);
    }

    /// Sends a command to the guest.
    ///
    /// # Errors
    /// The socket is closed, or takes nothing for 5 s.
    pub async fn send(&self, command: &Command) -> Result<(), PortError> {
        let line = encode_command(command);
        let sending = time::timeout(SEND_LIMIT, write_all(&self.stream, &line)).await;
        sending.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(PortError::Send)
    }
}

async fn open(path: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
            {
                time::sleep(RETRY_STEP).await;
            }
            outcome => return outcome,
        }
    }
}

async fn write_all(stream: &UnixStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads until the socket is closed or nobody listens any more.
async fn read(stream: Arc<UnixStream>, probe: Arc<Notify>, side: Side, sink: mpsc::Sender<PortMessage>) {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let probed = tokio::select! {
            ready = stream.readable() => match ready {
                Ok(()) => false,
                Err(_) => break,
            },
            () = probe.notified() => true,
        };
        let taken = if probed { take_now(&stream, &mut buffer) } else { stream.try_read(&mut buffer) };
        match taken {
            Ok(0) => break,
            Ok(count) => {
                let host_ns = hostclock::mono_ns();
                let bytes = buffer[..count].to_vec();
                if sink.send(PortMessage::Bytes { side, host_ns, bytes }).await.is_err() {
                    return;
                }
                if probed {
                    probe.notify_one();
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if probed && sink.send(PortMessage::Drained(side)).await.is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    let _ = sink.send(PortMessage::Closed(side)).await;
}

/// Reads what the kernel holds at this moment: `try_read` answers from what the runtime heard earlier, and would call
/// a socket empty whose last bytes have just arrived.
fn take_now(stream: &UnixStream, buffer: &mut [u8]) -> io::Result<usize> {
    recv(stream.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT).map_err(|errno| match errno {
        Errno::EAGAIN => io::ErrorKind::WouldBlock.into(),
        errno => errno.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
        net::UnixListener,
        runtime,
    };

    /// A port and the other end of its socket.
    async fn pair(directory: &Path) -> (Port, UnixStream, mpsc::Receiver<PortMessage>) {
        let path = directory.join("port");
        let listener = UnixListener::bind(&path).unwrap();
        let (sink, messages) = mpsc::channel(16);
        let port = Port::connect(&path, Side::Source, sink).await.unwrap();
        let (guest, _) = listener.accept().await.unwrap();
        (port, guest, messages)
    }

    fn run(test: impl Future<Output = ()>) {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            time::timeout(Duration::from_secs(20), test).await.expect("bounded");
        });
    }

    #[test]
    fn what_was_written_before_a_probe_comes_before_drained_and_the_end_is_told() {
        let directory = tempfile::tempdir().unwrap();
        run(async {
            let (port, mut guest, mut messages) = pair(directory.path()).await;
            guest.write_all(b"one\n").await.unwrap();
            port.probe();
            let mut bytes = Vec::new();
            loop {
                match messages.recv().await.unwrap() {
                    PortMessage::Bytes { bytes: more, .. } => bytes.extend(more),
                    PortMessage::Drained(side) => break assert_eq!(side, Side::Source),
                    PortMessage::Closed(_) => panic!("closed too early"),
                }
            }
            assert_eq!(bytes, b"one\n");
            drop(guest);
            assert!(matches!(messages.recv().await, Some(PortMessage::Closed(Side::Source))));
        });
    }

    #[test]
    fn a_command_arrives_as_one_line() {
        let directory = tempfile::tempdir().unwrap();
        run(async {
            let (port, guest, _messages) = pair(directory.path()).await;
            port.send(&Command::Stop { id: Some(1) }).await.unwrap();
            let mut line = String::new();
            BufReader::new(guest).read_line(&mut line).await.unwrap();
            assert_eq!(line, "{\"type\":\"stop\",\"id\":1}\n");
        });
    }

    #[test]
    fn a_closed_end_says_nothing_more_and_the_other_end_notices() {
        let directory = tempfile::tempdir().unwrap();
        run(async {
            let (mut port, mut guest, mut messages) = pair(directory.path()).await;
            port.offer(&Command::Ping { id: None });
            port.close().await;
            guest.write_all(b"late\n").await.unwrap_err();
            let mut heard = String::new();
            BufReader::new(guest).read_line(&mut heard).await.unwrap();
            assert_eq!(heard, "\n");
            drop(port);
            assert!(messages.recv().await.is_none());
        });
    }
}
