//! One session's directory: its records as they came, and what is known of their numbers.
//!
//! The file is opened for each write only, so that hundreds of guests need no more files than sockets. A collector that
//! was killed leaves whole lines and perhaps a torn last one; the next collector goes on behind the whole ones.

use super::super::{Seen, Track};
use crate::record::{Side, StreamAudit};
use crate::wire::RECORD_LIMIT_BYTES;
use memchr::memmem;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{
    borrow::Cow,
    fs::{self, OpenOptions},
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
};

/// The file of the records, as in a run directory.
const RECORDS_FILE: &str = "records.ndjson";
/// What was found about the session.
const SESSION_FILE: &str = "session.json";
/// A line of the file: a record and its two stamps.
const LINE_LIMIT_BYTES: u64 = RECORD_LIMIT_BYTES as u64 + 256;
/// What the host says of a record.
const HOST_FIELDS: [&str; 2] = ["host_ns", "side"];
/// What may wait to be written.
const BUFFER_LIMIT_BYTES: usize = 1 << 20;

/// One session's directory.
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
}

/// A line's place.
#[derive(Deserialize)]
struct Place {
    seq: u64,
}

impl Store {
    /// Opens the directory, new or with what another collector has left in it.
    ///
    /// # Errors
    /// When it cannot be made or read.
    pub fn open(dir: &Path, limit_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let mut store = Self {
            dir: dir.to_owned(),
            limit_bytes,
            written_bytes: 0,
            buffer: Vec::new(),
            track: None,
            found: StreamAudit::default(),
            unkept: 0,
        };
        store.read_back()?;
        Ok(store)
    }

    /// The host asked for records to be sent again.
    pub fn attached(&mut self) {
        if let Some(track) = &mut self.track {
            track.attached();
        }
    }

    /// Takes a record: its line without the newline, and its number. Whether it was not there yet.
    ///
    /// # Errors
    /// When what waits must be written and cannot be.
    pub fn take(&mut self, line: &[u8], host_ns: u64, side: Side, seq: u64) -> io::Result<bool> {
        if !self.number(seq).is_new() {
            return Ok(false);
        }
        self.found.records += 1;
        let stamp = format!("{{\"host_ns\":{host_ns},\"side\":\"{}\",", name(side));
        let fields = own_fields(line);
        let length = stamp.len() + fields.len() + 1;
        if fields.is_empty() || self.written_bytes + (self.buffer.len() + length) as u64 > self.limit_bytes {
            self.unkept += 1;
            return Ok(true);
        }
        if self.buffer.len() + length > BUFFER_LIMIT_BYTES {
            self.flush()?;
        }
        self.buffer.extend_from_slice(stamp.as_bytes());
        self.buffer.extend_from_slice(&fields);
        self.buffer.push(b'\n');
        Ok(true)
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
        if let Err(error) = file.write_all(&self.buffer) {
            let _ = file.set_len(self.written_bytes);
            return Err(error);
        }
        self.written_bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// One beyond the last record without a hole before it, and whether there is a hole behind that.
    pub fn progress(&self) -> (u64, bool) {
        self.track.as_ref().map_or((0, false), |track| (track.whole_end(), track.has_hole()))
    }

    /// What is missing before `seq` will not come.
    pub fn give_up(&mut self, seq: u64) {
        if let Some(track) = &mut self.track {
            track.give_up(seq);
        }
    }

    /// A line that is no record.
    pub const fn torn(&mut self) {
        self.found.torn += 1;
    }

    /// A record of a type this version does not know; it is kept as it came.
    pub const fn unknown(&mut self) {
        self.found.unknown += 1;
    }

    /// The guest's own count of what it gave up.
    pub const fn dropped_by_guest(&mut self, records: u64) {
        self.found.dropped_by_guest = records;
    }

    /// What was found so far.
    pub const fn found(&self) -> StreamAudit {
        self.found
    }

    /// Writes down what was found, whole or not at all.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn conclude(&mut self, mut about: Map<String, Value>) -> io::Result<()> {
        self.flush()?;
        let first = self.track.as_ref().map_or(0, Track::first);
        about.insert("first_seq".into(), first.into());
        about.insert("unkept".into(), self.unkept.into());
        about.insert("stream".into(), serde_json::to_value(self.found)?);
        let (path, draft) = (self.dir.join(SESSION_FILE), self.dir.join(format!(".{SESSION_FILE}.draft")));
        let mut text = serde_json::to_vec_pretty(&about)?;
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

/// What follows the `{` of a record's line, without what the guest says in the host's name: no reader is to meet
/// `host_ns` and `side` twice. Empty where that cannot be taken out.
fn own_fields(line: &[u8]) -> Cow<'_, [u8]> {
    // A name may be written with escapes.
    let mut suspect = HOST_FIELDS.into_iter().chain(["\\u"]);
    if !suspect.any(|text| memmem::find(line, text.as_bytes()).is_some()) {
        return line.trim_ascii_start().strip_prefix(b"{").unwrap_or(line).into();
    }
    let Ok(mut fields) = serde_json::from_slice::<Map<String, Value>>(line) else { return Cow::default() };
    fields.retain(|name, _| !HOST_FIELDS.contains(&name.as_str()));
    let own = serde_json::to_vec(&fields).unwrap_or_default();
    // It must fit on a line again, whatever became of its numbers.
    if own.len() > line.len() { Cow::default() } else { own.get(1..).unwrap_or_default().to_vec().into() }
}

const fn name(side: Side) -> &'static str {
    match side {
        Side::Source => "source",
        Side::Destination => "destination",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Arrival;

    fn line(seq: u64) -> Vec<u8> {
        format!(r#"{{"type":"phase","session":"0000000000000001","seq":{seq},"mono_ns":5,"phase":"run","later":1}}"#)
            .into_bytes()
    }

    fn take(store: &mut Store, seq: u64) -> bool {
        store.take(&line(seq), 7, Side::Source, seq).unwrap()
    }

    #[test]
    fn records_are_kept_as_they_came_with_their_stamps() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), 1 << 20).unwrap();
        assert!(take(&mut store, 0));
        store.flush().unwrap();
        let text = fs::read_to_string(dir.path().join(RECORDS_FILE)).unwrap();
        let arrival: Arrival = serde_json::from_str(&text).unwrap();
        assert_eq!((arrival.host_ns, arrival.side, arrival.record.seq), (7, Side::Source, 0));
        assert!(text.contains("\"later\":1"), "what this version does not know is kept");
    }

    #[test]
    fn a_collector_goes_on_behind_the_whole_lines_of_one_that_was_killed() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), 1 << 20).unwrap();
        for seq in [3, 4, 6] {
            take(&mut store, seq);
        }
        store.flush().unwrap();
        let path = dir.path().join(RECORDS_FILE);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"host_ns\":1,\"si").unwrap();

        let mut store = Store::open(dir.path(), 1 << 20).unwrap();
        assert_eq!((store.progress(), store.found().records), ((5, true), 3));
        assert_eq!([4, 5, 6, 7].map(|seq| take(&mut store, seq)), [false, true, false, true]);
        store.flush().unwrap();
        let found = store.found();
        assert_eq!((found.records, found.holes, found.replayed, found.is_sound()), (5, 0, 2, true));
        let lines = fs::read_to_string(&path).unwrap();
        assert!(lines.lines().all(|line| serde_json::from_str::<Arrival>(line).is_ok()), "{lines}");
    }

    #[test]
    fn a_session_beyond_its_limit_is_counted_and_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), 1000).unwrap();
        for seq in 0..1000 {
            take(&mut store, seq);
        }
        store.conclude(Map::new()).unwrap();
        assert!(fs::metadata(dir.path().join(RECORDS_FILE)).unwrap().len() <= 1000);
        let about: Value = serde_json::from_slice(&fs::read(dir.path().join(SESSION_FILE)).unwrap()).unwrap();
        assert!(about["unkept"].as_u64().unwrap() > 900 && about["stream"]["records"] == 1000, "{about}");
    }

    #[test]
    fn a_guest_does_not_speak_in_the_hosts_name() {
        let own = |line: &str| String::from_utf8(own_fields(line.as_bytes()).into_owned()).unwrap();
        assert_eq!(own(r#" {"seq":1,"x":1e1}"#), r#""seq":1,"x":1e1}"#, "as it came");
        assert_eq!(own(r#"{"host_ns":1,"seq":1,"side":"x","host_ns":2}"#), r#""seq":1}"#);
        assert_eq!(own(r#"{"\u0068ost_ns":1,"seq":1,"text":"\u001b"}"#), r#""seq":1,"text":"\u001b"}"#);
        assert_eq!(own(r#"{"host_ns":1,"x":1e999}"#), "", "it cannot be written again");
        assert_eq!(
            own(r#"{"host_ns":1,"x":[1e15,1e15,1e15,1e15]}"#),
            "",
            "it would be longer than a line may be"
        );
    }
}
