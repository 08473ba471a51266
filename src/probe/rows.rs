//! Rows of a meminfo, the machine's or a NUMA node's.

/// The row `NAME: 123 kB` of a meminfo, whatever stands before the name; in bytes.
pub(super) fn row_bytes(meminfo: &str, name: &str) -> Option<u64> {
    let value = |line: &str| line.split_once(name)?.1.split_ascii_whitespace().next()?.parse::<u64>().ok();
    meminfo.lines().find_map(value).map(|kib| kib << 10)
}
