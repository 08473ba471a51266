//! What is in a file already: an earlier collector's records, or what somebody put in the place of ours.

use super::super::labels::labels_of;
use super::super::line::{behind_stamp, print_of};
use super::super::losses::GuestLosses;
use super::Store;
use crate::lab::rundir::FileMark;
use crate::record::Arrival;
use crate::units::shown;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs, io,
    sync::{Arc, PoisonError},
};

/// The longest name of a guest that is written down.
const NAME_LIMIT_CHARS: usize = 64;

/// A line's place.
#[derive(Deserialize)]
struct Place {
    seq: u64,
    mono_ns: Option<u64>,
    r#type: String,
    #[serde(default)]
    hostname: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl Store {
    /// Takes up what another collector has written.
    pub(super) fn take_up(&mut self) -> io::Result<()> {
        let file = Arc::clone(&self.file);
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.take_up(|line| match serde_json::from_slice::<Place>(line) {
            Ok(place) => {
                self.number(place.seq);
                self.found.records += 1;
                self.remember(place.seq, print_of(behind_stamp(line)), place.mono_ns);
                if place.r#type == "hello" {
                    self.about.insert("hostname".into(), shown(&place.hostname, NAME_LIMIT_CHARS).into());
                    self.about.insert("labels".into(), labels_of(&place.labels).into());
                }
                if GuestLosses::TOLD_BY.contains(&place.r#type.as_str())
                    && let Ok(arrival) = serde_json::from_slice::<Arrival>(line)
                {
                    self.losses.on(&arrival.record.body);
                }
            }
            Err(_) => self.found.torn += 1,
        })?;
        self.attached();
        Ok(())
    }

    /// Takes up the file that stands where the written one was. All else that came is missing: what the guest still holds
    /// is asked for like any hole, and the guest says from where on it has it.
    pub(super) fn begin_anew(&mut self) -> io::Result<()> {
        let Some(dir) = &self.dir else { return Err(FileMark::not_there(self.file().path())) };
        fs::create_dir_all(dir)?;
        self.file().forget();
        let before = self.found;
        if let Some(track) = &mut self.track {
            track.forget();
        }
        self.prints.clear();
        self.stamps.clear();
        self.losses.read_again();
        self.found.holes = before.holes.saturating_add(before.records);
        (self.found.records, self.unkept, self.safe_end, self.refused) = (0, 0, 0, None);
        self.is_unsynced = true;
        self.take_up()?;
        (self.found.replayed, self.found.doubles) = (before.replayed, before.doubles);
        self.gone += before.records.saturating_sub(self.found.records);
        Ok(())
    }
}
