//! The directory of a session that `sully-lab collect` gathered: records like a run's, and nothing that QEMU said.

use super::{GuestRecords, ReadError, SESSION_FILE, clean};
use crate::{
    files::open_regular,
    record::{ClockPair, Outcome, Provenance, Run, SessionId, StreamAudit, Verdict},
    units::shown,
};
use serde::{Deserialize, Serialize};
use std::{io, io::Read, path::Path};

/// The longest name of a guest that is shown.
const NAME_LIMIT_CHARS: usize = 64;
/// Why QEMU's figures are missing.
const NO_QEMU: &str = "The session was collected, so only the guest speaks: when a migration began, its passes, what was sent, \
                       QEMU's throttle, downtime and blocktime are n/a. The stage run holds whatever went before the blackout.";

/// What `session.json` says of a session; nothing where the collector has not written it yet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CollectedSession {
    /// The guest's host name.
    pub hostname: String,
    /// The sockets it spoke on, the first one first.
    pub sockets: Vec<String>,
    /// Records that came and were not kept.
    pub unkept: u64,
    /// The first record that was still to be had; none before the collector has said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seq: Option<u64>,
    /// How the stream arrived.
    pub stream: StreamAudit,
    /// The directory that it branched off from, where its VM went back to an earlier state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Its first record then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_seq: Option<u64>,
}

/// Whether `dir` holds a session: it has a `session.json`, or the name of a session while it is collected.
pub(super) fn is_session(dir: &Path) -> bool {
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let digits = name.split_once('-').map_or(name, |(digits, _)| digits);
    dir.join(SESSION_FILE).is_file() || digits.parse::<SessionId>().is_ok()
}

impl CollectedSession {
    /// Reads the `session.json` of `dir`; what is not there yet is said in `remarks`.
    pub(super) fn read(dir: &Path, limit_bytes: u64, remarks: &mut Vec<String>) -> Result<Self, ReadError> {
        let path = dir.join(SESSION_FILE);
        let mut text = Vec::new();
        let read = open_regular(&path).and_then(|file| file.take(limit_bytes).read_to_end(&mut text));
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                remarks.push(format!(
                    "{SESSION_FILE} is missing: the session is still collected, or its collector was killed"
                ));
                return Ok(Self::default());
            }
            read => read.map_err(|source| ReadError::Io { path: path.clone(), source })?,
        };
        let mut found: Self = clean::from_slice(&text).map_err(|source| ReadError::Line {
            path,
            line: source.line() as u64,
            expected: "what was found about a session",
            source,
        })?;
        found.hostname = shown(&found.hostname, NAME_LIMIT_CHARS);
        if found.unkept > 0 {
            remarks
                .push(format!("{} records came and were not kept (--limit, or a full disk)", found.unkept));
        }
        if let (Some(parent), Some(seq)) = (&found.parent, found.parent_seq) {
            let parent = shown(parent, NAME_LIMIT_CHARS);
            remarks.push(format!(
                "the VM went back to an earlier state: before record {seq} its records are in {parent}"
            ));
        }
        Ok(found)
    }

    /// Whether it was written before these records came: another collector has taken the session up since.
    pub(super) fn is_older_than(&self, records: &GuestRecords) -> bool {
        let counted = self.stream.records.saturating_sub(self.unkept);
        self.stream != StreamAudit::default() && records.count() > counted
    }

    /// What is known of the session that was measured in `run`.
    pub(super) fn of_measured(run: &Run, records: &GuestRecords) -> Self {
        let hostname = records.hello.as_ref().map(|hello| shown(&hello.hostname, NAME_LIMIT_CHARS));
        Self {
            hostname: hostname.unwrap_or_default(),
            sockets: run.measured.as_ref().map(|measured| measured.sockets.clone()).unwrap_or_default(),
            unkept: run.stream.unwritten,
            stream: run.stream,
            ..Self::default()
        }
    }

    /// The session as a run of which only the guest's records are known. Its wall time is the guest's.
    pub fn run(&self, dir_name: &str, records: &GuestRecords) -> Run {
        let name = match self.hostname.as_str() {
            "" => format!("session {dir_name}"),
            hostname => format!("session {dir_name} of {hostname}"),
        };
        let first = records.heartbeats.first();
        let clock = first.map(|at| ClockPair { mono_ns: at.stamp.host_ns, real_ns: at.beat.real_ns });
        let dropped = records.end.as_ref().map(|end| end.records_dropped);
        let stream = StreamAudit {
            records: records.count(),
            dropped_by_guest: dropped.unwrap_or(self.stream.dropped_by_guest),
            unwritten: self.unkept,
            ..self.stream
        };
        Run {
            schema: Run::SCHEMA,
            name,
            scenario: serde_json::Value::Null,
            provenance: Provenance { notes: vec![NO_QEMU.into()], ..Provenance::default() },
            clock: clock.unwrap_or_default(),
            milestones: Vec::new(),
            stream,
            source: None,
            destination: None,
            cycles: Vec::new(),
            measured: None,
            verdict: Verdict { outcome: Outcome::Passed, reasons: Vec::new() },
        }
    }
}
