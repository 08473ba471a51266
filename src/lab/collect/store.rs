//! One life of a session: its records as they came, and what is known of their numbers.
//!
//! A life has a directory of its own with a file of records, or shares the file of a run with others. A collector that was
//! killed leaves whole lines; the next one goes on behind them.

mod take_up;

use super::heard::Heard;
use super::line::stamp;
use super::losses::GuestLosses;
use super::piece::Piece;
use super::track::{Seen, Track};
use crate::files::replace;
use crate::lab::rundir::{FileMark, Limits, RECORDS_FILE, RecordsFile, SESSION_FILE};
use crate::record::{Side, StreamAudit};
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Of how many records it is remembered what they said. A guest holds 1 MiB to send again, which is fewer records: one that
/// comes again and is older than these is of another life.
const PRINTS_LIMIT: usize = 16_384;
/// Of how many it is remembered when they were made: those that are not acknowledged yet are the latest.
const STAMPS_LIMIT: usize = 2048;

/// What a number of the stream is to a life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It is not there yet.
    New,
    /// The same record is there.
    Same,
    /// Another record has this number.
    Other,
}

/// What came of a record that was taken.
#[derive(Debug)]
pub struct Taken {
    /// What its number turned out to be.
    pub seen: Seen,
    /// How many bytes of it are kept.
    pub bytes: u64,
    /// Why it could not be kept, where the disk is to blame.
    pub fault: Option<io::Error>,
}

/// What the kernel has and the disk may not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsynced {
    /// The file.
    pub path: PathBuf,
    /// Which file that was, and how far it was written; none where no record was kept.
    pub mark: Option<FileMark>,
    /// One beyond the last record in it without a hole before it.
    pub end: u64,
}

/// The records of one life.
#[derive(Debug)]
pub struct Store {
    /// Its directory; none where it shares the file of a run.
    dir: Option<PathBuf>,
    file: Arc<Mutex<RecordsFile>>,
    track: Option<Track>,
    found: StreamAudit,
    /// Records that came when the limit was reached, or that speak in the host's name beyond mending: counted, not kept.
    unkept: u64,
    /// What each of the latest records said.
    prints: BTreeMap<u64, u64>,
    /// When the latest of them were made.
    stamps: BTreeMap<u64, u64>,
    /// Everything before this number is on the disk, and whether anything was written since.
    safe_end: u64,
    is_unsynced: bool,
    /// The first record that the disk did not take.
    refused: Option<u64>,
    /// Records that were found gone from the file, and how many of them somebody was told of.
    gone: u64,
    gone_told: u64,
    /// What the guest itself says it lost.
    losses: GuestLosses,
    /// What an earlier collector wrote about it.
    about: Map<String, Value>,
}

impl Store {
    /// Opens a directory, new or with what another collector has left in it.
    ///
    /// # Errors
    /// When it cannot be made or read.
    pub fn open(dir: &Path, limits: Limits) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let file = RecordsFile::new(dir.join(RECORDS_FILE), limits);
        let mut store = Self::within(Arc::new(Mutex::new(file)));
        let about = fs::read(dir.join(SESSION_FILE)).ok();
        store.about = about.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        store.dir = Some(dir.to_owned());
        store.take_up()?;
        // However the numbers came then, what comes again from now on was asked for.
        (store.found.replayed, store.found.doubles) = (0, 0);
        Ok(store)
    }

    /// A life whose records go into a file that others share.
    pub fn within(file: Arc<Mutex<RecordsFile>>) -> Self {
        Self {
            dir: None,
            file,
            track: None,
            found: StreamAudit::default(),
            unkept: 0,
            prints: BTreeMap::new(),
            stamps: BTreeMap::new(),
            safe_end: 0,
            is_unsynced: true,
            refused: None,
            gone: 0,
            gone_told: 0,
            losses: GuestLosses::default(),
            about: Map::new(),
        }
    }

    /// Whether there is a directory `name` beside this one; lives without one know no other.
    pub fn has_beside(&self, name: &str) -> bool {
        self.dir.as_ref().is_none_or(|dir| dir.with_file_name(name).is_dir())
    }

    /// The host asked for records to be sent again.
    pub fn attached(&mut self) {
        if let Some(track) = &mut self.track {
            track.attached();
        }
    }

    /// What a record with this number and print is to the life.
    pub fn fit(&self, seq: u64, print: u64) -> Fit {
        match (self.prints.get(&seq), &self.track) {
            (Some(kept), _) if *kept == print => Fit::Same,
            (Some(_), _) => Fit::Other,
            (None, Some(track)) if track.has(seq) => Fit::Other,
            (None, _) => Fit::New,
        }
    }

    /// Takes a record that is no other's; with `is_full` it is counted and not kept.
    pub fn take(&mut self, heard: &Heard, side: Side, is_full: bool) -> Taken {
        let seen = self.number(heard.seq);
        if !seen.is_new() {
            return Taken { seen, bytes: 0, fault: None };
        }
        self.remember(heard.seq, heard.print, heard.stamp_ns());
        self.found.records += 1;
        if let Piece::Record(arrival) = &heard.piece {
            self.losses.on(&arrival.record.body);
        }
        let fields = heard.own_fields();
        let kept = if is_full || fields.is_empty() {
            Ok(None)
        } else {
            self.file().add(stamp(heard.host_ns, side).as_bytes(), &fields, heard.is_detail())
        };
        let (kept, fault) = match kept {
            Ok(kept) => (kept, None),
            Err(error) => {
                self.refused = Some(self.refused.map_or(heard.seq, |before| before.min(heard.seq)));
                (None, Some(error))
            }
        };
        self.unkept += u64::from(kept.is_none());
        self.is_unsynced |= kept.is_some();
        Taken { seen, bytes: kept.unwrap_or(0), fault }
    }

    /// Gives everything to the kernel, so that it is there whatever becomes of this process. Where the file is no longer the one
    /// that was written, what is in it now counts.
    ///
    /// # Errors
    /// When the disk does not take it; nothing is forgotten. When the file is gone that lives share.
    pub fn flush(&mut self) -> io::Result<()> {
        let is_there = self.file().is_there()?;
        if !is_there {
            self.begin_anew()?;
        }
        self.file().flush()
    }

    /// What the kernel has and the disk may not have; none when there was nothing new since the last [`Self::synced`].
    ///
    /// # Errors
    /// As [`Self::flush`].
    pub fn take_unsynced(&mut self) -> io::Result<Option<Unsynced>> {
        self.flush()?;
        let path = self.file().path().to_owned();
        let mark = self.file().mark();
        let end = self.whole_end();
        Ok(std::mem::take(&mut self.is_unsynced).then_some(Unsynced { path, mark, end }))
    }

    /// The disk was asked to take something: whether it has it, in the file that is written.
    pub fn synced(&mut self, written: &Unsynced, is_there: bool) {
        let now = self.file().mark();
        let is_same = written.mark.is_none_or(|earlier| now.is_some_and(|now| now.covers(&earlier)));
        if is_there && is_same {
            self.safe_end = self.safe_end.max(written.end);
        } else {
            self.is_unsynced = true;
        }
    }

    /// One beyond the last record that is safe on the disk without a hole before it.
    pub fn safe_end(&self) -> u64 {
        self.safe_end.min(self.whole_end()).min(self.refused.unwrap_or(u64::MAX))
    }

    /// One beyond the last record without a hole before it.
    pub fn whole_end(&self) -> u64 {
        self.track.as_ref().map_or(0, Track::whole_end)
    }

    /// When the record `seq` was made, as it says itself, where it is one of the latest.
    pub fn stamp_ns(&self, seq: u64) -> Option<u64> {
        self.stamps.get(&seq).copied()
    }

    /// What is missing before `seq` will not come.
    pub fn give_up(&mut self, seq: u64) {
        if let Some(track) = &mut self.track {
            track.give_up(seq);
            // What was given up needs no disk; what follows it does.
            self.is_unsynced = true;
        }
    }

    /// The lowest number that counts, and one beyond the highest that came; none where nothing came.
    pub fn span(&self) -> Option<(u64, u64)> {
        self.track.as_ref().map(|track| (track.first(), track.next()))
    }

    /// A line that is no record.
    pub const fn torn(&mut self) {
        self.found.torn += 1;
    }

    /// A record of a type this version does not know; it is kept as it came.
    pub const fn unknown(&mut self) {
        self.found.unknown += 1;
    }

    /// Doubles and torn lines turned out to be where another life began.
    pub const fn excuse(&mut self, doubles: u64, torn: u64) {
        self.found.doubles = self.found.doubles.saturating_sub(doubles);
        self.found.replayed += doubles;
        self.found.torn = self.found.torn.saturating_sub(torn);
    }

    /// What was found so far.
    pub fn found(&self) -> StreamAudit {
        StreamAudit { dropped_by_guest: self.losses.records_given_up().unwrap_or(0), ..self.found }
    }

    /// Records that were counted and not kept.
    pub const fn unkept(&self) -> u64 {
        self.unkept
    }

    /// Records that were found gone from the file since this was last asked, where somebody removed, replaced or cut it.
    pub const fn take_gone(&mut self) -> u64 {
        let fresh = self.gone - self.gone_told;
        self.gone_told = self.gone;
        fresh
    }

    /// All records that were ever found gone from the file.
    pub const fn gone(&self) -> u64 {
        self.gone
    }

    /// What the guest itself says it lost.
    pub const fn losses(&self) -> GuestLosses {
        self.losses
    }

    /// What is known about it beside its records; an earlier collector's knowledge included.
    pub const fn about(&mut self) -> &mut Map<String, Value> {
        &mut self.about
    }

    /// Writes down what was found, whole or not at all, and before that the records that still wait.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn conclude(&mut self) -> io::Result<()> {
        let flushed = self.flush();
        // What the disk did not take is not kept, and that has to be said.
        let given_up = self.file().give_up();
        self.unkept += given_up;
        let first = self.track.as_ref().map_or(0, Track::first);
        self.about.insert("first_seq".into(), first.into());
        self.about.insert("unkept".into(), self.unkept.into());
        self.about.insert("stream".into(), serde_json::to_value(self.found())?);
        flushed.and(self.write_about())
    }

    /// Writes what is known about it into its directory, where it has one.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn write_about(&self) -> io::Result<()> {
        let Some(dir) = &self.dir else { return Ok(()) };
        let mut text = serde_json::to_vec_pretty(&self.about)?;
        text.push(b'\n');
        replace(&dir.join(SESSION_FILE), |file| file.write_all(&text))
    }

    fn number(&mut self, seq: u64) -> Seen {
        let track = self.track.get_or_insert_with(|| {
            let mut track = Track::joined_at(seq);
            track.attached();
            track
        });
        let reached_back = track.reach_back(seq);
        let seen = track.see(seq);
        match seen {
            Seen::New { passed_over } => self.found.holes = self.found.holes.saturating_add(passed_over),
            Seen::Late => self.found.holes = self.found.holes.saturating_add(reached_back).saturating_sub(1),
            Seen::Replayed => self.found.replayed += 1,
            Seen::Double => self.found.doubles += 1,
        }
        seen
    }

    fn remember(&mut self, seq: u64, print: u64, stamp_ns: Option<u64>) {
        self.prints.insert(seq, print);
        if self.prints.len() > PRINTS_LIMIT {
            self.prints.pop_first();
        }
        self.stamps.extend(stamp_ns.map(|stamp_ns| (seq, stamp_ns)));
        if self.stamps.len() > STAMPS_LIMIT {
            self.stamps.pop_first();
        }
    }

    fn file(&self) -> MutexGuard<'_, RecordsFile> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
