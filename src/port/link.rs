//! Stream sockets of every family: begun without waiting, and kept so that a peer that died in silence is noticed in seconds.
//!
//! Whatever the family, they are read, written and closed alike, so all of them are held as a `UnixStream`.
#![expect(unsafe_code, reason = "nix gives an accepted socket as a bare number")]

use super::{Address, Target, readiness};
use nix::{
    errno::Errno,
    poll::{PollFlags, PollTimeout},
    sys::socket::{
        AddressFamily, Backlog, SockFlag, SockType, SockaddrLike, UnixAddr, accept4, bind, connect,
        getsockopt, listen, setsockopt, socket, sockopt,
    },
};
use std::{
    io,
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
        unix::net::UnixStream,
    },
};

/// Bytes may stay unacknowledged for so long, ms, before the peer counts as dead.
const UNACKNOWLEDGED_MS: u32 = 5_000;
/// A connection on which nothing moves is tried after so long, so often and so many times, s.
const IDLE_S: u32 = 2;
const PROBE_S: u32 = 1;
const PROBES: u32 = 3;
/// What the kernel holds of what was sent: what a dead peer did not take is sent again.
const SEND_BYTES: usize = 256 << 10;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

const FLAGS: SockFlag = SockFlag::SOCK_NONBLOCK.union(SockFlag::SOCK_CLOEXEC);

/// Begins a connection; whether it stands already. A Unix listener whose backlog is full is not waited for.
pub(super) fn dial(target: &Target) -> Option<(UnixStream, bool)> {
    match target {
        Target::Unix(path) => begin(AddressFamily::Unix, &UnixAddr::new(path).ok()?),
        Target::Dial(address) => {
            let begun = begin(address.family(), address.for_kernel().as_ref())?;
            keep_alive(address, &begun.0);
            Some(begun)
        }
        _ => None,
    }
}

fn begin(family: AddressFamily, address: &dyn SockaddrLike) -> Option<(UnixStream, bool)> {
    let socket = socket(family, SockType::Stream, FLAGS, None).ok()?;
    match connect(socket.as_raw_fd(), address) {
        Ok(()) => Some((socket.into(), true)),
        Err(Errno::EINPROGRESS) => Some((socket.into(), false)),
        Err(_) => None,
    }
}

/// Whether a connection that was begun stands by now.
///
/// # Errors
/// Why it never will.
pub(super) fn is_up(socket: &UnixStream) -> io::Result<bool> {
    if readiness(socket.as_fd(), PollFlags::POLLOUT, PollTimeout::ZERO).is_empty() {
        return Ok(false);
    }
    match getsockopt(socket, sockopt::SocketError)? {
        0 => Ok(true),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Listens at `address`.
///
/// # Errors
/// When that cannot be had.
pub fn open_listener(address: &Address) -> io::Result<OwnedFd> {
    let socket = socket(address.family(), SockType::Stream, FLAGS, None)?;
    // A run that begins anew finds the port free, whatever connections of the last one still fade.
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    bind(socket.as_raw_fd(), address.for_kernel().as_ref())?;
    listen(&socket, Backlog::new(BACKLOG)?)?;
    Ok(socket)
}

/// The next connection that waits at a listener.
///
/// # Errors
/// When none waits, or none can be had.
pub fn accept(listener: &impl AsRawFd, address: &Address) -> io::Result<UnixStream> {
    let socket = accept4(listener.as_raw_fd(), FLAGS)?;
    // SAFETY: accept4 gave a descriptor that nothing else owns.
    let socket = UnixStream::from(unsafe { OwnedFd::from_raw_fd(socket) });
    keep_alive(address, &socket);
    Ok(socket)
}

fn keep_alive(address: &Address, socket: &UnixStream) {
    if matches!(address, Address::Tcp(_)) {
        watch_over(socket);
    }
}

/// Has the kernel find out in seconds that a TCP peer is dead. Where it knows an option not, that takes longer.
pub fn watch_over(socket: &UnixStream) {
    let _ = setsockopt(socket, sockopt::TcpNoDelay, &true);
    let _ = setsockopt(socket, sockopt::KeepAlive, &true);
    let _ = setsockopt(socket, sockopt::TcpKeepIdle, &IDLE_S);
    let _ = setsockopt(socket, sockopt::TcpKeepInterval, &PROBE_S);
    let _ = setsockopt(socket, sockopt::TcpKeepCount, &PROBES);
    let _ = setsockopt(socket, sockopt::TcpUserTimeout, &UNACKNOWLEDGED_MS);
    let _ = setsockopt(socket, sockopt::SndBuf, &SEND_BYTES);
}
