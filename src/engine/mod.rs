//! The engine: writers that dirty the region on schedule, canaries that notice when a vCPU is away, and snapshots of
//! what both counted. It knows neither wire nor host.

mod canary;
mod control;
mod error;
mod finds;
mod realtime;
mod snapshot;
mod threads;
mod visitor;
mod worker;
mod writer;

pub use error::EngineError;
pub use snapshot::Snapshot;

use crate::{
    clock::{Clock, Monotonic, read_cost_ns},
    content::Ledger,
    diagnose::{LongVisit, Sight, classify},
    pace::{Part, Schedule},
    plan::Checked,
    probe::{StealProbe, host_facts},
    record::{ClockFacts, Corruption, Gap, MemoryFacts, SelfFacts},
    region::Region,
    tally::{GapTally, RING_RECORDS, StampTally},
};
use canary::Canary;
use control::Control;
use snapshot::Sources;
use std::sync::Arc;
use writer::Writer;

/// How long [`Engine::stop`] waits for its threads. A writer may hang in a fault that the hypervisor does not answer;
/// it is then left alone, and its memory with it.
const STOP_LIMIT_NS: u64 = 5_000_000_000;

/// The most records of corrupt pages; more are only counted.
pub const CORRUPTION_RECORDS: usize = 1000;

/// A running load. Dropping it ends its threads.
#[derive(Debug)]
pub struct Engine {
    plan: Checked,
    control: Arc<Control>,
    writers: Vec<Writer>,
    canaries: Vec<Canary>,
    steal: Option<StealProbe>,
    memory: MemoryFacts,
    /// Kept to the end: giving gigabytes back takes seconds, and no writer is to spend them.
    region: Region,
    corruptions_told: usize,
    t0_ns: Option<u64>,
    stopped_ns: Option<u64>,
}

/// What the engine is made of, for `hello`.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The region, as found after it was filled.
    pub memory: MemoryFacts,
    /// The clock that stamps.
    pub clock: ClockFacts,
    /// What the engine itself costs.
    pub self_facts: SelfFacts,
}

impl Engine {
    /// Maps and fills the region, proves it resident, and starts writers and canaries, which wait at a gate.
    ///
    /// Writers are pinned to `cpus` in turn; each of `cpus` has one canary.
    ///
    /// # Errors
    /// When the memory cannot be had or kept, or a thread cannot be started or pinned.
    pub fn start(plan: &Checked, cpus: &[u32]) -> Result<Self, EngineError> {
        if cpus.is_empty() {
            return Err(EngineError::NoCpu);
        }
        let begin_ns = Monotonic.now_ns();
        let (region, slices) = Region::map(plan.pages(), plan.threads)?;
        let mut engine = Self {
            plan: plan.clone(),
            control: Arc::default(),
            writers: Vec::new(),
            canaries: Vec::new(),
            steal: StealProbe::open(),
            memory: MemoryFacts { bytes: region.pages().bytes(), resident_bytes: 0, prefault_ns: 0 },
            region,
            corruptions_told: 0,
            t0_ns: None,
            stopped_ns: None,
        };
        engine.writers = writer::start(plan, cpus, slices, &engine.control)?;
        engine.memory.prefault_ns = Monotonic.now_ns().saturating_sub(begin_ns);
        engine.memory.resident_bytes = engine.region.resident()?.bytes();
        if engine.memory.resident_bytes < engine.memory.bytes {
            return Err(EngineError::NotResident(engine.memory.clone()));
        }
        engine.canaries = canary::start(cpus, plan.baseline_ns, &engine.control)?;
        Ok(engine)
    }

    /// What the engine is made of. Measures the clock: takes about a millisecond.
    pub fn facts(&self) -> Facts {
        let tallies = self.writers.iter().map(|writer| writer.tally.bytes()).sum::<usize>();
        let schedules =
            (0..self.plan.threads).filter_map(|writer| Schedule::new(0, &Part::of(&self.plan, writer)));
        let starts = schedules.map(|schedule| schedule.table_bytes()).sum::<usize>();
        let tables_bytes = tallies + starts + self.canaries.len() * GapTally::bytes();
        let stamps =
            self.writers.iter().filter(|writer| writer.stamps.is_some()).count() * StampTally::bytes();
        let ledgers = if self.plan.verify { Ledger::bytes(self.plan.pages()) } else { 0 };
        Facts {
            memory: self.memory.clone(),
            clock: ClockFacts {
                kind: "monotonic".into(),
                hz: 1_000_000_000,
                read_ns: read_cost_ns(&Monotonic),
                clocksource: host_facts().clocksource,
            },
            self_facts: SelfFacts {
                gap_threshold_ns: self
                    .canaries
                    .iter()
                    .map(|canary| canary.tally.threshold())
                    .max()
                    .unwrap_or(0),
                canary_period_ns: canary::PERIOD_NS,
                canary_realtime: self.canaries.iter().all(|canary| canary.realtime),
                tables_bytes: (tables_bytes + stamps) as u64 + ledgers,
            },
        }
    }

    /// Lets writers and canaries go. Returns when the schedule begins: now, CLOCK_MONOTONIC.
    ///
    /// A gate that is open stays as it is.
    pub fn open_gate(&mut self) -> u64 {
        let control = &self.control;
        *self.t0_ns.get_or_insert_with(|| {
            let now_ns = Monotonic.now_ns();
            control.open(now_ns);
            now_ns
        })
    }

    /// All counts so far. Never waits for a writer: it only loads, and begins another interval. A visit belongs to the
    /// interval in which it began.
    ///
    /// After [`Self::stop`] its time stays the moment of stopping.
    pub fn snapshot(&self) -> Snapshot {
        let sources = Sources {
            epoch: self.control.next_epoch(),
            plan: &self.plan,
            t0_ns: self.t0_ns,
            writers: &self.writers,
            canaries: &self.canaries,
            steal: self.steal.as_ref(),
        };
        snapshot::take(&sources, self.stopped_ns.unwrap_or_else(|| Monotonic.now_ns()))
    }

    /// Moves the gap records that came since the last call to `into`; at most as many as the rings hold.
    pub fn take_gaps(&mut self, into: &mut Vec<Gap>) {
        for canary in &self.canaries {
            for _ in 0..RING_RECORDS {
                let Some(gap) = canary.tally.take() else { break };
                into.push(Gap {
                    cpu: canary.cpu,
                    start_ns: gap.start_ns,
                    len_ns: gap.len_ns,
                    class: classify(gap.len_ns, &gap.features),
                    confidence: None,
                    visit: None,
                    features: gap.features,
                });
            }
        }
    }

    /// Moves the long visits that came since the last call to `into`; at most as many as the rings hold.
    pub fn take_long_visits(&mut self, into: &mut Vec<LongVisit>) {
        for writer in &self.writers {
            let taken = std::iter::from_fn(|| writer.tally.long.take()).take(RING_RECORDS);
            into.extend(taken.map(|visit| LongVisit {
                cpu: writer.on,
                start_ns: visit.start_ns,
                len_ns: visit.len_ns,
                last_visited_ns: visit.page_visited_ns,
                writes: visit.writes,
            }));
        }
    }

    /// What the canaries can see.
    pub fn sight(&self) -> Sight {
        let thresholds = self.canaries.iter().map(|canary| canary.tally.threshold());
        Sight {
            period_ns: canary::PERIOD_NS,
            threshold_ns: thresholds.max().unwrap_or(0),
            canaries: self.canaries.len(),
        }
    }

    /// Moves the corrupt pages found since the last call to `into`; at most [`CORRUPTION_RECORDS`] in all.
    pub fn take_corruptions(&mut self, into: &mut Vec<Corruption>) {
        for tally in self.writers.iter().filter_map(|writer| writer.stamps.as_ref()) {
            while self.corruptions_told < CORRUPTION_RECORDS
                && let Some(find) = tally.take()
            {
                self.corruptions_told += 1;
                into.push(finds::corruption(&find));
            }
        }
    }

    /// How a writer or canary died, if one did.
    pub fn failure(&self) -> Option<String> {
        self.control.failure()
    }

    /// Ends the load, waits for its threads (bounded), and takes the last snapshot.
    ///
    /// What the threads took to end is not in its time, or every mean rate would come out too low. The memory is
    /// given back when the engine is dropped, which may take seconds: tell the world first.
    pub fn stop(&mut self) -> Snapshot {
        self.halt();
        self.snapshot()
    }

    fn halt(&mut self) {
        self.stopped_ns.get_or_insert_with(|| Monotonic.now_ns());
        self.control.stop();
        let writers = self.writers.iter_mut().filter_map(|writer| writer.thread.take());
        let canaries = self.canaries.iter_mut().filter_map(|canary| canary.thread.take());
        threads::join(writers.chain(canaries).collect(), STOP_LIMIT_NS);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.halt();
    }
}

#[cfg(test)]
mod injection;
#[cfg(test)]
mod tests;
