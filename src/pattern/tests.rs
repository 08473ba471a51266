//! The sequences: in range, complete where they promise it, and the same for ever.

use super::*;
use crate::units::PageIndex;
use proptest::{prelude::*, sample};
use std::collections::{HashMap, HashSet};

mod distinct;

const SPECS: [&str; 12] = [
    "sequential",
    "shuffle",
    "random",
    "zipf:0.001",
    "zipf:0.99",
    "zipf:10",
    "hotspot:10%/90%",
    "hotspot:100%/0%",
    "hotspot:0.0001%/99%/123456789p/s",
    "stride:1",
    "stride:512",
    "stride:18446744073709551615",
];

/// Visits a second in all tests: what a hot set that drifts goes by.
const RATE: u64 = 1000;

fn spec(text: &str) -> PatternSpec {
    text.parse().unwrap()
}

fn drawn(spec: PatternSpec, pages: u64, seed: u64, visits: usize) -> Vec<u64> {
    let mut sequence = vec![PageIndex(0); visits];
    pattern_at(spec, RATE, PageCount(pages), seed).fill(&mut sequence);
    sequence.into_iter().map(|page| page.0).collect()
}

/// The figures were computed by a second implementation, from the published SplitMix64 and xoshiro256++.
#[test]
fn the_same_seed_gives_the_same_pages_for_ever() {
    let seed = writer_seed(1, 0);
    assert_eq!(drawn(PatternSpec::Sequential, 5, seed, 7), [0, 1, 2, 3, 4, 0, 1]);
    assert_eq!(drawn(PatternSpec::Shuffle, 1000, seed, 8), [32, 694, 282, 540, 857, 126, 30, 225]);
    assert_eq!(drawn(PatternSpec::Shuffle, 6, seed, 12), [0, 2, 5, 4, 3, 1, 3, 5, 1, 0, 2, 4]);
    assert_eq!(drawn(PatternSpec::Random, 1000, seed, 8), [438, 308, 862, 875, 431, 224, 754, 157]);
    let seeds = [writer_seed(1, 0), writer_seed(1, 1), writer_seed(2, 0)];
    assert_eq!(seeds, [0x910a_2dec_8902_5cc1, 0xbeeb_8da1_658e_ec67, 0x9758_35de_1c97_56ce]);
}

/// These, too, were computed by a second implementation.
#[test]
fn the_same_seed_gives_the_same_skewed_pages_for_ever() {
    let seed = writer_seed(1, 0);
    let eight = |text: &str| drawn(spec(text), 1000, seed, 8);
    assert_eq!(eight("zipf:0.99"), [225, 363, 765, 56, 32, 541, 9, 184]);
    assert_eq!(eight("zipf:1.5"), [225, 32, 32, 56, 32, 32, 32, 32]);
    assert_eq!(eight("hotspot:10%/90%"), [30, 87, 22, 15, 48, 46, 85, 11]);
    assert_eq!(eight("hotspot:10%/90%/2500p/s"), [30, 89, 27, 22, 58, 58, 100, 28]);
    assert_eq!(eight("stride:300"), [0, 300, 600, 900, 1, 301, 601, 901]);
    assert_eq!(drawn(spec("stride:2"), 5, seed, 12), [0, 2, 4, 1, 3, 0, 2, 4, 1, 3, 0, 2]);
    assert_eq!(drawn(spec("stride:5"), 3, seed, 7), [0, 1, 2, 0, 1, 2, 0]);
}

#[test]
fn the_first_page_of_a_zipf_is_hit_as_often_as_its_rank_says() {
    let mut hits = HashMap::new();
    for page in drawn(spec("zipf:1"), 1000, 5, 200_000) {
        *hits.entry(page).or_insert(0u32) += 1;
    }
    let mut hits: Vec<u32> = hits.into_values().collect();
    hits.sort_unstable_by(|one, other| other.cmp(one));
    // The sum of 1/k up to 1000 is 7.485: page k is hit 200 000 / 7.485 / k times.
    for (hits, expected) in hits.iter().zip([26_719.0, 13_359.0, 8_906.0]) {
        // Four deviations.
        assert!((f64::from(*hits) - expected).abs() < 4.0 * f64::sqrt(expected), "{hits} for {expected}");
    }
}

#[test]
fn writers_of_one_plan_walk_differently() {
    let walks: HashSet<_> =
        (0..8).map(|writer| drawn(PatternSpec::Shuffle, 4096, writer_seed(7, writer), 64)).collect();
    assert_eq!(walks.len(), 8);
}

#[test]
fn a_new_lap_of_the_shuffle_is_a_new_order() {
    let walk = drawn(PatternSpec::Shuffle, 256, 3, 512);
    assert_ne!(walk[..256], walk[256..]);
}

#[test]
fn the_shuffle_has_no_neighbourhoods() {
    let pages = 50_000;
    let walk = drawn(PatternSpec::Shuffle, pages, 11, 50_000);
    let steps: u64 = walk.windows(2).map(|pair| pair[0].abs_diff(pair[1])).sum();
    // Two independent uniform pages are a third of the slice apart on average.
    let mean = steps as f64 / (walk.len() - 1) as f64 / pages as f64;
    assert!((mean - 1.0 / 3.0).abs() < 0.01, "{mean}");
    // Any stretch of the walk spreads over the whole slice: 5000 visits, 50 equal stretches of pages.
    for stretch in walk.chunks(5_000) {
        let mut hits = [0u32; 50];
        for page in stretch {
            hits[usize::try_from(page * 50 / pages).unwrap()] += 1;
        }
        assert!(hits.iter().all(|count| (50..=160).contains(count)), "{hits:?}");
    }
}

#[test]
fn random_hits_pages_as_often_as_chance_does() {
    let (pages, visits) = (1000, 100_000);
    let mut hits = vec![0f64; 1000];
    for page in drawn(PatternSpec::Random, pages, 5, visits) {
        hits[usize::try_from(page).unwrap()] += 1.0;
    }
    let expected = visits as f64 / pages as f64;
    let chi_square: f64 = hits.iter().map(|count| (count - expected).powi(2) / expected).sum();
    // 999 degrees of freedom: mean 999, deviation 44.7; six deviations.
    assert!((chi_square - 999.0).abs() < 270.0, "{chi_square}");
}

proptest! {
    #[test]
    fn every_page_is_within_the_slice(pages in 1u64..=1 << 40, few in 1u64..20, seed: u64, text in sample::select(&SPECS[..])) {
        prop_assert!(drawn(spec(text), pages, seed, 300).iter().all(|page| *page < pages));
        prop_assert!(drawn(spec(text), few, seed, 300).iter().all(|page| *page < few));
    }

    #[test]
    fn a_lap_visits_every_page_once(pages in 1u64..3000, seed: u64, kind in 0usize..3, stride in 1u64..4000) {
        let spec = spec(["sequential", "shuffle", &format!("stride:{stride}")][kind]);
        let length = usize::try_from(pages).unwrap();
        for lap in drawn(spec, pages, seed, 3 * length).chunks(length) {
            let visited: HashSet<_> = lap.iter().collect();
            prop_assert_eq!(visited.len(), length);
        }
    }

    #[test]
    fn batches_cut_the_sequence_anywhere(pages in 1u64..500, seed: u64, cut in 0usize..200, text in sample::select(&SPECS[..])) {
        let mut sequence = vec![PageIndex(0); 200];
        let mut walk = pattern_at(spec(text), RATE, PageCount(pages), seed);
        let (first, second) = sequence.split_at_mut(cut);
        walk.fill(first);
        walk.fill(second);
        let whole = drawn(spec(text), pages, seed, 200);
        prop_assert!(sequence.iter().map(|page| page.0).eq(whole));
    }
}
