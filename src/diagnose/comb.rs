//! The throttle percent, from the regularity of the stops that hit every vCPU at once.
//!
//! QEMU's law: at p percent every vCPU is stopped for S = 10 ms p / (1 - p) once in every T = 10 ms / (1 - p). For each
//! p the stops about as long as S are laid over each other modulo T. Where their ends fall on one place, p is right:
//! R, the length of the mean of exp(2 pi i end / T), is then near 1. The score is R times the share of the stops due
//! that were seen. T is then refined by least squares, and p = 1 - 10 ms / T.
//!
//! Ends are used and not starts: a canary wakes when the stop ends, while the start is known to its period only.
//! Unrelated pauses lie as regularly by chance with a probability of about (1 - R^2)^(n - 1): that must be tiny, too,
//! since over a few long periods R alone says little. And most neighbours must be whole periods apart.

use crate::record::{Throttle, ThrottleLaw};
use std::ops::RangeInclusive;

/// A stretch in which no vCPU ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stop {
    /// CLOCK_MONOTONIC.
    pub end_ns: u64,
    /// Its length.
    pub len_ns: u64,
}

/// How far back one looks at most, ns: three periods of a throttle of 99 %, and half of one since the last.
pub const WINDOW_NS: u64 = 3_500_000_000;
/// How far back is enough up to 90 %, ns.
const SHORT_WINDOW_NS: u64 = 1_000_000_000;
/// What QEMU lets a vCPU run in each period, ns.
pub(super) const SLICE_NS: u64 = 10_000_000;
/// The least score of a verdict.
const SCORE_FLOOR: f64 = 0.45;
/// The share of the stops due that must be there.
const SHARE_FLOOR: f64 = 0.4;
/// How likely unrelated pauses may look as regular.
const CHANCE_CEILING: f64 = 1e-6;
/// How far the refined percent may be from the one that was tried, points.
const POINTS_APART: f64 = 3.0;
/// How much too short a stop may be found at least, ns: half a canary's period.
pub(super) const SHORT_NS: u64 = 600_000;
/// How much too long, ns: that, and what a vCPU has to do at first before the canary wakes. Seen under emulation: 1.2 to 2.2 ms.
pub(super) const LONG_NS: u64 = 2_200_000;
/// More stops than a law makes within the window; what is older is left out, so that the work is bounded.
const STOPS_CEILING: usize = 1024;
/// So many stops in a row are a throttle among others, and such a share of those due.
const CHAIN_LEAST: usize = 12;
const CHAIN_SHARE: f64 = 0.5;
/// So many stops are looked at near the end of one that was due: more of one VM do not end within a millisecond.
const NEAR_CEILING: usize = 16;
/// The least stop, stops and percent of a law that is not known.
const FREE_LEAST: (u64, usize, f64) = (2_000_000, 6, 5.0);

/// What the rhythm of the stops (in any order) of the last [`WINDOW_NS`] before `now_ns` tells; none where there is none.
pub(super) fn throttle(stops: &[Stop], now_ns: u64) -> Option<Throttle> {
    let short = Window::of(stops, now_ns, SHORT_WINDOW_NS);
    let long = Window::of(stops, now_ns, WINDOW_NS);
    let tries = short.tries((30..=900).step_by(5)).into_iter().chain(long.tries(901..=990));
    let best = tries.max_by(|one, other| one.score.total_cmp(&other.score));
    Some(best.or_else(|| short.free())?.verdict())
}

/// What one period explains.
#[derive(Debug, Clone, Copy)]
struct Fit {
    law: ThrottleLaw,
    percent: f64,
    period_ns: f64,
    score: f64,
}

impl Fit {
    fn verdict(&self) -> Throttle {
        Throttle {
            percent: whole(self.percent),
            period_ns: whole(self.period_ns),
            law: self.law,
            score_percent: whole(self.score * 100.0),
        }
    }
}

/// The nearest whole number of a figure that is not negative and far below 2^32.
fn whole(figure: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded on both sides")]
    let number = figure.clamp(0.0, 4e9).round() as u64;
    number
}

/// The stops that ended within a window, by length, and how long it is.
struct Window {
    stops: Vec<Stop>,
    length_ns: u64,
}

impl Window {
    fn of(stops: &[Stop], now_ns: u64, length_ns: u64) -> Self {
        let begin_ns = now_ns.saturating_sub(length_ns);
        let within = stops.iter().filter(|stop| (begin_ns + 1..=now_ns).contains(&stop.end_ns));
        let mut stops: Vec<Stop> = within.copied().collect();
        if stops.len() > STOPS_CEILING {
            stops.sort_unstable_by_key(|stop| stop.end_ns);
            stops.drain(..stops.len() - STOPS_CEILING);
        }
        stops.sort_unstable_by_key(|stop| stop.len_ns);
        Self { stops, length_ns }
    }

    /// Those about as long as `len_ns`, or up to `more_ns` or 6 % longer.
    fn about(&self, len_ns: u64, more_ns: u64) -> &[Stop] {
        let lengths = about(len_ns, more_ns);
        let from = self.stops.partition_point(|stop| stop.len_ns < *lengths.start());
        let to = self.stops.partition_point(|stop| stop.len_ns <= *lengths.end());
        &self.stops[from..to]
    }

    /// Where QEMU's law fits, at each of `permilles`, which ascend.
    fn tries(&self, permilles: impl Iterator<Item = u64>) -> Vec<Fit> {
        let (mut from, mut to) = (0, 0);
        let mut fits = Vec::new();
        for permille in permilles {
            let period_ns = SLICE_NS * 1000 / (1000 - permille);
            // As [`Self::about`] finds them; from one try to the next both ends go up.
            let lengths = about(period_ns - SLICE_NS, LONG_NS);
            while self.stops.get(from).is_some_and(|stop| stop.len_ns < *lengths.start()) {
                from += 1;
            }
            while self.stops.get(to).is_some_and(|stop| stop.len_ns <= *lengths.end()) {
                to += 1;
            }
            if from == self.stops.len() {
                break;
            }
            fits.extend(self.at(permille, period_ns, &self.stops[from..to]));
        }
        fits
    }

    /// Whether QEMU's law fits at `permille`, of which `period_ns` is the period, by the stops that are about as long as
    /// its sleeps.
    fn at(&self, permille: u64, period_ns: u64, stops: &[Stop]) -> Option<Fit> {
        let ends = self.enough(stops, period_ns, SHARE_FLOOR)?;
        let fit = |ends: &[u64]| {
            follow_each_other(ends, period_ns).then(|| self.regular(ends, period_ns)).flatten()
        };
        let chain = || self.chain(&ends_of(self.about(period_ns - SLICE_NS, SLICE_NS)), period_ns);
        let (period_ns, score) = fit(&ends).or_else(|| fit(&chain()?))?;
        let percent = 100.0 * (1.0 - SLICE_NS as f64 / period_ns);
        let agrees = (percent - permille as f64 / 10.0).abs() <= POINTS_APART;
        agrees.then_some(Fit { law: ThrottleLaw::Qemu, percent, period_ns, score })
    }

    /// Whether stops of one length come at one distance, whatever the law.
    fn free(&self) -> Option<Fit> {
        let (least_ns, least, least_percent) = FREE_LEAST;
        let long = &self.stops[self.stops.partition_point(|stop| stop.len_ns < least_ns)..];
        let typical_ns = long.get(long.len() / 2)?.len_ns;
        let mut ends: Vec<u64> = self.about(typical_ns, SHORT_NS).iter().map(|stop| stop.end_ns).collect();
        ends.sort_unstable();
        let mut distances: Vec<u64> = ends.windows(2).map(|pair| pair[1] - pair[0]).collect();
        distances.sort_unstable();
        let period_ns = *distances.get(distances.len() / 2).filter(|period_ns| **period_ns > typical_ns)?;
        let even = distances.iter().filter(|other| other.abs_diff(period_ns) <= period_ns / 10).count();
        if ends.len() < least || even * 5 < distances.len() * 3 {
            return None;
        }
        let (period_ns, score) = self.regular(&ends, period_ns)?;
        // What is as long as QEMU would have it, or as much longer as canaries wake late, is QEMU's.
        let more_ns = typical_ns as f64 - (period_ns - SLICE_NS as f64);
        let (law, percent) = if (-(SHORT_NS as f64)..=LONG_NS as f64).contains(&more_ns) {
            (ThrottleLaw::Qemu, 100.0 * (1.0 - SLICE_NS as f64 / period_ns))
        } else {
            (ThrottleLaw::Unknown, 100.0 * typical_ns as f64 / period_ns)
        };
        let told = percent >= least_percent && percent < 100.0;
        told.then_some(Fit { law, percent, period_ns, score })
    }

    /// The ends of `stops` in order, if they are enough for a period.
    fn enough(&self, stops: &[Stop], period_ns: u64, share: f64) -> Option<Vec<u64>> {
        let due = self.length_ns as f64 / period_ns as f64;
        if stops.len() < 3 || (stops.len() as f64) < share * due {
            return None;
        }
        Some(ends_of(stops))
    }

    /// The longest row of `ends` in which each comes one period after the one before, or two where one was lost. Where stops
    /// of other causes are as long as a throttle's sleeps and as many, or make some longer, its sleeps alone are
    /// regular. So many in a row do not come about by chance.
    fn chain(&self, ends: &[u64], period_ns: u64) -> Option<Vec<u64>> {
        // Of each end: how many are in the row up to it, and which comes before it.
        let mut rows: Vec<(usize, Option<usize>)> = Vec::with_capacity(ends.len());
        for end_ns in ends {
            let near = |periods: u64| {
                let due_ns = end_ns.saturating_sub(periods * period_ns);
                let from = ends.partition_point(|end_ns| end_ns.saturating_add(SHORT_NS) < due_ns);
                let to = ends.partition_point(|end_ns| *end_ns <= due_ns.saturating_add(SHORT_NS));
                let to = to.min(rows.len());
                from.max(to.saturating_sub(NEAR_CEILING))..to
            };
            let before = near(1).chain(near(2)).max_by_key(|index| rows[*index].0);
            rows.push((before.map_or(0, |index| rows[index].0) + 1, before));
        }
        let mut at = (0..rows.len()).max_by_key(|index| rows[*index].0);
        let mut chain = Vec::new();
        while let Some(index) = at {
            chain.push(ends[index]);
            at = rows[index].1;
        }
        chain.reverse();
        let due = self.length_ns as f64 / period_ns as f64;
        (chain.len() >= CHAIN_LEAST && chain.len() as f64 >= CHAIN_SHARE * due).then_some(chain)
    }

    /// The refined period and the score of `ends`, in order, if they are regular.
    fn regular(&self, ends: &[u64], period_ns: u64) -> Option<(f64, f64)> {
        let first_ns = *ends.first()?;
        let phase = |end_ns: u64| ((end_ns - first_ns) % period_ns) as f64 / period_ns as f64;
        let (mut along, mut across) = (0.0, 0.0);
        for end_ns in ends {
            let (sine, cosine) = sine_cosine(phase(*end_ns));
            along += cosine;
            across += sine;
        }
        let count = ends.len() as f64;
        let coherence = ((along * along + across * across).sqrt() / count).min(1.0);
        let due = self.length_ns as f64 / period_ns as f64;
        let score = coherence * (count / due).min(1.0);
        let mut chance = 1.0;
        (1..ends.len()).for_each(|_| chance *= 1.0 - coherence * coherence);
        (score >= SCORE_FLOOR && chance <= CHANCE_CEILING && is_even(ends, period_ns))
            .then(|| refined(ends, period_ns, (across, along)))?
            .map(|period_ns| (period_ns, score))
    }
}

/// The lengths about `len_ns`, up to `more_ns` or 6 % longer.
fn about(len_ns: u64, more_ns: u64) -> RangeInclusive<u64> {
    let share_ns = len_ns / 100 * 6;
    len_ns.saturating_sub(SHORT_NS.max(share_ns))..=len_ns.saturating_add(more_ns.max(share_ns))
}

/// The ends of `stops` in order.
fn ends_of(stops: &[Stop]) -> Vec<u64> {
    let mut ends: Vec<u64> = stops.iter().map(|stop| stop.end_ns).collect();
    ends.sort_unstable();
    ends
}

/// Whether most neighbours are whole periods apart, within 1 to 2 ms, of long periods within half a percent. Pauses of
/// one length after random waits keep their phase for a while, but not their distance.
fn is_even(ends: &[u64], period_ns: u64) -> bool {
    let off_ns = (period_ns / 20).clamp(1_000_000, 2_000_000).max(period_ns / 200);
    let even = ends.windows(2).filter(|pair| {
        let rest_ns = (pair[1] - pair[0]) % period_ns;
        rest_ns.min(period_ns - rest_ns) <= off_ns && pair[1] - pair[0] > off_ns
    });
    even.count() * 5 >= ends.len().saturating_sub(1) * 4
}

/// Whether half of the neighbours are about one period apart. Half the period of another throttle (40 of 100 ms), or a
/// third, fits as well; but then no sleep follows the one before it. Of sleeps below 2 ms a canary may see just every
/// other one, as its wakes happen to fall.
fn follow_each_other(ends: &[u64], period_ns: u64) -> bool {
    let near = ends.windows(2).filter(|pair| pair[1] - pair[0] < period_ns + period_ns / 2).count();
    period_ns < SLICE_NS + 2_000_000 || near * 2 >= ends.len().saturating_sub(1)
}

/// The period that fits `ends` best, by least squares over their numbers in the comb of `period_ns` whose mean phase
/// has the direction `mean` (sine, cosine); ends a quarter period off that do not count.
fn refined(ends: &[u64], period_ns: u64, mean: (f64, f64)) -> Option<f64> {
    let first_ns = *ends.first()?;
    let mut teeth: Vec<(f64, f64)> = Vec::with_capacity(ends.len());
    for end_ns in ends {
        let since_ns = end_ns - first_ns;
        let phase = (since_ns % period_ns) as f64 / period_ns as f64;
        let (sine, cosine) = sine_cosine(phase);
        let (along, across) = (cosine * mean.1 + sine * mean.0, sine * mean.1 - cosine * mean.0);
        if along > 0.0 && across.abs() <= along {
            // The mean lies within a quarter period of this end, so it tells which tooth is meant.
            let before = since_ns / period_ns;
            let late = phase > 0.5 && mean.1 > 0.0 && mean.0 >= 0.0;
            let early = phase < 0.5 && mean.1 > 0.0 && mean.0 < 0.0;
            let tooth = before as f64 + f64::from(u8::from(late)) - f64::from(u8::from(early));
            teeth.push((tooth, since_ns as f64));
        }
    }
    let count = teeth.len() as f64;
    let centre = teeth.iter().fold((0.0, 0.0), |sum, tooth| (sum.0 + tooth.0, sum.1 + tooth.1));
    let (mut spread, mut slope) = (0.0, 0.0);
    for (tooth, since_ns) in &teeth {
        let from_centre = tooth - centre.0 / count;
        spread += from_centre * from_centre;
        slope += from_centre * (since_ns - centre.1 / count);
    }
    (spread > 0.0).then(|| slope / spread)
}

/// Sine and cosine of `turn` full turns, 0 to 1, within 0.001: enough here, and far smaller than the C library's.
fn sine_cosine(turn: f64) -> (f64, f64) {
    let quarters = turn * 4.0;
    let (quarter, rest) = match quarters {
        below if below < 0.5 => (0, below),
        below if below < 1.5 => (1, below - 1.0),
        below if below < 2.5 => (2, below - 2.0),
        below if below < 3.5 => (3, below - 3.0),
        below => (0, below - 4.0),
    };
    let angle = rest * std::f64::consts::FRAC_PI_2;
    let square = angle * angle;
    let sine = angle * (1.0 - square / 6.0 * (1.0 - square / 20.0));
    let cosine = 1.0 - square / 2.0 * (1.0 - square / 12.0 * (1.0 - square / 30.0));
    match quarter {
        0 => (sine, cosine),
        1 => (cosine, -sine),
        2 => (-sine, -cosine),
        _ => (-cosine, sine),
    }
}

#[cfg(test)]
mod tests;
