//! The report as one page for a browser.

use crate::lab::rundir::RunData;
use anyhow::Context;
use std::path::Path;

/// The page on these runs.
pub fn html(runs: &[RunData]) -> String {
    super::text(runs)
}

/// Writes the page on these runs to `path`.
///
/// # Errors
/// When the file cannot be written.
pub fn write_html(runs: &[RunData], path: &Path) -> anyhow::Result<()> {
    std::fs::write(path, html(runs))
        .with_context(|| format!("cannot write the report to '{}'", path.display()))
}
