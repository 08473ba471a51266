//! A guest that comes by itself is taken in, and forgotten once its session speaks elsewhere.

use super::super::request::Request;
use super::super::vm::Vm;
use super::{Desk, REQUESTS_LIMIT};
use crate::record::Side;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

/// Of how many is remembered what they were, once they have gone.
const GONE_LIMIT: usize = 1024;

impl Desk {
    /// Takes in a guest that came from `peer`: its name among all others, and what is asked of it.
    pub fn welcome(&self, peer: &str) -> (PathBuf, mpsc::Receiver<Request>) {
        let mut inner = self.inner();
        inner.visitors.came += 1;
        let path = PathBuf::from(format!("{peer}#{}", inner.visitors.came));
        let (requests, receiver) = mpsc::channel(REQUESTS_LIMIT);
        // Whichever connection it is, the guest has not moved because of it.
        let mut vm = Vm::new(peer, Some(Side::Source), requests);
        vm.is_visitor = true;
        inner.vms.insert(path.clone(), vm);
        (path, receiver)
    }

    /// A guest's connection has ended. It is remembered until its session speaks on another.
    pub fn leave(&self, path: &Path) {
        let mut inner = self.inner();
        let speaks_here = inner.vms.get(path).and_then(|vm| vm.view.session).is_some_and(|session| {
            let family = inner.sessions.get_mut(&session);
            family.is_some_and(|family| {
                family
                    .lives()
                    .iter()
                    .any(|life| life.spoke.as_ref().is_some_and(|(socket, _)| socket == path))
            })
        });
        if !speaks_here {
            inner.forget(path);
        }
        let gone = inner.vms.iter().filter(|(_, vm)| vm.is_visitor && !vm.view.connected);
        if gone.clone().count() > GONE_LIMIT
            && let Some(path) = gone.min_by_key(|(_, vm)| vm.view.seen_ns).map(|(path, _)| path.clone())
        {
            inner.forget(&path);
        }
    }

    /// When a guest last said something.
    pub fn heard_ns(&self, path: &Path) -> Option<u64> {
        self.inner().vms.get(path)?.view.seen_ns
    }

    /// Somebody was not let in.
    pub fn turned_away(&self) {
        self.inner().visitors.turned_away += 1;
    }
}

impl super::Inner {
    /// Forgets a guest whose connection has ended.
    pub(super) fn forget(&mut self, path: &Path) {
        if let Some(vm) = self.vms.remove(path) {
            self.visitors.forget(&vm);
        }
    }
}
