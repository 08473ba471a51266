//! One run in the guest, from the plan to the last record.

use super::audience::Audience;
use super::boot;
use super::course::Course;
use super::desk::Desk;
use super::error::RunError;
use super::filling;
use super::hello::{coarseness, hello};
use super::options::Options;
use super::signals::Signals;
use super::{beat::Beat, session::Asked};
use crate::clock::{Clock, Monotonic, cycles, realtime_ns};
use crate::engine::{Engine, EngineError, Snapshot, come_before_writers};
use crate::plan::{self, BASELINE_PHASE, Checked};
use crate::probe::{self, ClocksourceWatch, DisruptionProbe, PtpProbe, clocksource};
use crate::record::{
    Body, ClockStep, Corruption, Dirtied, End, EndReason, Gap, Heartbeat, Phase, Stall, SweepEnd,
};
use crate::units::Nanos;
use std::{panic::resume_unwind, rc::Rc, thread};

/// How often the clocks go to the host.
const HEARTBEAT: Nanos = Nanos::from_ms(100);
/// How long the last records may take to go out to a slow reader, or until a host that went away has come again.
const FLUSH_LIMIT: Nanos = Nanos::from_secs(5);
const RETURN_LIMIT: Nanos = Nanos::from_secs(15);
/// Looking at everything takes a few ms on the slowest machine: after so long the VM was stopped meanwhile, ns.
const STOPPED_NS: u64 = 50_000_000;

/// Runs a plan to its end and reports it; what it returns is also the last record.
///
/// That is done in a thread of its own, since the C library gives each a heap of its own: on the one that read the
/// arguments, what is dirtied each interval would lie scattered among what they left behind.
///
/// # Errors
/// When the run could not begin: nothing was dirtied then.
pub fn run(options: &Options) -> Result<End, RunError> {
    let signals = Signals::take()?;
    let checked = plan::check(&options.plan, &probe::machine()?)?;
    let cpus = probe::cpus()?;
    checked.pinnable(&cpus)?;
    thread::scope(|scope| {
        let name = "sully-run".to_owned();
        let perform = || perform(checked, &cpus, options, signals);
        let run = thread::Builder::new().name(name.clone()).spawn_scoped(scope, perform);
        let run = run.map_err(|cause| EngineError::Spawn { name, cause })?;
        run.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

fn perform(checked: Checked, cpus: &[u32], options: &Options, signals: Signals) -> Result<End, RunError> {
    let mut run = begin(checked, cpus, options, signals)?;
    let ending = run.work();
    Ok(run.finish(ending))
}

/// What it takes of the stack is not to lie between frames that are dirtied each interval.
#[inline(never)]
fn begin(checked: Checked, cpus: &[u32], options: &Options, signals: Signals) -> Result<Box<Run>, RunError> {
    let opened = Audience::open(&options.targets, options.token.as_ref())?;
    let mut engine = filling::start(&checked, cpus, &signals)?;
    for warning in engine.warning().into_iter().chain(checked.crowded(cpus).as_deref()) {
        boot::announce(warning);
    }
    let mut first = hello(&checked, cpus, engine.facts());
    first.labels.clone_from(&options.labels);
    if let Some(coarseness) = coarseness(&first.clock) {
        boot::announce(&coarseness);
    }
    let start = Rc::new(engine.snapshot());
    let audience = Audience::new(opened, &start);
    let clocksource = first.clock.clocksource.clone();
    // Where that is not allowed records are late when CPUs are scarce, and no less true.
    let _ = come_before_writers();
    let began_ns = engine.open_gate();
    let mut run = Box::new(Run::new(checked, engine, audience, signals, (began_ns, start, clocksource)));
    run.audience.say(began_ns, &Body::Hello(Box::new(first)));
    if run.plan.baseline_ns > 0 {
        run.name_phase(began_ns, BASELINE_PHASE);
    } else {
        run.change_phase(began_ns, None);
    }
    Ok(run)
}

/// Why the work ended.
type Ending = (EndReason, Option<String>);

struct Run {
    plan: Checked,
    engine: Engine,
    audience: Audience,
    signals: Signals,
    phase: String,
    course: Course,
    desk: Desk,
    /// At the end of the last interval.
    last: Rc<Snapshot>,
    /// Sweeps ended, and pages they came to, as told.
    swept: (u32, u64),
    /// Orders to dirty so many pages that were ended, and their pages, as told.
    dirtied: (u32, u64),
    end_ns: Option<u64>,
    heartbeat: Beat,
    interval: Beat,
    gaps: Vec<Gap>,
    corruptions: Vec<Corruption>,
    stalls: Vec<Stall>,
    disruptions: DisruptionProbe,
    ptp: PtpProbe,
    clocksource: ClocksourceWatch,
}

impl Run {
    fn new(
        plan: Checked,
        engine: Engine,
        audience: Audience,
        signals: Signals,
        (began_ns, last, clocksource): (u64, Rc<Snapshot>, Option<String>),
    ) -> Self {
        Self {
            phase: String::new(),
            course: Course::new(&plan, began_ns),
            desk: Desk::new(&plan, began_ns),
            last,
            swept: (0, 0),
            dirtied: (0, 0),
            end_ns: plan.duration_ns.map(|duration_ns| began_ns.saturating_add(duration_ns)),
            heartbeat: Beat::starting(began_ns, HEARTBEAT.0),
            interval: Beat::starting(began_ns, plan.interval_ns),
            gaps: Vec::new(),
            corruptions: Vec::new(),
            stalls: Vec::new(),
            disruptions: DisruptionProbe::open(),
            ptp: PtpProbe::open(),
            clocksource: ClocksourceWatch::new(clocksource),
            plan,
            engine,
            audience,
            signals,
        }
    }

    /// Works until something ends it.
    fn work(&mut self) -> Ending {
        loop {
            let now_ns = Monotonic.now_ns();
            if let Some(ending) = self.ending(now_ns) {
                return ending;
            }
            self.tick(now_ns);
            let heard = self.audience.exchange(now_ns, &mut self.desk);
            self.course.hold(now_ns, self.desk.is_paused());
            match heard {
                Ok(asked) if asked.contains(&Asked::Stop) => return (EndReason::Stop, None),
                Ok(asked) => {
                    if asked.contains(&Asked::Mark) {
                        self.engine.mark();
                    }
                    if !self.desk.is_waiting() {
                        self.audience.wait(&self.signals, self.next_ns());
                    }
                }
                Err(failure) => return (EndReason::ReportFailed, Some(failure)),
            }
        }
    }

    fn ending(&self, now_ns: u64) -> Option<Ending> {
        if let Some(name) = self.signals.received() {
            return Some((EndReason::Signal, Some(name.into())));
        }
        if let Some(failure) = self.engine.failure() {
            return Some((EndReason::Failed, Some(failure)));
        }
        let is_over = self.end_ns.is_some_and(|end_ns| now_ns >= end_ns) || self.course.is_over(now_ns);
        is_over.then_some((EndReason::Duration, None))
    }

    /// Does what is due now.
    fn tick(&mut self, now_ns: u64) {
        let asked = self.desk.take_phase();
        let phase_ends = self.course.is_due(now_ns) || asked.is_some();
        if self.heartbeat.is_due(now_ns) {
            self.report_gaps(now_ns);
            self.report_finds(now_ns);
            if let Some(failure) = self.engine.check_clock() {
                let step = ClockStep { shown_ns: failure.shown_ns, true_ns: failure.true_ns };
                self.audience.say(now_ns, &Body::ClockStep(step));
            }
            if let Some(sentence) = self.clocksource.look(now_ns, clocksource) {
                boot::announce(&sentence);
            }
            let clocksource = self.clocksource.other().map(str::to_owned);
            let (real_ns, tsc) = (realtime_ns(), cycles());
            let disruptions = self.disruptions.read();
            // Last, just before the record's own stamp.
            let beat = Heartbeat { real_ns, tsc, disruptions, clocksource, ptp_ns: self.ptp.read() };
            self.audience.offer_detail(Monotonic.now_ns(), &Body::Heartbeat(beat));
        }
        // Before a status may count it.
        self.report_sweep(now_ns);
        self.report_dirtied(now_ns);
        if self.interval.is_due(now_ns) || phase_ends {
            let now = self.look(now_ns);
            self.audience.offer_interval(&now, &self.plan, &self.phase);
            let sweeps = self.engine.sweeps().0;
            self.desk.tell(now.status(&self.last, &self.phase, self.plan.load(), sweeps));
            self.last = now;
        }
        if phase_ends {
            self.change_phase(now_ns, asked);
        }
        // Each has its record; what lies between two asked for at once has no time.
        while let Some(name) = self.desk.take_phase() {
            self.change_phase(now_ns, Some(name));
        }
        if self.desk.take_sweep() {
            self.engine.sweep();
        }
        self.change_load();
        if let Some(pages) = self.desk.take_dirty() {
            self.engine.dirty(pages);
        }
    }

    /// All that came until now, gaps first: the snapshot then has their classes.
    fn look(&mut self, now_ns: u64) -> Rc<Snapshot> {
        gather_past_a_stop(&Monotonic, now_ns, |at_ns| {
            self.report_gaps(at_ns);
            // Once for each interval, however often it is looked.
            if at_ns == now_ns {
                self.engine.count_own_pages();
            }
        });
        // Once as well: each snapshot begins another interval for the stamps.
        Rc::new(self.engine.snapshot_after(&self.last))
    }

    /// Goes to the phase that was asked for, or to the next one.
    fn change_phase(&mut self, now_ns: u64, asked: Option<String>) {
        let phase = match &asked {
            Some(name) => self.course.jump(name, now_ns),
            None => self.course.go_on(now_ns),
        };
        // One that was asked for has begun already, where it was asked for.
        if let Some(phase) = phase.as_ref().filter(|_| asked.is_none()) {
            self.desk.begin(now_ns, phase);
        }
        let name = phase.map(|phase| phase.name).or(asked);
        self.name_phase(now_ns, name.as_deref().unwrap_or("run"));
    }

    fn name_phase(&mut self, now_ns: u64, name: &str) {
        self.phase = name.into();
        self.desk.name(name);
        self.audience.offer_news(now_ns, &Body::Phase(Phase { phase: name.into() }));
    }

    /// Has the writers go on with the load that was asked for last. When they are too far behind to be told, it is tried
    /// again with the next turn.
    fn change_load(&mut self) {
        if let Some(load) = self.desk.change()
            && self.engine.change(load).is_ok()
        {
            self.desk.carried_out();
            self.audience.offer_news(Monotonic.now_ns(), &Body::Load(load));
        }
    }

    fn report_gaps(&mut self, now_ns: u64) {
        self.engine.take_gaps(&mut self.gaps);
        for gap in self.gaps.drain(..) {
            self.audience.offer_detail(now_ns, &Body::Gap(gap));
        }
    }

    /// Says that every writer has ended another sweep, and first what it found.
    fn report_sweep(&mut self, now_ns: u64) {
        let (sweeps, pages) = self.engine.sweeps();
        if sweeps > self.swept.0 {
            self.report_finds(now_ns);
            let corrupt_pages = self.engine.corrupt_pages();
            let ended = SweepEnd { sweeps, pages: pages.saturating_sub(self.swept.1), corrupt_pages };
            self.audience.offer_news(now_ns, &Body::Sweep(ended));
            self.swept = (sweeps, pages);
        }
    }

    /// Says that the pages that were to be dirtied are.
    fn report_dirtied(&mut self, now_ns: u64) {
        let (dirties, pages) = self.engine.dirtied();
        if dirties > self.dirtied.0 {
            let ended = Dirtied { dirties, pages: pages.saturating_sub(self.dirtied.1) };
            self.audience.offer_news(now_ns, &Body::Dirtied(ended));
            self.dirtied = (dirties, pages);
            self.desk.dirtied(now_ns);
        }
    }

    /// There are few corrupt pages (the engine sees to it), and each is worth its place however slow the reader is.
    fn report_finds(&mut self, now_ns: u64) {
        self.engine.take_finds(&mut self.corruptions, &mut self.stalls);
        for stall in self.stalls.drain(..) {
            self.audience.offer_detail(now_ns, &Body::Stall(stall));
        }
        for corruption in self.corruptions.drain(..) {
            self.audience.say(now_ns, &Body::Corruption(corruption));
        }
    }

    /// When something is due next.
    fn next_ns(&self) -> u64 {
        let fixed = self.heartbeat.next_ns().min(self.interval.next_ns());
        let ends = [self.course.ends_ns(), self.end_ns];
        ends.into_iter().flatten().fold(fixed, u64::min)
    }

    /// The last interval, the last record, and both sent as far as somebody reads.
    fn finish(mut self, (reason, detail): Ending) -> End {
        self.engine.halt();
        let last = self.look(Monotonic.now_ns());
        self.report_finds(last.at_ns);
        self.audience.offer_interval(&last, &self.plan, &self.phase);
        let mut end = self.audience.end(&last, reason, detail);
        let limit = if self.audience.expects_hosts() { RETURN_LIMIT } else { FLUSH_LIMIT };
        let limit_ns = Monotonic.now_ns().saturating_add(limit.0);
        if let Some(failure) = self.audience.flush(&self.signals, &mut self.desk, limit_ns)
            && end.reason != EndReason::ReportFailed
        {
            (end.reason, end.detail) = (EndReason::ReportFailed, Some(failure));
        }
        end
    }
}

/// Has `gather` take in what came until `now_ns`; where the VM was stopped meanwhile, once more, for canaries tell of the stop
/// by then: a throttle that stops the VM for a second would else be told a second later.
fn gather_past_a_stop(clock: &impl Clock, now_ns: u64, mut gather: impl FnMut(u64)) {
    gather(now_ns);
    let after_ns = clock.now_ns();
    if after_ns.saturating_sub(now_ns) >= STOPPED_NS {
        gather(after_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Fake;

    const MS: u64 = 1_000_000;

    /// The times at which it is gathered from 1 s on, in ms, when that takes 2 ms and the VM is stopped at `stop_ms` for
    /// `len_ms`.
    fn gathered(stop_ms: u64, len_ms: u64) -> Vec<u64> {
        let clock = Fake::new(1000 * MS, 1).with_pause(stop_ms * MS, len_ms * MS);
        let mut gathered = Vec::new();
        gather_past_a_stop(&clock, 1000 * MS, |at_ns| {
            gathered.push(at_ns / MS);
            clock.advance(2 * MS);
        });
        gathered
    }

    #[test]
    fn a_stop_in_the_middle_of_a_look_is_looked_at_again_when_it_is_over() {
        assert_eq!(gathered(1001, 990), [1000, 1992]);
        assert_eq!(gathered(1001, 50), [1000, 1052]);
    }

    #[test]
    fn a_look_that_is_merely_slow_is_enough() {
        assert_eq!(gathered(1001, 40), [1000]);
        assert_eq!(gathered(2000, 990), [1000], "the stop is yet to come");
    }

    #[test]
    fn a_throttle_that_stops_each_look_is_looked_at_twice_and_no_more() {
        let clock = Fake::new(1000 * MS, 1);
        let mut count = 0;
        gather_past_a_stop(&clock, 1000 * MS, |_| {
            count += 1;
            clock.advance(990 * MS);
        });
        assert_eq!(count, 2);
    }
}
