//! What really backs a region, as the kernel's own files about this process have it, and whether that was asked for.

use super::RegionError;
use crate::plan::{MemoryKind, Numa, PageSize};
use crate::units::{ByteSize, PageCount};
use std::fs;

/// What was found of a region after it was filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionFacts {
    /// Pages in memory.
    pub resident: PageCount,
    /// Bytes that huge pages back; none where the kernel does not tell.
    pub huge_bytes: Option<u64>,
    /// Bytes on each NUMA node; empty where the kernel does not tell.
    pub node_bytes: Vec<(u32, u64)>,
}

/// The rows of smaps that count huge pages; each page is in one of them.
const HUGE_ROWS: [&str; 5] =
    ["AnonHugePages:", "ShmemPmdMapped:", "FilePmdMapped:", "Shared_Hugetlb:", "Private_Hugetlb:"];

/// Bytes that huge pages back of the mapping at `start`.
pub(super) fn huge_bytes(start: usize) -> Option<u64> {
    sum_huge_bytes(&fs::read_to_string("/proc/self/smaps").ok()?, start)
}

/// Bytes on each node of the mapping at `start`.
pub(super) fn node_bytes(start: usize) -> Vec<(u32, u64)> {
    let maps = fs::read_to_string("/proc/self/numa_maps").unwrap_or_default();
    let head = format!("{start:08x} ");
    maps.lines().find(|line| line.starts_with(&head)).map(nodes_of).unwrap_or_default()
}

fn sum_huge_bytes(smaps: &str, start: usize) -> Option<u64> {
    let mut lines = smaps.lines();
    let head = format!("{start:08x}-");
    lines.find(|line| line.starts_with(&head))?;
    // The rows of a mapping begin with a capital letter, the head of the next one does not.
    let rows = lines.take_while(|line| line.starts_with(|first: char| first.is_ascii_uppercase()));
    let value = |line: &str| {
        let row = HUGE_ROWS.iter().find_map(|name| line.strip_prefix(name))?;
        row.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    };
    Some(rows.filter_map(value).sum::<u64>() << 10)
}

/// `START POLICY ... N0=512 N1=3 kernelpagesize_kB=4`: counts are in pages of that size.
fn nodes_of(line: &str) -> Vec<(u32, u64)> {
    let value = |name: &str| line.split(' ').find_map(|word| word.strip_prefix(name)?.parse::<u64>().ok());
    let page_bytes = value("kernelpagesize_kB=").unwrap_or(4) << 10;
    let node = |word: &str| {
        let (id, pages) = word.strip_prefix('N')?.split_once('=')?;
        Some((id.parse().ok()?, pages.parse::<u64>().ok()? * page_bytes))
    };
    line.split(' ').filter_map(node).collect()
}

/// Holds what was found against what was asked for. A warning where it is less than was hoped for.
///
/// # Errors
/// When the memory is not what was asked for, with the way out.
pub(super) fn judge(
    found: &RegionFacts,
    kind: &MemoryKind,
    nodes: &[u32],
    bytes: u64,
) -> Result<Option<String>, RegionError> {
    if let Some(numa) = kind.numa {
        placed(found, numa, nodes, bytes / kind.pages.bytes())?;
    }
    let Some(huge_bytes) = found.huge_bytes else { return Ok(None) };
    let share = || format!("{} of {}", ByteSize(huge_bytes).human(), ByteSize(bytes).human());
    let wrong = |remedy: &str| {
        Err(RegionError::NotAsAsked(format!("--pages {}: huge pages back {}; {remedy}", kind.pages, share())))
    };
    match kind.pages {
        PageSize::Base if huge_bytes > 0 => wrong("name a backing file elsewhere"),
        PageSize::Huge2M | PageSize::Huge1G if huge_bytes < bytes => wrong("is another program at the pool?"),
        PageSize::Transparent if huge_bytes == 0 => wrong(
            "write madvise to /sys/kernel/mm/transparent_hugepage/enabled (shmem_enabled: advise), \
             or use --pages 2M",
        ),
        PageSize::Transparent if huge_bytes < bytes => Ok(Some(format!(
            "--pages thp: huge pages back {} only; memory is fragmented (echo 1 > /proc/sys/vm/compact_memory)",
            share()
        ))),
        _ => Ok(None),
    }
}

/// Whether `granules` backing pages lie where they were asked to.
fn placed(found: &RegionFacts, numa: Numa, nodes: &[u32], granules: u64) -> Result<(), RegionError> {
    let holds = |node: u32| found.node_bytes.iter().any(|(id, bytes)| *id == node && *bytes > 0);
    let is_right = match numa {
        Numa::Node(wanted) => holds(wanted) && found.node_bytes.iter().all(|(id, _)| *id == wanted),
        Numa::Interleave => granules < nodes.len() as u64 || nodes.iter().all(|node| holds(*node)),
    };
    if is_right {
        return Ok(());
    }
    let list: Vec<String> = found
        .node_bytes
        .iter()
        .map(|(id, bytes)| format!("node {id}: {}", ByteSize(*bytes).human()))
        .collect();
    Err(RegionError::NotAsAsked(format!(
        "--numa {numa} was not kept: the memory lies on [{}]; a file that was filled before keeps its place: remove it",
        list.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
7f0000000000-7f0000400000 rw-p 00000000 00:00 0
Size:               4096 kB
AnonHugePages:      2048 kB
ShmemPmdMapped:        0 kB
Private_Hugetlb:     512 kB
VmFlags: rd wr
7f0000400000-7f0000800000 rw-p 00000000 00:00 0
AnonHugePages:      4096 kB
";

    fn found(huge_mib: u64, node_bytes: &[(u32, u64)]) -> RegionFacts {
        RegionFacts {
            resident: PageCount(1024),
            huge_bytes: Some(huge_mib << 20),
            node_bytes: node_bytes.to_vec(),
        }
    }

    fn judged(pages: &str, numa: Option<&str>, found: &RegionFacts) -> Result<Option<String>, String> {
        let numa = numa.map(|text| text.parse().unwrap());
        let kind = MemoryKind { pages: pages.parse().unwrap(), numa, ..MemoryKind::default() };
        judge(found, &kind, &[0, 1], 4 << 20).map_err(|error| error.to_string())
    }

    #[test]
    fn huge_pages_are_counted_in_the_mapping_alone() {
        assert_eq!(sum_huge_bytes(SMAPS, 0x7f00_0000_0000), Some(2560 << 10));
        assert_eq!(sum_huge_bytes(SMAPS, 0x7f00_0040_0000), Some(4096 << 10));
        assert_eq!(sum_huge_bytes(SMAPS, 0x7f00_0020_0000), None);
    }

    #[test]
    fn nodes_are_counted_in_pages_of_their_size() {
        let line = "7f00 bind:0-1 anon=3 dirty=3 active=0 N0=2 N1=1 kernelpagesize_kB=2048";
        assert_eq!(nodes_of(line), [(0, 4 << 20), (1, 2 << 20)]);
        assert_eq!(nodes_of("7f00 default"), []);
    }

    #[test]
    fn less_than_asked_is_an_error_or_for_thp_a_warning_as_long_as_there_is_some() {
        assert_eq!(judged("thp", None, &found(4, &[])), Ok(None));
        assert!(judged("thp", None, &found(2, &[])).unwrap().unwrap().contains("2.0 MiB of 4.0 MiB"));
        assert!(judged("thp", None, &found(0, &[])).unwrap_err().contains("transparent_hugepage/enabled"));
        assert!(judged("2M", None, &found(2, &[])).unwrap_err().contains("--pages 2M"));
        assert!(judged("4k", None, &found(2, &[])).is_err());
        assert_eq!(judged("4k", None, &found(0, &[])), Ok(None));
    }

    #[test]
    fn memory_on_another_node_is_named() {
        assert_eq!(judged("4k", Some("0"), &found(0, &[(0, 4 << 20)])), Ok(None));
        let message = judged("4k", Some("0"), &found(0, &[(0, 1 << 20), (1, 3 << 20)])).unwrap_err();
        assert!(message.contains("node 1: 3.0 MiB"), "{message}");
        assert_eq!(judged("4k", Some("interleave"), &found(0, &[(0, 1), (1, 1)])), Ok(None));
        assert!(judged("4k", Some("interleave"), &found(0, &[(0, 4 << 20)])).is_err());
    }
}
