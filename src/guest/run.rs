//! One run in the guest, from the plan to the last record.

use super::audience::Audience;
use super::diagnosis::Diagnosis;
use super::hello::hello;
use super::signals::Signals;
use super::{beat::Beat, session::Asked};
use crate::clock::{Clock, Monotonic, cycles, realtime_ns};
use crate::engine::Engine;
use crate::plan::{self, Checked, Faults, Plan};
use crate::port::{PortError, Target};
use crate::probe;
use crate::record::{Body, Corruption, End, EndReason, Heartbeat, Phase};
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
    let ports = Audience::open(&options.targets)?;
    let mut engine = Engine::start(&checked, &cpus)?;
    let first = hello(&checked, &cpus, engine.facts());
    let audience = Audience::new(ports, &engine.snapshot());
    let began_ns = engine.open_gate();
    let mut run = Run::new(checked, engine, audience, signals, began_ns);
    run.audience.say(began_ns, &Body::Hello(Box::new(first)));
    run.begin_phase(began_ns, if run.baseline_end_ns.is_some() { "baseline" } else { "run" });
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
    phase: &'static str,
    baseline_end_ns: Option<u64>,
    end_ns: Option<u64>,
    heartbeat: Beat,
    interval: Beat,
    diagnosis: Diagnosis,
    corruptions: Vec<Corruption>,
}

impl Run {
    fn new(plan: Checked, engine: Engine, audience: Audience, signals: Signals, began_ns: u64) -> Self {
        Self {
            phase: "",
            baseline_end_ns: (plan.baseline_ns > 0).then(|| began_ns.saturating_add(plan.baseline_ns)),
            end_ns: plan.duration_ns.map(|duration_ns| began_ns.saturating_add(duration_ns)),
            heartbeat: Beat::starting(began_ns, HEARTBEAT.0),
            interval: Beat::starting(began_ns, plan.interval_ns),
            diagnosis: Diagnosis::new(began_ns),
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
            match self.audience.exchange(now_ns) {
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
        self.end_ns.filter(|end_ns| now_ns >= *end_ns).map(|_| (EndReason::Duration, None))
    }

    /// Does what is due now.
    fn tick(&mut self, now_ns: u64) {
        let baseline_ends = self.baseline_end_ns.is_some_and(|end_ns| now_ns >= end_ns);
        if self.heartbeat.is_due(now_ns) {
            self.diagnosis.gather(now_ns, &mut self.engine);
            if self.diagnosis.is_due(now_ns) {
                self.report_gaps(now_ns);
            }
            self.report_corruptions(now_ns);
            let beat = Heartbeat { real_ns: realtime_ns(), tsc: cycles() };
            self.audience.offer_detail(Monotonic.now_ns(), &Body::Heartbeat(beat));
        }
        if self.interval.is_due(now_ns) || baseline_ends {
            self.report_gaps(now_ns);
            let (budget, throttle) = self.diagnosis.findings();
            let snapshot = self.engine.snapshot().diagnosed(budget, throttle);
            self.audience.offer_interval(&snapshot, &self.plan, self.phase);
        }
        if baseline_ends {
            self.baseline_end_ns = None;
            self.begin_phase(now_ns, "run");
        }
    }

    fn begin_phase(&mut self, now_ns: u64, phase: &'static str) {
        self.phase = phase;
        self.audience.say(now_ns, &Body::Phase(Phase { phase: phase.into() }));
    }

    fn report_gaps(&mut self, now_ns: u64) {
        let audience = &mut self.audience;
        self.diagnosis.judge(now_ns, &self.engine, |gap| audience.offer_detail(now_ns, &Body::Gap(gap)));
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
        let ends = [self.baseline_end_ns, self.end_ns];
        ends.into_iter().flatten().fold(fixed, u64::min)
    }

    /// The last interval, the last record, and both sent as far as somebody reads.
    fn finish(mut self, (reason, detail): Ending) -> End {
        let last = self.engine.stop();
        self.diagnosis.finish(last.at_ns, &mut self.engine);
        self.report_gaps(last.at_ns);
        let (budget, throttle) = self.diagnosis.findings();
        let last = last.diagnosed(budget, throttle);
        self.report_corruptions(last.at_ns);
        self.audience.offer_interval(&last, &self.plan, self.phase);
        let end = self.audience.end(&last, reason, detail);
        self.audience.flush(&self.signals, Monotonic.now_ns().saturating_add(FLUSH_LIMIT.0));
        end
    }
}
