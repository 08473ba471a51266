//! The latencies of a run, read in one pass over its intervals' histograms: merged by stage, by throttle level and by pass as they come,
//! so that none is kept that nobody asks for alone.

use super::{guest::Guest, qemu::Pass, span::Span};
use crate::{histogram::Counts, lab::rundir::RunData};

/// The most units a stage is told in; neighbours are taken together where it has more intervals. Bounds memory and work.
const UNITS: usize = 512;

/// Both latencies of some intervals.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BothLatencies {
    /// From actual start to end of a visit.
    pub service: Counts,
    /// From intended start to end of a visit.
    pub response: Counts,
}

/// The latencies of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StageLatencies {
    /// Those of [`Self::together`] intervals each, in the order of time; the last may be of fewer.
    pub units: Vec<BothLatencies>,
    /// How many intervals make a unit.
    pub together: usize,
    seen: usize,
}

/// The latencies of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Histograms {
    /// One for each stage: intervals whose middle lies in it.
    pub stages: Vec<StageLatencies>,
    /// One for each level of the throttle, likewise.
    pub levels: Vec<BothLatencies>,
    /// The service times of each pass: of intervals that begin in it.
    pub passes: Vec<Counts>,
    /// The service times of intervals that begin in the first stage.
    pub before: Counts,
    /// Histograms that cannot be read.
    pub unreadable: usize,
}

impl BothLatencies {
    fn add(&mut self, other: &[Option<Counts>; 2]) {
        for (own, more) in [&mut self.service, &mut self.response].into_iter().zip(other) {
            if let Some(more) = more {
                own.add(more);
            }
        }
    }
}

impl StageLatencies {
    /// A stage of so many intervals.
    pub fn of(intervals: usize) -> Self {
        Self { together: intervals.div_ceil(UNITS).max(1), ..Self::default() }
    }

    /// Takes in those of the next interval.
    pub fn add(&mut self, both: &[Option<Counts>; 2]) {
        if self.seen.is_multiple_of(self.together) {
            self.units.push(BothLatencies::default());
        }
        self.seen += 1;
        if let Some(unit) = self.units.last_mut() {
            unit.add(both);
        }
    }

    /// Those of the whole stage.
    pub fn merged(&self) -> BothLatencies {
        let mut all = BothLatencies::default();
        for unit in &self.units {
            all.service.add(&unit.service);
            all.response.add(&unit.response);
        }
        all
    }
}

impl Histograms {
    /// Reads those of all intervals, once each.
    pub fn read(
        data: &RunData,
        guest: &Guest<'_>,
        stages: &[Span],
        levels: &[Span],
        passes: &[Pass],
    ) -> Self {
        let in_stage =
            |stage: &Span| guest.intervals.iter().filter(|at| stage.contains(at.span.middle_s())).count();
        let mut found = Self {
            stages: stages.iter().map(|stage| StageLatencies::of(in_stage(stage))).collect(),
            levels: vec![BothLatencies::default(); levels.len()],
            passes: vec![Counts::default(); passes.len()],
            ..Self::default()
        };
        let mut lines = data.records.interval_lines();
        for at in &guest.intervals {
            let packed = lines.as_mut().and_then(|lines| lines.histograms(at.interval));
            let both = packed.map_or([None, None], |packed| packed.unpack());
            found.unreadable += both.iter().filter(|counts| counts.is_none()).count();
            let (middle_s, start_s) = (at.span.middle_s(), at.span.start_s);
            let inside = |spans: &[Span]| -> Vec<usize> {
                (0..spans.len()).filter(|index| spans[*index].contains(middle_s)).collect()
            };
            for index in inside(stages) {
                found.stages[index].add(&both);
            }
            for index in inside(levels) {
                found.levels[index].add(&both);
            }
            let Some(service) = &both[0] else { continue };
            for (pass, counts) in passes.iter().zip(&mut found.passes) {
                if pass.span.contains(start_s) {
                    counts.add(service);
                }
            }
            if stages.first().is_some_and(|first| first.contains(start_s)) {
                found.before.add(service);
            }
        }
        found
    }
}
