//! Writers: threads that fill their slice, wait at the gate, and then do the work.

use super::{
    EngineError,
    control::Control,
    dirty::DirtyPart,
    order::{Change, Order},
    stamps::Stamps,
    status::WriterStatus,
    threads,
    visitor::Visitor,
    work::{Drawn, Sums, Work},
    worker,
};
use crate::{
    clock::{Clock, Counting, Keeper, Monotonic},
    content::{Ledger, PageFiller, new_tag},
    pace::{Pacer, Part},
    pattern::{AddressPattern, Reads, pattern_at, writer_seed},
    plan::{Checked, Load},
    probe::thread_cpu_ns,
    region::Slice,
    tally::{StampTally, VisitTally},
    units::{Nanos, PageCount},
};
use nix::unistd::{Pid, gettid};
use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread::JoinHandle,
};

/// Separates the seed of a writer's content from that of its sequence.
const CONTENT_SEED: u64 = 0x7375_6c6c_7921_0001;

/// How often it is asked whether to go on with the filling.
const ASK_AGAIN: Nanos = Nanos::from_ms(50);

/// How long the sweep at the end may take: less than the engine waits for its threads.
const SWEEP_LIMIT_NS: u64 = 4_000_000_000;

/// One writer, seen from outside.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) tally: Arc<VisitTally>,
    /// None without page stamps.
    pub(super) stamps: Option<Arc<StampTally>>,
    /// What it says of its orders.
    pub(super) status: Arc<WriterStatus>,
    orders: mpsc::Sender<Order>,
    index: u32,
    pages: PageCount,
    /// The CPU it is pinned to.
    pub(super) on: u32,
    /// Marks ordered so far.
    marks: u32,
    cpu: Arc<Meter>,
    id: Pid,
    /// None once it has been joined or given up.
    pub(super) thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Has it go on with the load `to` instead of `from`, the load of this `number` (the first is 0), as from `at_ns` on, with timers
    /// that wake with ticks of `tick_ns`. Never waits; to be followed by a call.
    pub(super) fn change(
        &self,
        plan: &Checked,
        (from, to): (&Load, &Load),
        (number, at_ns): (u32, u64),
        tick_ns: u64,
    ) {
        let (index, seed) = (self.index, writer_seed(plan.seed, self.index));
        let (share, part) = (plan.region_share(index), Part::of(plan, to, index).on(self.on, tick_ns));
        let (from, to) = (&share.load(from), &share.load(to));
        let visits_per_s = to.visit_rate().pages_per_s().unwrap_or(0);
        let change = Change {
            at_ns,
            pacer: Pacer::new(at_ns, &part),
            pattern: (from.pattern != to.pattern)
                .then(|| pattern_at(to.pattern, visits_per_s, self.pages, seed)),
            visits_per_s,
            own_visits_per_s: part.most_visits_per_s(),
            reads: (from.visit_mix() != to.visit_mix()).then(|| Reads::new(to.visit_mix(), seed)),
            filler: ((from.write_bytes, from.content) != (to.write_bytes, to.content))
                .then(|| filler(plan, to, index, number)),
        };
        // A writer that has ended has nobody to tell.
        let _ = self.orders.send(Order::Change(Box::new(change)));
    }

    /// How many pages are its own.
    pub(super) const fn pages(&self) -> PageCount {
        self.pages
    }

    /// Has it look at every page. Never waits; to be followed by a call.
    pub(super) fn sweep(&self) {
        let _ = self.orders.send(Order::Sweep);
    }

    /// Has it dirty so many different pages of its own. Never waits; to be followed by a call.
    pub(super) fn dirty(&self, plan: &Checked, load: &Load, count: u64) {
        let part = DirtyPart::new(plan, load, (self.index, self.pages), count);
        let _ = self.orders.send(Order::Dirty(part));
    }

    /// Has it remember how often each page was written, as from the moment when it takes that up. One order at a time is
    /// enough: an earlier one that waits is taken up later than now. Never waits; to be followed by a call.
    pub(super) fn mark(&mut self) {
        if self.stamps.is_none() || self.status.marks() != self.marks {
            return;
        }
        let Ok(pages) = usize::try_from(self.pages.0) else { return };
        // Touched here, so that the writer need not.
        let mut written = std::hint::black_box(vec![1; pages]);
        written.fill(0);
        if self.orders.send(Order::Mark(written.into())).is_ok() {
            self.marks = self.marks.wrapping_add(1);
        }
    }

    /// The CPU time it has taken. Costs the writer nothing.
    pub(super) fn cpu_ns(&self) -> u64 {
        let ended = || self.cpu.ended_ns.load(Ordering::Acquire);
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
        self.0.ended_ns.store(thread_cpu_ns(gettid()).unwrap_or(0), Ordering::Release);
    }
}

/// Starts a writer for each of `slices` and returns when all have filled theirs, with what that took from the first
/// page to the last.
pub(super) fn start(
    plan: &Checked,
    cpus: &[u32],
    mut slices: Vec<Slice>,
    (keeper, control): (&Keeper, &Arc<Control>),
    mut goes_on: impl FnMut(PageCount) -> bool,
) -> Result<(Vec<Writer>, u64), EngineError> {
    let tag = new_tag();
    // CPUs without a writer help those that have one.
    let (on, writers) = (plan.writer_cpus(cpus), slices.len());
    let idle = || cpus.iter().copied().filter(|cpu| !on.contains(cpu));
    for (index, slice) in slices.iter_mut().enumerate() {
        slice.lend(idle().skip(index).step_by(writers).collect());
    }
    let started = slices.into_iter().zip(0u32..).zip(&on);
    let started = started.map(|((slice, index), cpu)| {
        Starting::spawn(plan, (*cpu, index), tag, slice, (keeper.clock(), control))
    });
    let started = started.collect::<Result<Vec<_>, _>>()?;
    let mut writers = Vec::new();
    let (mut begin_ns, mut end_ns) = (u64::MAX, 0);
    for starting in started {
        let (writer, filling_ns) = starting.wait(control, &mut goes_on)?;
        (begin_ns, end_ns) = (begin_ns.min(filling_ns.start), end_ns.max(filling_ns.end));
        writers.push(writer);
    }
    Ok((writers, end_ns.saturating_sub(begin_ns)))
}

/// A writer that has not said yet that it is ready.
struct Starting {
    tally: Arc<VisitTally>,
    stamps: Option<Arc<StampTally>>,
    status: Arc<WriterStatus>,
    orders: mpsc::Sender<Order>,
    index: u32,
    on: u32,
    pages: PageCount,
    cpu: Arc<Meter>,
    thread: JoinHandle<()>,
    ready: mpsc::Receiver<Result<(Pid, Range<u64>), EngineError>>,
}

impl Starting {
    fn spawn(
        plan: &Checked,
        (cpu, index): (u32, u32),
        tag: u64,
        slice: Slice,
        (clock, control): (Counting, &Arc<Control>),
    ) -> Result<Self, EngineError> {
        let name = format!("sully-writer{index}");
        let (tally, status, meter) =
            (Arc::new(VisitTally::new()), Arc::<WriterStatus>::default(), Arc::default());
        let is_stamped = plan.verify && !plan.region_share(index).computes();
        let stamps = is_stamped.then(|| Arc::new(StampTally::new()));
        let (say, ready) = mpsc::sync_channel(1);
        let (orders, own_orders) = mpsc::channel();
        let (own_control, own_tally, own_station, own_meter) =
            (Arc::clone(control), Arc::clone(&tally), Arc::clone(&status), Arc::clone(&meter));
        let pages = slice.pages();
        let setup = WriterSetup {
            plan: plan.clone(),
            name: name.clone(),
            cpu,
            index,
            tag,
            slice,
            stamps: stamps.clone(),
            say,
        };
        let body = move || {
            let _meter = MeterAtEnd(own_meter);
            let Some(mut work) = setup.work(&own_control) else { return };
            worker::run(&clock, &own_control, (&own_tally, &own_station), &own_orders, &mut work);
            let limit_ns = Monotonic.now_ns().saturating_add(SWEEP_LIMIT_NS);
            work.visitor.sweep(&Monotonic, || Monotonic.now_ns() >= limit_ns, true);
        };
        let thread = threads::spawn(&name, control, body)?;
        Ok(Self { tally, stamps, status, orders, index, on: cpu, pages, cpu: meter, thread, ready })
    }

    /// Waits until it is ready, and asks meanwhile whether to go on with so many pages filled.
    fn wait(
        self,
        control: &Control,
        goes_on: &mut impl FnMut(PageCount) -> bool,
    ) -> Result<(Writer, Range<u64>), EngineError> {
        let ready = loop {
            match self.ready.recv_timeout(ASK_AGAIN.into()) {
                Err(mpsc::RecvTimeoutError::Timeout) if goes_on(control.filled()) => {}
                Err(mpsc::RecvTimeoutError::Timeout) => return Err(EngineError::GivenUp),
                ready => break ready,
            }
        };
        match ready {
            Ok(settled) => {
                let (tally, stamps, status) = (self.tally, self.stamps, self.status);
                let (orders, index, pages, cpu) = (self.orders, self.index, self.pages, self.cpu);
                let on = self.on;
                let ((id, filling_ns), thread) = (settled?, Some(self.thread));
                let writer =
                    Writer { tally, stamps, status, orders, index, pages, on, marks: 0, cpu, id, thread };
                Ok((writer, filling_ns))
            }
            Err(_) => Err(threads::died(self.thread, control)),
        }
    }
}

/// What a writer's thread gets ready with.
struct WriterSetup {
    plan: Checked,
    name: String,
    cpu: u32,
    index: u32,
    tag: u64,
    slice: Slice,
    stamps: Option<Arc<StampTally>>,
    say: mpsc::SyncSender<Result<(Pid, Range<u64>), EngineError>>,
}

impl WriterSetup {
    /// Gets ready, says so, and waits at the gate. None when there is nothing to be done.
    ///
    /// What that takes of the stack, a page to fill memory from above all, is not to lie between frames of the writer's loop.
    #[inline(never)]
    fn work(self, control: &Control) -> Option<Work> {
        let Self { plan, name, cpu, index, tag, slice, stamps, say } = self;
        // Small, and made before the ledger: so it lies on a page with little else.
        let (pattern, drawn) = (pattern(&plan, index, slice.pages()), Drawn::none());
        let settled = threads::settle_on(&name, cpu).map(|()| gettid());
        let prepared = settled.and_then(|id| Ok((id, prepare((&plan, control), index, slice, tag, stamps)?)));
        let (settled, visitor) = match prepared {
            Ok((id, (visitor, filling_ns))) => (Ok((id, filling_ns)), Some(visitor)),
            Err(error) => (Err(error), None),
        };
        // Nobody listens any more when another writer failed: stop is then what the gate says.
        let _ = say.send(settled);
        drop(say);
        let (t0_ns, mut visitor) = control.wait_at_gate().zip(visitor)?;
        let first = plan.first_load();
        let part = Part::of(&plan, &first, index).on(cpu, control.tick_ns());
        visitor.set_pace(part.most_visits_per_s());
        Some(Work {
            pacer: Pacer::new(t0_ns, &part),
            pattern,
            reads: Reads::new(
                plan.region_share(index).load(&first).visit_mix(),
                writer_seed(plan.seed, index),
            ),
            visitor,
            computes: plan.region_share(index).computes(),
            timed: plan.latency,
            drawn,
            sums: Sums::default(),
            undone: 0,
        })
    }
}

/// The pattern of the first load of the writer `index` of so many pages.
fn pattern(plan: &Checked, index: u32, pages: PageCount) -> Box<dyn AddressPattern> {
    let load = plan.region_share(index).load(&plan.first_load());
    let visits_per_s = load.visit_rate().pages_per_s().unwrap_or(0);
    pattern_at(load.pattern, visits_per_s, pages, writer_seed(plan.seed, index))
}

/// Touches every page, so that no first touch falls into a measured visit. With the visitor comes when it filled them.
fn prepare(
    (plan, control): (&Checked, &Control),
    index: u32,
    slice: Slice,
    tag: u64,
    tally: Option<Arc<StampTally>>,
) -> Result<(Visitor, Range<u64>), EngineError> {
    let filler = filler(plan, &plan.region_share(index).load(&plan.first_load()), index, 0);
    let stamps = tally.map(|tally| Stamps::new(Ledger::new(tag, slice.first(), slice.pages()), tally));
    let begin_ns = Monotonic.now_ns();
    let visitor = Visitor::fill_while(slice, filler, stamps, |pages| control.fills(pages))?;
    Ok((visitor, begin_ns..Monotonic.now_ns()))
}

/// What pages hold and visits write in a region's `load`, the run's load of this `number`: that keeps what a later one writes
/// apart from what an earlier one did, and the same in every run of the same loads.
fn filler(plan: &Checked, load: &Load, index: u32, number: u32) -> PageFiller {
    let seed = writer_seed(plan.seed, index) ^ CONTENT_SEED ^ u64::from(number);
    // All writers and all loads have the same copies.
    let copies_seed = plan.seed ^ CONTENT_SEED;
    PageFiller::new(load.write_bytes, plan.verify, seed).of(load.content).with_copies(plan.dedup, copies_seed)
}
