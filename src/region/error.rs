//! Why there is no region, or not the one that was asked for.

use crate::units::ByteSize;
use nix::errno::Errno;
use std::{io, path::PathBuf};

/// Why there is no region, or not the one that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// The kernel does not map so much.
    #[error(
        "the kernel refuses to map {bytes} bytes ({cause}): ask for less with --memory, or look at ulimit -v, \
         ulimit -d and /proc/sys/vm/overcommit_memory"
    )]
    Map {
        /// What was asked for.
        bytes: u64,
        /// What the kernel said.
        cause: Errno,
    },
    /// The kernel does not treat the memory as asked.
    #[error("{what} ({cause}): {remedy}")]
    Refused {
        /// What it refuses, with the flag.
        what: &'static str,
        /// What the kernel said.
        cause: Errno,
        /// What to change.
        remedy: &'static str,
    },
    /// The backing file cannot be used.
    #[error("--backing file:{path} cannot be used: {cause}; name a file that may be written, or a new one", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The backing file holds something.
    #[error(
        "--backing file:{path} holds {found} bytes and {asked} are asked for: it is neither cut nor overwritten; \
         remove it, name another, or ask for --memory {suggested}",
        path = .path.display(), suggested = ByteSize(*.found)
    )]
    FileInUse {
        /// Which.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// What was asked for.
        asked: u64,
    },
    /// The file system does not suit.
    #[error("--backing file:{path} does not suit: {why}", path = .path.display())]
    FileSystem {
        /// Which.
        path: PathBuf,
        /// Why not, and the way out.
        why: String,
    },
    /// What is there is not what was asked for.
    #[error("{0}")]
    NotAsAsked(String),
}

/// What the kernel said. An error that is not the kernel's is one of a length that no address space has.
pub(super) fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::ENOMEM, Errno::from_raw)
}
