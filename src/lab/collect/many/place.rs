//! What is known of a socket from one connection to the next.

use crate::record::SessionId;
use std::path::PathBuf;

/// The most sessions of a socket that are remembered.
const REMEMBERED: usize = 64;

/// What is known of a socket from one connection to the next.
#[derive(Debug)]
pub struct Socket {
    /// Where it is.
    pub path: PathBuf,
    /// The session that spoke last.
    pub session: Option<SessionId>,
    /// Each session's life, and one beyond its last record.
    places: Vec<(SessionId, Place)>,
}

/// Where a session's records of a socket go.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Which life's they are.
    pub life: usize,
    /// One beyond the last of them.
    pub end: u64,
}

impl Socket {
    /// A socket that has not spoken yet.
    pub const fn new(path: PathBuf) -> Self {
        Self { path, session: None, places: Vec::new() }
    }

    /// Where a session's records go.
    pub fn place(&mut self, session: SessionId) -> Option<&mut Place> {
        self.places.iter_mut().find(|(of, _)| *of == session).map(|(_, place)| place)
    }

    /// From now on a session's records go to this life.
    pub fn put(&mut self, session: SessionId, life: usize) {
        self.places.retain(|(of, _)| *of != session);
        if self.places.len() >= REMEMBERED {
            self.places.remove(0);
        }
        self.places.push((session, Place { life, end: 0 }));
    }
}
