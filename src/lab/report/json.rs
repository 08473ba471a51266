//! The figures of the report as JSON.

use crate::lab::{rundir::RunData, timeline::Timeline};

/// The figures of these runs.
///
/// # Errors
/// When a figure is no JSON number, which none is.
pub fn json(runs: &[RunData]) -> serde_json::Result<String> {
    serde_json::to_string_pretty(&runs.iter().map(Timeline::of).collect::<Vec<_>>())
}
