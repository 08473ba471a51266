//! Writes a run directory: records as they come, the rest at the end.

mod hlog;

use super::{DESTINATION_CONSOLE_FILE, HLOG_FILE, QEMU_FILE, RECORDS_FILE, RUN_FILE, SOURCE_CONSOLE_FILE};
use crate::record::{Arrival, QemuLine, Run, Side};
use serde::Serialize;
use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

/// The highest number of a run directory.
const NUMBER_LIMIT: u32 = 999_999;

/// A run directory that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}; --out DIR names another place", path.display())]
pub struct WriteError {
    /// What was to be written.
    path: PathBuf,
    /// Why not.
    source: io::Error,
}

impl WriteError {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self { path, source }
    }
}

/// A run directory while the run goes on.
#[derive(Debug)]
pub struct RunWriter {
    dir: PathBuf,
    records: Stream,
    qemu: Stream,
}

impl RunWriter {
    /// Makes `OUT/<scenario>-<number>` with the next free number; a `/` in the name becomes a `-`.
    ///
    /// # Errors
    /// The directory or a file in it cannot be made.
    pub fn create(out: &Path, scenario: &str) -> Result<Self, WriteError> {
        fs::create_dir_all(out).map_err(WriteError::at(out))?;
        let dir = numbered(out, &scenario.replace('/', "-"))?;
        let records = Stream::create(&dir.join(RECORDS_FILE))?;
        let qemu = Stream::create(&dir.join(QEMU_FILE))?;
        Ok(Self { dir, records, qemu })
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where a side's serial console belongs.
    pub fn console(&self, side: Side) -> PathBuf {
        self.dir.join(match side {
            Side::Source => SOURCE_CONSOLE_FILE,
            Side::Destination => DESTINATION_CONSOLE_FILE,
        })
    }

    /// Writes a guest record.
    ///
    /// # Errors
    /// The disk is full, or gone.
    pub fn record(&mut self, arrival: &Arrival) -> Result<(), WriteError> {
        self.records.line(arrival)
    }

    /// Writes what QEMU said or was told.
    ///
    /// # Errors
    /// The disk is full, or gone.
    pub fn qemu(&mut self, line: &QemuLine) -> Result<(), WriteError> {
        self.qemu.line(line)
    }

    /// Gives everything so far to the kernel, so that it is there whatever becomes of this process.
    ///
    /// # Errors
    /// The disk is full, or gone.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        self.records.flush()?;
        self.qemu.flush()
    }

    /// Writes the histogram log and, last and whole or not at all, `run.json`.
    ///
    /// # Errors
    /// The disk is full, or gone.
    pub fn finish(mut self, run: &Run) -> Result<PathBuf, WriteError> {
        self.flush()?;
        let hlog = self.dir.join(HLOG_FILE);
        hlog::write(&self.dir.join(RECORDS_FILE), &hlog, run.clock).map_err(WriteError::at(&hlog))?;
        let (path, draft) = (self.dir.join(RUN_FILE), self.dir.join(format!(".{RUN_FILE}.draft")));
        let written = write_whole(&draft, run).and_then(|()| fs::rename(&draft, &path));
        written.map_err(WriteError::at(&path))?;
        Ok(self.dir)
    }
}

/// A file of one JSON object a line.
#[derive(Debug)]
struct Stream {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Stream {
    fn create(path: &Path) -> Result<Self, WriteError> {
        let file = File::create_new(path).map_err(WriteError::at(path))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::with_capacity(64 << 10, file) })
    }

    fn line(&mut self, value: &impl Serialize) -> Result<(), WriteError> {
        let written = serde_json::to_writer(&mut self.file, value).map_err(io::Error::from);
        written.and_then(|()| self.file.write_all(b"\n")).map_err(WriteError::at(&self.path))
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        self.file.flush().map_err(WriteError::at(&self.path))
    }
}

/// Two labs may write into one directory: making the directory is what takes the number.
fn numbered(out: &Path, name: &str) -> Result<PathBuf, WriteError> {
    let mut number = 1;
    loop {
        let dir = out.join(format!("{name}-{number:03}"));
        match fs::create_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < NUMBER_LIMIT => {
                number += 1;
            }
            Err(error) => return Err(WriteError::at(&dir)(error)),
        }
    }
}

fn write_whole(path: &Path, run: &Run) -> io::Result<()> {
    let mut file = File::create(path)?;
    serde_json::to_writer_pretty(&mut file, run)?;
    file.write_all(b"\n")?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
