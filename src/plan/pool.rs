//! What a kind of memory is taken from, how much of that may be taken, and what is wrong with asking for it.

use super::{Fault, Numa, PageSize, Plan};
use crate::units::ByteSize;

/// What the machine has of each kind of memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stock {
    /// Free huge pages.
    pub huge: HugePages,
    /// The NUMA nodes that have memory; empty where the kernel does not tell.
    pub nodes: Vec<Node>,
    /// The most bytes this process may lock; none where there is no limit.
    pub lock_limit_bytes: Option<u64>,
}

/// Free huge pages in bytes; none where the machine has no pages of the size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HugePages {
    /// Of 2 MiB.
    pub free_2m_bytes: Option<u64>,
    /// Of 1 GiB.
    pub free_1g_bytes: Option<u64>,
}

/// One NUMA node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Its number.
    pub id: u32,
    /// What can be had there without swapping.
    pub available_bytes: u64,
    /// Its own free huge pages.
    pub huge: HugePages,
}

/// The least memory that stays free for the rest of the system.
const RESERVE_FLOOR_BYTES: u64 = 24 << 20;

/// What the region is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pool {
    pub(super) available_bytes: u64,
    /// What may be taken of it without endangering the system.
    pub(super) usable_bytes: u64,
}

impl Pool {
    /// What the plan's kind of memory is taken from.
    pub(super) fn of(plan: &Plan, available_bytes: u64, stock: &Stock) -> Self {
        let pages = plan.kind.pages;
        let node = match plan.kind.numa {
            Some(Numa::Node(id)) => stock.nodes.iter().find(|node| node.id == id),
            _ => None,
        };
        if let Some(free) = huge(pages) {
            let free_bytes = free(node.map_or(&stock.huge, |node| &node.huge)).unwrap_or(0);
            return Self { available_bytes: free_bytes, usable_bytes: free_bytes };
        }
        let on_node = node.map_or(u64::MAX, |node| node.available_bytes);
        let available_bytes = available_bytes.min(on_node);
        let reserve = (available_bytes / 20).max(RESERVE_FLOOR_BYTES);
        Self { available_bytes, usable_bytes: available_bytes.saturating_sub(reserve) }
    }
}

/// Where the free huge pages of this size are written; none for pages that come from no pool.
fn huge(pages: PageSize) -> Option<fn(&HugePages) -> Option<u64>> {
    match pages {
        PageSize::Base | PageSize::Transparent => None,
        PageSize::Huge2M => Some(|huge| huge.free_2m_bytes),
        PageSize::Huge1G => Some(|huge| huge.free_1g_bytes),
    }
}

/// What is wrong with the kind of memory, apart from how much is there of it.
pub(super) fn check(plan: &Plan, asked_bytes: u64, stock: &Stock, faults: &mut Vec<Fault>) {
    let kind = &plan.kind;
    if huge(kind.pages).is_some_and(|free| free(&stock.huge).is_none()) {
        faults.push(Fault {
            what: format!("--pages {} is not there: this machine has no huge pages of that size", kind.pages),
            remedy: "use --pages thp or 4k; pages of 1G need a CPU that has them (pdpe1gb)".into(),
        });
    }
    if let Some(Numa::Node(id)) = kind.numa
        && stock.nodes.iter().all(|node| node.id != id)
    {
        let nodes: Vec<String> = stock.nodes.iter().map(|node| node.id.to_string()).collect();
        faults.push(Fault {
            what: format!("--numa {id} is not there: the nodes with memory are [{}]", nodes.join(", ")),
            remedy: "name one of them, or leave --numa out".into(),
        });
    }
    if let Some(limit_bytes) = stock.lock_limit_bytes.filter(|limit| kind.lock && *limit < asked_bytes) {
        faults.push(Fault {
            what: format!(
                "--lock is not allowed for {}: RLIMIT_MEMLOCK is {}",
                ByteSize(asked_bytes).human(),
                ByteSize(limit_bytes).human()
            ),
            remedy: "run as root, or raise it: ulimit -l unlimited, or LimitMEMLOCK=infinity in a unit"
                .into(),
        });
    }
}

/// What to do when a pool of huge pages is too small; none for memory that comes from no pool.
pub(super) fn refill(pages: PageSize, asked_bytes: u64, free_bytes: u64) -> Option<String> {
    let missing = asked_bytes.saturating_sub(free_bytes) / pages.bytes();
    pages.is_pooled().then(|| {
        format!(
            "raise /sys/kernel/mm/hugepages/hugepages-{}kB/nr_hugepages by {missing} (early after boot: memory \
             fragments)",
            pages.bytes() >> 10
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Machine, MemoryKind, check::check};
    use super::*;

    fn machine() -> Machine {
        let huge = HugePages { free_2m_bytes: Some(64 << 20), free_1g_bytes: None };
        let node = |id, mib: u64| Node { id, available_bytes: mib << 20, huge };
        let nodes = vec![node(0, 768), Node { huge: HugePages::default(), ..node(2, 256) }];
        let stock = Stock { huge, nodes, lock_limit_bytes: Some(8 << 20) };
        Machine { available_bytes: 1 << 30, cpus: 2, stock }
    }

    fn plan(memory: &str, pages: &str, numa: Option<&str>, lock: bool) -> Plan {
        let numa = numa.map(|text| text.parse().unwrap());
        let kind = MemoryKind { pages: pages.parse().unwrap(), numa, lock, ..MemoryKind::default() };
        Plan { memory: memory.parse().unwrap(), kind, ..Plan::default() }
    }

    fn fault(memory: &str, pages: &str, numa: Option<&str>, lock: bool) -> String {
        check(&plan(memory, pages, numa, lock), &machine()).unwrap_err().to_string()
    }

    #[test]
    fn a_share_of_huge_pages_is_of_the_free_ones_and_in_whole_pages() {
        let checked = check(&plan("50%", "2M", None, false), &machine()).unwrap();
        assert_eq!(checked.memory_bytes, 32 << 20);
        let checked = check(&plan("5M", "2M", None, false), &machine()).unwrap();
        assert_eq!(checked.memory_bytes, 4 << 20);
        assert_eq!(check(&plan("100%", "2M", None, false), &machine()).unwrap().memory_bytes, 64 << 20);
    }

    #[test]
    fn a_pool_too_small_is_named_with_the_pages_to_add() {
        let message = fault("100M", "2M", None, false);
        assert!(
            message.contains("hugepages-2048kB/nr_hugepages by 18 ")
                && message.contains("at most --memory 64M"),
            "{message}"
        );
        let message = fault("1G", "1G", None, false);
        assert!(message.contains("--pages 1G is not there") && message.contains("thp"), "{message}");
    }

    #[test]
    fn a_node_bounds_what_can_be_had_and_one_that_is_not_there_is_named() {
        assert!(check(&plan("300M", "4k", Some("0"), false), &machine()).is_ok());
        let message = fault("300M", "4k", Some("2"), false);
        assert!(message.contains("256.0 MiB"), "{message}");
        let message = fault("8M", "4k", Some("1"), false);
        assert!(message.contains("--numa 1 is not there") && message.contains("[0, 2]"), "{message}");
        assert!(check(&plan("8M", "2M", Some("2"), false), &machine()).is_err(), "no huge pages there");
    }

    #[test]
    fn a_lock_limit_is_named_with_the_remedy_and_binds_only_who_locks() {
        assert!(check(&plan("16M", "4k", None, false), &machine()).is_ok());
        assert!(check(&plan("8M", "4k", None, true), &machine()).is_ok());
        let message = fault("16M", "4k", None, true);
        assert!(message.contains("8.0 MiB") && message.contains("ulimit -l"), "{message}");
    }
}
