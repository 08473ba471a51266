//! What the kernel has of the records, and what the disk has.

use super::super::family::ToSync;
use super::{Desk, Inner, tell};
use std::io;

impl Desk {
    /// Every file that has something new, which the kernel has by then, and how far it reaches.
    pub fn take_unsynced(&self) -> Vec<ToSync> {
        let mut inner = self.inner();
        let Inner { sessions, news, fault, .. } = &mut *inner;
        let mut files = Vec::new();
        for (session, family) in sessions {
            for (index, life) in family.lives().iter_mut().enumerate() {
                match life.store.take_unsynced() {
                    Ok(Some(written)) => files.push(ToSync { session: *session, life: index, written }),
                    Ok(None) => {}
                    Err(error) => drop(fault.get_or_insert(error)),
                }
                life.gone().into_iter().for_each(|text| tell(news, text));
            }
        }
        files
    }

    /// The disk was asked to take a file: whether it has what was written, or why not.
    pub fn synced(&self, file: &ToSync, is_there: io::Result<bool>) {
        let mut inner = self.inner();
        let Inner { sessions, fault, .. } = &mut *inner;
        match (is_there, sessions.get_mut(&file.session).and_then(|family| family.life(file.life))) {
            (Ok(is_there), Some(life)) => life.store.synced(&file.written, is_there),
            (Err(error), _) => drop(fault.get_or_insert(error)),
            (Ok(_), None) => {}
        }
    }
}
