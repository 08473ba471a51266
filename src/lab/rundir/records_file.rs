//! The file of a guest's records while it grows: whole lines, as many as are read again, whatever becomes of the disk.
//!
//! It is opened for each write only, so that a collector of hundreds of guests needs no more files than sockets. A program that
//! was killed leaves whole lines and perhaps a torn last one, which is cut off when the file is taken up again.

use super::{FileMark, Limits, limits::Written};
use crate::wire::RECORD_LIMIT_BYTES;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
};

/// What may wait to be written.
const BUFFER_LIMIT_BYTES: usize = 1 << 20;
/// A line of the file: a record and the host's stamps.
const LINE_LIMIT_BYTES: u64 = RECORD_LIMIT_BYTES as u64 + 256;

/// A file of records, a line each.
#[derive(Debug)]
pub struct RecordsFile {
    path: PathBuf,
    limits: Limits,
    /// What was taken, whether it is written or waits.
    taken: Written,
    written_bytes: u64,
    /// Which file that is in; none before the first byte.
    mark: Option<FileMark>,
    buffer: Vec<u8>,
}

impl RecordsFile {
    /// An empty file at `path`, which need not be there yet.
    pub const fn new(path: PathBuf, limits: Limits) -> Self {
        let taken = Written { bytes: 0, records: 0, details: 0 };
        Self { path, limits, taken, written_bytes: 0, mark: None, buffer: Vec::new() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that was written, and how far; none before the first byte.
    pub const fn mark(&self) -> Option<FileMark> {
        self.mark
    }

    /// Whether the file at the path is the one that was written, and as long as it was left. Somebody may have removed, replaced
    /// or cut it.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn is_there(&self) -> io::Result<bool> {
        let Some(mark) = self.mark else { return Ok(true) };
        match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            found => Ok(mark.is_exactly(&found?)),
        }
    }

    /// Forgets what was written and what waits, for another file that may be there by now.
    pub fn forget(&mut self) {
        *self = Self::new(std::mem::take(&mut self.path), self.limits);
    }

    /// Adds a line of two parts, as long as the file is one that is read again; `is_detail` says that others have the record's
    /// sum. How many bytes that takes; none where there is no room.
    ///
    /// # Errors
    /// When what waits must be written first and cannot be: the line is not taken then.
    pub fn add(&mut self, stamp: &[u8], fields: &[u8], is_detail: bool) -> io::Result<Option<u64>> {
        let length = stamp.len() + fields.len() + 1;
        if !self.limits.allow(&self.taken, length as u64, is_detail) {
            return Ok(None);
        }
        if self.buffer.len() + length > BUFFER_LIMIT_BYTES {
            self.flush()?;
        }
        self.buffer.extend_from_slice(stamp);
        self.buffer.extend_from_slice(fields);
        self.buffer.push(b'\n');
        self.taken.add(length as u64, is_detail);
        Ok(Some(length as u64))
    }

    /// Gives everything to the kernel, so that it is there whatever becomes of this process.
    ///
    /// # Errors
    /// When the disk does not take it; the file ends with a whole line all the same, and nothing is forgotten.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut file = OpenOptions::new().append(true).create(self.mark.is_none()).open(&self.path)?;
        let found = file.metadata()?;
        if self.mark.is_some_and(|mark| !mark.is_exactly(&found)) {
            return Err(FileMark::not_there(&self.path));
        }
        let (done, written) = write_most(&mut file, &self.buffer);
        let whole = if written.is_ok() { done } else { end_of_line(&self.buffer[..done]) };
        self.buffer.drain(..whole);
        self.written_bytes += whole as u64;
        self.mark = Some(FileMark::of(&found, self.written_bytes));
        if written.is_err() {
            // Readers then meet half a line, which they pass over.
            let _ = file.set_len(self.written_bytes);
        }
        written
    }

    /// Gives up the lines that wait to be written; how many they are.
    pub fn give_up(&mut self) -> u64 {
        let lines = memchr::memchr_iter(b'\n', &self.buffer).count();
        self.buffer.clear();
        lines as u64
    }

    /// Takes up a file that another program has written: hands on each whole line without its newline, and cuts off what is
    /// behind the last.
    ///
    /// # Errors
    /// When it cannot be read or cut; one that is not there is an empty one.
    pub fn take_up(&mut self, mut on_line: impl FnMut(&[u8])) -> io::Result<()> {
        let file = match OpenOptions::new().read(true).write(true).open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        let (mut reader, mut line) = (BufReader::new(&file), Vec::new());
        loop {
            line.clear();
            let length = reader.by_ref().take(LINE_LIMIT_BYTES).read_until(b'\n', &mut line)?;
            let Some((b'\n', text)) = line.split_last() else { break };
            on_line(text);
            self.taken.add(length as u64, false);
            self.written_bytes += length as u64;
        }
        if !line.is_empty() {
            file.set_len(self.written_bytes)?;
        }
        self.mark = Some(FileMark::of(&file.metadata()?, self.written_bytes));
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
mod tests {
    use super::*;
    use std::fs;

    const LIMITS: Limits = Limits { line_bytes: 100, file_bytes: 1 << 20, reserve_bytes: 0, ..Limits::ALL };

    #[test]
    fn a_disk_that_takes_nothing_costs_the_lines_that_find_no_room_and_no_more_memory() {
        let mut file = RecordsFile::new("/dev/full".into(), Limits { file_bytes: 1 << 30, ..LIMITS });
        let (mut taken, mut refused) = (0, 0);
        for _ in 0..20_000 {
            match file.add(&[b'x'; 50], &[b'y'; 49], false) {
                Ok(Some(100)) => taken += 1,
                Err(error) if error.kind() == io::ErrorKind::StorageFull => refused += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(file.buffer.len() <= BUFFER_LIMIT_BYTES && refused > 0, "{refused} refused");
        assert_eq!((file.give_up(), file.flush().is_ok()), (taken, true));
    }

    #[test]
    fn a_file_that_is_no_longer_the_one_that_was_written_is_written_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records");
        let spoils: [fn(&Path); 4] = [
            |path| fs::remove_file(path).unwrap(),
            |path| drop(fs::remove_file(path).and_then(|()| fs::write(path, "another\n"))),
            |path| drop(File::create(path).unwrap()),
            |path| drop(OpenOptions::new().append(true).open(path).unwrap().write_all(b"more\n")),
        ];
        for spoil in spoils {
            let _ = fs::remove_file(&path);
            let mut file = RecordsFile::new(path.clone(), LIMITS);
            file.add(b"o", b"ne", false).unwrap();
            file.flush().unwrap();
            assert!(file.is_there().unwrap());
            spoil(&path);
            assert!(!file.is_there().unwrap());
            let after = fs::read(&path).ok();
            file.add(b"t", b"wo", false).unwrap();
            assert!(file.flush().is_err());
            assert_eq!(fs::read(&path).ok(), after, "nothing was written where nothing holds it");
            file.forget();
            file.take_up(|_| ()).unwrap();
            assert!(file.is_there().unwrap(), "what is there now is taken up");
        }
    }

    #[test]
    fn a_file_is_taken_up_behind_its_last_whole_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records");
        fs::write(&path, "one\ntwo\nthr").unwrap();
        let (mut file, mut lines) = (RecordsFile::new(path.clone(), LIMITS), Vec::new());
        file.take_up(|line| lines.push(line.to_vec())).unwrap();
        file.add(b"th", b"ree", false).unwrap();
        file.flush().unwrap();
        assert_eq!(lines, [b"one", b"two"]);
        assert_eq!(fs::read_to_string(path).unwrap(), "one\ntwo\nthree\n");
    }
}
