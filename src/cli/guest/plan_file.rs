//! The flag `--plan`: the file it names.

use crate::files::read_text;
use crate::plan::{Faults, PLAN_FILE_LIMIT, PlanFile};
use std::path::Path;

/// The plan file at `path`.
///
/// # Errors
/// Why it cannot be read, or what is wrong with it; several lines, fit for a terminal.
pub(super) fn read(path: &Path) -> Result<PlanFile, String> {
    let text = read_text(path, PLAN_FILE_LIMIT as u64).map_err(|cause| {
        format!("the plan file {} cannot be read: {cause}; name a file with --plan", path.display())
    })?;
    PlanFile::parse(&text)
        .map_err(|faults| format!("the plan file {} is wrong:\n{}", path.display(), Faults(faults)))
}
