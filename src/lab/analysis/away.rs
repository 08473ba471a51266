//! When vCPUs were away: by class, all at once, and the worst stretch of it.

use super::verdicts::Judged;
use crate::{
    diagnose::Verdict,
    lab::timeline::{Span, Timeline, nanos},
    record::GapClass,
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::collections::BTreeMap;

/// The windows over which the worst availability is looked for, in seconds.
const WINDOWS_S: [f64; 3] = [0.01, 0.1, 1.0];

/// vCPU time lost in one stage, in seconds over all vCPUs. Classes and running time add up to `wall_s`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct TimeByClass {
    /// The stage's length times the vCPUs.
    pub wall_s: f64,
    /// No gap, and not stopped.
    pub running_s: f64,
    /// By class, in the order of [`GapClass::ALL`]. STOP to RESUME is blackout.
    lost_s: [f64; GapClass::ALL.len()],
    /// The same, each gap's time times how sure its verdict is.
    sure_s: [f64; GapClass::ALL.len()],
}

impl TimeByClass {
    /// The time in which it did not run, in seconds.
    pub fn all_lost_s(&self) -> f64 {
        (self.wall_s - self.running_s).max(0.0)
    }

    fn add(&mut self, class: GapClass, time_s: f64, confidence: f64) {
        if let Some(index) = GapClass::ALL.iter().position(|other| *other == class) {
            self.lost_s[index] += time_s;
            self.sure_s[index] += time_s * confidence;
        }
    }

    /// Each class, the time it took, and how sure its verdicts are on the mean (weighted by time); none without any time.
    pub fn lost(&self) -> impl Iterator<Item = (GapClass, f64, Option<f64>)> {
        let both = self.lost_s.into_iter().zip(self.sure_s);
        GapClass::ALL.into_iter().zip(both).map(|(class, (lost_s, sure_s))| {
            let confidence = (lost_s > 0.0).then(|| (sure_s / lost_s).clamp(0.0, 1.0));
            (class, lost_s, confidence)
        })
    }

    /// The time of one class, in seconds.
    pub fn of(&self, class: GapClass) -> f64 {
        self.lost().find(|(other, ..)| *other == class).map_or(0.0, |(_, lost_s, _)| lost_s)
    }
}

/// One object: `wall_s`, `running_s`, a time for each class, and `confidence` for those that have any.
impl Serialize for TimeByClass {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("wall_s", &self.wall_s)?;
        map.serialize_entry("running_s", &self.running_s)?;
        for (class, lost_s, _) in self.lost() {
            map.serialize_entry(&format!("{}_s", class.name()), &lost_s)?;
        }
        let sure = self.lost().filter_map(|(class, _, confidence)| Some((class.name(), confidence?)));
        map.serialize_entry("confidence", &sure.collect::<BTreeMap<_, _>>())?;
        map.end()
    }
}

/// Where one vCPU's time went in one stage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CpuCost {
    /// Which.
    pub cpu: u32,
    /// Its longest gap, or the part of it that lies in the stage; 0 without any.
    pub longest_s: f64,
    /// Where its time went.
    #[serde(flatten)]
    pub time: TimeByClass,
}

/// The least share of a window in which at least one vCPU ran.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Availability {
    /// The window, in ms.
    pub window_ms: f64,
    /// The worst of all windows of that length in the stage, 0 to 1.
    pub worst: f64,
}

/// All gaps of a run, per vCPU, without what two gaps of one vCPU would count twice.
#[derive(Debug, Clone)]
pub struct Away {
    gaps: BTreeMap<u32, Vec<(Span, Verdict)>>,
    canaries: usize,
    blackouts: Vec<Span>,
    /// How sure it is that these are blackouts.
    confidence: f64,
}

impl Away {
    /// The gaps that were judged.
    pub fn of(judged: &Judged, timeline: &Timeline, canaries: usize, blackouts: &[Span]) -> Self {
        let axis = &timeline.axis;
        let mut gaps: BTreeMap<u32, Vec<(Span, Verdict)>> = BTreeMap::new();
        for (gap, verdict) in judged.gaps.iter().zip(&judged.verdicts) {
            if let Some(span) = axis.guest_span(gap.start_ns, gap.end_ns()) {
                gaps.entry(gap.cpu).or_default().push((span, *verdict));
            }
        }
        for own in gaps.values_mut() {
            own.sort_by(|one, other| one.0.start_s.total_cmp(&other.0.start_s));
            let mut told_s = f64::NEG_INFINITY;
            for (span, _) in own.iter_mut() {
                *span = Span::new(span.start_s.max(told_s), span.end_s);
                told_s = told_s.max(span.end_s);
            }
        }
        // As sure as what the shape of one gap gives, where nothing else tells.
        let confidence = if timeline.blackout.by_lone_gap { 0.5 } else { 0.95 };
        Self { gaps, canaries, blackouts: blackouts.to_vec(), confidence }
    }

    /// Where the time of `stage` went.
    pub fn by_class(&self, stage: Span) -> TimeByClass {
        // A guest that names more vCPUs than its `hello` did is believed for the first of them only.
        self.time_of(stage, self.canaries, self.gaps.values().take(self.canaries).flatten())
    }

    /// Where the time of each of these vCPUs went in `stage`.
    pub fn by_cpu(&self, stage: Span, cpus: &[u32]) -> Vec<CpuCost> {
        let of = |cpu: &u32| {
            let time = self.time_of(stage, 1, self.gaps.get(cpu).into_iter().flatten());
            let parts = self.gaps.get(cpu).into_iter().flatten().filter_map(|(span, _)| span.common(&stage));
            let longest_s = parts.map(|part| part.length_s()).fold(0.0, f64::max);
            CpuCost { cpu: *cpu, longest_s, time }
        };
        cpus.iter().map(of).collect()
    }

    /// Where the time of so many vCPUs went, whose gaps these are.
    fn time_of<'a>(
        &self,
        stage: Span,
        cpus: usize,
        gaps: impl Iterator<Item = &'a (Span, Verdict)>,
    ) -> TimeByClass {
        let stood_s = stage.covered_s(&self.blackouts);
        let mut time = TimeByClass { wall_s: stage.length_s() * cpus as f64, ..TimeByClass::default() };
        time.add(GapClass::Blackout, stood_s * cpus as f64, self.confidence);
        for (span, verdict) in gaps {
            let Some(part) = span.common(&stage) else { continue };
            let own_s = part.length_s() - part.covered_s(&self.blackouts);
            if nanos(own_s) > 0 {
                time.add(verdict.class, own_s, verdict.confidence);
            }
        }
        time.running_s = (time.wall_s - time.lost_s.iter().sum::<f64>()).max(0.0);
        time
    }

    /// The stretches in which no vCPU ran, in order, without overlap.
    pub fn common(&self) -> Vec<Span> {
        let mut edges: Vec<(f64, bool)> = Vec::new();
        for (span, _) in self.gaps.values().take(self.canaries).flatten() {
            edges.extend([(span.start_s, true), (span.end_s, false)]);
        }
        // Ends come before starts, so that gaps which only touch are not one.
        edges.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        let (mut away, mut since_s, mut found) = (0usize, None, Vec::new());
        for (moment_s, begins) in edges {
            away = if begins { away + 1 } else { away.saturating_sub(1) };
            if away >= self.canaries {
                since_s.get_or_insert(moment_s);
            } else if let Some(since_s) = since_s.take() {
                found.push(Span::new(since_s, moment_s));
            }
        }
        found.extend(&self.blackouts);
        found.sort_by(|one, other| one.start_s.total_cmp(&other.start_s));
        let mut merged: Vec<Span> = Vec::new();
        for span in found.into_iter().filter(|span| span.length_s() > 0.0) {
            match merged.last_mut() {
                Some(last) if span.start_s <= last.end_s => last.end_s = last.end_s.max(span.end_s),
                _ => merged.push(span),
            }
        }
        merged
    }
}

/// The worst windows that lie within `stage`, whole; a stage shorter than a window has none of it. `common` is what
/// [`Away::common`] gives: the worst window begins where one of them does, or ends where one does.
pub fn availability(common: &[Span], stage: Span) -> Vec<Availability> {
    let mut before_s = vec![0.0];
    for span in common {
        before_s.push(before_s.last().copied().unwrap_or(0.0) + span.length_s());
    }
    let away_until = |moment_s: f64| {
        let index = common.partition_point(|span| span.end_s <= moment_s);
        before_s[index] + common.get(index).map_or(0.0, |span| (moment_s - span.start_s).max(0.0))
    };
    let fitting = WINDOWS_S.iter().filter(|window_s| **window_s <= stage.length_s());
    let worst = fitting.map(|window_s| {
        let latest_s = stage.end_s - window_s;
        let starts = common.iter().filter(|span| span.common(&stage).is_some());
        let starts = starts.flat_map(|span| [span.start_s, span.end_s - window_s]);
        let share = |start_s: f64| (away_until(start_s + window_s) - away_until(start_s)) / window_s;
        let lost = starts.map(|start_s| share(start_s.clamp(stage.start_s, latest_s))).fold(0.0, f64::max);
        // What is finer than a billionth comes of adding up.
        let worst = ((1.0 - lost) * 1e9).round() / 1e9;
        Availability { window_ms: window_s * 1e3, worst: worst.clamp(0.0, 1.0) }
    });
    worst.collect()
}
