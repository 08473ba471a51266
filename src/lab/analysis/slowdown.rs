//! How many times longer visits took in a stage than in the baseline, and whether that can be said at all.

use super::{
    bootstrap::{Draws, bounds, resampled},
    pooled::{Pooled, is_scheduled},
};
use crate::{
    lab::{
        figure::short,
        timeline::{IntervalAt, StageLatencies, nanos},
    },
    record::is_resolved,
};
use serde::Serialize;

/// The quantiles that are compared, and their names.
pub const QUANTILES: [(f64, &str); 4] = [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p999")];
/// The least length of a block, in seconds.
const BLOCK_S: f64 = 1.0;
/// The halves of a baseline agree when their rates differ by no more than this share of the larger.
const RATE_APART: f64 = 0.05;
/// And their medians by no more than this factor.
const MEDIAN_APART: f64 = 1.5;
/// A higher quantile is compared when the halves' differ by no more than this factor.
const TAIL_APART: f64 = 2.0;

/// Why nothing is summed up.
pub const MISSING: &str = "intervals are missing";
/// Why a stage's latencies are not held against the baseline's.
pub const OTHER_LOAD: &str = "the load is not the baseline's all the time";

/// A stage's figure over the baseline's, with the bounds of 95 %.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ratio {
    /// `p50`, `p90`, `p99`, `p999`, or `rate`.
    pub of: &'static str,
    /// The ratio; null where it cannot be said.
    pub ratio: Option<f64>,
    /// 95 % of the resampled ratios lie between these; null where the stage or the baseline is too short for blocks.
    pub bounds: Option<[f64; 2]>,
    /// Why there is no ratio, or no bounds.
    pub reason: Option<String>,
}

/// Both latencies of one stage against the baseline's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Slowdown {
    /// From actual start to end.
    pub service: Vec<Ratio>,
    /// From intended start to end.
    pub response: Vec<Ratio>,
    /// What was done of what the schedule offered, or, without one, writes a second; below 1 the stage was slower.
    pub rate: Ratio,
}

/// Both histograms of one stage.
#[derive(Debug, Clone)]
pub struct Stage {
    service: Pooled,
    response: Pooled,
    block_s: f64,
    is_scheduled: bool,
    /// The steps of the guest's clock.
    step_ns: u64,
}

impl Stage {
    /// A stage's intervals, by a clock that takes steps of `step_ns`. `period_s` is the longest period of a throttle in it; a
    /// block holds five.
    pub fn of(
        intervals: &[&IntervalAt<'_>],
        latencies: &StageLatencies,
        period_s: f64,
        step_ns: u64,
    ) -> Self {
        Self {
            service: Pooled::of(intervals, latencies, |both| &both.service),
            response: Pooled::of(intervals, latencies, |both| &both.response),
            block_s: BLOCK_S.max(5.0 * period_s),
            is_scheduled: is_scheduled(intervals),
            step_ns,
        }
    }

    /// How many intervals it has, or groups of them where there are very many.
    pub fn units(&self) -> usize {
        self.service.units()
    }

    /// The value below which 99 % of its responses lie, in ns; none where that cannot be told.
    pub fn response_p99_ns(&self) -> Option<f64> {
        let (counts, _) = self.response.part(0, self.response.units());
        self.response.quantile_of(&counts, 0.99).filter(|ns| is_told(*ns, self.step_ns))
    }

    /// Why the two halves of this baseline do not agree; none where they do.
    pub fn halves_apart(&self) -> Option<String> {
        let half = self.units() / 2;
        if half == 0 {
            return Some("the baseline has fewer than two intervals".into());
        }
        let (_, first) = self.service.part(0, half);
        let (_, second) = self.service.part(half, self.units());
        match (first, second) {
            (Some(first), Some(second)) if (first - second).abs() > RATE_APART * first.max(second) => {
                return Some(self.rates_apart(first, second));
            }
            (Some(_), None) | (None, Some(_)) => {
                return Some("a half of the baseline asks for nothing".into());
            }
            _ => {}
        }
        let apart =
            |pooled: &Pooled| factor_apart(pooled, 0.5, self.step_ns).filter(|factor| *factor > MEDIAN_APART);
        let said = |name: &str, factor: f64| {
            format!("the baseline's halves disagree: their median {name} differs {factor:.2} times")
        };
        let service = apart(&self.service).map(|factor| said("service", factor));
        service.or_else(|| apart(&self.response).map(|factor| said("response", factor)))
    }

    fn rates_apart(&self, first: f64, second: f64) -> String {
        if self.is_scheduled {
            let [first, second] = [first, second].map(|share| share * 100.0);
            return format!(
                "the baseline's halves disagree: {} and {} % of what was asked for",
                short(first),
                short(second)
            );
        }
        format!("the baseline's halves disagree: {} and {} pages a second", short(first), short(second))
    }

    /// This stage against `baseline`. `is_same`: their load is the same.
    pub fn against(&self, baseline: &Self, is_same: bool) -> Slowdown {
        let apart = baseline.halves_apart();
        let other = || (!is_same).then(|| OTHER_LOAD.to_owned());
        let unsaid = apart.clone().or_else(other);
        let step_ns = self.step_ns.max(baseline.step_ns);
        let compare = |mine: &Pooled, theirs: &Pooled| {
            ratios((mine, self.block_s), (theirs, baseline.block_s), step_ns, unsaid.as_deref())
        };
        let service = compare(&self.service, &baseline.service);
        let response = compare(&self.response, &baseline.response);
        // What was done of what was asked for can be compared whatever was asked for.
        let is_both = self.is_scheduled && baseline.is_scheduled;
        let unsaid = apart.or_else(|| other().filter(|_| !is_both));
        let rate = rate((&self.service, self.block_s), (&baseline.service, baseline.block_s), unsaid);
        Slowdown { service, response, rate }
    }
}

/// Whether a clock with such steps can tell a time.
fn is_told(ns: f64, step_ns: u64) -> bool {
    is_resolved(nanos(ns / 1e9), step_ns)
}

/// By what factor a quantile differs between the halves; none where a half has too few visits, or the clock is too coarse for it.
fn factor_apart(pooled: &Pooled, quantile: f64, step_ns: u64) -> Option<f64> {
    let half = pooled.units() / 2;
    let value = |from, until| {
        let (counts, _) = pooled.part(from, until);
        let value =
            enough(&counts, quantile).is_none().then(|| pooled.quantile_of(&counts, quantile)).flatten();
        value.filter(|ns| is_told(*ns, step_ns))
    };
    let (first, second) = (value(0, half)?, value(half, pooled.units())?);
    Some((first / second).max(second / first))
}

/// What is missing for that quantile; none where nothing is.
fn enough(counts: &[u64], quantile: f64) -> Option<String> {
    crate::lab::figure::lacking(counts.iter().fold(0u64, |sum, count| sum.saturating_add(*count)), quantile)
}

/// A stage's latencies and the least length of a block.
type Blocks<'a> = (&'a Pooled, f64);

/// One ratio for each quantile.
fn ratios(mine: Blocks<'_>, theirs: Blocks<'_>, step_ns: u64, unsaid: Option<&str>) -> Vec<Ratio> {
    let none = |of, reason: &str| Ratio { of, ratio: None, bounds: None, reason: Some(reason.to_owned()) };
    if let Some(reason) = unsaid {
        return QUANTILES.iter().map(|(_, of)| none(of, reason)).collect();
    }
    let only: Vec<f64> = QUANTILES.iter().map(|(quantile, _)| *quantile).collect();
    let drawn = both_drawn(mine, theirs, &only);
    let (whole, base) = (mine.0.part(0, mine.0.units()).0, theirs.0.part(0, theirs.0.units()).0);
    let one = |(index, (quantile, of)): (usize, &(f64, &'static str))| {
        if let Some(lacking) = lacking(&whole, (theirs.0, &base), *quantile, step_ns) {
            return none(of, &lacking);
        }
        let figures = mine.0.quantile_of(&whole, *quantile).zip(theirs.0.quantile_of(&base, *quantile));
        if figures.is_some_and(|(mine, base)| !is_told(mine, step_ns) || !is_told(base, step_ns)) {
            return none(of, "the guest's clock is too coarse to tell it");
        }
        told(of, figures, drawn.as_ref(), index)
    };
    QUANTILES.iter().enumerate().map(one).collect()
}

/// The ratio of what was done of what was asked for.
fn rate(mine: Blocks<'_>, theirs: Blocks<'_>, unsaid: Option<String>) -> Ratio {
    if unsaid.is_some() {
        return Ratio { of: "rate", ratio: None, bounds: None, reason: unsaid };
    }
    let figures = mine.0.part(0, mine.0.units()).1.zip(theirs.0.part(0, theirs.0.units()).1);
    told("rate", figures, both_drawn(mine, theirs, &[]).as_ref(), 0)
}

/// Draws of a stage and of the baseline: for each one value a figure.
type Drawn = (Vec<Vec<f64>>, Vec<Vec<f64>>);

fn both_drawn(mine: Blocks<'_>, theirs: Blocks<'_>, quantiles: &[f64]) -> Option<Drawn> {
    let mut generator = Draws::default();
    let mut drawn =
        |(pooled, block_s): Blocks<'_>| resampled(pooled, block(pooled, block_s), quantiles, &mut generator);
    drawn(mine).zip(drawn(theirs))
}

/// The ratio of two figures, with the bounds of their draws.
fn told(of: &'static str, figures: Option<(f64, f64)>, drawn: Option<&Drawn>, index: usize) -> Ratio {
    let ratio = figures.filter(|(_, base)| *base > 0.0).map(|(mine, base)| mine / base);
    let between = drawn.filter(|_| ratio.is_some()).and_then(|(mine, base)| {
        let pairs = mine.iter().zip(base).map(|(mine, base)| (mine[index], base[index]));
        bounds(
            pairs
                .filter(|(mine, base)| mine.is_finite() && *base > 0.0)
                .map(|(mine, base)| mine / base)
                .collect(),
        )
    });
    let reason = match (ratio, between) {
        (None, _) => Some("nothing was measured".into()),
        (_, None) => Some("too short for bounds: two blocks are needed".into()),
        _ => None,
    };
    Ratio { of, ratio, bounds: between, reason }
}

fn lacking(mine: &[u64], (pooled, base): (&Pooled, &[u64]), quantile: f64, step_ns: u64) -> Option<String> {
    let apart = || {
        let factor = factor_apart(pooled, quantile, step_ns).filter(|factor| *factor > TAIL_APART)?;
        Some(format!("the baseline's halves differ {factor:.1} times here"))
    };
    let few = |counts: &[u64], whose: &str| enough(counts, quantile).map(|few| format!("{whose}: {few}"));
    few(mine, "stage").or_else(|| few(base, "baseline")).or_else(apart)
}

/// How many units make a block.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates")]
fn block(pooled: &Pooled, block_s: f64) -> usize {
    pooled.unit_s().map_or(0, |unit_s| (block_s / unit_s).round().max(1.0) as usize)
}
