//! All lives of one session: the first, and a branch for each VM that went back to an earlier state of it.
//!
//! A VM that is restored from one snapshot twice, a clone, or `loadvm` repeats numbers with other records. What both lives
//! have in common stays with the first; from the record that differs on the other has a directory of its own, whose name
//! the host makes: the session's digits, a dash, a number.

use super::keeper::Progress;
use super::layout::Layout;
use super::reconnects::Reconnects;
use super::store::{Fit, Store, Unsynced};
use super::vm::Vm;
use crate::lab::rundir::RECORDS_FILE;
use crate::record::SessionId;
use serde_json::{Map, Value};
use std::{
    io,
    path::{Path, PathBuf},
};

/// The most lives of one session, and of how many sockets it is remembered that they spoke for one.
const LIVES_LIMIT: usize = 64;
const SOCKETS_LIMIT: usize = 64;
/// How much later another socket may still be read that the guest has left.
const LATE_NS: u64 = 300_000_000;

/// Why there are two lives of one session.
pub const WENT_BACK: &str = "the VM went back to an earlier state, or is a clone";
/// What says in `session.json` that a session has lives apart.
const DIVIDED: &str = "divided";

/// All lives of one session; there is always a first.
#[derive(Debug)]
pub struct Family {
    lives: Vec<Life>,
    is_divided: bool,
    /// All sockets are those of one VM, which moves from one to the other.
    is_of_one_vm: bool,
}

/// One life of a session.
#[derive(Debug)]
pub struct Life {
    /// Its directory's name.
    pub name: String,
    /// Its directory.
    pub store: Store,
    /// Whose branch it is.
    parent: Option<usize>,
    /// The sockets it spoke on: the first is its source.
    pub sockets: Vec<PathBuf>,
    /// The socket that spoke last, and when.
    pub spoke: Option<(PathBuf, u64)>,
    /// How long it was away when its connection broke.
    pub reconnects: Reconnects,
    /// The socket of its last heartbeat, and when it came.
    beat: Option<(PathBuf, u64)>,
}

/// Where a socket's record belongs that has not spoken of this session before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// It is this life's: it repeats what is kept of it, or nobody else speaks for it.
    Proven(usize),
    /// It would go on from this life, for which another socket speaks, or which is a branch.
    Claimed(usize),
    /// It contradicts every life, or would leave a hole in a branch.
    WentBack,
}

/// A file that the disk is to take.
#[derive(Debug)]
pub struct ToSync {
    /// Whose it is.
    pub session: SessionId,
    /// Which life.
    pub life: usize,
    /// What is in it.
    pub written: Unsynced,
}

impl Family {
    /// Opens what there is of a session, and makes a place for its first life.
    ///
    /// # Errors
    /// When a directory cannot be made or read.
    pub fn open(layout: &Layout, session: SessionId) -> io::Result<Self> {
        let mut family = Self { lives: Vec::new(), is_divided: false, is_of_one_vm: layout.is_of_one_vm() };
        family.add(layout, session.to_string(), None)?;
        for number in 2..=LIVES_LIMIT {
            let name = branch_name(session, number);
            if !layout.holds(&name) {
                break;
            }
            family.add(layout, name, Some(0))?;
        }
        for index in 0..family.lives.len() {
            let parent =
                family.lives[index].store.about().get("parent").and_then(Value::as_str).map(str::to_owned);
            let known =
                parent.and_then(|name| family.lives[..index].iter().position(|life| life.name == name));
            let life = &mut family.lives[index];
            life.parent = known.or(life.parent);
        }
        let is_said = family.lives[0].store.about().contains_key(DIVIDED);
        family.is_divided = is_said || family.lives.len() > 1;
        Ok(family)
    }

    /// Begins another life, of which nothing is kept yet.
    ///
    /// # Errors
    /// When its directory cannot be made, or there are too many.
    pub fn branch(
        &mut self,
        layout: &Layout,
        session: SessionId,
        (parent, seq, reason): (usize, u64, &str),
    ) -> io::Result<usize> {
        let number = self.lives.len() + 1;
        if number > LIVES_LIMIT {
            return Err(io::Error::other(format!("session {session} has {LIVES_LIMIT} lives already")));
        }
        let parent_name = self.lives[parent].name.clone();
        self.add(layout, branch_name(session, number), Some(parent))?;
        let index = number - 1;
        let hostname = self.lives[parent].store.about().get("hostname").cloned();
        let about = self.lives[index].store.about();
        came_from(about, &parent_name, seq, reason);
        about.insert("hostname".into(), hostname.unwrap_or_else(|| "".into()));
        self.lives[index].store.write_about()?;
        self.divide()?;
        Ok(index)
    }

    /// From now on it has lives apart, also those that took another session's name.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub fn divide(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.is_divided, true) {
            return Ok(());
        }
        let Some(life) = self.lives.first_mut() else { return Ok(()) };
        life.store.about().insert(DIVIDED.into(), true.into());
        life.store.write_about()
    }

    /// Whether it has lives apart.
    pub const fn is_divided(&self) -> bool {
        self.is_divided
    }

    fn add(&mut self, layout: &Layout, name: String, parent: Option<usize>) -> io::Result<()> {
        let store = layout.store(&name)?;
        self.lives.push(Life {
            name,
            store,
            parent,
            sockets: Vec::new(),
            spoke: None,
            reconnects: Reconnects::default(),
            beat: None,
        });
        Ok(())
    }

    /// One of its lives.
    pub fn life(&mut self, index: usize) -> Option<&mut Life> {
        self.lives.get_mut(index)
    }

    /// All its lives.
    pub fn lives(&mut self) -> &mut [Life] {
        &mut self.lives
    }

    /// What a record is to a life: what was before a branch is looked up where it branched off.
    pub fn fit(&self, index: usize, seq: u64, print: u64) -> Fit {
        let Some(life) = self.lives.get(index) else { return Fit::New };
        match (life.store.fit(seq, print), life.parent, life.store.span()) {
            (Fit::New, Some(parent), Some((first, _))) if seq < first && parent < index => {
                self.fit(parent, seq, print)
            }
            (fit, _, _) => fit,
        }
    }

    /// Whose directory a record of a life belongs in: what was before a branch is its parent's.
    pub fn owner(&self, index: usize, seq: u64) -> usize {
        let Some(life) = self.lives.get(index) else { return 0 };
        match (life.parent, life.store.span()) {
            (Some(parent), Some((first, _))) if seq < first && parent < index => self.owner(parent, seq),
            _ => index,
        }
    }

    /// How far the records of a life of this `session` are safe for a connection that has spoken up to `end`.
    pub fn progress(&self, session: SessionId, index: usize, end: u64) -> Progress {
        let owner = self.lives.get(self.owner(index, end.saturating_sub(1)));
        let whole_end = owner.map_or(0, |life| life.store.safe_end().min(end));
        let has_hole = owner.is_some_and(|life| life.store.whole_end() < end);
        let last = whole_end.saturating_sub(1);
        let stamp_ns = self.lives.get(self.owner(index, last)).and_then(|life| life.store.stamp_ns(last));
        Progress { session, whole_end, has_hole, stamp_ns }
    }

    /// Where a record of a socket belongs that has not spoken of this session before.
    pub fn home(&self, path: &Path, seq: u64, print: u64, is_connected: impl Fn(&Path) -> bool) -> Home {
        let fits = self.lives.iter().enumerate().rev().map(|(index, _)| (index, self.fit(index, seq, print)));
        if let Some((index, _)) = fits.clone().find(|(_, fit)| *fit == Fit::Same) {
            return Home::Proven(index);
        }
        let next = |index: usize| self.lives[index].store.span().map_or(0, |(_, next)| next);
        let open = fits.clone().filter(|(index, fit)| {
            *fit == Fit::New && (*index == 0 || self.lives[*index].store.span().is_some())
        });
        let nearest = open.min_by_key(|(index, _)| (next(*index).abs_diff(seq), *index));
        let Some((index, _)) = nearest.filter(|(index, _)| *index == 0 || seq <= next(*index)) else {
            return Home::WentBack;
        };
        let spoke = self.lives[index].spoke.as_ref();
        let elsewhere =
            !self.is_of_one_vm && spoke.is_some_and(|(socket, _)| socket != path && is_connected(socket));
        if elsewhere || index > 0 { Home::Claimed(index) } else { Home::Proven(index) }
    }

    /// Whether no other socket has spoken for a life since `since_ns`, and the record `seq` may be its next: where there are
    /// lives apart, a hole before it is more likely another's past.
    pub fn is_left(&self, index: usize, path: &Path, since_ns: u64, seq: u64) -> bool {
        let next = self.lives.get(index).and_then(|life| life.store.span()).map_or(0, |(_, next)| next);
        if self.is_divided && seq > next {
            return false;
        }
        let spoke = self.lives.get(index).and_then(|life| life.spoke.as_ref());
        self.is_of_one_vm
            || spoke
                .is_none_or(|(socket, at_ns)| socket == path || *at_ns <= since_ns.saturating_add(LATE_NS))
    }
}

impl Life {
    /// Writes down which directory it went on from and where, unless that is known, or there is no such directory.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub fn came_from(&mut self, parent: &str, seq: u64) -> io::Result<()> {
        if parent == self.name || self.store.about().contains_key("parent") || !self.store.has_beside(parent)
        {
            return Ok(());
        }
        came_from(self.store.about(), parent, seq, WENT_BACK);
        self.store.write_about()
    }

    /// That records are gone from its file, in a sentence, where that is news.
    pub fn gone(&mut self) -> Option<String> {
        let gone = self.store.take_gone();
        (gone > 0).then(|| {
            format!(
                "session {}: {RECORDS_FILE} was removed, replaced or cut: {gone} records that were in it are gone; those that \
                 the guest still holds are asked for again",
                self.name
            )
        })
    }

    /// A socket, or a guest that came from one, speaks for it. How long it was away, where it came back with this.
    pub fn speaks(&mut self, path: &Path, vm: &Vm, host_ns: u64) -> Option<u64> {
        let since_ns = self.spoke.as_ref().map(|(_, at_ns)| host_ns.saturating_sub(*at_ns));
        let is_same = vm.is_visitor || self.spoke.as_ref().is_none_or(|(socket, _)| socket == path);
        if !is_same {
            self.reconnects.moved(vm.connection);
        }
        let away_ns = self.reconnects.on(vm.connection, since_ns);
        self.on_socket(path, if vm.is_visitor { Path::new(&vm.view.socket) } else { path }, host_ns);
        away_ns
    }

    fn on_socket(&mut self, path: &Path, shown: &Path, host_ns: u64) {
        if self.sockets.len() < SOCKETS_LIMIT && !self.sockets.iter().any(|socket| socket == shown) {
            self.sockets.push(shown.to_owned());
        }
        match &mut self.spoke {
            Some((socket, at_ns)) if socket == path => *at_ns = host_ns,
            spoke => *spoke = Some((path.to_owned(), host_ns)),
        }
    }

    /// A heartbeat came. How long after the one before, where that came on another socket.
    pub fn beats(&mut self, path: &Path, host_ns: u64) -> Option<u64> {
        let before = self.beat.replace((path.to_owned(), host_ns));
        before.filter(|(socket, _)| socket != path).map(|(_, at_ns)| host_ns.saturating_sub(at_ns))
    }
}

/// Writes down what a life branched off from.
fn came_from(about: &mut Map<String, Value>, parent: &str, seq: u64, reason: &str) {
    about.insert("parent".into(), parent.into());
    about.insert("parent_seq".into(), seq.into());
    about.insert("reason".into(), reason.into());
}

fn branch_name(session: SessionId, number: usize) -> String {
    format!("{session}-{number}")
}
