//! The engine: writers that dirty the region on schedule, canaries that notice when a vCPU is away, and snapshots of
//! what both counted. It knows neither wire nor host.

mod calls;
mod canary;
mod control;
mod course;
mod details;
mod diagnosis;
mod dirty;
mod error;
mod finds;
mod order;
mod realtime;
mod regions;
mod snapshot;
mod stamps;
mod status;
mod threads;
mod timing;
mod unit;
mod visitor;
mod work;
mod worker;
mod writer;

pub use error::EngineError;
pub use realtime::come_before_writers;
pub use snapshot::Snapshot;
pub use threads::rehearse;

use crate::{
    clock::{Clock, ClockFailure, Keeper, Monotonic, Resolution, timer_step_ns},
    content::{Journal, Ledger},
    pace::{Part, Schedule},
    plan::{Checked, Load},
    probe::{CallbackProbe, OwnPages, StealProbe, clocksource},
    record::{self, ClockFacts, MemoryFacts, SelfFacts},
    tally::{GapTally, StampTally, VisitTally},
    units::PageCount,
};
use canary::Canary;
use control::Control;
use course::Course;
use diagnosis::Diagnosis;
use regions::MappedRegions;
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
    /// Steal in ms as of the last look at the gaps.
    steal_seen_ms: Option<u64>,
    callbacks: CallbackProbe,
    /// Callbacks of the hypervisor as of the last time something took too long.
    callbacks_seen: Option<u64>,
    diagnosis: Diagnosis,
    own_pages: OwnPages,
    /// Of the interval that ends with the next snapshot.
    own_pages_dirtied: Option<u64>,
    clock: Keeper,
    memory: MemoryFacts,
    warning: Option<String>,
    regions: MappedRegions,
    /// From one wake of a timer to the next where it asks at once.
    timer_step_ns: u64,
    corruptions_told: usize,
    /// None before the gate is open.
    course: Option<Course>,
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
    /// Maps and fills the regions, proves them resident, and starts writers and canaries, which wait at a gate.
    ///
    /// Writers are pinned to `cpus` in turn; each of `cpus` has one canary.
    ///
    /// # Errors
    /// When the memory cannot be had or kept, a thread cannot be started or pinned, or the clock that is insisted on cannot
    /// be had.
    pub fn start(plan: &Checked, cpus: &[u32]) -> Result<Self, EngineError> {
        Self::start_while(plan, cpus, |_| true)
    }

    /// The same; `goes_on` hears now and then how many pages are filled, and says whether to go on.
    ///
    /// # Errors
    /// As before, and when it did not go on.
    pub fn start_while(
        plan: &Checked,
        cpus: &[u32],
        goes_on: impl FnMut(PageCount) -> bool,
    ) -> Result<Self, EngineError> {
        if cpus.is_empty() {
            return Err(EngineError::NoCpu);
        }
        // Before the memory is filled, which takes its time.
        let clock = timing::keeper(plan.clock)?;
        let (regions, slices) = MappedRegions::map(plan, cpus.len())?;
        let mut engine = Self {
            plan: plan.clone(),
            control: Arc::default(),
            writers: Vec::new(),
            canaries: Vec::new(),
            steal: StealProbe::open(),
            steal_seen_ms: None,
            callbacks: CallbackProbe::open(),
            callbacks_seen: None,
            diagnosis: Diagnosis::default(),
            own_pages: OwnPages::new(regions.ranges()),
            own_pages_dirtied: None,
            clock,
            memory: MemoryFacts::default(),
            warning: None,
            regions,
            timer_step_ns: 0,
            corruptions_told: 0,
            course: None,
            t0_ns: None,
            stopped_ns: None,
        };
        let prefault_ns;
        (engine.writers, prefault_ns) =
            writer::start(plan, cpus, slices, (&engine.clock, &engine.control), goes_on)?;
        (engine.memory, engine.warning) = engine.regions.inspect(plan, prefault_ns)?;
        if engine.memory.resident_bytes < engine.memory.bytes {
            return Err(EngineError::NotResident(engine.memory.clone()));
        }
        engine.watch(cpus)?;
        engine.regions.keep_files();
        engine.callbacks_seen = engine.callbacks.read();
        engine.steal_seen_ms = engine.steal.as_ref().and_then(StealProbe::read_ms);
        // The canaries have rehearsed meanwhile: long enough to tell the counter's pace.
        timing::calibrate(plan.clock, &mut engine.clock)?;
        Ok(engine)
    }

    /// Starts the canaries, where there are to be any, and finds out how timers wake.
    fn watch(&mut self, cpus: &[u32]) -> Result<(), EngineError> {
        let Some(asked_ns) = self.plan.canary.ns() else {
            self.timer_step_ns = timer_step_ns(&Monotonic);
            self.control.set_tick(record::tick_ns(self.timer_step_ns));
            return Ok(());
        };
        self.canaries = canary::start(cpus, (self.plan.baseline_ns, asked_ns), &self.control)?;
        self.timer_step_ns = self.canaries.iter().map(|canary| canary.timer_step_ns).min().unwrap_or(0);
        let tick_ns = canary::tick_ns(&self.canaries);
        self.control.set_tick(tick_ns);
        self.diagnosis = Diagnosis::of_ticks(canary::grain_ns(asked_ns, tick_ns));
        Ok(())
    }

    /// What the engine is made of. Measures the clock: takes about a millisecond.
    pub fn facts(&self) -> Facts {
        let Resolution { step_ns, read_ns } = self.clock.resolution();
        let tallies = self.writers.len() * VisitTally::bytes();
        let first = self.plan.first_load();
        let schedules = (0..self.plan.threads)
            .filter_map(|writer| Schedule::new(0, &Part::of(&self.plan, &first, writer)));
        let starts = schedules.map(|schedule| schedule.table_bytes()).sum::<usize>();
        let tables_bytes = tallies + starts + self.canaries.len() * GapTally::bytes();
        let stamped = self.writers.iter().filter(|writer| writer.stamps.is_some());
        let stamps = stamped.clone().count() * StampTally::bytes();
        let ledgers: u64 =
            stamped.map(|writer| Ledger::bytes(writer.pages()) + Journal::bytes(writer.pages())).sum();
        Facts {
            memory: self.memory.clone(),
            clock: ClockFacts {
                kind: if self.clock.hz().is_some() { "tsc" } else { "monotonic" }.into(),
                hz: self.clock.hz().unwrap_or(1_000_000_000),
                read_ns,
                step_ns: Some(step_ns),
                timer_step_ns: Some(self.timer_step_ns),
                clocksource: clocksource(),
            },
            self_facts: SelfFacts {
                gap_threshold_ns: self.canaries.iter().map(|canary| canary.tally.threshold()).max(),
                canary_period_ns: (self.plan.canary.ns())
                    .map(|asked_ns| canary::period_ns(asked_ns, self.control.tick_ns())),
                canary_realtime: !self.canaries.is_empty()
                    && self.canaries.iter().all(|canary| canary.realtime),
                tables_bytes: (tables_bytes + stamps) as u64 + ledgers,
            },
        }
    }

    /// What is less than was hoped for, in a sentence with the way out.
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// Lets writers and canaries go. Returns when the schedule begins: now, CLOCK_MONOTONIC.
    ///
    /// A gate that is open stays as it is.
    pub fn open_gate(&mut self) -> u64 {
        *self.t0_ns.get_or_insert_with(|| {
            let now_ns = Monotonic.now_ns();
            self.course = Some(Course::new(now_ns, self.plan.first_load()));
            self.control.open(now_ns);
            now_ns
        })
    }

    /// Has the writers go on with another load from now on, and opens the gate where it is not open.
    ///
    /// Returns at once: a writer takes it up between two batches, one that hangs in a fault later, and the accounts are
    /// exact meanwhile. What is left undone of the load before is given up.
    ///
    /// # Errors
    /// When the writers have not taken up the last few dozen yet.
    pub fn change(&mut self, load: Load) -> Result<(), EngineError> {
        self.open_gate();
        let Some(course) = &mut self.course else { return Ok(()) };
        let taken_up = self.writers.iter().map(|writer| writer.status.taken_up().changes).min();
        if !course.has_room(taken_up.unwrap_or(0)) {
            return Err(EngineError::Behind);
        }
        let (at_ns, before, number) = (Monotonic.now_ns(), course.now(), course.next_number());
        let tick_ns = self.control.tick_ns();
        for writer in &self.writers {
            writer.change(&self.plan, (&before, &load), (number, at_ns), tick_ns);
        }
        course.change(at_ns, load);
        self.control.call();
        Ok(())
    }

    /// Has the writers look at every page, which takes their time: visits due meanwhile come late. Returns at once.
    pub fn sweep(&self) {
        self.writers.iter().for_each(Writer::sweep);
        self.control.call();
    }

    /// From now on visits that take too long are told, each with how often its page was written since now. A later mark
    /// takes the place of an earlier one. Returns at once: a writer takes it up between two batches.
    pub fn mark(&mut self) {
        self.writers.iter_mut().for_each(Writer::mark);
        self.control.call();
    }

    /// How many sweeps every writer has ended, and the pages they came to.
    pub fn sweeps(&self) -> (u32, u64) {
        let sweeps = self.writers.iter().map(|writer| writer.status.sweeps());
        sweeps.fold((u32::MAX, 0), |(least, all), (ended, pages)| (least.min(ended), all + pages))
    }

    /// Has the writers dirty exactly so many different pages; to be ordered while the load is paused and no earlier such order is
    /// under way. Returns at once.
    pub fn dirty(&mut self, pages: u64) {
        let own: Vec<u64> = self
            .writers
            .iter()
            .zip(0..)
            .map(|(writer, index)| {
                let is_visited = self.plan.region_share(index).is_visited();
                if is_visited { writer.pages().0 } else { 0 }
            })
            .collect();
        let load = self.course.as_ref().map_or_else(|| self.plan.held_load(), Course::now);
        for (writer, count) in self.writers.iter().zip(dirty::parts(&own, pages)) {
            writer.dirty(&self.plan, &load, count);
        }
        self.control.call();
    }

    /// How many such orders every writer has ended, and the pages written by them.
    pub fn dirtied(&self) -> (u32, u64) {
        let dirtied = self.writers.iter().map(|writer| writer.status.dirtied());
        dirtied.fold((u32::MAX, 0), |(least, all), (ended, pages)| (least.min(ended), all + pages))
    }

    /// Corrupt pages found so far; none without stamps.
    pub fn corrupt_pages(&self) -> Option<u64> {
        let tallies = self.writers.iter().filter_map(|writer| writer.stamps.as_ref());
        self.plan.verify.then(|| tallies.map(|tally| tally.corrupt_pages()).sum())
    }

    /// Counts the pages that the program itself dirties, in an interval now and then. To be called just before each snapshot
    /// that ends an interval.
    pub fn count_own_pages(&mut self) {
        let control = &self.control;
        self.own_pages_dirtied = self.own_pages.turn(Monotonic.now_ns(), || control.makes_faults());
    }

    /// All counts so far. Never waits for a writer: it only loads, and begins another interval. A visit belongs to the
    /// interval in which it ended.
    ///
    /// After [`Self::stop`] its time stays the moment of stopping.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot_after(&Snapshot::default())
    }

    /// What [`Self::snapshot`] gives; it finds room for about as much as there was in `last`, and so takes no more memory.
    pub fn snapshot_after(&self, last: &Snapshot) -> Snapshot {
        self.snapshot_before(self.control.next_epoch(), last)
    }

    /// All counts before `epoch`, which has begun.
    fn snapshot_before(&self, epoch: u32, last: &Snapshot) -> Snapshot {
        let sources = Sources {
            epoch,
            plan: &self.plan,
            course: self.course.as_ref(),
            t0_ns: self.t0_ns,
            writers: &self.writers,
            canaries: &self.canaries,
            steal_ms: self.steal_seen_ms,
            callbacks: self.callbacks_seen,
            diagnosis: &self.diagnosis,
            own_pages_dirtied: self.own_pages_dirtied,
            clock_step_ns: self.clock.step_ns(),
        };
        snapshot::take(&sources, self.stopped_ns.unwrap_or_else(|| Monotonic.now_ns()), last)
    }

    /// Compares the clock that stamps visits with CLOCK_MONOTONIC, to be called about every 100 ms. Returns how it was
    /// found wrong, once; CLOCK_MONOTONIC is used from then on.
    pub fn check_clock(&mut self) -> Option<ClockFailure> {
        self.clock.check()
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

    /// Ends the load and waits for its threads, bounded. [`Self::stop`] is this and a snapshot.
    pub fn halt(&mut self) {
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
mod streams;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod truth;
