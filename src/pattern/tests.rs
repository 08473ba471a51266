//! The sequences: in range, complete where they promise it, and the same for ever.

use super::*;
use crate::units::PageIndex;
use proptest::prelude::*;
use std::collections::HashSet;

const SPECS: [PatternSpec; 3] = [PatternSpec::Sequential, PatternSpec::Shuffle, PatternSpec::Random];

fn drawn(spec: PatternSpec, pages: u64, seed: u64, visits: usize) -> Vec<u64> {
    let mut sequence = vec![PageIndex(0); visits];
    pattern(spec, PageCount(pages), seed).fill(&mut sequence);
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
    fn every_page_is_within_the_slice(pages in 1u64..=1 << 40, seed: u64, spec in 0usize..3) {
        prop_assert!(drawn(SPECS[spec], pages, seed, 300).iter().all(|page| *page < pages));
    }

    #[test]
    fn a_lap_visits_every_page_once(pages in 1u64..3000, seed: u64, shuffle: bool) {
        let spec = if shuffle { PatternSpec::Shuffle } else { PatternSpec::Sequential };
        let length = usize::try_from(pages).unwrap();
        for lap in drawn(spec, pages, seed, 3 * length).chunks(length) {
            let visited: HashSet<_> = lap.iter().collect();
            prop_assert_eq!(visited.len(), length);
        }
    }

    #[test]
    fn batches_cut_the_sequence_anywhere(pages in 1u64..500, seed: u64, cut in 0usize..200, spec in 0usize..3) {
        let mut sequence = vec![PageIndex(0); 200];
        let mut walk = pattern(SPECS[spec], PageCount(pages), seed);
        let (first, second) = sequence.split_at_mut(cut);
        walk.fill(first);
        walk.fill(second);
        let whole = drawn(SPECS[spec], pages, seed, 200);
        prop_assert!(sequence.iter().map(|page| page.0).eq(whole));
    }
}
