//! Text for standard output, whose reader may have read enough.

use anyhow::Context;
use std::io::{ErrorKind, Write, stdout};

/// Prints `text`. A reader that is gone has read enough: `sully-lab report ... | head` is no failure.
///
/// # Errors
/// Standard output takes nothing, for another reason.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output cannot be written"),
    }
}
