//! The guest's console as the host sees it: untrusted text, of which the end matters.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

/// How much of the console's end is searched for the reason of a failure, in bytes.
const SEARCHED_BYTES: u64 = 256 << 10;
/// The longest line that is shown, in characters.
const LINE_CHARS: usize = 300;

/// The last `lines` lines of the last `max_bytes` bytes, control characters removed. An absent file has none.
pub fn tail(path: &Path, lines: usize, max_bytes: u64) -> Vec<String> {
    let mut found = read_lines(path, max_bytes).unwrap_or_default();
    found.split_off(found.len().saturating_sub(lines))
}

/// Why the guest failed, in the guest's words: a kernel panic, or else sully's last own message of failure.
pub fn find_panic(path: &Path) -> Option<String> {
    let lines = read_lines(path, SEARCHED_BYTES).unwrap_or_default();
    let panic =
        lines.iter().find_map(|line| line.find("Kernel panic - not syncing").map(|at| line[at..].to_owned()));
    panic.or_else(|| lines.iter().rev().find_map(|line| sully_failure(line)))
}

fn sully_failure(line: &str) -> Option<String> {
    line.starts_with("sully: ").then(|| line.to_owned())
}

/// Whole lines only, unless there is but one.
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
    let printable: String =
        line.chars().filter(|character| !character.is_control()).take(LINE_CHARS).collect();
    printable.trim_end().to_owned()
}
