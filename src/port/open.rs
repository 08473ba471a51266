//! An open port: takes the bytes it can take now, gives the bytes that are there, never waits.

use super::{Target, virtio};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    os::{
        fd::{AsFd, BorrowedFd},
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
    /// The other end closed and a new connection begins: an unfinished line must be sent again from its start.
    Reconnecting,
}

/// An open report target.
#[derive(Debug)]
pub struct Port {
    target: Target,
    channel: Channel,
}

#[derive(Debug)]
enum Channel {
    /// Standard output: shared with other processes, so never made non-blocking; written when poll says so.
    Stdout,
    /// A regular file or FIFO, and how many bytes of it are whole.
    File(File),
    /// A virtio-serial port: commands come back on it.
    Virtio(File),
    /// A connected socket.
    Socket(UnixStream),
    /// A socket that has to be connected to.
    Unconnected,
}

/// What standard output takes at once when poll says it is writable (PIPE_BUF).
const STDOUT_CHUNK_BYTES: usize = 4096;

impl Port {
    /// Opens `target`. A Unix socket nobody listens on yet is no error: it is connected to later.
    ///
    /// # Errors
    /// When the file cannot be created or the virtio-serial port is not there.
    pub fn open(target: &Target) -> Result<Self, PortError> {
        let failed = |source| PortError::Open { target: target.to_string(), source };
        let channel = match target {
            Target::Stdout => Channel::Stdout,
            Target::File(path) => Channel::File(create(path).map_err(failed)?),
            Target::Virtio(name) => {
                let device = virtio::find(name).ok_or_else(|| no_such_port(name))?;
                Channel::Virtio(open_device(&device).map_err(failed)?)
            }
            Target::Unix(path) => connect(path),
        };
        Ok(Self { target: target.clone(), channel })
    }

    /// What can be polled: the two kinds of port that also bring commands. None while unconnected.
    pub fn pollable(&self) -> Option<BorrowedFd<'_>> {
        match &self.channel {
            Channel::Stdout | Channel::File(_) | Channel::Unconnected => None,
            Channel::Virtio(file) => Some(file.as_fd()),
            Channel::Socket(socket) => Some(socket.as_fd()),
        }
    }

    /// Whether a reader seems to be there: bytes can be expected to go somewhere.
    pub fn has_reader(&self) -> bool {
        match &self.channel {
            Channel::Stdout | Channel::File(_) | Channel::Socket(_) => true,
            Channel::Virtio(file) => {
                !readiness(file.as_fd(), PollFlags::POLLOUT).contains(PollFlags::POLLHUP)
            }
            Channel::Unconnected => false,
        }
    }

    /// Hands over as many of `bytes` as the port takes now.
    ///
    /// # Errors
    /// When the target is gone for good: a full disk, a closed pipe, a device that vanished.
    pub fn send(&mut self, bytes: &[u8]) -> Result<Sent, PortError> {
        let result = match &mut self.channel {
            Channel::Stdout => write_stdout(bytes),
            Channel::File(file) | Channel::Virtio(file) => file.write(bytes),
            Channel::Socket(socket) => socket.write(bytes),
            Channel::Unconnected => return Ok(self.reconnect()),
        };
        match result {
            Ok(count) => Ok(Sent::Bytes(count)),
            Err(error) if is_transient(&error) => Ok(Sent::Bytes(0)),
            Err(_) if matches!(self.channel, Channel::Socket(_)) => {
                self.channel = Channel::Unconnected;
                Ok(Sent::Reconnecting)
            }
            Err(source) => Err(self.failure(source)),
        }
    }

    /// Reads what commands are there; 0 when there are none.
    ///
    /// # Errors
    /// When the device vanished.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, PortError> {
        let result = match &mut self.channel {
            Channel::Virtio(file) => file.read(buffer),
            Channel::Socket(socket) => match socket.read(buffer) {
                Ok(0) => Err(ErrorKind::ConnectionReset.into()),
                result => result,
            },
            Channel::Stdout | Channel::File(_) | Channel::Unconnected => return Ok(0),
        };
        match result {
            Ok(count) => Ok(count),
            Err(error) if is_transient(&error) => Ok(0),
            Err(_) if matches!(self.channel, Channel::Socket(_)) => {
                self.channel = Channel::Unconnected;
                Ok(0)
            }
            Err(source) => Err(self.failure(source)),
        }
    }

    /// Cuts the last `bytes` off a regular file, so that a line a full disk tore does not stay behind.
    pub fn take_back(&mut self, bytes: u64) {
        if let Channel::File(file) = &mut self.channel {
            let length = file.stream_position().unwrap_or(0).saturating_sub(bytes);
            if file.set_len(length).is_ok() {
                // The file is being given up: where it stands afterwards matters to nobody.
                let _ = file.seek(SeekFrom::Start(length));
            }
        }
    }

    fn reconnect(&mut self) -> Sent {
        if let Target::Unix(path) = &self.target {
            self.channel = connect(path);
        }
        if matches!(self.channel, Channel::Unconnected) { Sent::Bytes(0) } else { Sent::Reconnecting }
    }

    fn failure(&self, source: io::Error) -> PortError {
        PortError::Failed { target: self.target.to_string(), source }
    }
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

/// A local connect does not wait but for a full backlog of the listener.
fn connect(path: &Path) -> Channel {
    let connected =
        UnixStream::connect(path).and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
    connected.map_or(Channel::Unconnected, Channel::Socket)
}

/// Past the standard library's buffer, so that what was counted as sent was sent.
fn write_stdout(bytes: &[u8]) -> io::Result<usize> {
    let stdout = io::stdout();
    if !readiness(stdout.as_fd(), PollFlags::POLLOUT).intersects(PollFlags::POLLOUT | PollFlags::POLLERR) {
        return Ok(0);
    }
    Ok(nix::unistd::write(stdout.as_fd(), &bytes[..bytes.len().min(STDOUT_CHUNK_BYTES)])?)
}

fn readiness(fd: BorrowedFd<'_>, wanted: PollFlags) -> PollFlags {
    let mut fds = [PollFd::new(fd, wanted)];
    match poll(&mut fds, PollTimeout::ZERO) {
        Ok(_) => fds[0].revents().unwrap_or(PollFlags::empty()),
        Err(_) => PollFlags::empty(),
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_file_is_emptied_and_a_torn_line_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        std::fs::write(&path, "old content").unwrap();
        let mut port = Port::open(&Target::File(path.clone())).unwrap();
        assert_eq!(port.send(b"whole\ntor").unwrap(), Sent::Bytes(9));
        port.take_back(3);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole\n");
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
        assert_eq!((port.send(b"x").unwrap(), port.has_reader()), (Sent::Bytes(0), false));

        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(port.send(b"x").unwrap(), Sent::Reconnecting);
        let (mut host, _) = listener.accept().unwrap();
        assert_eq!(port.send(b"hello").unwrap(), Sent::Bytes(5));
        host.write_all(b"command").unwrap();
        let mut buffer = [0; 16];
        assert_eq!(port.receive(&mut buffer).unwrap(), 7);

        drop(host);
        assert_eq!((port.receive(&mut buffer).unwrap(), port.has_reader()), (0, false));
        assert_eq!(port.send(b"x").unwrap(), Sent::Reconnecting);
    }
}
