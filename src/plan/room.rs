//! Whether the memory that is asked for is there, region by region, and what to do where it is not.

use super::{Fault, Machine, MemoryAmount, Plan, pool};
use crate::units::{ByteSize, PageCount};

/// The bytes that `plan`, which has one region, asks for on `machine`; `left` is what earlier regions leave of it.
/// Every fault begins with `prefix`.
pub(super) fn memory(
    (prefix, plan): (&str, &Plan),
    (machine, left): (&Machine, &Machine),
    threads: u32,
    faults: &mut Vec<Fault>,
) -> u64 {
    let mut own = Vec::new();
    let asked = plan.memory_bytes(machine);
    check(plan, (asked, left), threads, &mut own);
    faults.extend(own.into_iter().map(|fault| Fault { what: prefix.to_owned() + &fault.what, ..fault }));
    asked
}

fn check(plan: &Plan, (asked, machine): (u64, &Machine), threads: u32, faults: &mut Vec<Fault>) {
    let pool = pool::Pool::of(plan, machine, threads);
    pool::check(plan, asked, &machine.stock, faults);
    let least = PageCount(u64::from(threads.max(1))).bytes().max(plan.kind.pages.bytes());
    if plan.kind.pages.is_pooled() && pool.available_bytes < least {
        faults.extend(empty_pool(plan, (asked.max(least), pool.available_bytes), machine));
        return;
    }
    if asked < least {
        faults.push(Fault {
            what: format!(
                "--memory {} is less than one page of {} bytes, or of 4096 bytes for each of {threads} writers",
                plan.memory,
                plan.kind.pages.bytes()
            ),
            remedy: format!(
                "ask for more, for example --memory {}; a number without a unit is bytes",
                ByteSize(least.max(64 << 20))
            ),
        });
    }
    if asked > pool.usable_bytes {
        let what = format!("--memory {} is not there: {}", plan.memory, pool.account(asked));
        faults.push(Fault { what, remedy: remedy(plan, machine, &pool, asked) });
    }
}

/// What is wrong with a pool of huge pages that has not even the least. A share is of the free ones: there the pages to add
/// are that share of the memory there is.
fn empty_pool(plan: &Plan, (asked, free): (u64, u64), machine: &Machine) -> Option<Fault> {
    let refill = |bytes| pool::refill(plan.kind.pages, bytes, free, machine.stock.huge_is_limited);
    let way = match plan.memory {
        MemoryAmount::OfAvailable(share) if share.of(machine.available_bytes) > asked => format!(
            "{}, for {share} of the memory available now, and ask for --memory 100% of them",
            refill(share.of(machine.available_bytes))?
        ),
        _ => format!("{} at least", refill(asked)?),
    };
    Some(Fault {
        what: format!(
            "--memory {} of --pages {} is not there: too few are free",
            plan.memory, plan.kind.pages
        ),
        remedy: format!("{way}, or use --pages thp"),
    })
}

/// What to do when there is less than `asked_bytes`.
fn remedy(plan: &Plan, machine: &Machine, pool: &pool::Pool, asked_bytes: u64) -> String {
    let mut ways = Vec::new();
    if suggestion(pool.usable_bytes) != MemoryAmount::Bytes(ByteSize(0)) {
        ways.push(format!("ask for at most --memory {}", suggestion(pool.usable_bytes)));
    }
    if plan.threads.is_some_and(|threads| threads > machine.cpus) {
        ways.push(format!("use fewer --threads (there are {} CPUs)", machine.cpus));
    }
    let pages = plan.kind.pages;
    let refill = pool::refill(pages, asked_bytes, pool.available_bytes, machine.stock.huge_is_limited);
    ways.push(match refill.filter(|_| asked_bytes > pool.available_bytes) {
        Some(refill) => refill,
        None if pages.is_pooled() => "leave more memory out of the pool of huge pages".into(),
        None => "give this machine more memory".into(),
    });
    ways.join(", or ")
}

/// A size to suggest: whole MiB, below `usable_bytes`.
fn suggestion(usable_bytes: u64) -> MemoryAmount {
    MemoryAmount::Bytes(ByteSize((usable_bytes >> 20) << 20))
}

/// Takes from `left` what a region of `bytes` and its `threads` writers take.
pub(super) fn take(left: &mut Machine, plan: &Plan, bytes: u64, threads: u32) {
    let (pages, tables) = (plan.kind.pages, pool::Pool::of(plan, left, threads).tables.bytes(bytes));
    let huge = if pages.is_pooled() { bytes } else { 0 };
    left.available_bytes = left.available_bytes.saturating_sub(tables.saturating_add(bytes - huge));
    pool::take_huge(&mut left.stock.huge, pages, bytes);
    let (bound, mut missing_bytes) = (&left.stock.bound, bytes);
    for node in left.stock.nodes.iter_mut().filter(|node| pool::is_chosen(plan, bound, node.id)) {
        let free_bytes =
            if pages.is_pooled() { pool::free_huge(&node.huge, pages) } else { node.available_bytes };
        let taken_bytes = missing_bytes.min(free_bytes);
        missing_bytes -= taken_bytes;
        if pages.is_pooled() {
            pool::take_huge(&mut node.huge, pages, taken_bytes);
        } else {
            node.available_bytes -= taken_bytes;
        }
    }
    if plan.kind.lock {
        left.stock.lock_limit_bytes = left.stock.lock_limit_bytes.map(|limit| limit.saturating_sub(bytes));
    }
}

impl Plan {
    /// The writers that are asked for on this machine: of a plan with one region.
    pub fn writers(&self, machine: &Machine) -> u32 {
        let cpus = self.cpus.as_ref().map(|cpus| u32::try_from(cpus.numbers().len()).unwrap_or(u32::MAX));
        self.threads.or(cpus).unwrap_or(machine.cpus.max(1))
    }

    /// What there is of the kind of memory, and on the nodes, that is asked for: of a plan with one region.
    pub fn available_bytes(&self, machine: &Machine) -> u64 {
        pool::available(self, machine)
    }

    /// The memory that is asked for on this machine, in whole pages of its kind: of a plan with one region.
    pub fn memory_bytes(&self, machine: &Machine) -> u64 {
        let page_bytes = self.kind.pages.bytes();
        self.memory.bytes(pool::available(self, machine)) / page_bytes * page_bytes
    }
}
