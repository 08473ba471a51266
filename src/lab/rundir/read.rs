//! Reads a run directory back: whole where it is whole, and saying so where it is not.

use super::{
    CollectedSession, DESTINATION_CONSOLE_FILE, GuestRecords, Limits, QEMU_FILE, RECORDS_FILE, RUN_FILE,
    ReadError, RunAudit, SESSION_FILE, SOURCE_CONSOLE_FILE, clean,
    lines::{AfterLine, each_line, open},
    session::is_session,
};
use crate::{
    files::open_regular,
    record::{MigrationSample, QemuBody, QemuLine, Run, SessionId},
    units::harmless,
};
use std::{
    collections::BTreeSet,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

/// How much of a console's end is kept: bytes read, and lines of them.
const CONSOLE_TAIL_BYTES: u64 = 16 * 1024;
const CONSOLE_TAIL_LINES: usize = 20;
/// How many numbers of QEMU's that cannot be are named.
const IMPOSSIBLE_TOLD: usize = 5;

/// All that is known of one run.
#[derive(Debug, Clone)]
pub struct RunData {
    /// The run directory's own name, without its parents.
    pub dir_name: String,
    /// `run.json`; of a collected session what its records tell, with no milestones, and no verdict worth telling.
    pub run: Run,
    /// What is known of the session, where one was collected, or measured without a word of QEMU's.
    pub session: Option<CollectedSession>,
    /// What is kept of `records.ndjson`.
    pub records: GuestRecords,
    /// `qemu.ndjson`, in the order it was said.
    pub qemu: Vec<QemuLine>,
    /// The last lines of the source's serial console, oldest first; empty where there is no such file.
    pub source_console: Vec<String>,
    /// The same of the destination.
    pub destination_console: Vec<String>,
    /// What was missing or incomplete in the directory, in sentences.
    pub remarks: Vec<String>,
    /// What contradicts itself in it.
    pub audit: RunAudit,
}

impl RunData {
    /// Reads the run directory `dir`.
    ///
    /// A last line that was cut short, and files that a run which ended early never wrote, are no errors: they
    /// are named in [`Self::remarks`]. Neither is a session without a `run.json` that a collector gathered.
    ///
    /// # Errors
    /// When `dir` holds neither a `run.json` nor a session, a file cannot be read, or a line in it is not what it should be.
    pub fn read(dir: &Path) -> Result<Self, ReadError> {
        Self::read_within(&Limits::ALL, dir)
    }

    /// The same for a directory that was written within other limits.
    pub(super) fn read_within(limits: &Limits, dir: &Path) -> Result<Self, ReadError> {
        match read_run(limits, dir) {
            Err(ReadError::NotARun { .. }) if dir.join(RECORDS_FILE).is_file() && is_session(dir) => {
                Self::of_session(limits, dir)
            }
            run => Self::of_within(limits, dir, run?),
        }
    }

    fn of_session(limits: &Limits, dir: &Path) -> Result<Self, ReadError> {
        let mut remarks = Vec::new();
        let session = CollectedSession::read(dir, limits.line_bytes, &mut remarks)?;
        let records = GuestRecords::read(limits, &dir.join(RECORDS_FILE), &[], &mut remarks)?;
        if session.is_older_than(&records) {
            remarks.push(format!(
                "{SESSION_FILE} is older than the records, so how they arrived is not known: the session is still collected, or its \
                 collector was killed"
            ));
        }
        let dir_name = name_of(dir);
        Ok(Self {
            run: session.run(&dir_name, &records),
            dir_name,
            session: Some(session),
            records,
            qemu: Vec::new(),
            source_console: Vec::new(),
            destination_console: Vec::new(),
            remarks,
            audit: RunAudit::default(),
        }
        .audited())
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
        let forks: Vec<SessionId> = run.forks().map(|fork| fork.session).collect();
        let records = GuestRecords::read(limits, &dir.join(RECORDS_FILE), &forks, &mut remarks)?;
        let qemu = read_qemu(limits, &dir.join(QEMU_FILE), &mut remarks)?;
        remarks.extend(impossible(&run, &qemu));
        if run.stream.unwritten > 0 {
            remarks.push(format!(
                "{} records came when {RECORDS_FILE} was full ({} bytes, {} records, {} gaps and stalls) and are not in it: \
                 gaps and stalls first",
                run.stream.unwritten, limits.file_bytes, limits.records, limits.details
            ));
        }
        let is_unasked = run.measured.is_some() && qemu.is_empty();
        let session = is_unasked.then(|| CollectedSession::of_measured(&run, &records));
        Ok(Self {
            dir_name: name_of(dir),
            run,
            session,
            records,
            qemu,
            source_console: read_tail(&dir.join(SOURCE_CONSOLE_FILE))?,
            destination_console: read_tail(&dir.join(DESTINATION_CONSOLE_FILE))?,
            remarks,
            audit: RunAudit::default(),
        }
        .audited())
    }

    /// Whether nobody but the guest tells when it was stopped and went on.
    pub fn is_staged_by_guest(&self) -> bool {
        self.session.is_some() || !self.run.is_staged_by_qemu()
    }

    /// Whether nobody judged it: a session that was only collected.
    pub fn is_unjudged(&self) -> bool {
        self.session.is_some() && self.run.measured.is_none()
    }

    /// The same, held against itself.
    pub(in crate::lab) fn audited(mut self) -> Self {
        self.audit = RunAudit::of(&self.run, self.session.as_ref(), &self.records);
        if self.session.is_none() && self.run.measured.is_none() {
            self.audit.hold_qemu(&self.run, &self.qemu);
        }
        if self.audit.clock_contradicts {
            self.records.forget_stamps();
        }
        self
    }

    /// Whether records of gaps are missing, so that only the intervals' sums are whole.
    pub fn lacks_gaps(&self) -> bool {
        let stream = &self.run.stream;
        let lost = stream.dropped_by_guest > 0 || stream.holes > 0 || stream.unwritten > 0;
        lost || self.audit.untold_gaps > 0 || !self.audit.stream.is_empty()
    }
}

/// The last part of a directory's path, also for `.` and `..`.
fn name_of(dir: &Path) -> String {
    let absolute = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
    one_line(&absolute.file_name().unwrap_or(absolute.as_os_str()).to_string_lossy())
}

/// A name in one line, fit to print.
fn one_line(name: &str) -> String {
    harmless(name).replace('\n', " ")
}

fn read_run(limits: &Limits, dir: &Path) -> Result<Run, ReadError> {
    let path = dir.join(RUN_FILE);
    let mut text = Vec::new();
    match open_regular(&path) {
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
        _ => {
            let run: Run = clean::from_slice(&text).map_err(malformed)?;
            let [source, destination] =
                [run.source, run.destination].map(|last| last.map(MigrationSample::without_impossible));
            Ok(Run { name: one_line(&run.name), source, destination, ..run })
        }
    }
}

/// Every line of `path` as a line about QEMU.
fn read_qemu(limits: &Limits, path: &Path, remarks: &mut Vec<String>) -> Result<Vec<QemuLine>, ReadError> {
    let mut found = Vec::new();
    let Some(file) = open(path, remarks)? else { return Ok(found) };
    each_line(limits, (&file, path), "a line about QEMU", remarks, |_, line| {
        let mut line: QemuLine = clean::from_slice(line)?;
        if let QemuBody::Sample(kept) = &mut line.body {
            **kept = match kept.reply.take() {
                Some(reply) => MigrationSample::of_reply(&reply),
                // A lab before this one kept the known fields alone.
                None => std::mem::take(&mut **kept).without_impossible(),
            };
        }
        found.push(line);
        Ok(AfterLine::Next)
    })?;
    Ok(found)
}

/// What QEMU said that cannot be, in a sentence.
fn impossible(run: &Run, qemu: &[QemuLine]) -> Option<String> {
    let in_lines = qemu.iter().filter_map(|line| match &line.body {
        QemuBody::Sample(sample) => Some(&**sample),
        QemuBody::Event { .. } | QemuBody::Command { .. } => None,
    });
    let samples = in_lines.chain(&run.source).chain(&run.destination);
    let found: BTreeSet<&str> = samples.flat_map(|sample| &sample.impossible).map(String::as_str).collect();
    let first: Vec<&str> = found.iter().take(IMPOSSIBLE_TOLD).copied().collect();
    let more = found.len() - first.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!found.is_empty())
        .then(|| format!("QEMU said what cannot be, which is left out: {}{more}", first.join(", ")))
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
    let mut file = match open_regular(path) {
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
