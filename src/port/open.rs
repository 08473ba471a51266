//! An open port: takes the bytes it can take now, gives the bytes that are there, never waits.

use super::backoff::Backoff;
use super::relay::{Relay, Sink};
use super::{Target, readiness, virtio};
use nix::{
    poll::{PollFlags, PollTimeout},
    sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket},
};
use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::{fs::OpenOptionsExt, net::UnixStream},
    },
    path::Path,
};

/// A report target that cannot be used, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// It cannot be opened.
    #[error("report target {target} cannot be opened: {source}")]
    Open {
        /// Which.
        target: String,
        /// Why.
        source: io::Error,
    },
    /// There is no such virtio-serial port.
    #[error(
        "there is no virtio-serial port named '{name}'; ports here: {found}. \
         Give the VM one (-device virtio-serial-pci -device virtserialport,name={name},...), \
         or use another --report target"
    )]
    NoSuchPort {
        /// What was looked for.
        name: String,
        /// What is there.
        found: String,
    },
    /// It was open and failed.
    #[error("report target {target} failed: {source}")]
    Failed {
        /// Which.
        target: String,
        /// Why.
        source: io::Error,
    },
}

/// What became of bytes that were handed to a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// So many were taken, perhaps 0 when it is full or nobody is connected.
    Bytes(usize),
    /// The other end closed, or a new connection begins: an unfinished line must be sent again from its start.
    Reconnecting,
    /// The device had vanished and is there again: who listens has heard nothing yet.
    Reopened,
}

/// An open report target.
#[derive(Debug)]
pub struct Port {
    target: Target,
    channel: Channel,
    retry: Backoff,
}

#[derive(Debug)]
enum Channel {
    /// Standard output, a regular file or FIFO: may wait, so a thread of its own writes it.
    Relay(Relay),
    /// A virtio-serial port: commands come back on it.
    Virtio(File),
    /// A connected socket.
    Socket(UnixStream),
    /// A socket that has to be connected to, or a device that has vanished.
    Unconnected,
}

impl Port {
    /// Opens `target`. A Unix socket nobody listens on yet is no error: it is connected to later.
    ///
    /// # Errors
    /// When the file cannot be created or the virtio-serial port is not there.
    pub fn open(target: &Target) -> Result<Self, PortError> {
        let failed = |source| PortError::Open { target: target.to_string(), source };
        let relay = |sink| Relay::start(sink).map(Channel::Relay).map_err(failed);
        let channel = match target {
            Target::Stdout => relay(Sink::Stdout)?,
            Target::File(path) => relay(Sink::File(create(path).map_err(failed)?))?,
            Target::Virtio(name) => {
                let device = virtio::find(name).ok_or_else(|| no_such_port(name))?;
                Channel::Virtio(open_device(&device).map_err(failed)?)
            }
            Target::Unix(path) => dial(path).map_or(Channel::Unconnected, Channel::Socket),
        };
        Ok(Self { target: target.clone(), channel, retry: Backoff::default() })
    }

    /// What can be polled; none while unconnected.
    pub fn pollable(&self) -> Option<BorrowedFd<'_>> {
        match &self.channel {
            Channel::Unconnected => None,
            Channel::Relay(relay) => Some(relay.as_fd()),
            Channel::Virtio(file) => Some(file.as_fd()),
            Channel::Socket(socket) => Some(socket.as_fd()),
        }
    }

    /// Whether a reader seems to be there: bytes can be expected to go somewhere.
    pub fn has_reader(&self) -> bool {
        match &self.channel {
            Channel::Relay(_) | Channel::Socket(_) => true,
            Channel::Virtio(file) => {
                let ready = readiness(file.as_fd(), PollFlags::POLLOUT, PollTimeout::ZERO);
                !ready.contains(PollFlags::POLLHUP)
            }
            Channel::Unconnected => false,
        }
    }

    /// Hands over as many of `bytes` as the port takes now.
    ///
    /// # Errors
    /// When the target is gone for good: a full disk, a closed pipe.
    pub fn send(&mut self, now_ns: u64, bytes: &[u8]) -> Result<Sent, PortError> {
        let result = match &mut self.channel {
            Channel::Relay(relay) => relay.send(bytes),
            Channel::Virtio(file) => file.write(bytes),
            Channel::Socket(socket) => socket.write(bytes),
            Channel::Unconnected => return Ok(self.reconnect(now_ns)),
        };
        match result {
            Ok(count) => Ok(Sent::Bytes(count)),
            Err(error) if is_transient(&error) => Ok(Sent::Bytes(0)),
            Err(source) => self.lost(source).map(|()| Sent::Reconnecting),
        }
    }

    /// Reads what commands are there; 0 when there are none.
    ///
    /// # Errors
    /// When the target is gone for good.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, PortError> {
        let result = match &mut self.channel {
            Channel::Virtio(file) => file.read(buffer),
            Channel::Socket(socket) => match socket.read(buffer) {
                Ok(0) => Err(ErrorKind::ConnectionReset.into()),
                result => result,
            },
            Channel::Relay(relay) => relay.has_ended().map(|_| 0),
            Channel::Unconnected => return Ok(0),
        };
        match result {
            Ok(count) => Ok(count),
            Err(error) if is_transient(&error) => Ok(0),
            Err(source) => self.lost(source).map(|()| 0),
        }
    }

    /// Nothing more will be sent.
    pub fn finish(&mut self) {
        if let Channel::Relay(relay) = &mut self.channel {
            relay.finish();
        }
    }

    /// Whether all that was sent before [`Self::finish`] is where it belongs, as far as this side can know.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn is_written(&mut self) -> Result<bool, PortError> {
        match &mut self.channel {
            Channel::Relay(relay) => relay.has_ended().map_err(|source| failure(&self.target, source)),
            Channel::Virtio(_) | Channel::Socket(_) | Channel::Unconnected => Ok(true),
        }
    }

    /// A socket's other end comes back, and so may a device: they are tried again. All else is gone for good.
    fn lost(&mut self, source: io::Error) -> Result<(), PortError> {
        if matches!(self.channel, Channel::Relay(_)) {
            return Err(failure(&self.target, source));
        }
        self.channel = Channel::Unconnected;
        self.retry = Backoff::default();
        Ok(())
    }

    fn reconnect(&mut self, now_ns: u64) -> Sent {
        if !self.retry.is_due(now_ns) {
            return Sent::Bytes(0);
        }
        let (opened, sent) = match &self.target {
            Target::Unix(path) => (dial(path).map(Channel::Socket), Sent::Reconnecting),
            Target::Virtio(name) => {
                let device = virtio::find(name).and_then(|device| open_device(&device).ok());
                (device.map(Channel::Virtio), Sent::Reopened)
            }
            Target::Stdout | Target::File(_) => (None, Sent::Bytes(0)),
        };
        match opened {
            Some(channel) => {
                self.channel = channel;
                sent
            }
            None => Sent::Bytes(0),
        }
    }
}

fn failure(target: &Target, source: io::Error) -> PortError {
    PortError::Failed { target: target.to_string(), source }
}

fn no_such_port(name: &str) -> PortError {
    let names = virtio::list_port_names();
    let found = if names.is_empty() { "none".into() } else { names.join(", ") };
    PortError::NoSuchPort { name: name.into(), found }
}

/// O_NONBLOCK so that a FIFO nobody reads is an error at once instead of a wait.
fn create(path: &Path) -> io::Result<File> {
    let flags = libc::O_NONBLOCK;
    OpenOptions::new().write(true).create(true).truncate(true).custom_flags(flags).open(path)
}

fn open_device(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// A connection to `path` if it can be had at once: a listener whose backlog is full is not waited for.
fn dial(path: &Path) -> Option<UnixStream> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None).ok()?;
    connect(socket.as_raw_fd(), &UnixAddr::new(path).ok()?).ok()?;
    Some(UnixStream::from(socket))
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_file_is_emptied_and_holds_what_was_sent_when_it_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        std::fs::write(&path, "old content").unwrap();
        let mut port = Port::open(&Target::File(path.clone())).unwrap();
        assert_eq!(port.send(0, b"whole\n").unwrap(), Sent::Bytes(6));
        port.finish();
        readiness(port.pollable().unwrap(), PollFlags::POLLIN, PollTimeout::from(20_000u16));
        assert!(port.is_written().unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole\n");
    }

    #[test]
    fn a_listener_whose_backlog_is_full_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let _listener = UnixListener::bind(&path).unwrap();
        let dialled: Vec<UnixStream> = (0..10_000).map_while(|_| dial(&path)).collect();
        assert!(dialled.len() < 10_000);
        assert!(!Port::open(&Target::Unix(path)).unwrap().has_reader());
    }

    #[test]
    fn a_file_that_cannot_be_created_is_named() {
        let error = Port::open(&Target::File("/nonexistent/dir/out".into())).unwrap_err().to_string();
        assert!(error.contains("file:/nonexistent/dir/out"), "{error}");
    }

    #[test]
    fn a_missing_virtio_port_is_answered_with_the_way_out() {
        let error = Port::open(&Target::Virtio("org.none.7".into())).unwrap_err().to_string();
        assert!(error.contains("'org.none.7'") && error.contains("virtserialport"), "{error}");
    }

    #[test]
    fn a_socket_is_connected_to_when_its_listener_appears_and_again_when_it_closes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let mut port = Port::open(&Target::Unix(path.clone())).unwrap();
        assert_eq!((port.send(0, b"x").unwrap(), port.has_reader()), (Sent::Bytes(0), false));

        let listener = UnixListener::bind(&path).unwrap();
        let later_ns = 1_000_000_000;
        assert_eq!(port.send(later_ns, b"x").unwrap(), Sent::Reconnecting);
        let (mut host, _) = listener.accept().unwrap();
        assert_eq!(port.send(0, b"hello").unwrap(), Sent::Bytes(5));
        host.write_all(b"command").unwrap();
        let mut buffer = [0; 16];
        assert_eq!(port.receive(&mut buffer).unwrap(), 7);

        drop(host);
        assert_eq!((port.receive(&mut buffer).unwrap(), port.has_reader()), (0, false));
        assert_eq!(port.send(0, b"x").unwrap(), Sent::Reconnecting);
    }
}
