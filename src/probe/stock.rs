//! What this machine has of each kind of memory: free huge pages, NUMA nodes, and how much may be locked.

use crate::plan::{HugePages, Node, Stock};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use std::{fs, path::Path};

/// The capability to lock memory without limit, as a bit of `CapEff`.
const CAP_IPC_LOCK: u32 = 14;

/// More nodes than any kernel has.
const NODES_CEILING: u32 = 1023;
/// Where the kernel describes the NUMA nodes.
const NODES: &str = "/sys/devices/system/node";

/// The NUMA nodes that have memory, in order; empty where the kernel does not tell.
pub fn numa_nodes() -> Vec<u32> {
    node_ids(Path::new(NODES))
}

/// What this machine has. What the kernel does not tell is absent; nothing here fails.
pub(super) fn stock() -> Stock {
    Stock {
        huge: huge_pages(Path::new("/sys/kernel/mm/hugepages")),
        nodes: nodes(Path::new(NODES)),
        lock_limit_bytes: lock_limit_bytes(),
    }
}

/// Free pages of both sizes that nobody has reserved.
fn huge_pages(directory: &Path) -> HugePages {
    let free_bytes = |page_kib: u64| {
        let pool = directory.join(format!("hugepages-{page_kib}kB"));
        let reserved = number(&pool.join("resv_hugepages")).unwrap_or(0);
        let free = number(&pool.join("free_hugepages"))?;
        Some(free.saturating_sub(reserved) * (page_kib << 10))
    };
    HugePages { free_2m_bytes: free_bytes(2048), free_1g_bytes: free_bytes(1 << 20) }
}

/// Every node below `directory` that has memory, in order.
fn nodes(directory: &Path) -> Vec<Node> {
    let node = |id| {
        let directory = directory.join(format!("node{id}"));
        let meminfo = fs::read_to_string(directory.join("meminfo")).unwrap_or_default();
        let bytes = |name| super::rows::row_bytes(&meminfo, name).unwrap_or(0);
        let available_bytes = bytes("MemFree:") + bytes("Inactive(file):");
        Node { id, available_bytes, huge: huge_pages(&directory.join("hugepages")) }
    };
    node_ids(directory).into_iter().map(node).collect()
}

/// The kernel's list of nodes with memory: `0-1,4`.
fn node_ids(directory: &Path) -> Vec<u32> {
    let ranges = fs::read_to_string(directory.join("has_memory")).unwrap_or_default();
    let ids = ranges.trim().split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse::<u32>().ok()?.min(NODES_CEILING))
    });
    ids.flatten().collect()
}

/// The most bytes this process may lock; none without a limit.
fn lock_limit_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if may_lock_all(&status) {
        return None;
    }
    let (soft, _) = getrlimit(Resource::RLIMIT_MEMLOCK).ok()?;
    (soft != RLIM_INFINITY).then_some(soft)
}

fn may_lock_all(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = mask.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> CAP_IPC_LOCK & 1 == 1)
}

/// The mode of transparent huge pages (`always`, `madvise`, `never`; of shared memory also `advise`, `deny`), as the
/// file of that name has it: `enabled` or `shmem_enabled`; none where the kernel has none.
pub fn transparent_huge_pages(file: &str) -> Option<String> {
    let modes = fs::read_to_string(Path::new("/sys/kernel/mm/transparent_hugepage").join(file)).ok()?;
    Some(modes.split_once('[')?.1.split_once(']')?.0.to_owned())
}

/// How ready the kernel is to end this program when memory runs out: -1000 (never) to 1000.
pub fn oom_score_adj() -> Option<i32> {
    fs::read_to_string("/proc/self/oom_score_adj").ok()?.trim().parse().ok()
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(directory: &Path, name: &str, text: &str) {
        let file = directory.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    #[test]
    fn free_huge_pages_are_those_nobody_reserved_and_an_absent_size_is_absent() {
        let sysfs = tempfile::tempdir().unwrap();
        write(sysfs.path(), "hugepages-2048kB/free_hugepages", "5\n");
        write(sysfs.path(), "hugepages-2048kB/resv_hugepages", "2\n");
        let found = huge_pages(sysfs.path());
        assert_eq!((found.free_2m_bytes, found.free_1g_bytes), (Some(6 << 20), None));
    }

    #[test]
    fn nodes_are_those_with_memory_each_with_its_own() {
        let sysfs = tempfile::tempdir().unwrap();
        write(sysfs.path(), "has_memory", "0,2-3\n");
        let meminfo = "Node 2 MemTotal: 4096 kB\nNode 2 MemFree: 100 kB\nNode 2 Inactive(file): 28 kB\n";
        write(sysfs.path(), "node2/meminfo", meminfo);
        write(sysfs.path(), "node2/hugepages/hugepages-2048kB/free_hugepages", "1\n");
        let found: Vec<_> = nodes(sysfs.path())
            .iter()
            .map(|node| (node.id, node.available_bytes, node.huge.free_2m_bytes))
            .collect();
        assert_eq!(found, [(0, 0, None), (2, 128 << 10, Some(2 << 20)), (3, 0, None)]);
    }

    #[test]
    fn a_list_of_nodes_that_makes_no_sense_names_none() {
        let sysfs = tempfile::tempdir().unwrap();
        for (list, ids) in [("", vec![]), ("x-2", vec![]), ("5-4294967295,", (5..=1023).collect())] {
            write(sysfs.path(), "has_memory", list);
            assert_eq!(node_ids(sysfs.path()), ids, "{list}");
        }
    }

    #[test]
    fn the_capability_lifts_the_lock_limit() {
        assert!(may_lock_all("Name:\tx\nCapEff:\t000001ffffffffff\n"));
        assert!(!may_lock_all("CapEff:\t0000000000000000\n"));
        assert!(!may_lock_all(""));
    }
}
