//! What all connections share: the sessions' directories, what is known of each VM, and the news.

use super::request::Request;
use super::store::Store;
use super::view::View;
use crate::lab::collect::{Piece, Progress};
use crate::record::{Body, SessionId, Side};
use anyhow::Context;
use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::mpsc;

/// The most news that are kept for whoever watches.
const NEWS_LIMIT: usize = 1000;
/// Commands that may wait for one VM.
const REQUESTS_LIMIT: usize = 16;

/// What all connections share.
#[derive(Debug)]
pub struct Desk {
    out: PathBuf,
    limit_bytes: u64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: HashMap<SessionId, Kept>,
    vms: BTreeMap<PathBuf, Vm>,
    news: Vec<String>,
    /// The first write that failed.
    fault: Option<io::Error>,
}

/// A session's directory, and the sockets it spoke on: the first is its source.
#[derive(Debug)]
struct Kept {
    store: Store,
    sockets: Vec<PathBuf>,
}

#[derive(Debug)]
struct Vm {
    view: View,
    requests: mpsc::Sender<Request>,
}

impl Desk {
    /// A desk that keeps its sessions below `out`.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn open(out: &Path, limit_bytes: u64) -> anyhow::Result<Self> {
        fs::create_dir_all(out).with_context(|| format!("--out {} cannot be made", out.display()))?;
        Ok(Self { out: out.to_owned(), limit_bytes, inner: Mutex::default() })
    }

    /// Takes a socket in, unless it is known: what is asked of its VM comes out of the receiver.
    pub fn admit(&self, path: &Path) -> Option<mpsc::Receiver<Request>> {
        let mut inner = self.inner();
        if inner.vms.contains_key(path) {
            return None;
        }
        let (requests, receiver) = mpsc::channel(REQUESTS_LIMIT);
        let view = View::new(&path.display().to_string());
        inner.vms.insert(path.to_owned(), Vm { view, requests });
        Some(receiver)
    }

    /// A connection was made or lost.
    pub fn connection(&self, path: &Path, connected: bool) {
        let mut inner = self.inner();
        let Inner { vms, news, .. } = &mut *inner;
        if let Some(vm) = vms.get_mut(path) {
            vm.view.connection(connected);
            tell(news, format!("{}: {}", vm.view.socket, if connected { "connected" } else { "closed" }));
        }
    }

    /// The host asks the guest to send records again.
    pub fn attached(&self, session: Option<SessionId>) {
        let mut inner = self.inner();
        if let Some(kept) = session.and_then(|session| inner.sessions.get_mut(&session)) {
            kept.store.attached();
        }
    }

    /// How far a session has come, after everything was written.
    pub fn progress(&self, session: SessionId) -> Option<Progress> {
        let mut inner = self.inner();
        let kept = inner.sessions.get_mut(&session)?;
        // What could not be written is not acknowledged: the guest keeps it.
        if let Err(error) = kept.store.flush() {
            inner.fault.get_or_insert(error);
            return None;
        }
        let (whole_end, has_hole) = kept.store.progress();
        Some(Progress { session, whole_end, has_hole })
    }

    /// What is missing before `seq` will not come.
    pub fn give_up(&self, session: SessionId, seq: u64) {
        if let Some(kept) = self.inner().sessions.get_mut(&session) {
            kept.store.give_up(seq);
        }
    }

    /// A line that is no record.
    pub fn torn(&self, path: &Path, session: Option<SessionId>) {
        let mut inner = self.inner();
        let Inner { sessions, vms, .. } = &mut *inner;
        let kept = session.and_then(|session| sessions.get_mut(&session));
        let Some(vm) = vms.get_mut(path) else { return };
        match kept {
            Some(kept) => {
                kept.store.torn();
                vm.view.stream = kept.store.found();
            }
            None => vm.view.stream.torn += 1,
        }
    }

    /// Which side of a migration `path` is to a session: the socket that spoke first is the source.
    pub fn side(&self, path: &Path, session: SessionId) -> Side {
        let inner = self.inner();
        let first = inner.sessions.get(&session).and_then(|kept| kept.sockets.first());
        if first.is_none_or(|first| first == path) { Side::Source } else { Side::Destination }
    }

    /// A record (or one of an unknown type) that came on `path`.
    pub fn record(&self, path: &Path, piece: &Piece, line: &[u8], host_ns: u64, side: Side) {
        let Some((session, seq)) = piece.place() else { return };
        let mut inner = self.inner();
        if let Err(error) = inner.keep(self, path, piece, line, (session, seq, host_ns, side)) {
            inner.fault.get_or_insert(error);
        }
    }

    /// The VM that `name` means: a session, a socket's path or file name, or a guest's own name; without one, the only
    /// VM there is. A socket that no guest has spoken on yet, such as a migration's destination, is then none.
    ///
    /// # Errors
    /// When there is none, or several; says which there are.
    pub fn find(&self, name: Option<&str>) -> Result<mpsc::Sender<Request>, String> {
        let inner = self.inner();
        let speaks = |vm: &Vm| vm.view.connected && vm.view.session.is_some();
        let silent = !inner.vms.values().any(speaks);
        let is_called = |path: &Path, vm: &Vm| match name {
            None => silent || speaks(vm),
            Some(name) => {
                path == Path::new(name)
                    || path.file_name().is_some_and(|file| file == name)
                    || vm.view.session.is_some_and(|session| session.to_string() == name)
                    || (!name.is_empty() && vm.view.hostname == name)
            }
        };
        let connected = inner.vms.iter().filter(|(_, vm)| vm.view.connected);
        let mut meant: Vec<&Vm> =
            connected.filter(|(path, vm)| is_called(path, vm)).map(|(_, vm)| vm).collect();
        // After a migration both sockets stand for one session: the one that spoke last is where the guest is.
        if meant.windows(2).all(|pair| pair[0].view.session == pair[1].view.session) {
            meant.sort_by_key(|vm| vm.view.seen_ns);
            if let Some(vm) = meant.pop() {
                return Ok(vm.requests.clone());
            }
        }
        let known = inner.vms.values().filter(|vm| vm.view.connected).map(|vm| match vm.view.session {
            Some(session) => format!("{session} ({})", vm.view.socket),
            None => vm.view.socket.clone(),
        });
        let known: Vec<String> = known.take(20).collect();
        let which =
            name.map_or_else(|| "which VM is meant?".to_owned(), |name| format!("'{name}' is not one VM."));
        Err(format!(
            "{which} Connected are: {}",
            if known.is_empty() { "none".into() } else { known.join(", ") }
        ))
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
    pub fn close(&self) -> anyhow::Result<()> {
        let mut inner = self.inner();
        let Inner { sessions, vms, fault, .. } = &mut *inner;
        for (session, kept) in sessions {
            let view = vms.values().map(|vm| &vm.view).find(|view| view.session == Some(*session));
            let sockets: Vec<String> = kept.sockets.iter().map(|path| path.display().to_string()).collect();
            let mut about = serde_json::Map::new();
            about.insert("schema".into(), crate::record::SCHEMA.into());
            about.insert("session".into(), session.to_string().into());
            about.insert("hostname".into(), view.map_or("", |view| view.hostname.as_str()).into());
            about.insert("sockets".into(), sockets.into());
            if let Err(error) = kept.store.conclude(about) {
                fault.get_or_insert(error);
            }
        }
        match fault.take() {
            None => Ok(()),
            Some(error) => {
                Err(error).with_context(|| format!("records cannot be written below {}", self.out.display()))
            }
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn keep(
        &mut self,
        desk: &Desk,
        path: &Path,
        piece: &Piece,
        line: &[u8],
        (session, seq, host_ns, side): (SessionId, u64, u64, Side),
    ) -> io::Result<()> {
        let Self { sessions, vms, news, .. } = self;
        let kept = match sessions.entry(session) {
            std::collections::hash_map::Entry::Occupied(kept) => kept.into_mut(),
            std::collections::hash_map::Entry::Vacant(vacant) => {
                // The name is made of the session's digits and of nothing else that a guest says.
                let store = Store::open(&desk.out.join(session.to_string()), desk.limit_bytes)?;
                vacant.insert(Kept { store, sockets: Vec::new() })
            }
        };
        if !kept.sockets.iter().any(|socket| socket == path) {
            kept.sockets.push(path.to_owned());
        }
        let is_new = kept.store.take(line, host_ns, side, seq)?;
        let Some(vm) = vms.get_mut(path) else { return Ok(()) };
        match piece {
            Piece::Record(arrival) if is_new => {
                if let Body::End(end) = &arrival.record.body {
                    kept.store.dropped_by_guest(end.records_dropped);
                }
                if vm.view.on(arrival, line) {
                    tell(news, format!("{}: session {session} speaks", vm.view.socket));
                }
                if vm.view.ended.is_some() && matches!(arrival.record.body, Body::End(_)) {
                    tell(news, format!("{}: session {session} has ended", vm.view.socket));
                }
            }
            Piece::Unknown { .. } if is_new => kept.store.unknown(),
            _ => {}
        }
        vm.view.stream = kept.store.found();
        Ok(())
    }
}

fn tell(news: &mut Vec<String>, text: String) {
    if news.len() < NEWS_LIMIT {
        news.push(text);
    }
}
