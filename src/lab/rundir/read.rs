//! Reads a run directory back: whole where it is whole, and saying so where it is not.

use super::{DESTINATION_CONSOLE_FILE, Limits, QEMU_FILE, RECORDS_FILE, RUN_FILE, SOURCE_CONSOLE_FILE};
use crate::record::{Arrival, QemuLine, Run};
use serde::de::DeserializeOwned;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// How much of a console's end is kept: bytes read, and lines of them.
const CONSOLE_TAIL_BYTES: u64 = 16 * 1024;
const CONSOLE_TAIL_LINES: usize = 20;

/// All that is known of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunData {
    /// The run directory's own name, without its parents.
    pub dir_name: String,
    /// `run.json`.
    pub run: Run,
    /// `records.ndjson`, in the order of arrival.
    pub arrivals: Vec<Arrival>,
    /// `qemu.ndjson`, in the order it was said.
    pub qemu: Vec<QemuLine>,
    /// The last lines of the source's serial console, oldest first; empty where there is no such file.
    pub source_console: Vec<String>,
    /// The same of the destination.
    pub destination_console: Vec<String>,
    /// What was missing or incomplete in the directory, in sentences.
    pub remarks: Vec<String>,
}

/// A run directory that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no `run.json` in it.
    #[error(
        "'{dir}' is no run directory: it has no {RUN_FILE}. A run directory is what `sully-lab run` writes \
         ({RUN_FILE}, {RECORDS_FILE}, {QEMU_FILE}); {hint}"
    )]
    NotARun {
        /// The directory given.
        dir: PathBuf,
        /// What to give instead.
        hint: String,
    },
    /// The system refused.
    #[error("cannot read '{path}': {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is not what the file holds.
    #[error("'{path}', line {line}: expected {expected}, but {source}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// What the file's lines are.
        expected: &'static str,
        /// What is wrong with this one.
        source: serde_json::Error,
    },
    /// More than can be held in memory.
    #[error(
        "'{path}'{place}: longer than {limit_bytes} bytes, where sully-lab stops writing; is it the right file?"
    )]
    TooLong {
        /// The file.
        path: PathBuf,
        /// `, line 7`, or nothing for a whole file.
        place: String,
        /// What is accepted.
        limit_bytes: u64,
    },
    /// Written by a later version.
    #[error(
        "'{path}' follows schema {found}, this sully-lab knows schema {known}: use the version that wrote it"
    )]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u64,
        /// Ours.
        known: u32,
    },
}

impl ReadError {
    /// `dir` is no run directory.
    pub(super) fn not_a_run(dir: &Path) -> Self {
        Self::NotARun { dir: dir.to_path_buf(), hint: hint(dir) }
    }
}

impl RunData {
    /// Reads the run directory `dir`.
    ///
    /// A last line that was cut short, and files that a run which ended early never wrote, are no errors: they
    /// are named in [`Self::remarks`].
    ///
    /// # Errors
    /// When `dir` holds no `run.json`, a file cannot be read, or a line in it is not what it should be.
    pub fn read(dir: &Path) -> Result<Self, ReadError> {
        Self::read_within(&Limits::ALL, dir)
    }

    /// The same for a directory that was written within other limits.
    pub(super) fn read_within(limits: &Limits, dir: &Path) -> Result<Self, ReadError> {
        Self::of_within(limits, dir, read_run(limits, dir)?)
    }

    /// What is in `dir` of a run whose `run.json` is known, be it there or not.
    ///
    /// # Errors
    /// When a file cannot be read, or a line in it is not what it should be.
    pub fn of(dir: &Path, run: Run) -> Result<Self, ReadError> {
        Self::of_within(&Limits::ALL, dir, run)
    }

    fn of_within(limits: &Limits, dir: &Path, run: Run) -> Result<Self, ReadError> {
        let mut remarks = Vec::new();
        let arrivals = read_lines(limits, &dir.join(RECORDS_FILE), "a guest record", &mut remarks)?;
        let qemu = read_lines(limits, &dir.join(QEMU_FILE), "a line about QEMU", &mut remarks)?;
        if run.stream.unwritten > 0 {
            remarks.push(format!(
                "{} records came when {RECORDS_FILE} was full ({} bytes) and are not in it: gaps and stalls first",
                run.stream.unwritten, limits.file_bytes
            ));
        }
        Ok(Self {
            dir_name: name_of(dir),
            run,
            arrivals,
            qemu,
            source_console: read_tail(&dir.join(SOURCE_CONSOLE_FILE))?,
            destination_console: read_tail(&dir.join(DESTINATION_CONSOLE_FILE))?,
            remarks,
        })
    }
}

/// The last part of a directory's path, also for `.` and `..`.
fn name_of(dir: &Path) -> String {
    let absolute = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
    absolute.file_name().unwrap_or(absolute.as_os_str()).to_string_lossy().into_owned()
}

fn read_run(limits: &Limits, dir: &Path) -> Result<Run, ReadError> {
    let path = dir.join(RUN_FILE);
    let mut text = Vec::new();
    match File::open(&path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Err(ReadError::not_a_run(dir));
        }
        opened => opened.and_then(|file| file.take(limits.line_bytes + 1).read_to_end(&mut text)),
    }
    .map_err(|source| ReadError::Io { path: path.clone(), source })?;
    if text.len() as u64 > limits.line_bytes {
        return Err(ReadError::TooLong { path, place: String::new(), limit_bytes: limits.line_bytes });
    }
    // The schema is looked at first: a later one may have made other fields of the rest.
    let malformed = |source: serde_json::Error| ReadError::Line {
        path: path.clone(),
        line: source.line() as u64,
        expected: "the description of a run",
        source,
    };
    let value: serde_json::Value = serde_json::from_slice(&text).map_err(malformed)?;
    match value.get("schema").and_then(serde_json::Value::as_u64) {
        Some(found) if found > u64::from(Run::SCHEMA) => {
            Err(ReadError::Schema { path, found, known: Run::SCHEMA })
        }
        _ => serde_json::from_slice(&text).map_err(malformed),
    }
}

/// What to give instead of `dir`: the run directories in it, where there are some.
fn hint(dir: &Path) -> String {
    if dir.is_file() {
        return "it is a file: name a directory".into();
    }
    let Ok(entries) = dir.read_dir() else {
        return format!("there is no directory '{}'", dir.display());
    };
    let inside = entries.filter_map(Result::ok).map(|entry| entry.path());
    let mut runs: Vec<String> =
        inside.filter(|path| path.join(RUN_FILE).is_file()).map(|path| path.display().to_string()).collect();
    runs.sort();
    if runs.is_empty() {
        return "give one of those, or a directory that has some in it".into();
    }
    let more = if runs.len() > 4 { " ..." } else { "" };
    runs.truncate(4);
    format!("there are some in it: {}{more}", runs.join(" "))
}

/// Every line of `path` as a `T`.
fn read_lines<T: DeserializeOwned>(
    limits: &Limits,
    path: &Path,
    expected: &'static str,
    remarks: &mut Vec<String>,
) -> Result<Vec<T>, ReadError> {
    let io_error = |source| ReadError::Io { path: path.to_path_buf(), source };
    let too_long = |place, limit_bytes| ReadError::TooLong { path: path.to_path_buf(), place, limit_bytes };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            remarks.push(format!("{} is missing: the run ended before it was written", name_of(path)));
            return Ok(Vec::new());
        }
        opened => opened.map_err(io_error)?,
    };
    if file.metadata().map_err(io_error)?.len() > limits.file_bytes {
        return Err(too_long(String::new(), limits.file_bytes));
    }
    let (mut reader, mut found, mut text) = (BufReader::new(file), Vec::new(), Vec::new());
    for line in 1u64.. {
        text.clear();
        let length =
            reader.by_ref().take(limits.line_bytes + 1).read_until(b'\n', &mut text).map_err(io_error)?;
        if length == 0 {
            break;
        }
        let whole = text.last() == Some(&b'\n');
        if length as u64 > limits.line_bytes {
            return Err(too_long(format!(", line {line}"), limits.line_bytes));
        }
        match serde_json::from_slice(&text) {
            Ok(value) => found.push(value),
            Err(_) if text.trim_ascii().is_empty() => {}
            Err(_) if !whole => {
                remarks.push(format!("{}: the last line, {line}, is incomplete and left out", name_of(path)));
            }
            Err(source) => return Err(ReadError::Line { path: path.to_path_buf(), line, expected, source }),
        }
    }
    Ok(found)
}

/// A line without control characters and terminal sequences (ESC `[` up to a letter).
fn printable(line: &str) -> String {
    let mut letters = line.chars().peekable();
    let mut kept = String::new();
    while let Some(letter) = letters.next() {
        if letter == '\u{1b}' && letters.next_if_eq(&'[').is_some() {
            letters.by_ref().find(|end| ('@'..='~').contains(end));
        } else if !letter.is_control() {
            kept.push(letter);
        }
    }
    kept
}

/// The last lines of a console, fit to print; empty ones are left out.
fn read_tail(path: &Path) -> Result<Vec<String>, ReadError> {
    let io_error = |source| ReadError::Io { path: path.to_path_buf(), source };
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened.map_err(io_error)?,
    };
    let length = file.metadata().map_err(io_error)?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(CONSOLE_TAIL_BYTES))).map_err(io_error)?;
    let mut bytes = Vec::new();
    file.take(CONSOLE_TAIL_BYTES).read_to_end(&mut bytes).map_err(io_error)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<String> = text.lines().map(printable).filter(|line| !line.trim().is_empty()).collect();
    Ok(lines[lines.len().saturating_sub(CONSOLE_TAIL_LINES)..].to_vec())
}

#[cfg(test)]
mod tests;
