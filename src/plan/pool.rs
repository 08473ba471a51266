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
/// Of each so many bytes of the region...
const REGION_BYTES: u64 = 4096;
/// ...so many more are taken for it: an entry of the page table, and two bytes of the ledger of stamps.
const TABLE_BYTES: u64 = 8 + 2;

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
        let left = available_bytes.saturating_sub(reserve);
        Self { available_bytes, usable_bytes: left / (REGION_BYTES + TABLE_BYTES) * REGION_BYTES }
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
