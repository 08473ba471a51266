//! What a kind of memory is taken from, how much of that may be taken, and what is wrong with asking for it.

use super::{Fault, Numa, PageSize, Plan, tables::Tables};
use crate::units::{ByteSize, PAGE_BYTES};

/// What the machine offers a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Memory that can be had without swapping (MemAvailable, or less where a memory cgroup limits it).
    pub available_bytes: u64,
    /// CPUs this process may run on.
    pub cpus: u32,
    /// What it has of each kind of memory.
    pub stock: Stock,
}

/// What the machine has of each kind of memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stock {
    /// Free huge pages.
    pub huge: HugePages,
    /// Whether that is what a cgroup leaves of the pool.
    pub huge_is_limited: bool,
    /// The NUMA nodes that have memory which this process may use; empty where the kernel does not tell.
    pub nodes: Vec<Node>,
    /// Those of them that memory comes from where nothing else is said, by an inherited policy; empty for all.
    pub bound: Vec<u32>,
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

/// What the region and its tables are taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pool {
    /// What there is of the kind of memory that the region is made of.
    pub(super) available_bytes: u64,
    /// The largest region that leaves what has to be left.
    pub(super) usable_bytes: u64,
    /// What stays free of the region's kind of memory: nothing of a pool of huge pages.
    pub(super) reserve_bytes: u64,
    /// What is left of ordinary memory once its own reserve is taken off.
    pub(super) ordinary_bytes: u64,
    pub(super) tables: Tables,
}

impl Pool {
    /// What a plan with so many writers takes from this machine.
    pub(super) fn of(plan: &Plan, machine: &Machine, threads: u32) -> Self {
        let tables = Tables::of(plan.verify, plan.kind.pages, threads, plan.canary.of(machine.cpus));
        let pages = plan.kind.pages;
        let available_bytes = available(plan, machine);
        let ordinary_bytes = machine.available_bytes.saturating_sub(reserve(machine.available_bytes));
        // Tables may lie anywhere, whatever node or pool the region comes from: they are taken from the whole.
        let (of_region, reserve_bytes) =
            if pages.is_pooled() { (0, 0) } else { (PAGE_BYTES, reserve(available_bytes)) };
        let most_bytes = match ordinary_bytes.checked_sub(tables.fixed_bytes) {
            None => 0,
            Some(left_bytes) => left_bytes
                .checked_div(of_region + tables.page_bytes)
                .map_or(u64::MAX, |most| most.saturating_mul(PAGE_BYTES)),
        };
        let usable_bytes = available_bytes.saturating_sub(reserve_bytes).min(most_bytes);
        Self { available_bytes, usable_bytes, reserve_bytes, ordinary_bytes, tables }
    }

    /// Why a region of `asked_bytes` is too much, in figures.
    pub(super) fn account(&self, asked_bytes: u64) -> String {
        let human = |bytes| ByteSize(bytes).human();
        let reserve = match self.reserve_bytes {
            0 => String::new(),
            bytes => format!(", of which {} stay free for the system", human(bytes)),
        };
        let tables = if asked_bytes <= self.available_bytes.saturating_sub(self.reserve_bytes) {
            format!(
                "; tables and stacks take {} of ordinary memory besides, of which {} can be had",
                human(self.tables.bytes(asked_bytes)),
                human(self.ordinary_bytes)
            )
        } else {
            String::new()
        };
        format!("{} are available{reserve}{tables}", human(self.available_bytes))
    }
}

/// What there is of the memory that a plan asks for.
pub(super) fn available(plan: &Plan, machine: &Machine) -> u64 {
    let stock = &machine.stock;
    let nodes: Vec<&Node> =
        stock.nodes.iter().filter(|node| is_chosen(plan, &stock.bound, node.id)).collect();
    let least = |all: u64, of: &dyn Fn(&Node) -> u64| {
        if nodes.is_empty() { all } else { all.min(nodes.iter().map(|node| of(node)).sum()) }
    };
    match huge(plan.kind.pages) {
        Some(free) => least(free(&stock.huge).unwrap_or(0), &|node| free(&node.huge).unwrap_or(0)),
        None => least(machine.available_bytes, &|node| node.available_bytes),
    }
}

/// Whether the memory comes from the node of this number and others like it, and from nowhere else. What the plan says goes
/// before an inherited policy.
pub(super) fn is_chosen(plan: &Plan, bound: &[u32], id: u32) -> bool {
    match plan.kind.numa {
        Some(Numa::Node(wanted)) => wanted == id,
        Some(Numa::Interleave) => false,
        None => bound.contains(&id),
    }
}

/// What stays free of so much ordinary memory.
fn reserve(available_bytes: u64) -> u64 {
    (available_bytes / 20).max(RESERVE_FLOOR_BYTES).min(available_bytes)
}

/// Where the free huge pages of this size are written; none for pages that come from no pool.
fn huge(pages: PageSize) -> Option<fn(&HugePages) -> Option<u64>> {
    match pages {
        PageSize::Base | PageSize::Transparent => None,
        PageSize::Huge2M => Some(|huge| huge.free_2m_bytes),
        PageSize::Huge1G => Some(|huge| huge.free_1g_bytes),
    }
}

/// What is free of the pool that `pages` come from; nothing where they come from none.
pub(super) fn free_huge(from: &HugePages, pages: PageSize) -> u64 {
    huge(pages).and_then(|free| free(from)).unwrap_or(0)
}

/// Takes `bytes` from the pool that `pages` come from, where they come from one.
pub(super) const fn take_huge(huge: &mut HugePages, pages: PageSize, bytes: u64) {
    let free = match pages {
        PageSize::Base | PageSize::Transparent => return,
        PageSize::Huge2M => &mut huge.free_2m_bytes,
        PageSize::Huge1G => &mut huge.free_1g_bytes,
    };
    if let Some(free) = free {
        *free = free.saturating_sub(bytes);
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
            what: format!(
                "--numa {id} is not there: the nodes with memory that may be used are [{}]",
                nodes.join(", ")
            ),
            remedy: "name one of them, or leave --numa out".into(),
        });
    }
    if kind.numa == Some(Numa::Interleave) && stock.nodes.is_empty() {
        faults.push(Fault {
            what: "--numa interleave is not there: this kernel names no nodes with memory".into(),
            remedy: "leave --numa out".into(),
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
pub(super) fn refill(pages: PageSize, asked_bytes: u64, free_bytes: u64, is_limited: bool) -> Option<String> {
    let missing = asked_bytes.saturating_sub(free_bytes) / pages.bytes();
    let ways = || {
        if is_limited {
            return format!("raise hugetlb.{pages}B.max of its cgroup, which allows no more");
        }
        format!(
            "raise /sys/kernel/mm/hugepages/hugepages-{}kB/nr_hugepages by {missing} (early after boot: memory \
             fragments)",
            pages.bytes() >> 10
        )
    };
    pages.is_pooled().then(ways)
}
