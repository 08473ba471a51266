//! The stages of a run: from milestones to stretches of the time axis.

use super::axis::{Axis, after_migrate};
use super::span::Span;
use crate::{lab::rundir::RunData, record::MilestoneName};
use serde::Serialize;

/// A stage of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseName {
    /// The load runs undisturbed.
    Baseline,
    /// Of a collected session: what goes before its blackout. Whether QEMU copies in it the guest cannot tell. Of a run of saves
    /// and restores: all from the first one on.
    Run,
    /// Memory is copied while the guest runs on the source.
    Precopy,
    /// The guest runs nowhere: QEMU's STOP to RESUME.
    Blackout,
    /// The guest runs on the destination and waits for pages that are still on the source.
    Postcopy,
    /// The migration is over.
    After,
}

impl PhaseName {
    /// For people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Run => "run",
            Self::Precopy => "pre-copy",
            Self::Blackout => "blackout",
            Self::Postcopy => "post-copy",
            Self::After => "after",
        }
    }
}

/// The stages of a run that the lab drove, in order, each beginning where the one before ends; a stage that never came is left out.
pub fn phases(data: &RunData, axis: &Axis, measured: Span) -> Vec<(PhaseName, Span)> {
    let at = |name| after_migrate(data, name).map(|host_ns| axis.host_s(host_ns));
    let Some(migrate) = at(MilestoneName::Migrate) else {
        let began = data.run.cycles.first().map(|cycle| axis.host_s(cycle.began_ns));
        let begins = began.filter(|began| (measured.start_s..measured.end_s).contains(began));
        let Some(begins) = begins else { return vec![(PhaseName::Baseline, measured)] };
        let before = Span::new(measured.start_s, begins);
        return vec![(PhaseName::Baseline, before), (PhaseName::Run, Span::new(begins, measured.end_s))];
    };
    let (stop, completed) = (at(MilestoneName::Stop), at(MilestoneName::Completed));
    let resume = at(MilestoneName::Resume).filter(|resume| stop.is_none_or(|stop| *resume >= stop));
    let postcopy = at(MilestoneName::PostcopyStart);
    let end = measured.end_s;

    // Each entry: when the stage begins. It lasts until the next one begins, the last one until the end.
    let mut begins = vec![(PhaseName::Baseline, Some(measured.start_s)), (PhaseName::Precopy, Some(migrate))];
    begins.push((PhaseName::Blackout, stop));
    if postcopy.is_some() {
        begins.push((PhaseName::Postcopy, resume.or(postcopy.filter(|_| stop.is_none()))));
        begins.push((PhaseName::After, completed));
    } else {
        begins.push((PhaseName::After, resume.or(completed.filter(|_| stop.is_none()))));
    }
    let begins: Vec<_> = begins.into_iter().filter_map(|(name, start)| Some((name, start?))).collect();
    let ends = begins.iter().skip(1).map(|(_, start)| *start).chain([end.max(migrate)]);
    let spans = begins.iter().zip(ends).map(|((name, start), end)| (*name, Span::new(*start, end)));
    spans.filter(|(_, span)| span.length_s() > 0.0).collect()
}

/// Of a guest that was there before, what it did until its load was seen to be steady is no part of the measurement.
fn from_steady(data: &RunData, axis: &Axis, whole: Span) -> Span {
    let steady = data.run.when(MilestoneName::Steady).filter(|_| data.run.measured.is_some());
    let start_s = steady.map_or(whole.start_s, |steady| axis.host_s(steady).max(whole.start_s));
    Span::new(start_s.min(whole.end_s), whole.end_s)
}

/// From the first interval's start to the last one's end; where there is none, from the first milestone to the last.
pub fn measured(data: &RunData, axis: &Axis) -> Option<Span> {
    let intervals = data.records.intervals.iter();
    let intervals = intervals.filter_map(|interval| axis.guest_span(interval.start_ns, interval.end_ns));
    let reach = |whole: Option<Span>, span: Span| match whole {
        Some(whole) => Some(Span::new(whole.start_s.min(span.start_s), whole.end_s.max(span.end_s))),
        None => Some(span),
    };
    let whole = intervals.fold(None, reach).map(|whole| from_steady(data, axis, whole));
    whole.or_else(|| {
        let (first, last) = (data.run.milestones.first()?, data.run.milestones.last()?);
        Some(Span::new(axis.host_s(first.host_ns), axis.host_s(last.host_ns)))
    })
}
