//! What the guest's console has to say about a failure, as sentences for the verdict.

use crate::lab::vm::console;
use std::path::Path;

/// What the guest program puts before a line of its own.
const ANNOUNCEMENT: &str = "sully: ";
/// How the lines end that say no more than that it began.
const BEGINNINGS: [&str; 2] = ["runs as init", "starting"];
/// How many of the last lines are repeated.
const LINES: usize = 8;
/// How much of the console's end is looked at, in bytes.
const TAIL_BYTES: u64 = 16 << 10;

/// Why the guest failed, in its own words, where it said so: ready to follow a sentence.
pub fn cause(log: &Path) -> String {
    let words = console::find_panic(log).or_else(|| {
        let lines = console::tail(log, usize::MAX, TAIL_BYTES);
        lines.into_iter().rfind(|line| line.starts_with(ANNOUNCEMENT) && !is_beginning(line))
    });
    words.map(|words| format!(": {words}")).unwrap_or_default()
}

/// The guest program announces its beginning too; of a guest that is lost, anything else it announced is the cause.
fn is_beginning(line: &str) -> bool {
    BEGINNINGS.iter().any(|beginning| line.ends_with(beginning))
}

/// The last lines, each as a sentence of its own.
pub fn last_lines(log: &Path) -> Vec<String> {
    let lines = console::tail(log, LINES, TAIL_BYTES);
    if lines.is_empty() {
        return vec!["the console is empty".into()];
    }
    lines.into_iter().map(|line| format!("console: {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn cause_of(console: &str) -> String {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("console.log");
        fs::write(&log, console).unwrap();
        cause(&log)
    }

    #[test]
    fn a_guest_that_said_why_is_repeated_and_one_that_only_began_is_not() {
        let began = "sully: guest program 0.1.0 runs as init\r\nsully: starting\r\n";
        assert_eq!(cause_of(began), "");
        let said = format!("{began}sully: there is no port\r\n[ 1.5] reboot: Power down\r\n");
        assert_eq!(cause_of(&said), ": sully: there is no port");
        assert_eq!(cause_of("[1.0] Kernel panic - not syncing: x\n"), ": Kernel panic - not syncing: x");
    }

    #[test]
    fn an_empty_or_absent_console_is_said_to_be_empty() {
        assert_eq!(last_lines(Path::new("/nowhere")), ["the console is empty"]);
    }
}
