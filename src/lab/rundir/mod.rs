//! A run directory: everything a report is made from, and nothing else.

mod audit;
mod checks;
mod claims;
mod clean;
mod error;
mod file_mark;
mod find;
mod limits;
mod lines;
mod numbers;
mod read;
mod records;
mod records_file;
mod reread;
mod session;
mod write;

pub use audit::RunAudit;
pub use error::ReadError;
pub use file_mark::FileMark;
pub use find::{FoundRuns, find_runs};
pub use limits::Limits;
pub use read::RunData;
pub use records::{ArrivalStamp, GuestRecords, HeartbeatAt, IntervalFigures, LoadFrom, NewClocksource};
pub use records_file::RecordsFile;
pub use reread::{IntervalLines, PackedHistograms};
pub use session::CollectedSession;
pub use write::{RunWriter, WriteError, rewrite_run};

/// The scenario, provenance, milestones and verdict.
pub const RUN_FILE: &str = "run.json";
/// Guest records with the host's arrival stamps.
pub const RECORDS_FILE: &str = "records.ndjson";
/// What a collector found about a session, instead of [`RUN_FILE`].
pub const SESSION_FILE: &str = "session.json";
/// QMP samples, events and commands.
pub const QEMU_FILE: &str = "qemu.ndjson";
/// Interval histograms in the field's standard log.
pub const HLOG_FILE: &str = "latency.hlog";
/// The source's serial console.
pub const SOURCE_CONSOLE_FILE: &str = "console-source.log";
/// The destination's serial console.
pub const DESTINATION_CONSOLE_FILE: &str = "console-destination.log";
/// What the run cost the guest, made from the files above.
pub const ANALYSIS_FILE: &str = "analysis.json";
/// What several runs say together, beside their report.
pub const COMPARISON_FILE: &str = "comparison.json";
/// The same for people, as Markdown.
pub const COMPARISON_TEXT_FILE: &str = "comparison.md";
/// The report.
pub const REPORT_FILE: &str = "report.html";
/// The files of a run or a session that have names of their own: no page may be written over one.
pub const OWN_FILES: [&str; 10] = [
    RUN_FILE,
    SESSION_FILE,
    RECORDS_FILE,
    QEMU_FILE,
    SOURCE_CONSOLE_FILE,
    DESTINATION_CONSOLE_FILE,
    HLOG_FILE,
    ANALYSIS_FILE,
    COMPARISON_FILE,
    COMPARISON_TEXT_FILE,
];
