//! Names of this host's own making, for guests whose VMs went back.

use super::heard::Heard;
use crate::record::SessionId;
use std::hash::{BuildHasher, Hasher, RandomState};

/// The most names offered on a connection that are remembered.
const REMEMBERED: usize = 64;

/// What a session was until its VM went back.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    /// The session.
    pub session: SessionId,
    /// Its life.
    pub life: usize,
}

/// The names that a guest was told to take on one connection.
#[derive(Debug, Default)]
pub struct Offers {
    /// Each name, and instead of which session.
    names: Vec<(SessionId, Origin)>,
    /// The id of the last attach that offered one.
    asked: u64,
}

impl Offers {
    /// A new name, and an id to know its refusal by.
    pub fn make(&mut self, origin: Origin) -> (u64, SessionId) {
        let random = || RandomState::new().build_hasher().finish();
        let name = SessionId(random());
        self.asked = random();
        if self.names.len() >= REMEMBERED {
            self.names.remove(0);
        }
        self.names.push((name, origin));
        (self.asked, name)
    }

    /// What the session `name` was, where it is one of these.
    pub fn origin(&self, name: SessionId) -> Option<Origin> {
        self.names.iter().find(|(offered, _)| *offered == name).map(|(_, origin)| *origin)
    }

    /// What was said on this connection in the name of `session` is this life's: a guest that takes a name goes on from it.
    pub fn goes_on_from(&mut self, session: SessionId, life: usize) {
        let names = self.names.iter_mut().filter(|(_, origin)| origin.session == session);
        names.for_each(|(_, origin)| origin.life = life);
    }

    /// Whether a guest says that it cannot take the name it was offered last.
    pub fn is_refused(&self, heard: &Heard) -> bool {
        heard.reply().is_some_and(|reply| !reply.ok && reply.to == Some(self.asked))
    }
}
