//! The flag `--plan`: the file it names.

use crate::plan::{Faults, PLAN_FILE_LIMIT, PlanFile};
use std::io::Read;
use std::path::Path;

/// The plan file at `path`.
///
/// # Errors
/// Why it cannot be read, or what is wrong with it; several lines, fit for a terminal.
pub(super) fn read(path: &Path) -> Result<PlanFile, String> {
    let text = load(path)?;
    PlanFile::parse(&text)
        .map_err(|faults| format!("the plan file {} is wrong:\n{}", path.display(), Faults(faults)))
}

/// The text of the plan file at `path`, at most one byte more than is read of it.
fn load(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let refused = |cause: std::io::Error| {
        format!("the plan file {shown} cannot be read: {cause}; name a file with --plan")
    };
    let file = std::fs::File::open(path).map_err(refused)?;
    let mut text = String::new();
    file.take(PLAN_FILE_LIMIT as u64 + 1).read_to_string(&mut text).map_err(refused)?;
    Ok(text)
}
