//! Reads the lines of intervals again, for what is not kept of them: their histograms, and all the rest.

use super::{GuestRecords, IntervalFigures, Limits};
use crate::{histogram::Counts, record::Interval};
use serde::Deserialize;
use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    sync::Arc,
};

/// The file of the records, read again from wherever an interval's line begins.
#[derive(Debug)]
pub struct IntervalLines {
    reader: BufReader<PlacedReader>,
    /// Where the reader is.
    at: u64,
    line: Vec<u8>,
}

/// Reads an open file at a place of its own, whoever else reads it.
#[derive(Debug)]
struct PlacedReader {
    file: Arc<File>,
    at: u64,
}

impl Read for PlacedReader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(bytes, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for PlacedReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let beyond = || io::Error::from(io::ErrorKind::InvalidInput);
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::Current(distance) => self.at.checked_add_signed(distance).ok_or_else(beyond)?,
            SeekFrom::End(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(self.at)
    }
}

/// Both histograms of an interval, as they came.
#[derive(Debug, Deserialize)]
pub struct PackedHistograms<'a> {
    /// From actual start to end of a visit.
    #[serde(borrow)]
    pub service_hist: Cow<'a, str>,
    /// From intended start to end of a visit.
    #[serde(borrow)]
    pub response_hist: Cow<'a, str>,
}

impl PackedHistograms<'_> {
    /// Both as counts; none of one that cannot be read.
    pub fn unpack(&self) -> [Option<Counts>; 2] {
        [&self.service_hist, &self.response_hist].map(|packed| Counts::unpack(packed).ok())
    }
}

impl GuestRecords {
    /// The lines of the intervals once more; none where there is no file.
    pub fn interval_lines(&self) -> Option<IntervalLines> {
        let reader = PlacedReader { file: Arc::clone(self.file.as_ref()?), at: 0 };
        let reader = BufReader::with_capacity(256 << 10, reader);
        Some(IntervalLines { reader, at: 0, line: Vec::new() })
    }
}

impl IntervalLines {
    /// The histograms of an interval; none where the file is no longer what it was.
    pub fn histograms(&mut self, interval: &IntervalFigures) -> Option<PackedHistograms<'_>> {
        serde_json::from_slice(self.read(interval).ok()?).ok()
    }

    /// An interval with all its figures; none where the file is no longer what it was.
    pub fn whole(&mut self, interval: &IntervalFigures) -> Option<Interval> {
        serde_json::from_slice(self.read(interval).ok()?).ok()
    }

    /// Reads in the order of the file for the most part, so that few places are looked for.
    fn read(&mut self, interval: &IntervalFigures) -> io::Result<&[u8]> {
        let distance = i128::from(interval.line_at) - i128::from(self.at);
        self.reader.seek_relative(i64::try_from(distance).map_err(io::Error::other)?)?;
        self.line.clear();
        let line_bytes = Limits::ALL.line_bytes;
        let length = self.reader.by_ref().take(line_bytes).read_until(b'\n', &mut self.line)?;
        self.at = interval.line_at + length as u64;
        Ok(&self.line)
    }
}
