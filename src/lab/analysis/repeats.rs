//! Several runs of the same scenarios: the unit is one migration. Medians with bounds, and how far two scenarios lie apart as
//! an effect size; no p-values.

use super::{Analysis, Draws, bounds};
use crate::lab::timeline::{PhaseName, Timeline};
use serde::Serialize;
use std::collections::BTreeMap;

/// A difference between two scenarios is told from so many runs of each on.
pub const RUNS: usize = 10;
/// How often runs are drawn anew.
const RESAMPLES: usize = 2000;

/// What several runs say together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Repeats {
    /// The form of this file.
    pub schema: u32,
    /// One for each scenario, in the order in which they came.
    pub groups: Vec<Group>,
    /// Each later scenario against the first.
    pub differences: Vec<Difference>,
}

/// The runs of one scenario.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// How many.
    pub runs: usize,
    /// Its figures.
    pub figures: Vec<Spread>,
}

/// One figure over the runs of a scenario.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spread {
    /// Which.
    pub of: &'static str,
    /// Runs that have it.
    pub runs: usize,
    /// Half of them lie at or below; null where none has it.
    pub median: Option<f64>,
    /// The median of all such runs lies between these with at least 95 %; null for fewer than six.
    pub bounds: Option<[f64; 2]>,
    /// Why runs lack it, or why there are no bounds.
    pub reason: Option<String>,
}

/// How far apart one figure of two scenarios is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Which figure.
    pub of: &'static str,
    /// The scenario it is held against.
    pub from: String,
    /// The scenario.
    pub to: String,
    /// The median of all differences between a run of one and a run of the other (Hodges and Lehmann 1963).
    pub shift: Option<f64>,
    /// 95 % of 2000 resamples of the runs lie between these.
    pub shift_bounds: Option<[f64; 2]>,
    /// How much more often a run of `to` lies above one of `from` than below it, -1 to 1 (Cliff 1993).
    pub delta: Option<f64>,
    /// The same for it.
    pub delta_bounds: Option<[f64; 2]>,
    /// Why there is none.
    pub reason: Option<String>,
}

/// A figure of one run, or why it has none.
type Figure = fn(&Analysis, &Timeline) -> Result<f64, String>;

/// The figures that are compared. Those that are held against the baseline need one that is steady.
const FIGURES: [(&str, Figure); 8] = [
    ("migration_s", |_, timeline| {
        let ns = timeline.migration_ns.ok_or("the migration did not complete")?;
        Ok(ns as f64 / 1e9)
    }),
    ("blackout_ms", |_, timeline| {
        let reason = || timeline.blackout.reason.clone().unwrap_or_else(|| "no switch was seen".into());
        let ns = timeline.blackout.estimate_ns.ok_or_else(reason)?;
        Ok(ns as f64 / 1e6)
    }),
    ("lost_s", |analysis, _| {
        let unsaid = || analysis.lost_reason.clone().unwrap_or_default();
        Ok(analysis.lost.ok_or_else(unsaid)?.full_stop_s)
    }),
    ("settling_s", |analysis, _| {
        let unsaid = || analysis.settling.reason.clone().unwrap_or_else(|| unsteady(analysis));
        analysis.settling.after_s.ok_or_else(unsaid)
    }),
    ("precopy_rate_ratio", |analysis, _| {
        ratio(analysis, PhaseName::Precopy, |slowdown| Some(&slowdown.rate))
    }),
    ("precopy_response_p99_ratio", |analysis, _| {
        ratio(analysis, PhaseName::Precopy, |slowdown| slowdown.response.iter().find(|one| one.of == "p99"))
    }),
    ("postcopy_response_p99_ratio", |analysis, _| {
        ratio(analysis, PhaseName::Postcopy, |slowdown| slowdown.response.iter().find(|one| one.of == "p99"))
    }),
    ("precopy_ms_per_gib", |analysis, _| {
        let stage = analysis.stages.iter().find(|stage| stage.name == PhaseName::Precopy);
        stage.and_then(|stage| stage.ms_per_gib).ok_or_else(|| "nothing was written in pre-copy".into())
    }),
];

fn unsteady(analysis: &Analysis) -> String {
    analysis.baseline_reason.clone().unwrap_or_else(|| "the baseline wrote nothing".into())
}

fn ratio(
    analysis: &Analysis,
    name: PhaseName,
    of: fn(&super::Slowdown) -> Option<&super::Ratio>,
) -> Result<f64, String> {
    let stage = analysis.stages.iter().find(|stage| stage.name == name).ok_or("there is no such stage")?;
    let found = stage.slowdown.as_ref().and_then(of).ok_or("it is not compared")?;
    found.ratio.ok_or_else(|| found.reason.clone().unwrap_or_default())
}

impl Repeats {
    /// What runs say together: each with its scenario's name.
    pub fn of<'a>(runs: impl Iterator<Item = (&'a str, &'a Analysis, &'a Timeline)>) -> Self {
        let mut names: Vec<&str> = Vec::new();
        let mut values: BTreeMap<&str, Vec<[Result<f64, String>; FIGURES.len()]>> = BTreeMap::new();
        for (name, analysis, timeline) in runs {
            if !names.contains(&name) {
                names.push(name);
            }
            let own = FIGURES.each_ref().map(|(_, figure)| figure(analysis, timeline));
            values.entry(name).or_default().push(own);
        }
        let column = |name: &str, index: usize| -> Vec<Result<f64, String>> {
            values.get(name).into_iter().flatten().map(|own| own[index].clone()).collect()
        };
        let group = |name: &&str| Group {
            name: (*name).to_owned(),
            runs: values.get(name).map_or(0, Vec::len),
            figures: FIGURES
                .iter()
                .enumerate()
                .map(|(index, (of, _))| spread(of, &column(name, index)))
                .collect(),
        };
        let mut differences = Vec::new();
        for to in names.iter().skip(1) {
            for (index, (of, _)) in FIGURES.iter().enumerate() {
                let both = (column(names[0], index), column(to, index));
                let (shift, delta, reason) = apart(&both.0, &both.1);
                differences.push(Difference {
                    of,
                    from: names[0].to_owned(),
                    to: (*to).to_owned(),
                    shift: shift.map(|(value, _)| value),
                    shift_bounds: shift.and_then(|(_, bounds)| bounds),
                    delta: delta.map(|(value, _)| value),
                    delta_bounds: delta.and_then(|(_, bounds)| bounds),
                    reason,
                });
            }
        }
        Self { schema: Analysis::SCHEMA, groups: names.iter().map(group).collect(), differences }
    }
}

fn known(values: &[Result<f64, String>]) -> Vec<f64> {
    let mut known: Vec<f64> = values.iter().filter_map(|value| value.as_ref().ok().copied()).collect();
    known.sort_by(f64::total_cmp);
    known
}

/// Why so many of the runs lack the figure; none where none does.
fn lacking(values: &[Result<f64, String>]) -> Option<String> {
    let reasons: Vec<&String> = values.iter().filter_map(|value| value.as_ref().err()).collect();
    let first = reasons.first()?;
    Some(format!("{} of {} runs lack it, the first since {first}", reasons.len(), values.len()))
}

fn spread(of: &'static str, values: &[Result<f64, String>]) -> Spread {
    let known = known(values);
    let bounds = median_bounds(&known);
    let few = || bounds.is_none().then(|| format!("{} runs, 6 are needed for bounds", known.len()));
    Spread { of, runs: known.len(), median: median(&known), bounds, reason: lacking(values).or_else(few) }
}

/// The middle of sorted values.
fn median(sorted: &[f64]) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    Some(f64::midpoint(sorted[last / 2], sorted[last.div_ceil(2)]))
}

/// The order statistics between which the median of the whole population lies with at least 95 %, by the binomial
/// distribution.
fn median_bounds(sorted: &[f64]) -> Option<[f64; 2]> {
    let runs = sorted.len();
    let (mut term, mut below, mut rank) = (0.5f64.powi(i32::try_from(runs).ok()?), 0.0, 0usize);
    while rank < runs / 2 && below + term <= 0.025 {
        below += term;
        term *= (runs - rank) as f64 / (rank + 1) as f64;
        rank += 1;
    }
    let low = rank.checked_sub(1)?;
    Some([sorted[low], sorted[runs - 1 - low]])
}

/// A figure and its bounds.
type Bounded = Option<(f64, Option<[f64; 2]>)>;

/// Shift and effect size of `to` against `from`, or why there are none.
fn apart(from: &[Result<f64, String>], to: &[Result<f64, String>]) -> (Bounded, Bounded, Option<String>) {
    let (one, other) = (known(from), known(to));
    if one.len() < RUNS || other.len() < RUNS {
        let reason = format!("{} and {} runs have it, {RUNS} of each are needed", one.len(), other.len());
        let why = lacking(from).or_else(|| lacking(to)).map_or_else(String::new, |why| format!(" ({why})"));
        return (None, None, Some(reason + &why));
    }
    let mut generator = Draws::default();
    let mut anew = |values: &[f64]| -> Vec<f64> {
        values.iter().map(|_| values[generator.below(values.len())]).collect()
    };
    let drawn: Vec<(f64, f64)> = (0..RESAMPLES)
        .map(|_| {
            let (one, other) = (anew(&one), anew(&other));
            (shift(&one, &other), delta(&one, &other))
        })
        .collect();
    let shifts = bounds(drawn.iter().map(|(shift, _)| *shift).collect());
    let deltas = bounds(drawn.iter().map(|(_, delta)| *delta).collect());
    (Some((shift(&one, &other), shifts)), Some((delta(&one, &other), deltas)), None)
}

/// The median of all differences.
fn shift(from: &[f64], to: &[f64]) -> f64 {
    let mut all: Vec<f64> = from.iter().flat_map(|one| to.iter().map(move |other| other - one)).collect();
    all.sort_by(f64::total_cmp);
    median(&all).unwrap_or(0.0)
}

/// How much more often `to` lies above than below.
fn delta(from: &[f64], to: &[f64]) -> f64 {
    let pairs = from.iter().flat_map(|one| to.iter().map(move |other| other.total_cmp(one) as i32));
    let (sum, count) = pairs.fold((0i64, 0i64), |(sum, count), sign| (sum + i64::from(sign), count + 1));
    sum as f64 / count.max(1) as f64
}

/// An effect size in a word (Romano and others 2006).
pub fn size(delta: f64) -> &'static str {
    match delta.abs() {
        0.0..0.147 => "negligible",
        0.147..0.33 => "small",
        0.33..0.474 => "medium",
        _ => "large",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ok(values: &[f64]) -> Vec<Result<f64, String>> {
        values.iter().map(|value| Ok(*value)).collect()
    }

    fn ten(from: f64) -> Vec<f64> {
        (0..10).map(|index| from + f64::from(index)).collect()
    }

    #[test]
    fn the_median_of_ten_lies_between_the_second_and_the_ninth() {
        let found = spread("x", &ok(&ten(1.0)));
        assert_eq!((found.median, found.bounds, found.reason), (Some(5.5), Some([2.0, 9.0]), None));
        assert_eq!(median_bounds(&ten(1.0)[..6]), Some([1.0, 6.0]));
        assert!(spread("x", &ok(&ten(1.0)[..5])).reason.is_some_and(|reason| reason.contains("5 runs")));
    }

    #[test]
    fn runs_that_lie_apart_have_the_whole_effect_and_the_known_shift() {
        let (shift, delta, reason) = apart(&ok(&ten(0.0)), &ok(&ten(100.0)));
        assert_eq!((shift.unwrap().0, delta, reason), (100.0, Some((1.0, Some([1.0, 1.0]))), None));
        let [low, high] = shift.unwrap().1.unwrap();
        assert!((94.0..100.0).contains(&low) && (100.0..106.0).contains(&high), "{low} {high}");
        assert_eq!(size(1.0), "large");
    }

    #[test]
    fn the_same_runs_have_no_effect() {
        let (shift, delta, _) = apart(&ok(&ten(0.0)), &ok(&ten(0.0)));
        assert_eq!((shift.unwrap().0, delta.unwrap().0, size(0.0)), (0.0, 0.0, "negligible"));
    }

    #[test]
    fn too_few_runs_claim_no_difference_and_those_without_a_steady_baseline_say_so() {
        let mut runs = ok(&ten(0.0));
        runs[3] = Err("the baseline's halves disagree".into());
        let (shift, delta, reason) = apart(&runs, &ok(&ten(100.0)));
        assert_eq!((shift, delta), (None, None));
        let reason = reason.unwrap();
        assert!(reason.contains("9 and 10") && reason.contains("halves disagree"), "{reason}");
        assert!(spread("x", &runs).reason.unwrap().contains("1 of 10"));
    }

    proptest! {
        #[test]
        fn bounds_hold_what_they_bound(values in prop::collection::vec(-1e9..1e9f64, 0..60)) {
            let found = spread("x", &ok(&values));
            if let (Some(median), Some([low, high])) = (found.median, found.bounds) {
                prop_assert!(low <= median && median <= high);
            }
            prop_assert_eq!(found.bounds.is_some(), values.len() >= 6);
            let other: Vec<f64> = values.iter().map(|value| -value).collect();
            prop_assert!((delta(&values, &other) + delta(&other, &values)).abs() < 1e-12);
        }
    }
}
