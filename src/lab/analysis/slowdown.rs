//! How many times longer visits took in a stage than in the baseline, and whether that can be said at all.

use super::{
    bootstrap::{Draws, bounds, resampled},
    pooled::Pooled,
};
use crate::lab::timeline::IntervalAt;
use serde::Serialize;

/// The quantiles that are compared, and their names.
pub const QUANTILES: [(f64, &str); 4] = [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p999")];
/// The least length of a block, in seconds.
const BLOCK_S: f64 = 1.0;
/// How many visits beyond a quantile make it worth a word.
const BEYOND: f64 = 10.0;
/// The halves of a baseline agree when their rates differ by no more than this share of the larger.
const RATE_APART: f64 = 0.05;
/// And their medians by no more than this factor.
const MEDIAN_APART: f64 = 1.5;
/// A higher quantile is compared when the halves' differ by no more than this factor.
const TAIL_APART: f64 = 2.0;

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
    /// Writes a second; below 1 the stage was slower.
    pub rate: Ratio,
}

/// Both histograms of one stage.
#[derive(Debug, Clone)]
pub struct Stage {
    service: Pooled,
    response: Pooled,
    block_s: f64,
}

impl Stage {
    /// A stage's intervals. `period_s` is the longest period of a throttle in it; a block holds five.
    pub fn of(intervals: &[&IntervalAt<'_>], period_s: f64) -> Self {
        Self {
            service: Pooled::of(intervals, |at| &at.interval.service_hist),
            response: Pooled::of(intervals, |at| &at.interval.response_hist),
            block_s: BLOCK_S.max(5.0 * period_s),
        }
    }

    /// How many intervals it has, or groups of them where there are very many.
    pub fn units(&self) -> usize {
        self.service.units()
    }

    /// The value below which the share `quantile` of its responses lies, in ns.
    pub fn response_ns(&self, quantile: f64) -> Option<f64> {
        let (counts, _) = self.response.part(0, self.response.units());
        self.response.quantile_of(&counts, quantile)
    }

    /// Writes a second.
    pub fn rate(&self) -> Option<f64> {
        self.service.part(0, self.service.units()).1
    }

    /// Why the two halves of this baseline do not agree; none where they do.
    pub fn halves_apart(&self) -> Option<String> {
        let half = self.units() / 2;
        if half == 0 {
            return Some("the baseline has fewer than two intervals".into());
        }
        let (_, first) = self.service.part(0, half);
        let (_, second) = self.service.part(half, self.units());
        let (first, second) = (first.unwrap_or(0.0), second.unwrap_or(0.0));
        if (first - second).abs() > RATE_APART * first.max(second) {
            return Some(format!(
                "the baseline's halves disagree: {first:.0} and {second:.0} pages a second"
            ));
        }
        let apart = |pooled: &Pooled| factor_apart(pooled, 0.5).filter(|factor| *factor > MEDIAN_APART);
        let said = |name: &str, factor: f64| {
            format!("the baseline's halves disagree: their median {name} differs {factor:.2} times")
        };
        let service = apart(&self.service).map(|factor| said("service", factor));
        service.or_else(|| apart(&self.response).map(|factor| said("response", factor)))
    }

    /// This stage against `baseline`.
    pub fn against(&self, baseline: &Self) -> Slowdown {
        let unsaid = baseline.halves_apart();
        let compare = |mine: &Pooled, theirs: &Pooled| {
            ratios((mine, self.block_s), (theirs, baseline.block_s), unsaid.as_deref())
        };
        let mut service = compare(&self.service, &baseline.service);
        let mut response = compare(&self.response, &baseline.response);
        response.pop();
        let rate = service.pop().unwrap_or(Ratio { of: "rate", ratio: None, bounds: None, reason: unsaid });
        Slowdown { service, response, rate }
    }
}

/// By what factor a quantile differs between the halves; none where a half has too few visits.
fn factor_apart(pooled: &Pooled, quantile: f64) -> Option<f64> {
    let half = pooled.units() / 2;
    let value = |from, until| {
        let (counts, _) = pooled.part(from, until);
        enough(&counts, quantile).is_none().then(|| pooled.quantile_of(&counts, quantile)).flatten()
    };
    let (first, second) = (value(0, half)?.max(1.0), value(half, pooled.units())?.max(1.0));
    Some((first / second).max(second / first))
}

/// What is missing for that quantile; none where nothing is.
fn enough(counts: &[u64], quantile: f64) -> Option<String> {
    let count = counts.iter().fold(0u64, |sum, count| sum.saturating_add(*count));
    let needed = (BEYOND / (1.0 - quantile)).round();
    ((count as f64) < needed).then(|| format!("{count} visits, {needed:.0} are needed"))
}

/// One ratio for each quantile, and last the rate's.
fn ratios(mine: (&Pooled, f64), theirs: (&Pooled, f64), unsaid: Option<&str>) -> Vec<Ratio> {
    let names = QUANTILES.iter().map(|(_, name)| *name).chain(["rate"]);
    if let Some(reason) = unsaid {
        let none = |of| Ratio { of, ratio: None, bounds: None, reason: Some(reason.to_owned()) };
        return names.map(none).collect();
    }
    let only: Vec<f64> = QUANTILES.iter().map(|(quantile, _)| *quantile).collect();
    let mut generator = Draws::default();
    let mut drawn =
        |(pooled, block_s): (&Pooled, f64)| resampled(pooled, block(pooled, block_s), &only, &mut generator);
    let drawn = drawn(mine).zip(drawn(theirs));
    let (whole, base) = (mine.0.part(0, mine.0.units()), theirs.0.part(0, theirs.0.units()));
    let one = |(index, of): (usize, &'static str)| {
        let quantile = QUANTILES.get(index).map(|(quantile, _)| *quantile);
        let figures = match quantile {
            Some(quantile) => {
                mine.0.quantile_of(&whole.0, quantile).zip(theirs.0.quantile_of(&base.0, quantile))
            }
            None => whole.1.zip(base.1),
        };
        let lacking = quantile.and_then(|quantile| lacking(&whole.0, (theirs.0, &base.0), quantile));
        let ratio =
            figures.filter(|(_, base)| *base > 0.0 && lacking.is_none()).map(|(mine, base)| mine / base);
        let between = drawn.as_ref().filter(|_| ratio.is_some()).and_then(|(mine, base)| {
            let pairs = mine.iter().zip(base).map(|(mine, base)| (mine[index], base[index]));
            bounds(pairs.filter(|(_, base)| *base > 0.0).map(|(mine, base)| mine / base).collect())
        });
        let reason = lacking.or_else(|| match (ratio, between) {
            (None, _) => Some("nothing was measured".into()),
            (_, None) => Some("too short for bounds: two blocks are needed".into()),
            _ => None,
        });
        Ratio { of, ratio, bounds: between, reason }
    };
    names.enumerate().map(one).collect()
}

fn lacking(mine: &[u64], (pooled, base): (&Pooled, &[u64]), quantile: f64) -> Option<String> {
    let apart = || {
        let factor = factor_apart(pooled, quantile).filter(|factor| *factor > TAIL_APART)?;
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
