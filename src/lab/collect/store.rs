//! One directory: the records of one life of a session as they came, and what is known of their numbers.
//!
//! The file is opened for each write only, so that hundreds of guests need no more files than sockets. A collector that
//! was killed leaves whole lines and perhaps a torn last one; the next collector goes on behind the whole ones.

use super::line::{behind_stamp, own_fields, print_of, stamp};
use super::track::{Seen, Track};
use crate::record::{Side, StreamAudit};
use crate::units::shown;
use crate::wire::RECORD_LIMIT_BYTES;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
};

/// The file of the records, as in a run directory.
const RECORDS_FILE: &str = "records.ndjson";
/// What was found about the session.
const SESSION_FILE: &str = "session.json";
/// A line of the file: a record and its two stamps.
const LINE_LIMIT_BYTES: u64 = RECORD_LIMIT_BYTES as u64 + 256;
/// The longest name of a guest that is written down.
const NAME_LIMIT_CHARS: usize = 64;
/// What may wait to be written.
const BUFFER_LIMIT_BYTES: usize = 1 << 20;
/// Of how many records it is remembered what they said. A guest holds 1 MiB to send again, which is fewer records: one that
/// comes again and is older than these is of another life.
const PRINTS_LIMIT: usize = 16_384;

/// What a number of the stream is to a directory.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// What its number turned out to be.
    pub seen: Seen,
    /// How many bytes of it are kept.
    pub bytes: u64,
}

/// One directory.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    limit_bytes: u64,
    written_bytes: u64,
    buffer: Vec<u8>,
    track: Option<Track>,
    found: StreamAudit,
    /// Records that came when the limit was reached, or that speak in the host's name beyond mending: counted, not kept.
    unkept: u64,
    /// What each of the latest records said.
    prints: BTreeMap<u64, u64>,
    /// Everything before this number is on the disk, and whether anything was written since.
    safe_end: u64,
    is_unsynced: bool,
    /// What an earlier collector wrote about it.
    about: Map<String, Value>,
}

/// A line's place.
#[derive(Deserialize)]
struct Place {
    seq: u64,
    r#type: String,
    #[serde(default)]
    hostname: String,
}

impl Store {
    /// Opens the directory, new or with what another collector has left in it.
    ///
    /// # Errors
    /// When it cannot be made or read.
    pub fn open(dir: &Path, limit_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let about = fs::read(dir.join(SESSION_FILE)).ok();
        let about = about.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        let mut store = Self {
            dir: dir.to_owned(),
            limit_bytes,
            written_bytes: 0,
            buffer: Vec::new(),
            track: None,
            found: StreamAudit::default(),
            unkept: 0,
            prints: BTreeMap::new(),
            safe_end: 0,
            is_unsynced: true,
            about,
        };
        store.read_back()?;
        Ok(store)
    }

    /// Whether there is a directory `name` beside this one.
    pub fn has_beside(&self, name: &str) -> bool {
        self.dir.with_file_name(name).is_dir()
    }

    /// The host asked for records to be sent again.
    pub fn attached(&mut self) {
        if let Some(track) = &mut self.track {
            track.attached();
        }
    }

    /// What a record with this number and print is to the directory.
    pub fn fit(&self, seq: u64, print: u64) -> Fit {
        match (self.prints.get(&seq), &self.track) {
            (Some(kept), _) if *kept == print => Fit::Same,
            (Some(_), _) => Fit::Other,
            (None, Some(track)) if track.has(seq) => Fit::Other,
            (None, _) => Fit::New,
        }
    }

    /// Takes a record that is no other's: its line without the newline, and its number; with `is_full` it is counted and not
    /// kept.
    ///
    /// # Errors
    /// When what waits must be written and cannot be.
    pub fn take(
        &mut self,
        line: &[u8],
        host_ns: u64,
        side: Side,
        seq: u64,
        is_full: bool,
    ) -> io::Result<Taken> {
        let seen = self.number(seq);
        if !seen.is_new() {
            return Ok(Taken { seen, bytes: 0 });
        }
        let (stamp, fields) = (stamp(host_ns, side), own_fields(line));
        self.remember(seq, print_of(&fields));
        self.found.records += 1;
        let length = stamp.len() + fields.len() + 1;
        let is_beyond = self.written_bytes + (self.buffer.len() + length) as u64 > self.limit_bytes;
        if is_full || fields.is_empty() || is_beyond {
            self.unkept += 1;
            return Ok(Taken { seen, bytes: 0 });
        }
        let room = if self.buffer.len() + length > BUFFER_LIMIT_BYTES { self.flush() } else { Ok(()) };
        self.buffer.extend_from_slice(stamp.as_bytes());
        self.buffer.extend_from_slice(&fields);
        self.buffer.push(b'\n');
        self.is_unsynced = true;
        room.map(|()| Taken { seen, bytes: length as u64 })
    }

    /// Gives everything to the kernel, so that it is there whatever becomes of this process.
    ///
    /// # Errors
    /// When the disk does not take it; the file ends with a whole line all the same, and nothing is forgotten.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut file = OpenOptions::new().append(true).create(true).open(self.dir.join(RECORDS_FILE))?;
        let (done, written) = write_most(&mut file, &self.buffer);
        let whole = if written.is_ok() { done } else { end_of_line(&self.buffer[..done]) };
        self.buffer.drain(..whole);
        self.written_bytes += whole as u64;
        if written.is_err() {
            // Readers then meet half a line, which they pass over.
            let _ = file.set_len(self.written_bytes);
        }
        written
    }

    /// Everything before this number is in the kernel's hands; none when there was nothing new since the last
    /// [`Self::synced`].
    ///
    /// # Errors
    /// As [`Self::flush`].
    pub fn take_unsynced(&mut self) -> io::Result<Option<(PathBuf, u64)>> {
        self.flush()?;
        let path = self.dir.join(RECORDS_FILE);
        Ok(std::mem::take(&mut self.is_unsynced).then(|| (path, self.whole_end())))
    }

    /// The disk has everything before `end`.
    pub fn synced(&mut self, end: u64) {
        self.safe_end = self.safe_end.max(end);
    }

    /// One beyond the last record that is safe on the disk without a hole before it.
    pub fn safe_end(&self) -> u64 {
        self.safe_end.min(self.whole_end())
    }

    /// One beyond the last record without a hole before it.
    pub fn whole_end(&self) -> u64 {
        self.track.as_ref().map_or(0, Track::whole_end)
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
        // What the disk did not take is not kept, and `session.json` has to say so.
        self.unkept += memchr::memchr_iter(b'\n', &self.buffer).count() as u64;
        self.buffer.clear();
        let first = self.track.as_ref().map_or(0, Track::first);
        self.about.insert("first_seq".into(), first.into());
        self.about.insert("unkept".into(), self.unkept.into());
        self.about.insert("stream".into(), serde_json::to_value(self.found)?);
        flushed.and(self.write_about())
    }

    /// Writes what is known about it.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn write_about(&self) -> io::Result<()> {
        let (path, draft) = (self.dir.join(SESSION_FILE), self.dir.join(format!(".{SESSION_FILE}.draft")));
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

    fn remember(&mut self, seq: u64, print: u64) {
        self.prints.insert(seq, print);
        if self.prints.len() > PRINTS_LIMIT {
            self.prints.pop_first();
        }
    }

    /// Takes up what another collector has written, and cuts off a line it did not finish.
    fn read_back(&mut self) -> io::Result<()> {
        let path = self.dir.join(RECORDS_FILE);
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        let (mut reader, mut line) = (BufReader::new(&file), Vec::new());
        loop {
            line.clear();
            let length = reader.by_ref().take(LINE_LIMIT_BYTES).read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') {
                break;
            }
            match serde_json::from_slice::<Place>(&line) {
                Ok(place) => {
                    self.number(place.seq);
                    self.found.records += 1;
                    self.remember(place.seq, print_of(behind_stamp(&line[..line.len() - 1])));
                    if place.r#type == "hello" {
                        self.about.insert("hostname".into(), shown(&place.hostname, NAME_LIMIT_CHARS).into());
                    }
                }
                Err(_) => self.found.torn += 1,
            }
            self.written_bytes += length as u64;
        }
        if !line.is_empty() {
            file.set_len(self.written_bytes)?;
        }
        // However the numbers came then, what comes again from now on was asked for.
        (self.found.replayed, self.found.doubles) = (0, 0);
        self.attached();
        Ok(())
    }
}

/// Writes as much as the disk takes: how many bytes that are, and why not all.
fn write_most(file: &mut File, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut done = 0;
    while done < bytes.len() {
        match file.write(&bytes[done..]) {
            Ok(0) => return (done, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (done, Err(error)),
        }
    }
    (done, Ok(()))
}

/// One beyond the last newline.
fn end_of_line(bytes: &[u8]) -> usize {
    memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests;
