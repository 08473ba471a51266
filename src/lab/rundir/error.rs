//! Why a run directory cannot be read, and what to give instead.

use super::{Limits, QEMU_FILE, RECORDS_FILE, RUN_FILE, SESSION_FILE};
use std::{
    io,
    path::{Path, PathBuf},
};

/// A run directory that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no `run.json` in it.
    #[error(
        "'{dir}' is no run directory: it has no {RUN_FILE}. A run directory is what `sully-lab run` writes \
         ({RUN_FILE}, {RECORDS_FILE}, {QEMU_FILE}), or a session's of `sully-lab collect` ({RECORDS_FILE}, {SESSION_FILE}); {hint}"
    )]
    NotARun {
        /// The directory given.
        dir: PathBuf,
        /// What to give instead.
        hint: String,
    },
    /// There is too much below it.
    #[error(
        "'{dir}' has too much below it: {directories} directories were looked into, up to {depth} levels down, and {runs} runs \
         were found; name run directories, or a directory nearer to the runs", depth = Limits::DEPTH
    )]
    TooMuch {
        /// The directory given.
        dir: PathBuf,
        /// How many directories were looked into.
        directories: usize,
        /// How many runs were found until then.
        runs: usize,
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
        return format!(
            "give one of those, or a directory that has some in it, at most {} levels down",
            Limits::DEPTH
        );
    }
    let more = if runs.len() > 4 { " ..." } else { "" };
    runs.truncate(4);
    format!("there are some in it: {}{more}", runs.join(" "))
}
