//! A record is kept, and what is known of its VM with it.

use super::super::family::Life;
use super::super::heard::Heard;
use super::super::labels::labels_of;
use super::super::piece::Piece;
use super::super::track::Seen;
use super::{Inner, tell};
use crate::record::{Body, Hello, Side};
use crate::units::shown;
use std::{
    io,
    path::{Path, PathBuf},
};

/// The longest name of a guest that is written down.
const NAME_LIMIT_CHARS: usize = 64;

impl Inner {
    /// Keeps a record that fits a life. What its number turned out to be.
    pub(super) fn keep(
        &mut self,
        path: &Path,
        life: usize,
        heard: &mut Heard,
        most_bytes: u64,
    ) -> io::Result<Option<Seen>> {
        let Self { sessions, vms, news, fresh, fault, .. } = self;
        let Some(family) = sessions.get_mut(&heard.session) else { return Ok(None) };
        let owner = family.owner(life, heard.seq);
        let Some(life) = family.life(owner) else { return Ok(None) };
        let left = life.spoke.as_ref().map(|(socket, _)| socket.clone()).filter(|socket| socket != path);
        let before = life.spoke.as_ref().and_then(|(socket, _)| vms.get(socket));
        let before = before.map(|vm| vm.view.clone()).filter(|view| view.life == life.name);
        let Some(vm) = vms.get_mut(path) else { return Ok(None) };
        let away_ns = life.speaks(path, vm, heard.host_ns);
        let is_first = life.sockets.first().is_none_or(|first| first == path);
        let side = vm.side.unwrap_or(if is_first { Side::Source } else { Side::Destination });
        let taken = life.store.take(heard, side, vm.bytes >= most_bytes);
        vm.bytes += taken.bytes;
        if let Some(error) = taken.fault {
            fault.get_or_insert(error);
        }
        match &mut heard.piece {
            Piece::Record(arrival) if taken.seen.is_new() => {
                arrival.side = side;
                if let Some(fresh) = fresh {
                    fresh.push((**arrival).clone());
                }
                if let Body::Hello(hello) = &arrival.record.body {
                    introduce(life, owner, hello)?;
                }
                if vm.view.life != life.name {
                    vm.view.name(&life.name, before);
                    // What the guest said of itself is said once.
                    vm.view.introduce(life.store.about());
                }
                if vm.view.on(arrival, &heard.line) {
                    tell(news, format!("{}: session {} speaks", vm.view.socket, life.name));
                }
                if matches!(arrival.record.body, Body::Heartbeat(_)) {
                    vm.view.moved(life.beats(path, heard.host_ns));
                }
                if matches!(arrival.record.body, Body::End(_)) {
                    tell(news, format!("{}: session {} has ended", vm.view.socket, life.name));
                }
            }
            Piece::Unknown { .. } if taken.seen.is_new() => life.store.unknown(),
            _ => {}
        }
        vm.view.stream = life.store.found();
        vm.view.losses = life.store.losses();
        vm.view.reconnect_ns = vm.view.reconnect_ns.max(away_ns);
        let has_gone = |left: &PathBuf| vms.get(left).is_some_and(|vm| vm.is_visitor && !vm.view.connected);
        if let Some(left) = left.filter(has_gone) {
            self.forget(&left);
        }
        Ok(Some(taken.seen))
    }
}

/// What a guest says of itself: its name, and which session it was before its VM went back.
fn introduce(life: &mut Life, index: usize, hello: &Hello) -> io::Result<()> {
    life.store.about().insert("hostname".into(), shown(&hello.hostname, NAME_LIMIT_CHARS).into());
    life.store.about().insert("labels".into(), labels_of(&hello.labels).into());
    match (hello.parent, hello.parent_seq) {
        (Some(parent), Some(seq)) if index == 0 => life.came_from(&parent.to_string(), seq),
        _ => Ok(()),
    }
}
