//! One run on one time axis: what the guest measured beside what QEMU said, stage by stage.
//!
//! Everything here is a pure function of a run directory.

mod axis;
mod blackout;
mod figures;
#[cfg(test)]
pub mod fixture;
mod guest;
mod histograms;
mod offsets;
mod phases;
mod postcopy;
mod qemu;
mod series;
mod session;
mod setup;
mod span;
mod stamps;

pub use axis::Axis;
pub use blackout::Blackout;
pub use figures::{Figures, GapFigures};
pub use guest::{GapAt, Guest, IntervalAt};
pub use histograms::{BothLatencies, Histograms, StageLatencies};
pub use phases::PhaseName;
pub use postcopy::Postcopy;
pub use qemu::{DirtyRate, Pass, SampleAt, samples};
pub use series::{GuestPoint, QemuPoint};
pub use setup::Setup;
pub use span::{Span, nanos};

use crate::{
    lab::rundir::RunData,
    record::{MilestoneName, unresolved_ns},
};
use serde::Serialize;

/// All figures of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timeline {
    /// How guest and host stamps lie on it.
    #[serde(skip)]
    pub axis: Axis,
    /// The latencies, merged as the analysis needs them.
    #[serde(skip)]
    pub histograms: Histograms,
    /// The steps of the clock that stamped, the coarsest that a `hello` told; null where none did.
    pub clock_step_ns: Option<u64>,
    /// The stages, in order.
    pub phases: Vec<Phase>,
    /// What auto-converge did, and what the guest had of it; empty where it never throttled.
    pub throttle: Vec<ThrottleLevel>,
    /// What it took to begin the migration; none where QEMU did not tell.
    pub setup: Option<Setup>,
    /// How long the guest ran nowhere.
    pub blackout: Blackout,
    /// The waiting for pages, where the migration switched to post-copy.
    pub postcopy: Option<Postcopy>,
    /// From the start of the migration to its end; none where it did not complete.
    pub migration_ns: Option<u64>,
    /// How often QEMU synced its dirty bitmap: once a pass, and in some passes more often.
    pub sync_count: Option<u64>,
    /// How many passes QEMU made.
    pub pass_count: Option<u64>,
    /// Why that cannot be told, where the syncs are known.
    pub pass_reason: Option<&'static str>,
    /// The passes that samples saw, each from one sync of the dirty bitmap to the next.
    pub passes: Vec<Pass>,
    /// The dirty rate as QEMU counts it.
    pub dirty_rate: Option<DirtyRate>,
    /// Bytes QEMU sent in all.
    pub sent_bytes: Option<u64>,
    /// The guest's intervals, for charts.
    pub guest: Vec<GuestPoint>,
    /// QEMU's samples, for charts.
    pub qemu: Vec<QemuPoint>,
    /// What could not be worked out, and why, in sentences.
    pub remarks: Vec<String>,
}

/// One stage of the run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Phase {
    /// Which.
    pub name: PhaseName,
    /// What the guest measured in it.
    #[serde(flatten)]
    pub figures: Figures,
}

/// The time QEMU throttled by one percentage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ThrottleLevel {
    /// QEMU's percentage, in a collected session the guest's own finding; none for the time before it began.
    pub percent: Option<u64>,
    /// What the guest measured at the same time.
    #[serde(flatten)]
    pub figures: Figures,
}

impl Timeline {
    /// Works out all figures of a run. What a broken histogram hides is said in [`Self::remarks`].
    pub fn of(data: &RunData) -> Self {
        let axis = Axis::of(data);
        let guest = Guest::of(data, &axis);
        let samples = samples(data, &axis);
        let mut blackout = blackout::blackout(data, &axis);
        let spans = match phases::measured(data, &axis) {
            None => Vec::new(),
            Some(measured) if data.is_staged_by_guest() => {
                let stops = session::stops(data, &axis, &blackout);
                blackout.by_lone_gap = stops.by_lone_gap;
                session::stages(data, &axis, measured, &stops)
            }
            Some(measured) => phases::phases(data, &axis, measured),
        };
        let levels = levels(data, &guest, &samples, &spans);
        let passes = qemu::passes(&samples);
        let stages: Vec<Span> = spans.iter().map(|(_, span)| *span).collect();
        let throttled: Vec<Span> = levels.iter().map(|(_, span)| *span).collect();
        let histograms = Histograms::read(data, &guest, &stages, &throttled, &passes);
        let phase = |((name, span), latencies): ((PhaseName, Span), &StageLatencies)| Phase {
            name,
            figures: figures::figures(&guest, span, &latencies.merged()),
        };
        let phases: Vec<Phase> = spans.into_iter().zip(&histograms.stages).map(phase).collect();
        let level = |((percent, span), latencies): ((Option<u64>, Span), &BothLatencies)| ThrottleLevel {
            percent,
            figures: figures::figures(&guest, span, latencies),
        };
        let throttle = levels.into_iter().zip(&histograms.levels).map(level).collect();
        let ram = data.run.source.as_ref().and_then(|sample| sample.ram.as_ref());
        let sync_count = ram.and_then(|ram| ram.dirty_sync_count).or(passes.last().map(|pass| pass.number));
        let pass_reason = qemu::why_no_passes(data, &passes);
        let waiting =
            phases.iter().find(|phase| phase.name == PhaseName::Postcopy).map(|phase| &phase.figures);
        Self {
            clock_step_ns: Some(guest.clock_step_ns).filter(|step_ns| *step_ns > 0),
            postcopy: postcopy::postcopy(data, waiting),
            phases,
            throttle,
            setup: setup::setup(data, &axis, &guest),
            blackout,
            migration_ns: migration_ns(data),
            sync_count,
            pass_count: sync_count.filter(|_| pass_reason.is_none()),
            pass_reason,
            passes,
            dirty_rate: qemu::dirty_rate(&samples),
            sent_bytes: ram.and_then(|ram| ram.transferred_bytes),
            guest: series::guest_points(&guest),
            qemu: series::qemu_points(&samples),
            remarks: remarks(data, &guest, &histograms, &stages),
            histograms,
            axis,
        }
    }

    /// Visits that seem no longer than this took that long at most: the guest's clock cannot tell. None where nothing is known of it.
    pub fn untold_ns(&self) -> Option<u64> {
        self.clock_step_ns.map(|step_ns| unresolved_ns(step_ns).max(step_ns))
    }

    /// Where the stages of that name lie: a session may have several of one.
    pub fn spans(&self, name: PhaseName) -> Vec<Span> {
        let own = self.phases.iter().filter(|phase| phase.name == name);
        own.map(|phase| phase.figures.span).collect()
    }

    /// The latencies of the first stage of that name, where the run had it.
    pub fn latencies(&self, name: PhaseName) -> Option<StageLatencies> {
        let index = self.phases.iter().position(|phase| phase.name == name)?;
        self.histograms.stages.get(index).cloned()
    }

    /// The first stage of that name, where the run had it.
    pub fn phase(&self, name: PhaseName) -> Option<&Phase> {
        self.phases.iter().find(|phase| phase.name == name)
    }
}

/// What could not be worked out, and why.
fn remarks(data: &RunData, guest: &Guest<'_>, histograms: &Histograms, stages: &[Span]) -> Vec<String> {
    let mut remarks: Vec<String> = data.audit.sentences().map(str::to_owned).collect();
    remarks.extend(data.remarks.iter().cloned());
    if histograms.unreadable > 0 {
        let unreadable = histograms.unreadable;
        remarks.push(format!("{unreadable} histograms cannot be read and are missing from the latencies"));
    }
    if stages.iter().any(|stage| guest.lacks_intervals(*stage)) {
        remarks.push(
            "intervals are missing: stages that lack some have no figures that are made of them".into(),
        );
    }
    if guest.canaries.is_some() && guest.gaps_dropped {
        let missing = match data.audit.untold_gaps {
            0 => "some gap records may be missing".into(),
            untold => format!("{untold} gaps have no record"),
        };
        remarks.push(format!("{missing}: gap figures come from the intervals' sums"));
    }
    remarks
}

/// The throttle's percentages where one can act: before the switch. By QEMU's word, or in a collected session by the guest's.
fn levels(
    data: &RunData,
    guest: &Guest<'_>,
    samples: &[SampleAt<'_>],
    spans: &[(PhaseName, Span)],
) -> Vec<(Option<u64>, Span)> {
    let is_running = |(name, _): &&(PhaseName, Span)| matches!(name, PhaseName::Precopy | PhaseName::Run);
    let Some((_, running)) = spans.iter().find(is_running) else { return Vec::new() };
    if data.session.is_none() {
        return qemu::throttle_spans(&qemu::throttle_levels(samples), *running);
    }
    let mut spans = qemu::throttle_spans(&session::throttle_levels(guest), *running);
    spans.retain(session::has_held);
    // The time before the throttle is told for comparison, and compares nothing alone.
    if spans.iter().all(|(percent, _)| percent.is_none()) { Vec::new() } else { spans }
}

fn migration_ns(data: &RunData) -> Option<u64> {
    let total_ms = data.run.source.as_ref().and_then(|sample| sample.total_time_ms);
    let total_ms = total_ms.filter(|_| !data.audit.claims.total_time);
    let completed = axis::after_migrate(data, MilestoneName::Completed)?;
    let measured = completed.checked_sub(data.run.when(MilestoneName::Migrate)?);
    total_ms.map(|ms| ms.saturating_mul(1_000_000)).or(measured)
}

#[cfg(test)]
mod tests;
