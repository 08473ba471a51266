//! Canaries: one thread on each CPU that wakes about a thousand times a second and notices when the CPU was away.
//!
//! **Length.** A canary that should wake at d wakes at d + late. The CPU was away since some moment before d. For
//! absences of a period and more that moment is uniform within the period before d: the absence was late plus half
//! a period on average. Of shorter ones late is uniform between nothing and the absence: twice late on average. So
//! len = late + min(late, period / 2), which is unbiased in both. A canary that was awake and waited in the guest's
//! own run queue for half of late or more lost late and no more: len = late.
//!
//! **Period.** Canaries wake at each beat of their CPU ([`Beats`]). Stops of a throttle often come at whole ms. With a period of
//! 1 ms they would all meet the canary at the same moment of its period, and the mean of their lengths would be off by
//! up to half a period.
//!
//! **Threshold.** Three times the p99 of the canary's own lateness in a rehearsal of 300 wakes before the first
//! visit, so that a host on which every wake is late does not make every wake a gap. Once the baseline is over, three
//! times the p99.99 of the lateness in it. Always from 100 us to 1 ms: on a busy or emulated host those quantiles
//! alone can be tens of ms, and a threshold as high would hide every sleep of a throttle.
//!
//! **Ticks.** Where timers wake with the kernel's tick alone (no high-resolution timers), every 1 to 10 ms, a canary wakes with each
//! tick. A wake is then due a tick after the one before, and late by what comes on top of it. The threshold is one and a
//! half ticks: a canary judges nothing shorter than it can see.
//!
//! **Longer periods.** Where canaries are to wake less often than with each beat (`--canary`), the same goes for their period as for a
//! tick.
//!
//! **Features.** Only when a gap fires are the thread's counters read; the base they are compared with is renewed
//! every tenth wake and with each gap, and the next deadline is set after that, so that reading is no gap itself.
//!
//! **Awake.** A CPU may be taken away while its canary is awake, which in an emulated guest it is for a tenth of the time: what
//! it does between two sleeps is timed as well.

use super::{EngineError, control::Control, realtime::become_realtime, threads};
use crate::{
    clock::{Clock, Monotonic, timer_step_ns},
    histogram::Counts,
    pace::{BEAT_NS, Beats},
    plan::CanaryPeriod,
    probe::{ThreadCounters, ThreadProbe},
    record::{self, GapFeatures},
    tally::{GapTally, RawGap},
};
use std::{
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

// Writers and canaries wake together.
const _: () = assert!(BEAT_NS == CanaryPeriod::USUAL_NS);

/// The lowest threshold.
const THRESHOLD_FLOOR_NS: u64 = 100_000;
/// The highest threshold.
const THRESHOLD_CEILING_NS: u64 = 1_000_000;
/// So many wakes tell what lateness is usual before there is any load.
const REHEARSAL_WAKES: u64 = 300;
/// A baseline of fewer wakes has no p99.99 and leaves the threshold as it was.
const BASELINE_WAKES: u64 = 1_000;
/// What reading the counters takes at most, on the slowest machine, ns.
const READING_NS: u64 = 1_000_000;
/// The base of the features is renewed every so many wakes.
const REBASE_WAKES: u32 = 10;

/// One canary, seen from outside.
#[derive(Debug)]
pub(super) struct Canary {
    pub(super) cpu: u32,
    pub(super) tally: Arc<GapTally>,
    /// Whether it runs under SCHED_FIFO.
    pub(super) realtime: bool,
    /// From one wake to the next where it asks at once.
    pub(super) timer_step_ns: u64,
    /// None once it has been joined or given up.
    pub(super) thread: Option<JoinHandle<()>>,
}

/// A canary that may still be rehearsing.
struct Starting {
    canary: Canary,
    ready: mpsc::Receiver<Result<(bool, u64), EngineError>>,
}

/// The ticks that `canaries` found timers to wake with; 0 where they wake when they are asked to. The quickest tells: all CPUs have
/// the same kind of timers, and a busy host makes some of them seem slow.
pub(super) fn tick_ns(canaries: &[Canary]) -> u64 {
    canaries.iter().map(|canary| canary.timer_step_ns).min().map_or(0, record::tick_ns)
}

/// Starts a canary on each of `cpus` and returns when all have rehearsed (together: it takes as long as one) and wait
/// at the gate.
///
/// `times`: how long the baseline takes, and how often they wake.
pub(super) fn start(
    cpus: &[u32],
    times: (u64, u64),
    control: &Arc<Control>,
) -> Result<Vec<Canary>, EngineError> {
    let starting: Vec<Starting> =
        cpus.iter().map(|cpu| start_one(*cpu, times, control)).collect::<Result<_, _>>()?;
    starting.into_iter().map(|starting| started(starting, control)).collect()
}

fn started(starting: Starting, control: &Control) -> Result<Canary, EngineError> {
    let Starting { mut canary, ready } = starting;
    match (ready.recv(), canary.thread.take()) {
        (Ok(settled), thread) => {
            let (realtime, timer_step_ns) = settled?;
            Ok(Canary { realtime, timer_step_ns, thread, ..canary })
        }
        (Err(_), Some(thread)) => Err(threads::died(thread, control)),
        (Err(_), None) => Ok(canary),
    }
}

fn start_one(
    cpu: u32,
    (baseline_ns, period_ns): (u64, u64),
    control: &Arc<Control>,
) -> Result<Starting, EngineError> {
    let name = format!("sully-canary{cpu}");
    let tally = Arc::new(GapTally::new());
    let (say, ready) = mpsc::sync_channel(1);
    let (own_name, own_control, own_tally) = (name.clone(), Arc::clone(control), Arc::clone(&tally));
    let body = move || {
        let settled = threads::settle_on(&own_name, cpu).map(|()| become_realtime());
        let probe = ThreadProbe::open();
        let timer_step_ns = timer_step_ns(&Monotonic);
        let tick_ns = record::tick_ns(timer_step_ns);
        let least_ns = least_ns(grain_ns(period_ns, tick_ns));
        own_tally.set_threshold(match tick_ns {
            0 => rehearse(&Monotonic, Beats::of(cpu), &own_control).max(least_ns),
            _ => least_ns.max(THRESHOLD_CEILING_NS),
        });
        // Nobody listens any more when another canary failed: stop is then what the gate says.
        let _ = say.send(settled.map(|realtime| (realtime, timer_step_ns)));
        drop(say);
        let Some(t0_ns) = own_control.wait_at_gate() else { return };
        let wakes = Wakes { beats: Beats::of(cpu), tick_ns: own_control.tick_ns(), asked_ns: period_ns };
        let watch = Watch::new(t0_ns, baseline_ns, own_tally.threshold(), wakes);
        run(&Monotonic, (&own_control, &probe, &own_tally), watch);
    };
    let thread = threads::spawn(&name, control, body)?;
    let canary = Canary { cpu, tally, realtime: false, timer_step_ns: 0, thread: Some(thread) };
    Ok(Starting { canary, ready })
}

/// The threshold that fits a clock on which this thread wakes without any load.
fn rehearse<C: Clock>(clock: &C, beats: Beats, control: &Control) -> u64 {
    let mut lateness = Counts::default();
    let mut deadline_ns = beats.next_ns(clock.now_ns());
    for _ in 0..REHEARSAL_WAKES {
        if control.stopped() {
            break;
        }
        clock.sleep_until(deadline_ns);
        let now_ns = clock.now_ns();
        lateness.record_n(now_ns.saturating_sub(deadline_ns), 1);
        deadline_ns = beats.next_ns(now_ns);
    }
    threshold_ns(&lateness, 0.99)
}

/// When a canary wakes.
#[derive(Debug, Clone, Copy)]
struct Wakes {
    beats: Beats,
    /// The ticks that its timers wake with; 0 where they wake at each beat.
    tick_ns: u64,
    /// From one to the next, as asked for.
    asked_ns: u64,
}

/// From one wake of a canary to the next that is to come after `asked_ns`, where timers wake with ticks.
pub(super) fn period_ns(asked_ns: u64, tick_ns: u64) -> u64 {
    if tick_ns == 0 { asked_ns } else { asked_ns.next_multiple_of(tick_ns) }
}

/// How coarse a canary's sight is: what it wakes with where that is more than a beat, and else 0.
pub(super) fn grain_ns(asked_ns: u64, tick_ns: u64) -> u64 {
    if tick_ns == 0 && asked_ns <= BEAT_NS { 0 } else { period_ns(asked_ns, tick_ns) }
}

impl Wakes {
    /// Until when to sleep at `now_ns`, and when the wake is due then.
    fn next_ns(self, now_ns: u64) -> (u64, u64) {
        if self.tick_ns > 0 {
            // In the middle between two ticks: the one that wakes comes no sooner and no later, whatever is asked for.
            let due_ns = now_ns.saturating_add(self.period_ns());
            return (due_ns.saturating_sub(self.tick_ns / 2), due_ns);
        }
        let beat_ns = self.beats.next_of_ns(now_ns, self.asked_ns);
        (beat_ns, beat_ns)
    }

    /// From one to the next.
    fn period_ns(self) -> u64 {
        period_ns(self.asked_ns, self.tick_ns)
    }

    /// The shortest lateness that is judged.
    fn least_ns(self) -> u64 {
        least_ns(grain_ns(self.asked_ns, self.tick_ns))
    }
}

/// Where canaries see no finer than `grain_ns` no shorter lateness is judged.
fn least_ns(grain_ns: u64) -> u64 {
    grain_ns / 2 * 3
}

/// Watches until told to stop.
fn run<C: Clock>(clock: &C, (control, probe, tally): (&Control, &ThreadProbe, &GapTally), mut watch: Watch) {
    let mut base = Base::read(control, probe);
    let mut wakes = 0;
    let (mut until_ns, mut deadline_ns) = watch.wakes.next_ns(clock.now_ns());
    loop {
        clock.sleep_until(until_ns);
        let now_ns = clock.now_ns();
        if control.stopped() {
            return;
        }
        wakes += 1;
        let gap_ns = watch.late_ns(deadline_ns, now_ns);
        tally.set_threshold(watch.threshold_ns);
        let reads = gap_ns.is_some() || wakes >= REBASE_WAKES;
        let mut held_base = base;
        if let Some(late_ns) = gap_ns {
            let features;
            (features, base) = base.turn(control, probe);
            held_base = base;
            let len_ns = length_ns(late_ns, features.run_delay_ns, watch.wakes.period_ns());
            tally.record(&RawGap { start_ns: now_ns.saturating_sub(len_ns), len_ns, features });
        } else if reads {
            base = Base::read(control, probe);
        }
        if reads {
            wakes = 0;
        }
        let done_ns = clock.now_ns();
        if let Some(len_ns) = watch.held_ns(now_ns, done_ns, reads) {
            let features;
            (features, base) = held_base.turn(control, probe);
            tally.record(&RawGap { start_ns: now_ns, len_ns, features });
        }
        (until_ns, deadline_ns) = watch.wakes.next_ns(done_ns);
    }
}

/// What the features of a gap are counted from.
#[derive(Clone, Copy)]
struct Base {
    counters: ThreadCounters,
    faults_made: u32,
}

impl Base {
    fn read(control: &Control, probe: &ThreadProbe) -> Self {
        // First: faults that are made while the counters are read are then in doubt.
        let faults_made = control.faults_made();
        Self { counters: probe.read(), faults_made }
    }

    /// What was counted since, and what to count from. Minor faults that may have been made for our own sake tell nothing, and are
    /// left out.
    fn turn(&self, control: &Control, probe: &ThreadProbe) -> (GapFeatures, Self) {
        let now = Self::read(control, probe);
        let features = now.counters.since(&self.counters);
        let in_doubt = control.faults_made() != self.faults_made;
        (GapFeatures { minflt: if in_doubt { 0 } else { features.minflt }, ..features }, now)
    }
}

/// How long the gap was in which a canary came so late, having waited so long in the guest's own run queue.
fn length_ns(late_ns: u64, run_delay_ns: Option<u64>, period_ns: u64) -> u64 {
    let was_awake = run_delay_ns.is_some_and(|waited_ns| waited_ns >= late_ns.div_ceil(2));
    if was_awake { late_ns } else { late_ns.saturating_add(late_ns.min(period_ns / 2)) }
}

/// Judges how late a canary woke.
struct Watch {
    threshold_ns: u64,
    baseline_end_ns: u64,
    /// The lateness seen so far, until the baseline is over.
    baseline: Option<Counts>,
    wakes: Wakes,
}

impl Watch {
    fn new(t0_ns: u64, baseline_ns: u64, threshold_ns: u64, wakes: Wakes) -> Self {
        Self {
            threshold_ns: threshold_ns.max(wakes.least_ns()),
            wakes,
            baseline_end_ns: t0_ns.saturating_add(baseline_ns),
            baseline: Some(Counts::default()),
        }
    }

    /// How late a wake at `now_ns` that was due at `deadline_ns` is, if that passes the threshold.
    fn late_ns(&mut self, deadline_ns: u64, now_ns: u64) -> Option<u64> {
        let late_ns = now_ns.saturating_sub(deadline_ns);
        if now_ns >= self.baseline_end_ns
            && let Some(baseline) = self.baseline.take()
            && baseline.count() >= BASELINE_WAKES
        {
            self.threshold_ns = threshold_ns(&baseline, 0.9999).max(self.wakes.least_ns());
        }
        if let Some(baseline) = &mut self.baseline {
            baseline.record_n(late_ns, 1);
        }
        (late_ns > self.threshold_ns).then_some(late_ns)
    }

    /// How long a canary that was awake from `now_ns` to `done_ns` was held up, if that passes the threshold and what it
    /// needs when it `reads` its counters.
    fn held_ns(&self, now_ns: u64, done_ns: u64, reads: bool) -> Option<u64> {
        let held_ns = done_ns.saturating_sub(now_ns);
        let own_ns = if reads { READING_NS } else { 0 };
        (held_ns > self.threshold_ns + own_ns).then_some(held_ns)
    }
}

fn threshold_ns(lateness: &Counts, quantile: f64) -> u64 {
    let usual_ns = lateness.quantile(quantile).unwrap_or(0);
    usual_ns.saturating_mul(3).clamp(THRESHOLD_FLOOR_NS, THRESHOLD_CEILING_NS)
}

#[cfg(test)]
mod tests;
