//! What this machine has of each kind of memory: free huge pages, NUMA nodes, and how much may be locked.

use super::rows::{row_bytes, value};
use crate::plan::{HugePages, Node, Stock};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use std::{fs, path::Path};

/// The capability to lock memory without limit, as a bit of `CapEff`.
const CAP_IPC_LOCK: u32 = 14;

/// More nodes than any kernel has.
const NODES_CEILING: u32 = 1023;
/// Where the kernel describes this process.
const PROCESS: &str = "/proc/self";
/// Where the kernel describes the NUMA nodes.
const NODES: &str = "/sys/devices/system/node";

/// The NUMA nodes that have memory which this process may use, in order; empty where the kernel does not tell.
pub fn numa_nodes() -> Vec<u32> {
    allowed_ids(Path::new(PROCESS), Path::new(NODES))
}

/// What this machine has, and how much ordinary memory can be had where the cpuset leaves only some of the nodes. What the
/// kernel does not tell is absent; nothing here fails.
pub(super) fn stock() -> (Stock, Option<u64>) {
    let (process, pools) = (Path::new(PROCESS), Path::new("/sys/kernel/mm/hugepages"));
    let (mut stock, available_bytes) = stock_of(process, Path::new(NODES), pools);
    stock.lock_limit_bytes = lock_limit_bytes();
    (stock, available_bytes)
}

fn stock_of(process: &Path, nodes_directory: &Path, pools: &Path) -> (Stock, Option<u64>) {
    let nodes = nodes(process, nodes_directory);
    let (mut huge, mut available_bytes) = (huge_pages(pools), None);
    if nodes.len() < node_ids(nodes_directory).len() {
        let sum = |of: fn(&HugePages) -> Option<u64>| nodes.iter().filter_map(|node| of(&node.huge)).sum();
        huge.free_2m_bytes = huge.free_2m_bytes.map(|free| free.min(sum(|huge| huge.free_2m_bytes)));
        huge.free_1g_bytes = huge.free_1g_bytes.map(|free| free.min(sum(|huge| huge.free_1g_bytes)));
        available_bytes = Some(nodes.iter().map(|node| node.available_bytes).sum());
    }
    let mut huge_is_limited = false;
    for (free, size) in [(&mut huge.free_2m_bytes, "2MB"), (&mut huge.free_1g_bytes, "1GB")] {
        let limit = super::cgroup::huge_headroom_bytes(process, size);
        if let Some((free, limit)) = free.as_mut().zip(limit).filter(|(free, limit)| **free > *limit) {
            (*free, huge_is_limited) = (limit, true);
        }
    }
    let maps = fs::read_to_string(process.join("numa_maps")).unwrap_or_default();
    let stock = Stock { huge, huge_is_limited, nodes, bound: bound_to(&maps), lock_limit_bytes: None };
    (stock, available_bytes)
}

/// The nodes that the inherited policy binds this process to (`numactl --membind`), from the first row `ADDRESS POLICY ...` of
/// its mappings; empty where it is bound to none. Every other policy takes from other nodes what its own do not have.
fn bound_to(maps: &str) -> Vec<u32> {
    let policy = maps.lines().next().and_then(|row| row.split(' ').nth(1)).unwrap_or_default();
    // `bind:0-1`, or with a mode: `bind=static:0-1`.
    policy
        .strip_prefix("bind")
        .and_then(|rest| rest.split_once(':'))
        .map_or(Vec::new(), |(_, list)| ids(list))
}

/// How much of a CPU's time realtime threads may have; none where there is no bound.
pub fn realtime_percent() -> Option<u64> {
    let kernel = Path::new("/proc/sys/kernel");
    // Without a bound the first is -1.
    let runtime_us: u64 = value(kernel.join("sched_rt_runtime_us"))?;
    runtime_us.saturating_mul(100).checked_div(value(kernel.join("sched_rt_period_us"))?)
}

/// Free pages of both sizes that nobody has reserved.
fn huge_pages(directory: &Path) -> HugePages {
    let free_bytes = |page_kib: u64| {
        let pool = directory.join(format!("hugepages-{page_kib}kB"));
        let reserved: u64 = value(pool.join("resv_hugepages")).unwrap_or(0);
        let free: u64 = value(pool.join("free_hugepages"))?;
        Some(free.saturating_sub(reserved) * (page_kib << 10))
    };
    HugePages { free_2m_bytes: free_bytes(2048), free_1g_bytes: free_bytes(1 << 20) }
}

/// Every node below `directory` that has memory which `process` may use, in order.
fn nodes(process: &Path, directory: &Path) -> Vec<Node> {
    let node = |id| {
        let directory = directory.join(format!("node{id}"));
        let meminfo = fs::read_to_string(directory.join("meminfo")).unwrap_or_default();
        let bytes = |name| row_bytes(&meminfo, name).unwrap_or(0);
        let available_bytes = bytes("MemFree:") + bytes("Inactive(file):");
        Node { id, available_bytes, huge: huge_pages(&directory.join("hugepages")) }
    };
    allowed_ids(process, directory).into_iter().map(node).collect()
}

/// The nodes with memory, less those that the cpuset forbids.
fn allowed_ids(process: &Path, directory: &Path) -> Vec<u32> {
    let status = fs::read_to_string(process.join("status")).unwrap_or_default();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Mems_allowed_list:")).map(ids);
    let is_allowed = |id: &u32| allowed.as_ref().is_none_or(|allowed| allowed.contains(id));
    node_ids(directory).into_iter().filter(is_allowed).collect()
}

/// The kernel's list of nodes with memory.
fn node_ids(directory: &Path) -> Vec<u32> {
    ids(&fs::read_to_string(directory.join("has_memory")).unwrap_or_default())
}

/// A list of nodes: `0-1,4`.
fn ids(ranges: &str) -> Vec<u32> {
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
    value("/proc/self/oom_score_adj")
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
        let found: Vec<_> = nodes(Path::new("/nonexistent"), sysfs.path())
            .iter()
            .map(|node| (node.id, node.available_bytes, node.huge.free_2m_bytes))
            .collect();
        assert_eq!(found, [(0, 0, None), (2, 128 << 10, Some(2 << 20)), (3, 0, None)]);
    }

    /// Two nodes of 100 MiB with two huge pages each, for a process of this status and these mappings.
    fn two_nodes(status: &str, maps: &str) -> (Stock, Option<u64>) {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| write(root.path(), name, text);
        write("node/has_memory", "0-1\n");
        for id in 0..2 {
            write(&format!("node/node{id}/meminfo"), &format!("Node {id} MemFree: 102400 kB\n"));
            write(&format!("node/node{id}/hugepages/hugepages-2048kB/free_hugepages"), "2\n");
        }
        write("pools/hugepages-2048kB/free_hugepages", "4\n");
        write("self/status", status);
        write("self/numa_maps", maps);
        stock_of(&root.path().join("self"), &root.path().join("node"), &root.path().join("pools"))
    }

    #[test]
    fn a_cpuset_leaves_the_memory_of_its_own_nodes() {
        let (stock, available_bytes) = two_nodes("Name:\tx\nMems_allowed_list:\t1\n", "7f0 default heap\n");
        assert_eq!(stock.nodes.iter().map(|node| node.id).collect::<Vec<_>>(), [1]);
        assert_eq!((available_bytes, stock.huge.free_2m_bytes), (Some(100 << 20), Some(4 << 20)));
        let (stock, available_bytes) = two_nodes("Mems_allowed_list:\t0-1\n", "7f0 default heap\n");
        assert_eq!((stock.nodes.len(), available_bytes, stock.huge.free_2m_bytes), (2, None, Some(8 << 20)));
        assert_eq!(stock.bound, [0; 0]);
    }

    #[test]
    fn only_a_policy_that_binds_takes_nodes_away() {
        for (policy, bound) in [
            ("bind:1", vec![1]),
            ("bind=static:0-1", vec![0, 1]),
            ("prefer:1", vec![]),
            ("interleave:0-1", vec![]),
            ("default", vec![]),
        ] {
            let (stock, _) = two_nodes("", &format!("55d0c8000000 {policy} file=/bin/x N0=3\n"));
            assert_eq!(stock.bound, bound, "{policy}");
            assert_eq!(stock.nodes.len(), 2, "--numa may name any of them");
        }
        assert_eq!(bound_to(""), [0; 0]);
    }

    #[test]
    fn a_cgroup_of_huge_pages_takes_from_the_pool() {
        let sysfs = tempfile::tempdir().unwrap();
        let mount = sysfs.path().join("mount").display().to_string();
        write(sysfs.path(), "pools/hugepages-2048kB/free_hugepages", "50\n");
        write(sysfs.path(), "self/cgroup", "0::/job\n");
        write(sysfs.path(), "self/mountinfo", &format!("32 31 0:29 / {mount} rw - cgroup2 cgroup2 rw\n"));
        write(sysfs.path(), "mount/job/hugetlb.2MB.max", "8388608\n");
        let stock =
            || stock_of(&sysfs.path().join("self"), Path::new("/nonexistent"), &sysfs.path().join("pools")).0;
        assert_eq!((stock().huge.free_2m_bytes, stock().huge_is_limited), (Some(8 << 20), true));
        write(sysfs.path(), "mount/job/hugetlb.2MB.max", "max\n");
        assert_eq!((stock().huge.free_2m_bytes, stock().huge_is_limited), (Some(100 << 20), false));
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
