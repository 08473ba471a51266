//! Reads files whose size is not to be trusted.

use crate::files::open_regular;
use anyhow::{Context, ensure};
use std::io::Read;
use std::path::Path;

/// A whole file, unless it is larger than makes sense.
///
/// # Errors
/// A file that cannot be read, or has more than `limit_bytes`.
pub(super) fn read_file(path: &Path, limit_bytes: u64) -> anyhow::Result<Vec<u8>> {
    let failed = || format!("cannot read '{}'", path.display());
    let mut bytes = Vec::new();
    open_regular(path)
        .with_context(failed)?
        .take(limit_bytes + 1)
        .read_to_end(&mut bytes)
        .with_context(failed)?;
    ensure!(bytes.len() as u64 <= limit_bytes, "'{}' has more than {limit_bytes} bytes", path.display());
    Ok(bytes)
}

/// The first bytes of a file, at most `most_bytes`.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn read_head(path: &Path, most_bytes: u64) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(most_bytes).read_to_end(&mut bytes)?;
    Ok(bytes)
}
