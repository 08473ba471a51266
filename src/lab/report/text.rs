//! The report for a terminal.

use crate::lab::rundir::RunData;

/// The report on these runs as plain text, at most 110 columns wide.
pub fn text(runs: &[RunData]) -> String {
    runs.iter().map(|run| format!("{}\n", run.dir_name)).collect()
}
