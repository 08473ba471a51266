//! One life of a session: its records as they came, and what is known of their numbers.
//!
//! A life has a directory of its own with a file of records, or shares the file of a run with others. A collector that was
//! killed leaves whole lines; the next one goes on behind them.

use super::heard::Heard;
use super::line::{behind_stamp, print_of, stamp};
use super::track::{Seen, Track};
use crate::lab::rundir::{Limits, RECORDS_FILE, RecordsFile, SESSION_FILE};
use crate::record::{Side, StreamAudit};
use crate::units::shown;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The longest name of a guest that is written down.
const NAME_LIMIT_CHARS: usize = 64;
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
    /// What an earlier collector wrote about it.
    about: Map<String, Value>,
}

/// A line's place.
#[derive(Deserialize)]
struct Place {
    seq: u64,
    mono_ns: Option<u64>,
    r#type: String,
    #[serde(default)]
    hostname: String,
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

    /// Gives everything to the kernel, so that it is there whatever becomes of this process.
    ///
    /// # Errors
    /// When the disk does not take it; nothing is forgotten.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file().flush()
    }

    /// Everything before this number is in the kernel's hands; none when there was nothing new since the last
    /// [`Self::synced`].
    ///
    /// # Errors
    /// As [`Self::flush`].
    pub fn take_unsynced(&mut self) -> io::Result<Option<(PathBuf, u64)>> {
        self.flush()?;
        let path = self.file().path().to_owned();
        Ok(std::mem::take(&mut self.is_unsynced).then(|| (path, self.whole_end())))
    }

    /// The disk has everything before `end`.
    pub fn synced(&mut self, end: u64) {
        self.safe_end = self.safe_end.max(end);
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

    /// How many records the guest gave up, as its end says.
    pub const fn dropped_by_guest(&mut self, records: u64) {
        self.found.dropped_by_guest = records;
    }

    /// What was found so far.
    pub const fn found(&self) -> StreamAudit {
        self.found
    }

    /// Records that were counted and not kept.
    pub const fn unkept(&self) -> u64 {
        self.unkept
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
        self.about.insert("stream".into(), serde_json::to_value(self.found)?);
        flushed.and(self.write_about())
    }

    /// Writes what is known about it into its directory, where it has one.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn write_about(&self) -> io::Result<()> {
        let Some(dir) = &self.dir else { return Ok(()) };
        let (path, draft) = (dir.join(SESSION_FILE), dir.join(format!(".{SESSION_FILE}.draft")));
        let mut text = serde_json::to_vec_pretty(&self.about)?;
        text.push(b'\n');
        fs::write(&draft, text)?;
        fs::rename(&draft, &path)
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

    /// Takes up what another collector has written.
    fn take_up(&mut self) -> io::Result<()> {
        let file = Arc::clone(&self.file);
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.take_up(|line| match serde_json::from_slice::<Place>(line) {
            Ok(place) => {
                self.number(place.seq);
                self.found.records += 1;
                self.remember(place.seq, print_of(behind_stamp(line)), place.mono_ns);
                if place.r#type == "hello" {
                    self.about.insert("hostname".into(), shown(&place.hostname, NAME_LIMIT_CHARS).into());
                }
            }
            Err(_) => self.found.torn += 1,
        })?;
        // However the numbers came then, what comes again from now on was asked for.
        (self.found.replayed, self.found.doubles) = (0, 0);
        self.attached();
        Ok(())
    }

    fn file(&self) -> MutexGuard<'_, RecordsFile> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
