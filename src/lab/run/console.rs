//! What the guest's console has to say about a failure, as sentences for the verdict.

use crate::lab::vm::console;
use std::path::Path;

/// How many of the last lines are repeated.
const LINES: usize = 8;
/// How much of the console's end is looked at, in bytes.
const TAIL_BYTES: u64 = 16 << 10;

/// Why the guest failed, in its own words, where it said so: ready to follow a sentence.
pub fn cause(log: &Path) -> String {
    console::find_panic(log).map(|words| format!(": {words}")).unwrap_or_default()
}

/// The last lines, each as a sentence of its own.
pub fn last_lines(log: &Path) -> Vec<String> {
    let lines = console::tail(log, LINES, TAIL_BYTES);
    if lines.is_empty() {
        return vec!["the console is empty".into()];
    }
    lines.into_iter().map(|line| format!("console: {line}")).collect()
}
