//! The intervals of one stage, made ready for drawing: running sums of their histograms over the cells they use.

use crate::{
    histogram::{Counts, cell_of, highest_in_cell},
    lab::timeline::IntervalAt,
};

/// The most units a stage is told in; neighbours are taken together where it has more intervals. Bounds memory and work.
const UNITS: usize = 512;

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
    /// The same for writes and for seconds.
    work: Vec<(f64, f64)>,
}

impl Pooled {
    /// From a stage's intervals and one of their two histograms; one that cannot be read counts as empty.
    pub fn of(intervals: &[&IntervalAt<'_>], packed: for<'i> fn(&'i IntervalAt<'_>) -> &'i str) -> Self {
        let mut units: Vec<(Counts, f64, f64)> = Vec::new();
        let together = intervals.len().div_ceil(UNITS).max(1);
        for few in intervals.chunks(together) {
            let mut unit = (Counts::default(), 0.0, 0.0);
            for at in few {
                if let Ok(counts) = Counts::unpack(packed(at)) {
                    unit.0.add(&counts);
                }
                unit.1 += at.interval.writes as f64;
                unit.2 += at.span.length_s();
            }
            units.push(unit);
        }
        Self::of_units(&units)
    }

    fn of_units(units: &[(Counts, f64, f64)]) -> Self {
        let mut all = Counts::default();
        for (counts, _, _) in units {
            all.add(counts);
        }
        let values_ns: Vec<u64> =
            all.occupied().map(|(lowest, _)| highest_in_cell(cell_of(lowest))).collect();
        let (mut used, mut starts) = (Vec::new(), vec![0]);
        let (mut sums, mut work) = (vec![vec![0u64; values_ns.len()]], vec![(0.0, 0.0)]);
        for (counts, writes, time_s) in units {
            let mut sum = sums.last().cloned().unwrap_or_default();
            for (lowest, count) in counts.occupied() {
                let highest_ns = highest_in_cell(cell_of(lowest));
                if let Ok(cell) = values_ns.binary_search(&highest_ns) {
                    sum[cell] = sum[cell].saturating_add(count);
                    used.push((cell, count));
                }
            }
            let (before, before_s) = work.last().copied().unwrap_or_default();
            starts.push(used.len());
            sums.push(sum);
            work.push((before + writes, before_s + time_s));
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
        let mean_s = self.work.last()?.1 / self.units() as f64;
        (mean_s > 0.0).then_some(mean_s)
    }

    /// Adds units `from` up to `until` to `counts`, `writes` and `time_s`.
    pub fn add_block(
        &self,
        from: usize,
        until: usize,
        counts: &mut [u64],
        writes: &mut f64,
        time_s: &mut f64,
    ) {
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
        *writes += self.work[until].0 - self.work[from].0;
        *time_s += self.work[until].1 - self.work[from].1;
    }

    /// The counts of units `from` up to `until`, and the rate of their writes a second.
    pub fn part(&self, from: usize, until: usize) -> (Vec<u64>, Option<f64>) {
        let (mut counts, mut writes, mut time_s) = (vec![0; self.cells()], 0.0, 0.0);
        self.add_block(from, until, &mut counts, &mut writes, &mut time_s);
        (counts, (time_s > 0.0).then(|| writes / time_s))
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
