//! Words for standard error, which may have lost its reader: what nobody can read stops nothing.

use std::fmt::Display;
use std::io::{Write, stderr};

/// Says `text` as a line of its own. A closed pipe, a full disk or a terminal that hung up is no reason to end a run.
pub fn say(text: impl Display) {
    let _ = writeln!(stderr().lock(), "{text}");
}
