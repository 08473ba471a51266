//! The intervals of one stage, made ready for drawing: running sums of their histograms over the cells they use.

use crate::{
    histogram::{Counts, cell_of, highest_in_cell},
    lab::timeline::{BothLatencies, IntervalAt, StageLatencies},
};

/// One stage's histogram of one latency, unit by unit, as running sums and as what each unit adds to them: a long block
/// is the difference of two sums, a short one the few cells that its units used.
#[derive(Debug, Clone, Default)]
pub struct Pooled {
    /// The highest value of each cell that is used, in ns, ascending.
    values_ns: Vec<u64>,
    /// Which cell was used and how often, unit after unit.
    used: Vec<(usize, u64)>,
    /// For each unit's start, and the end of all: where it stands in `used`.
    starts: Vec<usize>,
    /// For each unit's start, and the end of all: the counts so far, cell by cell.
    sums: Vec<Vec<u64>>,
    /// The same for work.
    work: Vec<Work>,
}

/// What was done, of how much, and in which time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Work {
    /// Visits of a schedule, reads included; writes where there is none.
    pub done: f64,
    /// Visits that a schedule offered; seconds where there is none.
    pub asked: f64,
    /// Seconds.
    pub time_s: f64,
}

impl Work {
    fn add(&mut self, from: Self, until: Self) {
        self.done += until.done - from.done;
        self.asked += until.asked - from.asked;
        self.time_s += until.time_s - from.time_s;
    }

    /// What was done of what was asked for, or a second; none where nothing was asked for.
    pub fn rate(&self) -> Option<f64> {
        (self.asked > 0.0).then(|| self.done / self.asked)
    }
}

impl Pooled {
    /// From a stage's intervals and one of their two latencies, unit by unit. Work is held against the schedule where all of them
    /// have one.
    pub fn of(
        intervals: &[&IntervalAt<'_>],
        latencies: &StageLatencies,
        counts: fn(&BothLatencies) -> &Counts,
    ) -> Self {
        let is_scheduled = is_scheduled(intervals);
        let works = intervals.chunks(latencies.together.max(1)).map(|few| {
            let mut work = Work::default();
            for at in few {
                let (time_s, reads) = (at.span.length_s(), if is_scheduled { at.interval.reads } else { 0 });
                work.done += at.interval.writes.saturating_add(reads) as f64;
                work.asked +=
                    at.interval.offered.filter(|_| is_scheduled).map_or(time_s, |offered| offered as f64);
                work.time_s += time_s;
            }
            work
        });
        let units: Vec<(&Counts, Work)> = latencies.units.iter().map(counts).zip(works).collect();
        Self::of_units(&units)
    }

    fn of_units(units: &[(&Counts, Work)]) -> Self {
        let mut all = Counts::default();
        for (counts, _) in units {
            all.add(counts);
        }
        let values_ns: Vec<u64> =
            all.occupied().map(|(lowest, _)| highest_in_cell(cell_of(lowest))).collect();
        let (mut used, mut starts) = (Vec::new(), vec![0]);
        let (mut sums, mut work) = (vec![vec![0u64; values_ns.len()]], vec![Work::default()]);
        for (counts, own) in units {
            let mut sum = sums.last().cloned().unwrap_or_default();
            for (lowest, count) in counts.occupied() {
                let highest_ns = highest_in_cell(cell_of(lowest));
                if let Ok(cell) = values_ns.binary_search(&highest_ns) {
                    sum[cell] = sum[cell].saturating_add(count);
                    used.push((cell, count));
                }
            }
            let mut so_far = work.last().copied().unwrap_or_default();
            so_far.add(Work::default(), *own);
            starts.push(used.len());
            sums.push(sum);
            work.push(so_far);
        }
        Self { values_ns, used, starts, sums, work }
    }

    /// How many units there are to draw from.
    pub fn units(&self) -> usize {
        self.work.len().saturating_sub(1)
    }

    /// How many cells are used.
    pub fn cells(&self) -> usize {
        self.values_ns.len()
    }

    /// Seconds that a unit lasts, on the mean; none where there are none.
    pub fn unit_s(&self) -> Option<f64> {
        let mean_s = self.work.last()?.time_s / self.units() as f64;
        (mean_s > 0.0).then_some(mean_s)
    }

    /// Adds units `from` up to `until` to `counts` and `work`.
    pub fn add_block(&self, from: usize, until: usize, counts: &mut [u64], work: &mut Work) {
        let (Some(low), Some(high)) = (self.sums.get(from), self.sums.get(until)) else { return };
        let used = &self.used[self.starts[from]..self.starts[until]];
        if used.len() < self.cells() {
            for (cell, count) in used {
                counts[*cell] = counts[*cell].saturating_add(*count);
            }
        } else {
            for (count, (low, high)) in counts.iter_mut().zip(low.iter().zip(high)) {
                *count = count.saturating_add(high.saturating_sub(*low));
            }
        }
        work.add(self.work[from], self.work[until]);
    }

    /// The counts of units `from` up to `until`, and what they did of what was asked for.
    pub fn part(&self, from: usize, until: usize) -> (Vec<u64>, Option<f64>) {
        let (mut counts, mut work) = (vec![0; self.cells()], Work::default());
        self.add_block(from, until, &mut counts, &mut work);
        (counts, work.rate())
    }

    /// The value at or below which the share `quantile` of `counts` lies, in ns; none where nothing was counted.
    pub fn quantile_of(&self, counts: &[u64], quantile: f64) -> Option<f64> {
        let total = counts.iter().fold(0u64, |sum, count| sum.saturating_add(*count));
        let rank = (quantile * total as f64).ceil().max(1.0);
        let mut seen = 0u64;
        let cell = counts.iter().position(|count| {
            seen = seen.saturating_add(*count);
            seen as f64 >= rank
        })?;
        self.values_ns.get(cell).map(|value| *value as f64)
    }
}

/// Whether all of these intervals had a schedule.
pub fn is_scheduled(intervals: &[&IntervalAt<'_>]) -> bool {
    !intervals.is_empty() && intervals.iter().all(|at| at.interval.offered.is_some())
}
