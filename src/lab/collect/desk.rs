//! What all connections share: the sessions and their records, what is known of each VM, and the news.

mod keep;
mod one_vm;
mod syncing;
mod welcome;

use super::family::{Family, Home, WENT_BACK};
use super::findings::Findings;
use super::heard::Heard;
use super::held::Held;
use super::keeper::Progress;
use super::layout::Layout;
use super::meant::meant;
use super::offers::Origin;
use super::request::Request;
use super::store::Fit;
use super::track::Seen;
use super::view::View;
use super::visitors::Visitors;
use super::vm::Vm;
use crate::record::{Arrival, SessionId, Side};
use anyhow::Context;
use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Notify, mpsc};

/// The most news that are kept for whoever watches.
const NEWS_LIMIT: usize = 1000;
/// Commands that may wait for one VM.
const REQUESTS_LIMIT: usize = 16;
/// How many times the limit of one directory all those of one socket may take.
const SOCKET_LIMITS: u64 = 4;

/// What all connections share.
#[derive(Debug)]
pub struct Desk {
    layout: Layout,
    /// The guest spoke before, so that its first record here need not be its first.
    joins_late: bool,
    /// Somebody has something to look at.
    changed: Notify,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: HashMap<SessionId, Family>,
    vms: BTreeMap<PathBuf, Vm>,
    news: Vec<String>,
    /// How many connections were ever made.
    connections: u64,
    /// What is known of those who come by themselves.
    visitors: Visitors,
    /// New records, for whoever takes them as they come; none where nobody does.
    fresh: Option<Vec<Arrival>>,
    /// The first write that failed.
    fault: Option<io::Error>,
}

impl Desk {
    /// A desk that keeps its sessions below `out`.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn open(out: &Path, limit_bytes: u64) -> anyhow::Result<Self> {
        fs::create_dir_all(out).with_context(|| format!("--out {} cannot be made", out.display()))?;
        Ok(Self::new(Layout::below(out, limit_bytes), None))
    }

    fn new(layout: Layout, fresh: Option<Vec<Arrival>>) -> Self {
        let inner = Mutex::new(Inner { fresh, ..Inner::default() });
        Self { layout, joins_late: false, changed: Notify::new(), inner }
    }

    /// Takes a socket in, unless it is known: what is asked of its VM comes out of the receiver. Which side of a migration it
    /// is need not be known: a session speaks on its source first.
    pub fn admit(&self, path: &Path, side: Option<Side>) -> Option<mpsc::Receiver<Request>> {
        let mut inner = self.inner();
        if inner.vms.contains_key(path) {
            return None;
        }
        let (requests, receiver) = mpsc::channel(REQUESTS_LIMIT);
        inner.vms.insert(path.to_owned(), Vm::new(&path.display().to_string(), side, requests));
        Some(receiver)
    }

    /// A connection was made or lost.
    pub fn connection(&self, path: &Path, connected: bool) {
        let mut inner = self.inner();
        let Inner { vms, news, connections, .. } = &mut *inner;
        if let Some(vm) = vms.get_mut(path) {
            vm.view.connection(connected);
            if connected {
                *connections += 1;
                vm.connection = *connections;
            }
            vm.trouble.why_not = None;
            tell(news, format!("{}: {}", vm.view.socket, if connected { "connected" } else { "closed" }));
        }
        self.changed.notify_one();
    }

    /// Whether a socket was ever connected.
    pub fn was_connected(&self, path: &Path) -> bool {
        self.inner().vms.get(path).is_some_and(|vm| vm.view.was_connected)
    }

    /// Why a socket is of no use at present; said once.
    pub fn is_of_no_use(&self, path: &Path, why: &str) {
        let mut inner = self.inner();
        let Inner { vms, news, .. } = &mut *inner;
        if let Some(vm) = vms.get_mut(path)
            && vm.trouble.why_not.as_deref() != Some(why)
        {
            vm.trouble.why_not = Some(why.to_owned());
            tell(news, format!("{}: {why}", vm.view.socket));
        }
    }

    /// Says something to whoever watches.
    pub fn say(&self, text: String) {
        tell(&mut self.inner().news, text);
    }

    /// The host asks the guest to send records again.
    pub fn attached(&self, session: Option<SessionId>) {
        let mut inner = self.inner();
        if let Some(family) = session.and_then(|session| inner.sessions.get_mut(&session)) {
            family.lives().iter_mut().for_each(|life| life.store.attached());
        }
    }

    /// From now on a session is known to have lives apart, also those that took another name.
    pub fn divide(&self, session: SessionId) {
        let mut inner = self.inner();
        let Inner { sessions, fault, .. } = &mut *inner;
        if let Some(Err(error)) = sessions.get_mut(&session).map(Family::divide) {
            fault.get_or_insert(error);
        }
    }

    /// Whether a session has lives apart.
    pub fn is_divided(&self, session: SessionId) -> bool {
        self.inner().sessions.get(&session).is_some_and(Family::is_divided)
    }

    /// How far a life is safe on the disk for a connection that has spoken up to `end`.
    pub fn progress(&self, session: SessionId, life: usize, end: u64) -> Option<Progress> {
        let mut inner = self.inner();
        let Inner { sessions, news, fault, .. } = &mut *inner;
        let family = sessions.get_mut(&session)?;
        let known = family.life(life)?;
        // What could not be written is not acknowledged: the guest keeps it.
        if let Err(error) = known.store.flush() {
            fault.get_or_insert(error);
            return None;
        }
        known.gone().into_iter().for_each(|text| tell(news, text));
        Some(family.progress(session, life, end))
    }

    /// What is missing before `seq` will not come.
    pub fn give_up(&self, session: SessionId, life: usize, seq: u64) {
        let mut inner = self.inner();
        if let Some(life) = inner.sessions.get_mut(&session).and_then(|family| family.life(life)) {
            life.store.give_up(seq);
        }
    }

    /// A line that is no record, after one of a life where there was one.
    pub fn torn(&self, path: &Path, spoke: Option<(SessionId, usize)>) {
        let mut inner = self.inner();
        let Inner { sessions, vms, .. } = &mut *inner;
        let life = spoke.and_then(|(session, life)| sessions.get_mut(&session)?.life(life));
        let Some(vm) = vms.get_mut(path) else { return };
        if let Some(life) = life {
            life.store.torn();
            vm.view.stream = life.store.found();
        } else {
            vm.trouble.torn += 1;
            vm.view.stream.torn += 1;
        }
    }

    /// Doubles and torn lines of a life that turned out to be where another began.
    pub fn excuse(&self, session: SessionId, life: usize, (doubles, torn): (u64, u64)) {
        let mut inner = self.inner();
        if let Some(life) = inner.sessions.get_mut(&session).and_then(|family| family.life(life)) {
            life.store.excuse(doubles, torn);
        }
    }

    /// Where a record belongs that is the first of its session on this socket; none where the socket may bring no more.
    pub fn home(&self, path: &Path, heard: &Heard, origin: Option<Origin>) -> Option<Home> {
        let mut inner = self.inner();
        let Inner { sessions, vms, news, fault, visitors, .. } = &mut *inner;
        let vm = vms.get_mut(path)?;
        let parent = origin
            .and_then(|origin| Some(sessions.get_mut(&origin.session)?.life(origin.life)?.name.clone()));
        let is_new = !sessions.contains_key(&heard.session);
        if !vm.may_bring(&heard.session.to_string()) || (is_new && !visitors.may_bring(vm)) {
            return None;
        }
        let family = match sessions.entry(heard.session) {
            Entry::Occupied(family) => family.into_mut(),
            // The name is made of the session's digits and of nothing else that a guest says.
            Entry::Vacant(vacant) => match Family::open(&self.layout, heard.session) {
                Ok(family) => vacant.insert(family),
                Err(error) => {
                    fault.get_or_insert(error);
                    return None;
                }
            },
        };
        if let (Some(parent), Some(life)) =
            (parent, family.life(0).filter(|life| life.store.span().is_none()))
        {
            if let Err(error) = life.came_from(&parent, heard.seq) {
                fault.get_or_insert(error);
            }
            let (socket, session, seq) = (&vm.view.socket, heard.session, heard.seq);
            tell(
                news,
                format!(
                    "{socket}: {WENT_BACK}; session {parent} goes on as session {session} from record {seq}"
                ),
            );
        }
        let connected = |socket: &Path| vms.get(socket).is_some_and(|vm| vm.view.connected);
        Some(family.home(path, heard.seq, heard.print, connected))
    }

    /// What a record is to a life.
    pub fn fit(&self, life: usize, heard: &Heard) -> Fit {
        let inner = self.inner();
        let family = inner.sessions.get(&heard.session);
        family.map_or(Fit::New, |family| family.fit(life, heard.seq, heard.print))
    }

    /// Whether no other socket has spoken for a life since `since_ns`, so that what is held back may be its.
    pub fn is_left(&self, path: &Path, held: &Held, life: usize) -> bool {
        let (inner, seq) = (self.inner(), held.records.first().map_or(0, |record| record.seq));
        let family = inner.sessions.get(&held.session);
        family.is_none_or(|family| family.is_left(life, path, held.since_ns, seq))
    }

    /// Begins a branch of a life with the record `seq`; none where the socket may bring no more.
    pub fn branch(&self, path: &Path, session: SessionId, life: usize, seq: u64, why: &str) -> Option<usize> {
        let mut inner = self.inner();
        let Inner { sessions, vms, news, fault, visitors, .. } = &mut *inner;
        let (vm, family) = (vms.get_mut(path)?, sessions.get_mut(&session)?);
        if !vm.may_bring(&format!("{session} {}", family.lives().len())) || !visitors.may_bring(vm) {
            return None;
        }
        // What another branch does not begin before either, both have of the life they come from.
        let life = family.owner(life, seq.saturating_sub(1));
        let branch = family.branch(&self.layout, session, (life, seq, why));
        let branch = branch.map_err(|error| fault.get_or_insert(error)).ok()?;
        let (of, name) = (family.life(life)?.name.clone(), family.life(branch)?.name.clone());
        tell(
            news,
            format!("{}: {why}; from record {seq} of {of} on it is kept apart as {name}", vm.view.socket),
        );
        Some(branch)
    }

    /// Records that are not kept because the socket has brought too much.
    pub fn refuse(&self, path: &Path, records: u64) {
        if let Some(vm) = self.inner().vms.get_mut(path) {
            vm.trouble.refused += records;
        }
    }

    /// Keeps a record that fits a life. What its number turned out to be.
    pub fn file(&self, path: &Path, life: usize, heard: &mut Heard) -> Option<Seen> {
        let mut inner = self.inner();
        let kept = inner.keep(path, life, heard, self.layout.socket_limit_bytes(SOCKET_LIMITS));
        self.changed.notify_one();
        kept.unwrap_or_else(|error| {
            inner.fault.get_or_insert(error);
            None
        })
    }

    /// The VM that `name` means.
    ///
    /// # Errors
    /// When there is none, or several; says which there are.
    pub fn find(&self, name: Option<&str>) -> Result<mpsc::Sender<Request>, String> {
        let inner = self.inner();
        let path = meant(name, inner.vms.iter().map(|(path, vm)| (path.as_path(), &vm.view)))?;
        inner.vms.get(&path).map(|vm| vm.requests.clone()).ok_or_else(|| "the VM has gone".to_owned())
    }

    /// What is known of every VM.
    pub fn views(&self) -> Vec<View> {
        self.inner().vms.values().map(|vm| vm.view.clone()).collect()
    }

    /// What happened since this was last asked.
    pub fn take_news(&self) -> Vec<String> {
        std::mem::take(&mut self.inner().news)
    }

    /// Whether something could not be written.
    pub fn has_fault(&self) -> bool {
        self.inner().fault.is_some()
    }

    /// Writes down what is left, and what was found about each session.
    ///
    /// # Errors
    /// The first write that failed.
    pub fn close(&self) -> anyhow::Result<Findings> {
        let findings = self.conclude();
        match (self.take_fault(), &self.layout) {
            (None, _) => Ok(findings),
            (Some(error), Layout::Directories(out, _)) => {
                Err(error).with_context(|| format!("records cannot be written below {}", out.display()))
            }
            (Some(error), Layout::OneFile(_)) => Err(error.into()),
        }
    }

    /// The first write that failed, once.
    pub fn take_fault(&self) -> Option<io::Error> {
        self.inner().fault.take()
    }

    fn conclude(&self) -> Findings {
        let mut inner = self.inner();
        let Inner { sessions, vms, fault, visitors, .. } = &mut *inner;
        let mut findings = Findings::default();
        visitors.conclude(&mut findings);
        for (session, family) in sessions {
            for life in family.lives() {
                let sockets: Vec<String> =
                    life.sockets.iter().map(|path| path.display().to_string()).collect();
                let about = life.store.about();
                about.insert("schema".into(), crate::record::SCHEMA.into());
                about.insert("session".into(), session.to_string().into());
                about.entry("hostname").or_insert_with(|| "".into());
                about.insert("sockets".into(), sockets.into());
                life.reconnects.conclude(about);
                if let Err(error) = life.store.conclude() {
                    fault.get_or_insert(error);
                }
                findings.life(&life.name, &mut life.store);
            }
        }
        for vm in vms.values() {
            findings.socket(&vm.view, &vm.trouble);
        }
        findings
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(news: &mut Vec<String>, text: String) {
    if news.len() < NEWS_LIMIT {
        news.push(text);
    }
}

#[cfg(test)]
mod tests;
