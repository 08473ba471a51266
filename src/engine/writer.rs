//! Writers: threads that fill their slice, wait at the gate, and then do the work.

use super::{
    EngineError,
    control::Control,
    threads,
    worker::{self, Work},
};
use crate::{
    clock::Monotonic,
    content::{Filler, Strokes},
    pace::Pacer,
    pattern::{pattern, writer_seed},
    plan::Checked,
    probe::thread_cpu_ns,
    region::Slice,
    tally::VisitTally,
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

/// One writer, seen from outside.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) tally: Arc<VisitTally>,
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
    let started = slices.into_iter().zip(0u32..).zip(cpus.iter().cycle());
    let started = started.map(|((slice, index), cpu)| Starting::spawn(plan, *cpu, index, slice, control));
    let started = started.collect::<Result<Vec<_>, _>>()?;
    started.into_iter().map(|writer| writer.wait(control)).collect()
}

/// A writer that has not said yet that it is ready.
struct Starting {
    tally: Arc<VisitTally>,
    cpu: Arc<Meter>,
    thread: JoinHandle<()>,
    ready: mpsc::Receiver<Result<Pid, EngineError>>,
}

impl Starting {
    fn spawn(
        plan: &Checked,
        cpu: u32,
        index: u32,
        mut slice: Slice,
        control: &Arc<Control>,
    ) -> Result<Self, EngineError> {
        let name = format!("sully-writer{index}");
        let (tally, meter) = (Arc::new(VisitTally::new(plan.rate.pages_per_s().is_some())), Arc::default());
        let (say, ready) = mpsc::sync_channel(1);
        let (own_control, own_tally, own_meter) =
            (Arc::clone(control), Arc::clone(&tally), Arc::clone(&meter));
        let (plan, own_name) = (plan.clone(), name.clone());
        let body = move || {
            let _meter = MeterAtEnd(own_meter);
            let settled = threads::settle_on(&own_name, cpu).map(|()| gettid());
            let settled = settled.and_then(|id| prepare(&plan, index, &mut slice).map(|()| id));
            // Nobody listens any more when another writer failed: stop is then what the gate says.
            let _ = say.send(settled);
            drop(say);
            let Some(t0_ns) = own_control.wait_at_gate() else { return };
            worker::run(&Monotonic, &own_control, &own_tally, &mut work(&plan, t0_ns, index, slice));
        };
        let thread = threads::spawn(&name, control, body)?;
        Ok(Self { tally, cpu: meter, thread, ready })
    }

    fn wait(self, control: &Control) -> Result<Writer, EngineError> {
        match self.ready.recv() {
            Ok(settled) => {
                Ok(Writer { tally: self.tally, cpu: self.cpu, id: settled?, thread: Some(self.thread) })
            }
            Err(_) => Err(threads::died(self.thread, control)),
        }
    }
}

/// Touches every page, so that no first touch falls into a measured visit.
fn prepare(plan: &Checked, index: u32, slice: &mut Slice) -> Result<(), EngineError> {
    let mut filler = Filler::new(writer_seed(plan.seed, index) ^ CONTENT_SEED);
    Ok(slice.fill(|words| filler.fill(words))?)
}

fn work(plan: &Checked, t0_ns: u64, index: u32, slice: Slice) -> Work {
    Work {
        pacer: Pacer::new(plan.rate, t0_ns, index, plan.threads),
        pattern: pattern(plan.pattern, slice.pages(), writer_seed(plan.seed, index)),
        slice,
        strokes: Strokes::default(),
    }
}
