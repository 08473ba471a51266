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
    /// Each session's life.
    places: Vec<(SessionId, Place)>,
}

/// Where a session's records of a socket go.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Which life's they are.
    pub life: usize,
}

impl Socket {
    /// A socket that has not spoken yet.
    pub const fn new(path: PathBuf) -> Self {
        Self { path, session: None, places: Vec::new() }
    }

    /// Where a session's records go.
    pub fn place(&self, session: SessionId) -> Option<Place> {
        self.places.iter().find(|(of, _)| *of == session).map(|(_, place)| *place)
    }

    /// Whose the records of branches and of these sessions are is to be found out anew.
    pub fn forget(&mut self, is_apart: impl Fn(SessionId) -> bool) {
        self.places.retain(|(of, place)| place.life == 0 && !is_apart(*of));
    }

    /// From now on a session's records go to this life.
    pub fn put(&mut self, session: SessionId, life: usize) {
        self.places.retain(|(of, _)| *of != session);
        if self.places.len() >= REMEMBERED {
            self.places.remove(0);
        }
        self.places.push((session, Place { life }));
    }
}
