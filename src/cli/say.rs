//! Words for standard error, which may have lost its reader: what nobody can read stops nothing.

use crate::units::harmless;
use std::fmt::Display;
use std::io::{Write, stderr};

/// Says `text` as lines of their own; what it repeats of somebody else's does not steer the terminal. A closed pipe, a full
/// disk or a terminal that hung up is no reason to end a run.
pub fn say(text: impl Display) {
    let _ = writeln!(stderr().lock(), "{}", harmless(&text.to_string()));
}
