//! Writes a run directory: what QEMU says as it comes, the rest at the end. The guest's records are a collector's to write.

use super::{
    DESTINATION_CONSOLE_FILE, Limits, QEMU_FILE, RECORDS_FILE, RUN_FILE, RecordsFile, SOURCE_CONSOLE_FILE,
    limits::Written,
};
use crate::files::replace;
use crate::record::{MigrationSample, QemuBody, QemuLine, Run, Side};
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
    limits: Limits,
    qemu: Stream,
}

impl RunWriter {
    /// Makes `OUT/<scenario>-<number>` with the next free number; a `/` in the name becomes a `-`.
    ///
    /// # Errors
    /// The directory or a file in it cannot be made.
    pub fn create(out: &Path, scenario: &str) -> Result<Self, WriteError> {
        Self::create_within(Limits::ALL, out, scenario)
    }

    /// The same with other limits.
    pub(super) fn create_within(limits: Limits, out: &Path, scenario: &str) -> Result<Self, WriteError> {
        fs::create_dir_all(out).map_err(WriteError::at(out))?;
        let dir = numbered(out, &scenario.replace('/', "-"))?;
        let records = dir.join(RECORDS_FILE);
        File::create_new(&records).map_err(WriteError::at(&records))?;
        let qemu = Stream::create(&dir.join(QEMU_FILE))?;
        Ok(Self { dir, limits, qemu })
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

    /// The file of the guest's records, empty.
    pub fn records(&self) -> RecordsFile {
        RecordsFile::new(self.dir.join(RECORDS_FILE), self.limits)
    }

    /// Why that file could not be written.
    pub fn records_error(&self, cause: io::Error) -> WriteError {
        WriteError::at(&self.dir.join(RECORDS_FILE))(cause)
    }

    /// Writes what QEMU said or was told. Of an event that is longer than a line may be its name and time are kept, of a reply
    /// its known fields; when the file is full, nothing is.
    ///
    /// # Errors
    /// The disk is full, or gone.
    pub fn qemu(&mut self, line: &QemuLine) -> Result<(), WriteError> {
        let limits = match &line.body {
            QemuBody::Sample(sample) if sample.reply.is_some() => {
                Limits { line_bytes: self.limits.line_bytes.min(self.limits.reply_bytes), ..self.limits }
            }
            _ => self.limits,
        };
        if !self.qemu.line(&limits, line)?
            && let Some(body) = shortened(&line.body)
        {
            self.qemu.line(&self.limits, &QemuLine { body, ..*line })?;
        }
        Ok(())
    }

    /// Gives everything so far to the kernel, so that it is there whatever becomes of this process.
    ///
    /// # Errors
    /// The disk is full, or gone.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        self.qemu.flush()
    }

    /// Writes `run.json`, last and whole or not at all.
    ///
    /// # Errors
    /// The disk is full, or gone.
    pub fn finish(self, run: &Run) -> Result<PathBuf, WriteError> {
        let Self { dir, limits, .. } = self;
        write_run(&limits, &dir, run)?;
        Ok(dir)
    }
}

/// Writes `run.json` of a run that is there already anew, whole or not at all.
///
/// # Errors
/// The disk is full, or gone.
pub fn rewrite_run(dir: &Path, run: &Run) -> Result<(), WriteError> {
    write_run(&Limits::ALL, dir, run)
}

fn write_run(limits: &Limits, dir: &Path, run: &Run) -> Result<(), WriteError> {
    let path = dir.join(RUN_FILE);
    replace(&path, |file| write_whole(limits, file, run)).map_err(WriteError::at(&path))
}

/// What is kept of a line that is too long; none where nothing is.
fn shortened(body: &QemuBody) -> Option<QemuBody> {
    match body {
        QemuBody::Event { event, qemu_real_us, .. } => Some(QemuBody::Event {
            event: event.clone(),
            qemu_real_us: *qemu_real_us,
            data: serde_json::Value::Null,
        }),
        QemuBody::Sample(kept) => {
            Some(QemuBody::Sample(Box::new(MigrationSample::of_reply(kept.reply.as_ref()?))))
        }
        QemuBody::Command { .. } => None,
    }
}

/// A file of one JSON object a line.
#[derive(Debug)]
struct Stream {
    path: PathBuf,
    file: BufWriter<File>,
    written: Written,
    line: Vec<u8>,
}

impl Stream {
    fn create(path: &Path) -> Result<Self, WriteError> {
        let file = File::create_new(path).map_err(WriteError::at(path))?;
        let file = BufWriter::with_capacity(64 << 10, file);
        Ok(Self { path: path.to_owned(), file, written: Written::default(), line: Vec::new() })
    }

    /// Writes a line, unless a reader of the file would refuse it. Whether it did.
    fn line(&mut self, limits: &Limits, value: &impl Serialize) -> Result<bool, WriteError> {
        self.line.clear();
        let encoded = serde_json::to_writer(&mut self.line, value).map_err(io::Error::from);
        encoded.map_err(WriteError::at(&self.path))?;
        self.line.push(b'\n');
        let line_bytes = self.line.len() as u64;
        if !limits.allow(&self.written, line_bytes, false) {
            return Ok(false);
        }
        self.file.write_all(&self.line).map_err(WriteError::at(&self.path))?;
        self.written.add(line_bytes, false);
        Ok(true)
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

fn write_whole(limits: &Limits, file: &mut BufWriter<File>, run: &Run) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(run)?;
    text.push(b'\n');
    if text.len() as u64 > limits.line_bytes {
        let message = format!("it would have {} bytes, and {} are read", text.len(), limits.line_bytes);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    file.write_all(&text)?;
    file.flush()?;
    file.get_ref().sync_all()
}

#[cfg(test)]
mod tests;
