//! Writers: threads that fill their slice, wait at the gate, and then do the work.

use super::{
    EngineError,
    control::Control,
    threads,
    visitor::{Stamps, Visitor},
    worker::{self, Work},
};
use crate::{
    clock::{Clock, Monotonic},
    content::{Ledger, Palette, new_tag},
    pace::{Pacer, Part},
    pattern::{Reads, pattern_at, writer_seed},
    plan::Checked,
    probe::thread_cpu_ns,
    region::Slice,
    tally::{StampTally, VisitTally},
};
use nix::unistd::{Pid, gettid};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread::JoinHandle,
};

/// Separates the seed of a writer's content from that of its sequence.
const CONTENT_SEED: u64 = 0x7375_6c6c_7921_0001;

/// How long the sweep at the end may take: less than the engine waits for its threads.
const SWEEP_LIMIT_NS: u64 = 4_000_000_000;

/// One writer, seen from outside.
#[derive(Debug)]
pub(super) struct Writer {
    /// Where it is pinned.
    pub(super) on: u32,
    pub(super) tally: Arc<VisitTally>,
    /// None without page stamps.
    pub(super) stamps: Option<Arc<StampTally>>,
    cpu: Arc<Meter>,
    id: Pid,
    /// None once it has been joined or given up.
    pub(super) thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// The CPU time it has taken. Costs the writer nothing.
    pub(super) fn cpu_ns(&self) -> u64 {
        let ended = || self.cpu.ended_ns.load(Ordering::Relaxed);
        match ended() {
            0 => thread_cpu_ns(self.id).unwrap_or_else(ended),
            total_ns => total_ns,
        }
    }
}

/// The CPU time of a writer that has ended, whichever way: its clock ends with it.
#[derive(Debug, Default)]
struct Meter {
    ended_ns: AtomicU64,
}

/// Writes the meter when the thread's body is left, by a panic too.
struct MeterAtEnd(Arc<Meter>);

impl Drop for MeterAtEnd {
    fn drop(&mut self) {
        self.0.ended_ns.store(thread_cpu_ns(gettid()).unwrap_or(0), Ordering::Relaxed);
    }
}

/// Starts a writer for each of `slices` and returns when all have filled theirs.
pub(super) fn start(
    plan: &Checked,
    cpus: &[u32],
    slices: Vec<Slice>,
    control: &Arc<Control>,
) -> Result<Vec<Writer>, EngineError> {
    let tag = new_tag();
    let started = slices.into_iter().zip(0u32..).zip(cpus.iter().cycle());
    let started =
        started.map(|((slice, index), cpu)| Starting::spawn(plan, (*cpu, index), tag, slice, control));
    let started = started.collect::<Result<Vec<_>, _>>()?;
    started.into_iter().map(|writer| writer.wait(control)).collect()
}

/// A writer that has not said yet that it is ready.
struct Starting {
    on: u32,
    tally: Arc<VisitTally>,
    stamps: Option<Arc<StampTally>>,
    cpu: Arc<Meter>,
    thread: JoinHandle<()>,
    ready: mpsc::Receiver<Result<Pid, EngineError>>,
}

impl Starting {
    fn spawn(
        plan: &Checked,
        (cpu, index): (u32, u32),
        tag: u64,
        slice: Slice,
        control: &Arc<Control>,
    ) -> Result<Self, EngineError> {
        let name = format!("sully-writer{index}");
        let (tally, meter) = (Arc::new(VisitTally::new(plan.rate.pages_per_s().is_some())), Arc::default());
        let stamps = plan.verify.then(|| Arc::new(StampTally::new()));
        let own_stamps = stamps.clone();
        let (say, ready) = mpsc::sync_channel(1);
        let (own_control, own_tally, own_meter) =
            (Arc::clone(control), Arc::clone(&tally), Arc::clone(&meter));
        let (plan, own_name) = (plan.clone(), name.clone());
        let body = move || {
            let _meter = MeterAtEnd(own_meter);
            let settled = threads::settle_on(&own_name, cpu).map(|()| gettid());
            let visitor = settled.is_ok().then(|| prepare(&plan, index, slice, tag, own_stamps));
            // Nobody listens any more when another writer failed: stop is then what the gate says.
            let _ = say.send(settled);
            drop(say);
            let Some((t0_ns, visitor)) = own_control.wait_at_gate().zip(visitor) else { return };
            let mut work = work(&plan, t0_ns, index, visitor);
            worker::run(&Monotonic, &own_control, &own_tally, &mut work);
            work.visitor.sweep(&Monotonic, Monotonic.now_ns().saturating_add(SWEEP_LIMIT_NS));
        };
        let thread = threads::spawn(&name, control, body)?;
        Ok(Self { on: cpu, tally, stamps, cpu: meter, thread, ready })
    }

    fn wait(self, control: &Control) -> Result<Writer, EngineError> {
        match self.ready.recv() {
            Ok(settled) => {
                let (tally, stamps, cpu) = (self.tally, self.stamps, self.cpu);
                Ok(Writer { on: self.on, tally, stamps, cpu, id: settled?, thread: Some(self.thread) })
            }
            Err(_) => Err(threads::died(self.thread, control)),
        }
    }
}

/// Touches every page, so that no first touch falls into a measured visit.
fn prepare(plan: &Checked, index: u32, slice: Slice, tag: u64, tally: Option<Arc<StampTally>>) -> Visitor {
    let palette = Palette::new(plan.write_bytes, plan.verify, writer_seed(plan.seed, index) ^ CONTENT_SEED);
    let stamps = tally.map(|tally| Stamps { ledger: Ledger::new(tag, slice.first(), slice.pages()), tally });
    Visitor::fill(slice, palette, stamps)
}

fn work(plan: &Checked, t0_ns: u64, index: u32, visitor: Visitor) -> Work {
    let (rate, seed) = (plan.visit_rate(), writer_seed(plan.seed, index));
    Work {
        pacer: Pacer::new(t0_ns, &Part::of(plan, index)),
        pattern: pattern_at(plan.pattern, rate.pages_per_s().unwrap_or(0), visitor.slice.pages(), seed),
        reads: Reads::new(plan.visit_mix(), seed),
        visitor,
        timed: plan.latency,
    }
}
