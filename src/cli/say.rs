//! Words for standard error, which may have lost its reader: what nobody can read stops nothing.

use crate::units::printable;
use std::fmt::Display;
use std::io::{Write, stderr};

/// Says `text` as lines of their own. A closed pipe, a full disk or a terminal that hung up is no reason to end a run.
pub fn say(text: impl Display) {
    let _ = writeln!(stderr().lock(), "{}", shown(&text.to_string()));
}

/// `text` without what could steer a terminal: messages repeat what somebody gave, or a file holds.
fn shown(text: &str) -> String {
    text.chars().map(|letter| if letter == '\n' { letter } else { printable(letter) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_keeps_its_lines_and_steers_no_terminal() {
        assert_eq!(
            shown("no '\u{1b}[2J\r\u{9b}1m'\n  give é"),
            "no '\u{fffd}[2J\u{fffd}\u{fffd}1m'\n  give é"
        );
    }
}
