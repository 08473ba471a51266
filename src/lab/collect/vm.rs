//! One socket, and what it may bring.

use super::findings::Trouble;
use super::request::Request;
use super::view::View;
use crate::record::Side;
use std::collections::HashSet;
use tokio::sync::mpsc;

/// The most directories one socket may bring: a guest that restarts its program has a new session each time.
const DIRS_LIMIT: usize = 64;

/// One socket.
#[derive(Debug)]
pub struct Vm {
    /// What is shown of it.
    pub view: View,
    /// Which side of a migration it is, where that is known beforehand.
    pub side: Option<Side>,
    /// Where commands for it go.
    pub requests: mpsc::Sender<Request>,
    /// How many bytes it had written.
    pub bytes: u64,
    /// What went wrong on it.
    pub trouble: Trouble,
    /// Which connection it is, among all that were made; 0 before the first.
    pub connection: u64,
    /// Whether it came by itself: its next connection is another one's place.
    pub is_visitor: bool,
    /// The directories it brought.
    dirs: HashSet<String>,
}

impl Vm {
    /// A socket that has brought nothing yet.
    pub fn new(socket: &str, side: Option<Side>, requests: mpsc::Sender<Request>) -> Self {
        Self {
            view: View::new(socket),
            side,
            requests,
            bytes: 0,
            trouble: Trouble::default(),
            connection: 0,
            is_visitor: false,
            dirs: HashSet::new(),
        }
    }

    /// Whether it may speak for the directory `dir`.
    pub fn may_bring(&mut self, dir: &str) -> bool {
        if self.dirs.len() < DIRS_LIMIT {
            self.dirs.insert(dir.to_owned());
        }
        self.dirs.contains(dir)
    }
}
