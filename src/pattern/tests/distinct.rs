//! How many different pages a pattern touches: the closed forms, and the counts beside them.

use super::drawn;
use crate::plan::PatternSpec;
use std::collections::HashSet;

/// The pages touched on average by `visits` visits to `pages` pages, each as likely as its weight says.
fn with_replacement(visits: f64, weights: impl Iterator<Item = f64>) -> f64 {
    weights.map(|weight| 1.0 - (1.0 - weight).powf(visits)).sum()
}

/// Distinct pages after `visits` visits to a slice of `pages`, by formula.
fn distinct(spec: PatternSpec, pages: u64, visits: u64) -> f64 {
    let (k, n) = (visits as f64, pages as f64);
    match spec {
        PatternSpec::Sequential | PatternSpec::Shuffle | PatternSpec::Stride(_) => k.min(n),
        PatternSpec::Random => n * (1.0 - (1.0 - 1.0 / n).powf(k)),
        PatternSpec::Zipf(theta) => {
            let weights = || (1..=pages).map(|rank| (rank as f64).powf(-theta.exponent()));
            let all: f64 = weights().sum();
            with_replacement(k, weights().map(|weight| weight / all))
        }
        PatternSpec::Hotspot(hotspot) => {
            assert_eq!(hotspot.drift_pages_per_s, 0, "the formula is for a hot set that stays");
            let hot = hotspot.pages.of(pages).max(1) as f64;
            let share = f64::from(hotspot.writes.millionths()) / 1e6;
            let part = |share: f64, among: f64| among * (1.0 - (1.0 - share / among).powf(k));
            part(share, hot) + if hot < n { part(1.0 - share, n - hot) } else { 0.0 }
        }
    }
}

fn counted(spec: PatternSpec, pages: u64, seed: u64, visits: u64) -> f64 {
    let walk = drawn(spec, pages, seed, usize::try_from(visits).unwrap());
    walk.into_iter().collect::<HashSet<_>>().len() as f64
}

#[test]
fn the_pages_touched_are_as_many_as_the_formula_says() {
    let pages = 20_000;
    for text in ["random", "zipf:0.5", "zipf:0.99", "zipf:1", "zipf:1.5", "hotspot:10%/90%", "hotspot:1%/50%"]
    {
        for visits in [1_000, 10_000, 100_000] {
            let spec = text.parse().unwrap();
            // Few visits leave much to chance: the mean of as many runs as make 100 000.
            let runs = 100_000 / visits;
            let mean = (0..runs).map(|seed| counted(spec, pages, seed, visits)).sum::<f64>() / runs as f64;
            let ratio = mean / distinct(spec, pages, visits);
            assert!((ratio - 1.0).abs() < 0.02, "{text}, {visits} visits: {ratio}");
        }
    }
}

#[test]
fn without_replacement_the_pages_touched_are_exactly_the_visits_until_all_are() {
    for text in ["sequential", "shuffle", "stride:1", "stride:7", "stride:512", "stride:1000", "stride:5000"]
    {
        for visits in [1, 999, 1000, 1001, 2500] {
            let spec: PatternSpec = text.parse().unwrap();
            let exact = u64::min(visits, 1000) as f64;
            assert!(counted(spec, 1000, 11, visits).to_bits() == exact.to_bits(), "{text}, {visits} visits");
            assert!(distinct(spec, 1000, visits).to_bits() == exact.to_bits(), "{text}, {visits} visits");
        }
    }
}
