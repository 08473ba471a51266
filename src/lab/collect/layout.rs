//! How what is collected lies on the disk.

use super::store::Store;
use crate::lab::rundir::{Limits, RecordsFile};
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// How what is collected lies on the disk.
#[derive(Debug)]
pub enum Layout {
    /// A directory for each life of a session, below this one.
    Directories(PathBuf, Limits),
    /// One file for all that one VM says, on whichever socket.
    OneFile(Arc<Mutex<RecordsFile>>),
}

impl Layout {
    /// Directories below `out`, each of at most `limit_bytes`.
    pub fn below(out: &Path, limit_bytes: u64) -> Self {
        Self::Directories(out.to_owned(), Limits { file_bytes: limit_bytes, reserve_bytes: 0, ..Limits::ALL })
    }

    /// One file.
    pub fn one(file: RecordsFile) -> Self {
        Self::OneFile(Arc::new(Mutex::new(file)))
    }

    /// Where the records of the life `name` go.
    ///
    /// # Errors
    /// When there cannot be such a directory, or it cannot be read.
    pub fn store(&self, name: &str) -> io::Result<Store> {
        match self {
            Self::Directories(out, limits) => Store::open(&out.join(name), *limits),
            Self::OneFile(file) => Ok(Store::within(Arc::clone(file))),
        }
    }

    /// Whether an earlier collector has left something of the life `name`.
    pub fn holds(&self, name: &str) -> bool {
        match self {
            Self::Directories(out, _) => out.join(name).is_dir(),
            Self::OneFile(_) => false,
        }
    }

    /// Whether all sockets are those of one VM.
    pub const fn is_of_one_vm(&self) -> bool {
        matches!(self, Self::OneFile(_))
    }

    /// The most that one socket may bring, in bytes: as much as so many lives may have.
    pub fn socket_limit_bytes(&self, lives: u64) -> u64 {
        match self {
            Self::Directories(_, limits) => limits.file_bytes.saturating_mul(lives),
            Self::OneFile(_) => u64::MAX,
        }
    }
}
