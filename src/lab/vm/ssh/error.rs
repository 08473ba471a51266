//! What can go wrong between this machine and the other one.

use super::address::SshAddress;
use std::{io, path::PathBuf, time::Duration};

/// Something that was not done over ssh.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// There is no client.
    #[error("cannot start ssh: {source}; install it (Debian, Ubuntu: apt-get install openssh-client)")]
    NoClient {
        /// Why not.
        source: io::Error,
    },
    /// The other machine does not let us in, or is not there.
    #[error(
        "cannot connect to {address}: {said}; this has to work first, without a question: ssh -o BatchMode=yes {} true",
        address.words().join(" ")
    )]
    NotConnected {
        /// Where.
        address: SshAddress,
        /// What ssh said, or did not do.
        said: String,
    },
    /// A command there failed.
    #[error("cannot {deed} on {address}: {said}")]
    Failed {
        /// Where.
        address: SshAddress,
        /// What was to be done.
        deed: String,
        /// What came of it.
        said: String,
    },
    /// A command there did not end.
    #[error("cannot {deed} on {address}: it was not done within {} s", limit.as_secs())]
    TimedOut {
        /// Where.
        address: SshAddress,
        /// What was to be done.
        deed: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// A path that cannot be written into a forwarding.
    #[error(
        "the sockets cannot be at {}: ssh reads other things into this name; set TMPDIR to a directory of plain letters",
        path.display()
    )]
    OddPath {
        /// The path.
        path: PathBuf,
    },
}
