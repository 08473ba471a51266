//! One run in the guest, from the plan to the last record.

use super::audience::Audience;
use super::boot;
use super::course::Course;
use super::desk::Desk;
use super::hello::hello;
use super::signals::Signals;
use super::{beat::Beat, session::Asked};
use crate::clock::{Clock, Monotonic, cycles, realtime_ns};
use crate::engine::Engine;
use crate::plan::{self, Checked, Faults, Plan};
use crate::port::{PortError, Target};
use crate::probe;
use crate::record::{Body, Corruption, End, EndReason, Gap, Heartbeat, Phase};
use crate::units::Nanos;

/// What a run is told.
#[derive(Debug, Clone)]
pub struct Options {
    /// What to do.
    pub plan: Plan,
    /// Where to report; none means a table on the terminal.
    pub targets: Vec<Target>,
}

/// Why a run could not begin.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The plan cannot be carried out on this machine.
    #[error(transparent)]
    Plan(#[from] Faults),
    /// A report target cannot be opened.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The machine cannot be read, or the engine cannot start.
    #[error(transparent)]
    Engine(#[from] crate::engine::EngineError),
    /// The machine's facts cannot be read.
    #[error(transparent)]
    Probe(#[from] probe::ProbeError),
    /// The kernel refuses what every run needs.
    #[error("signals cannot be taken over: {0}")]
    Signals(#[from] nix::Error),
}

/// How often the clocks go to the host.
const HEARTBEAT: Nanos = Nanos::from_ms(100);
/// How long the last records may take to go out to a slow reader.
const FLUSH_LIMIT: Nanos = Nanos::from_secs(5);

/// Runs a plan to its end and reports it; what it returns is also the last record.
///
/// # Errors
/// When the run could not begin: nothing was dirtied then.
pub fn run(options: &Options) -> Result<End, RunError> {
    let signals = Signals::take()?;
    let checked = plan::check(&options.plan, &probe::machine()?)?;
    let cpus = probe::cpus()?;
    let opened = Audience::open(&options.targets)?;
    let mut engine = Engine::start(&checked, &cpus)?;
    if let Some(warning) = engine.warning() {
        boot::announce(warning);
    }
    let first = hello(&checked, &cpus, engine.facts());
    let audience = Audience::new(opened, &engine.snapshot());
    let began_ns = engine.open_gate();
    let mut run = Run::new(checked, engine, audience, signals, began_ns);
    run.audience.say(began_ns, &Body::Hello(Box::new(first)));
    if run.plan.baseline_ns > 0 {
        run.name_phase(began_ns, "baseline");
    } else {
        run.change_phase(began_ns, None);
    }
    let ending = run.work();
    Ok(run.finish(ending))
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
    end_ns: Option<u64>,
    heartbeat: Beat,
    interval: Beat,
    gaps: Vec<Gap>,
    corruptions: Vec<Corruption>,
}

impl Run {
    fn new(plan: Checked, engine: Engine, audience: Audience, signals: Signals, began_ns: u64) -> Self {
        Self {
            phase: String::new(),
            course: Course::new(&plan, began_ns),
            desk: Desk::new(&plan, began_ns),
            end_ns: plan.duration_ns.map(|duration_ns| began_ns.saturating_add(duration_ns)),
            heartbeat: Beat::starting(began_ns, HEARTBEAT.0),
            interval: Beat::starting(began_ns, plan.interval_ns),
            gaps: Vec::new(),
            corruptions: Vec::new(),
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
            match self.audience.exchange(now_ns, &mut self.desk) {
                Ok(asked) if asked.contains(&Asked::Stop) => return (EndReason::Stop, None),
                Ok(_) => self.audience.wait(&self.signals, self.next_ns()),
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
            self.report_corruptions(now_ns);
            let beat = Heartbeat { real_ns: realtime_ns(), tsc: cycles() };
            self.audience.offer_detail(Monotonic.now_ns(), &Body::Heartbeat(beat));
        }
        if self.interval.is_due(now_ns) || phase_ends {
            self.report_gaps(now_ns);
            let snapshot = self.engine.snapshot();
            self.audience.offer_interval(&snapshot, &self.plan, &self.phase);
            self.desk.tell(snapshot.status(&self.phase, self.plan.load(), self.engine.sweeps().0));
        }
        if phase_ends {
            self.change_phase(now_ns, asked);
        }
        if self.desk.take_sweep() {
            self.engine.sweep();
        }
        self.change_load();
    }

    /// Goes to the phase that was asked for, or to the next one.
    fn change_phase(&mut self, now_ns: u64, asked: Option<String>) {
        let phase = match &asked {
            Some(name) => self.course.jump(name, now_ns),
            None => self.course.go_on(now_ns),
        };
        if let Some(phase) = &phase {
            self.desk.begin(now_ns, phase);
        }
        let name = phase.map(|phase| phase.name).or(asked);
        self.name_phase(now_ns, name.as_deref().unwrap_or("run"));
    }

    fn name_phase(&mut self, now_ns: u64, name: &str) {
        self.phase = name.into();
        self.desk.name(name);
        self.audience.say(now_ns, &Body::Phase(Phase { phase: name.into() }));
    }

    /// Has the writers go on with the load that was asked for last. When they are too far behind to be told, it is tried
    /// again with the next turn.
    fn change_load(&mut self) {
        if let Some(load) = self.desk.change()
            && self.engine.change(load).is_ok()
        {
            self.desk.carried_out();
            self.audience.offer_detail(Monotonic.now_ns(), &Body::Load(load));
        }
    }

    fn report_gaps(&mut self, now_ns: u64) {
        self.engine.take_gaps(&mut self.gaps);
        for gap in self.gaps.drain(..) {
            self.audience.offer_detail(now_ns, &Body::Gap(gap));
        }
    }

    /// There are few of them (the engine sees to it), and each is worth its place however slow the reader is.
    fn report_corruptions(&mut self, now_ns: u64) {
        self.engine.take_corruptions(&mut self.corruptions);
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
        let now_ns = Monotonic.now_ns();
        self.engine.halt();
        // Before the last snapshot, which then has their classes.
        self.report_gaps(now_ns);
        let last = self.engine.snapshot();
        self.report_corruptions(last.at_ns);
        self.audience.offer_interval(&last, &self.plan, &self.phase);
        let mut end = self.audience.end(&last, reason, detail);
        let limit_ns = Monotonic.now_ns().saturating_add(FLUSH_LIMIT.0);
        if let Some(failure) = self.audience.flush(&self.signals, limit_ns)
            && end.reason != EndReason::ReportFailed
        {
            (end.reason, end.detail) = (EndReason::ReportFailed, Some(failure));
        }
        end
    }
}
