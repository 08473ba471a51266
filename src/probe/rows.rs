//! What the kernel's text files say: rows of a meminfo, the machine's or a NUMA node's, and files of one value.

use std::{fs, path::Path, str::FromStr};

/// The value that is all a file says; none where there is no such file, or it says something else.
pub(super) fn value<T: FromStr>(path: impl AsRef<Path>) -> Option<T> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The row `NAME: 123 kB` of a meminfo, whatever stands before the name; in bytes.
pub(super) fn row_bytes(meminfo: &str, name: &str) -> Option<u64> {
    let value = |line: &str| line.split_once(name)?.1.split_ascii_whitespace().next()?.parse::<u64>().ok();
    meminfo.lines().find_map(value).map(|kib| kib << 10)
}
