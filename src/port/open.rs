//! An open port: takes the bytes it can take now, gives the bytes that are there, never waits.

use super::backoff::Backoff;
use super::doorway::Doorway;
use super::error::{failure, no_such_port, unopened};
use super::link::{dial, is_up};
use super::relay::{Relay, Sink};
use super::{PortError, Target, Token, readiness, virtio};
use crate::region::claim;
use crate::units::Nanos;
use nix::poll::{PollFlags, PollTimeout};
use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    net::Shutdown,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::{fs::OpenOptionsExt, net::UnixStream},
    },
    path::Path,
};

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
    /// How long to wait for a socket's reader to close, once nothing more is sent.
    closed_by_ns: Option<u64>,
    token: Option<Token>,
    /// Where hosts come to; none where this program goes to them.
    doorway: Option<Doorway>,
    /// Whether the host has said anything on this connection, and on any.
    is_heard: bool,
    was_heard: bool,
}

/// How long a connection may take to be made before another is tried.
const CONNECT_LIMIT: Nanos = Nanos::from_secs(2);

/// How long the reader of a socket may take to close it once it has everything: what it says meanwhile is taken in, or
/// the kernel would answer it with a reset.
const CLOSE_LIMIT: Nanos = Nanos::from_secs(1);

#[derive(Debug)]
enum Channel {
    /// Standard output, a regular file or FIFO: may wait, so a thread of its own writes it.
    Relay(Relay),
    /// A virtio-serial port: commands come back on it.
    Virtio(File),
    /// A connected socket.
    Socket(UnixStream),
    /// A connection that is being made, and when it is given up.
    Connecting(UnixStream, u64),
    /// A socket that has to be connected to, or a device that has vanished.
    Unconnected,
}

impl Port {
    /// Opens `target`. A Unix socket nobody listens on yet is no error: it is connected to later.
    ///
    /// # Errors
    /// When the file cannot be created or the virtio-serial port is not there.
    pub fn open(target: &Target) -> Result<Self, PortError> {
        Self::open_with(target, None)
    }

    /// As [`Self::open`]; on a network the token is said first where this side dials, and demanded where it listens.
    ///
    /// # Errors
    /// As [`Self::open`], and when there is no listening at the address.
    pub fn open_with(target: &Target, token: Option<&Token>) -> Result<Self, PortError> {
        let mut doorway = None;
        let failed = |source| unopened(target, source);
        let relay = |sink| Relay::start(sink).map(Channel::Relay).map_err(failed);
        let channel = match target {
            Target::Stdout => relay(Sink::Stdout)?,
            Target::File(path) => relay(Sink::File(create(path).map_err(failed)?))?,
            Target::Virtio(name) => {
                let device = virtio::find(name).ok_or_else(|| no_such_port(name))?;
                Channel::Virtio(open_device(&device).map_err(failed)?)
            }
            Target::Unix(_) => {
                dial(target).map_or(Channel::Unconnected, |(socket, _)| Channel::Socket(socket))
            }
            Target::Dial(_) => Channel::Unconnected,
            Target::Listen(address) => {
                doorway = Some(Doorway::open(*address, token.cloned()).map_err(failed)?);
                Channel::Unconnected
            }
        };
        Ok(Self {
            target: target.clone(),
            channel,
            retry: Backoff::default(),
            closed_by_ns: None,
            token: token.filter(|_| matches!(target, Target::Dial(_))).cloned(),
            doorway,
            is_heard: false,
            was_heard: false,
        })
    }

    /// What can be polled; none while unconnected.
    pub fn pollable(&self) -> Option<BorrowedFd<'_>> {
        match &self.channel {
            Channel::Unconnected => None,
            Channel::Relay(relay) => Some(relay.as_fd()),
            Channel::Virtio(file) => Some(file.as_fd()),
            Channel::Socket(socket) | Channel::Connecting(socket, _) => Some(socket.as_fd()),
        }
    }

    /// Whether a connection is being made: it stands when the socket takes bytes.
    pub const fn is_connecting(&self) -> bool {
        matches!(self.channel, Channel::Connecting(..))
    }

    /// Whether a host that spoke once over a network can be expected to come back.
    pub const fn is_expected(&self) -> bool {
        self.was_heard && self.target.is_network()
    }

    /// Whether a reader seems to be there: bytes can be expected to go somewhere.
    pub fn has_reader(&self) -> bool {
        match &self.channel {
            Channel::Relay(_) | Channel::Socket(_) => true,
            Channel::Virtio(file) => {
                let ready = readiness(file.as_fd(), PollFlags::POLLOUT, PollTimeout::ZERO);
                !ready.contains(PollFlags::POLLHUP)
            }
            Channel::Connecting(..) | Channel::Unconnected => false,
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
            Channel::Socket(socket) => {
                if let Some(doorway) = &mut self.doorway {
                    doorway.turn_away(now_ns);
                }
                socket.write(bytes)
            }
            Channel::Connecting(..) => return Ok(self.go_on_connecting(now_ns)),
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
            Channel::Connecting(..) | Channel::Unconnected => return Ok(0),
        };
        match result {
            Ok(count) => {
                self.is_heard |= count > 0;
                self.was_heard |= self.is_heard;
                Ok(count)
            }
            Err(error) if is_transient(&error) => Ok(0),
            Err(source) => self.lost(source).map(|()| 0),
        }
    }

    /// Nothing more will be sent. Whether all that was is where it belongs, as far as this side can know; to be asked
    /// again until it is.
    ///
    /// # Errors
    /// When it could not be written, or a reader closed its socket before it had read all.
    pub fn finish(&mut self, now_ns: u64) -> Result<bool, PortError> {
        let result = match &mut self.channel {
            Channel::Relay(relay) => {
                relay.finish();
                relay.has_ended()
            }
            Channel::Socket(socket) => {
                let limit_ns = *self.closed_by_ns.get_or_insert_with(|| {
                    // It can only fail when the reader is gone, which is found out below.
                    let _ = socket.shutdown(Shutdown::Write);
                    now_ns.saturating_add(CLOSE_LIMIT.0)
                });
                is_closed(socket).map(|is_closed| is_closed || now_ns >= limit_ns)
            }
            Channel::Virtio(_) | Channel::Connecting(..) | Channel::Unconnected => Ok(true),
        };
        result.map_err(|source| failure(&self.target, source))
    }

    /// Where it leads.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// A socket's other end comes back, and so may a device: they are tried again. All else is gone for good.
    fn lost(&mut self, source: io::Error) -> Result<(), PortError> {
        if matches!(self.channel, Channel::Relay(_)) {
            return Err(failure(&self.target, source));
        }
        self.channel = Channel::Unconnected;
        // One who takes connections on a network only to close them is not run after.
        if std::mem::take(&mut self.is_heard) || !self.target.is_network() {
            self.retry = Backoff::default();
        }
        Ok(())
    }

    fn reconnect(&mut self, now_ns: u64) -> Sent {
        if let Some(doorway) = &mut self.doorway {
            let Some(host) = doorway.admit(now_ns) else { return Sent::Bytes(0) };
            self.channel = Channel::Socket(host);
            return Sent::Reconnecting;
        }
        if !self.retry.is_due(now_ns) {
            return Sent::Bytes(0);
        }
        let (opened, sent) = match &self.target {
            Target::Unix(_) => {
                (dial(&self.target).map(|(socket, _)| Channel::Socket(socket)), Sent::Reconnecting)
            }
            Target::Dial(_) => {
                let limit_ns = now_ns.saturating_add(CONNECT_LIMIT.0);
                let begun = dial(&self.target);
                (begun.map(|(socket, _)| Channel::Connecting(socket, limit_ns)), Sent::Bytes(0))
            }
            Target::Virtio(name) => {
                let device = virtio::find(name).and_then(|device| open_device(&device).ok());
                (device.map(Channel::Virtio), Sent::Reopened)
            }
            Target::Stdout | Target::File(_) | Target::Listen(_) => (None, Sent::Bytes(0)),
        };
        match opened {
            Some(channel) => {
                self.channel = channel;
                sent
            }
            None => Sent::Bytes(0),
        }
    }

    /// Looks whether the connection stands by now; the token is the first that is said on it.
    fn go_on_connecting(&mut self, now_ns: u64) -> Sent {
        let Channel::Connecting(mut socket, limit_ns) =
            std::mem::replace(&mut self.channel, Channel::Unconnected)
        else {
            return Sent::Bytes(0);
        };
        match is_up(&socket) {
            Ok(false) if now_ns < limit_ns => self.channel = Channel::Connecting(socket, limit_ns),
            Ok(true) => {
                let token = self.token.as_ref().map_or(&[][..], Token::line);
                // What a new connection does not take whole, no token, is none.
                if socket.write(token).is_ok_and(|count| count == token.len()) {
                    self.channel = Channel::Socket(socket);
                    return Sent::Reconnecting;
                }
            }
            // Later, as rarely as it was tried lately.
            Ok(false) | Err(_) => {}
        }
        Sent::Bytes(0)
    }
}

/// O_NONBLOCK so that a FIFO nobody reads is an error at once instead of a wait. Emptied only once it is this run's own.
fn create(path: &Path) -> io::Result<File> {
    let flags = libc::O_NONBLOCK;
    let file = OpenOptions::new().write(true).create(true).truncate(false).custom_flags(flags).open(path)?;
    claim(&file)?;
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    Ok(file)
}

/// Whether the other end of the socket has closed it; what it said before is taken in.
fn is_closed(socket: &mut UnixStream) -> io::Result<bool> {
    let mut unheard = [0; 512];
    loop {
        match socket.read(&mut unheard) {
            Ok(0) => return Ok(true),
            Ok(_) => {}
            Err(error) if is_transient(&error) => return Ok(false),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                return Err(io::Error::new(error.kind(), "its reader closed it before it had read all"));
            }
            Err(error) => return Err(error),
        }
    }
}

fn open_device(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path)
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests;
