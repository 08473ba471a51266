//! From what is asked to what will be done: every fault of a plan at once, each with its remedy.

use super::{
    BacklogPolicy, ContentSpec, Fault, Faults, Load, Machine, MemoryAmount, MemoryKind, PaceSpec,
    PatternSpec, Plan, PlannedPhase, WORD_BYTES, dedup_fault, pace, phase, pool,
};
use crate::units::{ByteSize, Nanos, PageCount, Rate, Share};
use serde::{Deserialize, Serialize};

/// A plan that can be carried out, every value resolved. `hello` echoes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct Checked {
    /// Memory to dirty, whole pages.
    pub memory_bytes: u64,
    /// What kind of memory.
    #[serde(default, flatten)]
    pub kind: MemoryKind,
    /// The dirty rate asked for, as text.
    pub rate: Rate,
    /// The same in page visits a second; absent for `max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_pages_per_s: Option<u64>,
    /// The order of visits.
    pub pattern: PatternSpec,
    /// When visits are due.
    #[serde(default)]
    pub pace: PaceSpec,
    /// What becomes of visits that a stall delayed.
    #[serde(default)]
    pub backlog: BacklogPolicy,
    /// How many times faster than its schedule a writer catches up at most.
    #[serde(default = "catch_up")]
    pub catch_up: u32,
    /// The share of visits that only read.
    #[serde(default)]
    pub reads: Share,
    /// How much of a page a visit writes, in bytes; a stamp at least where there are stamps.
    #[serde(default = "word")]
    pub write_bytes: u64,
    /// What pages hold beyond their stamp.
    #[serde(default)]
    pub content: ContentSpec,
    /// The share of the pages that hold the same bytes as another page.
    #[serde(default)]
    pub dedup: Share,
    /// Whether pages carry stamps that are checked.
    #[serde(default)]
    pub verify: bool,
    /// Whether each visit is timed.
    #[serde(default = "timed")]
    pub latency: bool,
    /// Writers.
    pub threads: u32,
    /// How long to run; absent means until told to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ns: Option<u64>,
    /// The unperturbed time at the start.
    pub baseline_ns: u64,
    /// The length of one interval.
    pub interval_ns: u64,
    /// Where the page sequence and the content start from.
    pub seed: u64,
    /// The phases after the baseline, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<PlannedPhase>,
    /// Whether they begin anew when they are over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeat: bool,
}

/// What records say that are older than the choice.
fn catch_up() -> u32 {
    pace::CATCH_UP
}

/// What a plan of schema 1 without the field wrote.
const fn word() -> u64 {
    WORD_BYTES
}

/// A plan of schema 1 without the field timed every visit.
const fn timed() -> bool {
    true
}

impl Checked {
    /// The pages of all writers together.
    pub fn pages(&self) -> PageCount {
        PageCount::in_bytes(self.memory_bytes)
    }

    /// The load at the top of the plan: what a run without phases does.
    pub const fn load(&self) -> Load {
        Load {
            rate: self.rate,
            ramp: None,
            pattern: self.pattern,
            pace: self.pace,
            backlog: self.backlog,
            catch_up: self.catch_up,
            reads: self.reads,
            write_bytes: self.write_bytes,
            content: self.content,
        }
    }

    /// The load that the run begins with: the first phase's where there are phases, as it is before any ramp.
    pub fn first_load(&self) -> Load {
        self.phases.first().map_or_else(|| self.load(), |phase| phase.load.beginning())
    }
}

/// The shortest interval that is worth a record.
const INTERVAL_FLOOR: Nanos = Nanos::from_ms(20);
/// The longest interval: an hour.
const INTERVAL_CEILING: Nanos = Nanos::from_secs(3600);
/// Beyond one writer a page there is nothing to do; this bounds what the writers' own tables take.
const THREADS_CEILING: u32 = 1024;

/// Turns what is asked into what will be done on this machine.
///
/// # Errors
/// Every fault of the plan, each with its remedy.
pub fn check(plan: &Plan, machine: &Machine) -> Result<Checked, Faults> {
    let mut faults = Vec::new();
    let threads = threads(plan, machine, &mut faults);
    let memory_bytes = memory(plan, machine, threads, &mut faults);
    times(plan, &mut faults);
    faults.extend(plan.load().faults());
    faults.extend(dedup_fault(plan.dedup, plan.verify));
    let phases = phase::planned(&plan.phases, &plan.load(), &mut faults);
    if plan.repeat && (phases.is_empty() || phases.iter().any(|phase| phase.duration_ns.is_none())) {
        faults.push(Fault {
            what: "repeat = true needs phases, each with a duration".into(),
            remedy: "give each [[phase]] a duration, or leave repeat out".into(),
        });
    }
    if !faults.is_empty() {
        return Err(Faults(faults));
    }
    Ok(Checked {
        memory_bytes,
        kind: plan.kind.clone(),
        rate: plan.rate,
        target_pages_per_s: plan.rate.pages_per_s(),
        pattern: plan.pattern,
        pace: plan.pace,
        backlog: plan.backlog,
        catch_up: plan.catch_up,
        reads: plan.reads,
        write_bytes: plan.write_bytes,
        content: plan.content,
        dedup: plan.dedup,
        verify: plan.verify,
        latency: plan.latency,
        threads,
        duration_ns: plan.duration.map(|span| span.0),
        baseline_ns: plan.baseline.0,
        interval_ns: plan.interval.0,
        seed: plan.seed,
        phases,
        repeat: plan.repeat,
    })
}

fn threads(plan: &Plan, machine: &Machine, faults: &mut Vec<Fault>) -> u32 {
    let threads = plan.threads.unwrap_or(machine.cpus.max(1));
    if threads == 0 || threads > THREADS_CEILING {
        faults.push(Fault {
            what: format!("--threads {threads} cannot be: there are 1 to {THREADS_CEILING} writers"),
            remedy: format!("leave --threads out for one writer per vCPU ({} here)", machine.cpus),
        });
    }
    threads
}

fn memory(plan: &Plan, machine: &Machine, threads: u32, faults: &mut Vec<Fault>) -> u64 {
    let pool = pool::Pool::of(plan, machine, threads);
    let asked = plan.memory_bytes(machine);
    pool::check(plan, asked, &machine.stock, faults);
    let least = PageCount(u64::from(threads.max(1))).bytes().max(plan.kind.pages.bytes());
    if let Some(refill) = pool::refill(plan.kind.pages, asked.max(least), pool.available_bytes)
        && pool.available_bytes < least
    {
        faults.push(Fault {
            what: format!(
                "--memory {} of --pages {} is not there: too few are free",
                plan.memory, plan.kind.pages
            ),
            remedy: format!("{refill} at least, or use --pages thp"),
        });
        return asked;
    }
    if asked < least {
        faults.push(Fault {
            what: format!(
                "--memory {} is less than one page of {} bytes, or of 4096 bytes for each of {threads} writers",
                plan.memory,
                plan.kind.pages.bytes()
            ),
            remedy: format!("ask for more, for example --memory {}", ByteSize(least.max(64 << 20))),
        });
    }
    if asked > pool.usable_bytes {
        let what = format!("--memory {} is not there: {}", plan.memory, pool.account(asked));
        faults.push(Fault { what, remedy: remedy(plan, machine, &pool, asked) });
    }
    asked
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
    let refill = pool::refill(pages, asked_bytes, pool.available_bytes);
    ways.push(match refill.filter(|_| asked_bytes > pool.available_bytes) {
        Some(refill) => refill,
        None if pages.is_pooled() => "leave more memory out of the pool of huge pages".into(),
        None => "give this machine more memory".into(),
    });
    ways.join(", or ")
}

impl Plan {
    /// The memory that is asked for on this machine, in whole pages of its kind.
    pub fn memory_bytes(&self, machine: &Machine) -> u64 {
        let page_bytes = self.kind.pages.bytes();
        self.memory.bytes(pool::available(self, machine)) / page_bytes * page_bytes
    }
}

/// A size to suggest: whole MiB, below `usable_bytes`.
fn suggestion(usable_bytes: u64) -> MemoryAmount {
    MemoryAmount::Bytes(ByteSize((usable_bytes >> 20) << 20))
}

fn times(plan: &Plan, faults: &mut Vec<Fault>) {
    if plan.interval < INTERVAL_FLOOR || plan.interval > INTERVAL_CEILING {
        faults.push(Fault {
            what: format!("--interval {} is outside {INTERVAL_FLOOR} to {INTERVAL_CEILING}", plan.interval),
            remedy: "use --interval 100ms for a fine resolution, 1s for a small report".into(),
        });
    }
    if plan.duration.is_some_and(|duration| duration.0 == 0) {
        faults.push(Fault {
            what: "--duration 0s would end before it began".into(),
            remedy: "leave --duration out to run until stopped, or give a time such as 10s".into(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HugePages, Stock};
    use super::*;

    const MACHINE: Machine = Machine {
        available_bytes: 1 << 30,
        cpus: 2,
        stock: Stock {
            huge: HugePages { free_2m_bytes: None, free_1g_bytes: None },
            nodes: Vec::new(),
            lock_limit_bytes: None,
        },
    };

    #[test]
    fn the_default_plan_takes_one_writer_per_vcpu() {
        let checked = check(&Plan::default(), &MACHINE).unwrap();
        assert_eq!((checked.threads, checked.pages()), (2, PageCount(131_072)));
        assert_eq!(checked.target_pages_per_s, Some(25_600));
    }

    #[test]
    fn memory_that_is_not_there_is_refused_with_what_is_and_the_flag() {
        let plan = Plan { memory: "2G".parse().unwrap(), ..Plan::default() };
        let message = check(&plan, &MACHINE).unwrap_err().to_string();
        assert!(
            message.contains("2G") && message.contains("1.0 GiB") && message.contains("--memory 968M"),
            "{message}"
        );
    }

    #[test]
    fn a_share_of_all_memory_leaves_the_reserve_and_is_refused() {
        let plan = Plan { memory: "100%".parse().unwrap(), ..Plan::default() };
        assert!(check(&plan, &MACHINE).is_err());
        let plan = Plan { memory: "90%".parse().unwrap(), ..Plan::default() };
        assert!(check(&plan, &MACHINE).is_ok());
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let plan = Plan {
            memory: "1".parse().unwrap(),
            threads: Some(0),
            interval: Nanos::from_ms(1),
            duration: Some(Nanos(0)),
            catch_up: 0,
            ..Plan::default()
        };
        let faults = check(&plan, &MACHINE).unwrap_err();
        assert_eq!(faults.0.len(), 5, "{faults}");
    }
}
