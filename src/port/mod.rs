//! Where records go and commands come from: a virtio-serial port, a socket of whatever kind, a file, standard output.
//!
//! Nothing here waits: a port takes the bytes it can take now, and says how many. Where writing may wait, a thread
//! of its own does it.

mod address;
mod backoff;
mod doorway;
mod error;
mod examine;
mod link;
mod open;
mod relay;
mod target;
mod token;
mod virtio;

pub use address::Address;
pub use error::PortError;
#[cfg(feature = "host")]
pub use link::{accept, open_listener, watch_over};
pub use open::{Port, Sent};
pub use target::{DEFAULT_PORT_NAME, Target};
pub use token::Token;
pub use virtio::ports_here;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::BorrowedFd;

/// What `fd` is ready for, waiting for at most `limit`; nothing when that cannot be told.
fn readiness(fd: BorrowedFd<'_>, wanted: PollFlags, limit: PollTimeout) -> PollFlags {
    let mut fds = [PollFd::new(fd, wanted)];
    match poll(&mut fds, limit) {
        Ok(_) => fds[0].revents().unwrap_or(PollFlags::empty()),
        Err(_) => PollFlags::empty(),
    }
}
