//! The guest's console as the host sees it: untrusted text, of which the end matters.

use crate::units::shown;
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

/// How much of the console's end is searched for the reason of a failure, in bytes.
const SEARCHED_BYTES: u64 = 256 << 10;
/// How the kernel says that it is over.
const PANIC: &str = "Kernel panic - not syncing";
/// How sully begins every line on the console.
const ANNOUNCEMENT: &str = "sully: ";
/// What tells an announcement of failure from the others.
const FAILURE_WORDS: [&str; 6] = ["panic", "cannot", "refuse", "fail", "error", "not "];
/// The longest line that is shown, in characters.
const LINE_CHARS: usize = 300;

/// The last `lines` lines of the last `max_bytes` bytes, control characters removed. An absent file has none.
pub fn tail(path: &Path, lines: usize, max_bytes: u64) -> Vec<String> {
    let mut found = read_lines(path, max_bytes).unwrap_or_default();
    found.split_off(found.len().saturating_sub(lines))
}

/// Why the guest failed, in its own words: a kernel panic, or else the last failure sully announced.
pub fn find_panic(path: &Path) -> Option<String> {
    let lines = read_lines(path, SEARCHED_BYTES).unwrap_or_default();
    let panic = lines.iter().find_map(|line| line.find(PANIC).map(|at| line[at..].to_owned()));
    panic.or_else(|| lines.into_iter().rfind(|line| is_failure(line)))
}

/// Whether sully announced a failure: it also announces that it begins, and how it ended.
fn is_failure(line: &str) -> bool {
    line.strip_prefix(ANNOUNCEMENT).is_some_and(|said| FAILURE_WORDS.iter().any(|word| said.contains(word)))
}

/// The lines of the last `max_bytes` bytes that are not empty; the first is whole only if the file begins there.
fn read_lines(path: &Path, max_bytes: u64) -> io::Result<Vec<String>> {
    let mut file = File::open(path)?;
    let skipped = file.metadata()?.len().saturating_sub(max_bytes);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(max_bytes).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.split('\n').map(clean).filter(|line| !line.is_empty()).collect())
}

fn clean(line: &str) -> String {
    shown(line, LINE_CHARS).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn console(text: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text).unwrap();
        file
    }

    #[test]
    fn the_tail_is_the_last_lines_fit_for_a_terminal() {
        let file = console(b"one\r\ntwo\x1b[31m red\x07\r\n\r\nthree\n");
        assert_eq!(tail(file.path(), 2, 1000), ["two[31m red", "three"]);
        assert_eq!(tail(file.path(), 9, 7), ["three"]);
        assert!(tail(file.path(), 0, 1000).is_empty());
    }

    #[test]
    fn an_absent_console_has_no_lines_and_no_panic() {
        let absent = Path::new("/nowhere/console.log");
        assert!(tail(absent, 10, 1000).is_empty());
        assert_eq!(find_panic(absent), None);
    }

    #[test]
    fn a_kernel_panic_comes_before_what_sully_said() {
        let file = console(
            b"sully: cannot mount proc on /proc: EPERM\r\n\
              [    1.498277] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100\r\n\
              [    1.498569] CPU: 0 PID: 1 Comm: init Not tainted 6.1.0\r\n",
        );
        let expected = "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100";
        assert_eq!(find_panic(file.path()).as_deref(), Some(expected));
    }

    #[test]
    fn the_last_failure_sully_announced_is_found_and_its_greeting_is_none() {
        let file = console(
            b"sully: guest program 0.1.0 runs as init\n\
              sully: the host name stays as it is: EPERM\n\
              sully: panic, powering off: index out of bounds\n[    2.0] reboot: Power down\n",
        );
        let expected = "sully: panic, powering off: index out of bounds";
        assert_eq!(find_panic(file.path()).as_deref(), Some(expected));
        let sound = console(b"sully: guest program 0.1.0 runs as init\n[    2.0] reboot: Power down\n");
        assert_eq!(find_panic(sound.path()), None);
    }

    proptest! {
        #[test]
        fn no_console_panics_the_host(bytes in proptest::collection::vec(any::<u8>(), 0..400), max in 0u64..500) {
            let file = console(&bytes);
            for line in tail(file.path(), 5, max) {
                prop_assert!(!line.chars().any(char::is_control));
            }
            let _ = find_panic(file.path());
        }
    }
}
