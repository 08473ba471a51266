//! By Zipf's law: the page of rank k is visited in proportion to 1 / k^theta; which page that is, a permutation says.
//!
//! **Drawing.** Ranks are cut into buckets, each an eighth longer than what comes before it allows at most: some 300
//! hold every rank there is, the first sixteen one each. A bucket is drawn in proportion to its length times the weight
//! of its first rank (Walker's alias method), a rank within it evenly, and that rank is kept in proportion to its
//! weight over the first one's; else all is drawn anew. So every rank comes in exactly its proportion. Nine draws of
//! ten are kept without computing a power, since that keeps even the last rank of the bucket.

use super::{address::AddressPattern, permutation::Permutation, power::power};
use crate::{
    plan::Theta,
    units::{PageIndex, below_and_rest},
};
use rand::{Rng, SeedableRng};
use rand_xoshiro::{SplitMix64, Xoshiro256PlusPlus};

/// A bucket is at most the so-manyth part of the ranks before it, so that the weights within differ little.
const PART: u64 = 8;
/// 2^64: what a chance of 1 is in the lower bits of a draw.
const CERTAIN: f64 = 18_446_744_073_709_551_616.0;

#[derive(Debug)]
pub(super) struct Zipf {
    exponent: f64,
    buckets: Box<[Bucket]>,
    numbers: Xoshiro256PlusPlus,
    order: Permutation,
}

/// Neighbouring ranks. Chances are in parts of 2^64.
#[derive(Debug)]
struct Bucket {
    /// Its first rank, from 1.
    first: u64,
    /// Its ranks.
    length: u64,
    /// The chance with which its last rank is kept, and so every one at least.
    keep: u64,
    /// The chance that this bucket is meant when its number is drawn...
    own: u64,
    /// ...and the bucket that is meant otherwise.
    alias: usize,
}

impl Zipf {
    /// Over `pages` pages, at least 1.
    pub(super) fn new(theta: Theta, pages: u64, seed: u64) -> Self {
        let mut seeds = SplitMix64::seed_from_u64(seed);
        let order = Permutation::new(pages, &mut seeds);
        let numbers = Xoshiro256PlusPlus::seed_from_u64(seeds.next_u64());
        let exponent = -theta.exponent();
        Self { exponent, buckets: buckets(pages, exponent), numbers, order }
    }

    /// A rank, from 1.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the number of one of some 300 buckets")]
    fn rank(&mut self) -> u64 {
        loop {
            let (number, chance) = below_and_rest(self.numbers.next_u64(), self.buckets.len() as u64);
            let mut bucket = &self.buckets[number as usize];
            if chance > bucket.own {
                bucket = &self.buckets[bucket.alias];
            }
            let (place, chance) = below_and_rest(self.numbers.next_u64(), bucket.length);
            let rank = bucket.first + place;
            if chance <= bucket.keep || (chance as f64) < self.weight(bucket, rank) * CERTAIN {
                return rank;
            }
        }
    }

    /// The weight of a rank when that of its bucket's first is 1.
    #[cold]
    fn weight(&self, bucket: &Bucket, rank: u64) -> f64 {
        power(rank as f64 / bucket.first as f64, self.exponent)
    }
}

impl AddressPattern for Zipf {
    fn fill(&mut self, pages: &mut [PageIndex]) {
        for page in pages {
            let rank = self.rank();
            *page = PageIndex(self.order.page(rank - 1));
        }
    }
}

fn buckets(pages: u64, exponent: f64) -> Box<[Bucket]> {
    let (mut buckets, mut weights) = (Vec::new(), Vec::new());
    let mut first = 1;
    while first <= pages {
        let length = (first / PART).clamp(1, pages - first + 1);
        let last = (first + length - 1) as f64;
        let keep = if length == 1 { u64::MAX } else { chance(power(last / first as f64, exponent)) };
        weights.push(length as f64 * power(first as f64, exponent));
        buckets.push(Bucket { first, length, keep, own: u64::MAX, alias: buckets.len() });
        first += length;
    }
    pair(&mut buckets, &mut weights);
    buckets.into_boxed_slice()
}

/// Fills every bucket that is lighter than the average up with one that is heavier (Vose).
fn pair(buckets: &mut [Bucket], weights: &mut [f64]) {
    let average = weights.iter().sum::<f64>() / weights.len() as f64;
    for weight in weights.iter_mut() {
        *weight /= average;
    }
    let (mut light, mut heavy): (Vec<usize>, Vec<usize>) =
        (0..weights.len()).partition(|bucket| weights[*bucket] < 1.0);
    while let (Some(small), Some(large)) = (light.pop(), heavy.last().copied()) {
        buckets[small].own = chance(weights[small]);
        buckets[small].alias = large;
        weights[large] -= 1.0 - weights[small];
        if weights[large] < 1.0 {
            heavy.pop();
            light.push(large);
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share is within 0 and 1; a cast saturates"
)]
fn chance(share: f64) -> u64 {
    (share * CERTAIN) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zipf(thousandths: u32, pages: u64) -> Zipf {
        Zipf::new(Theta::from_thousandths(thousandths).unwrap(), pages, 42)
    }

    /// Draws against the exact chance of every rank; ranks too rare for the test are taken together.
    #[test]
    fn every_rank_comes_in_its_exact_proportion() {
        let draws = 1_000_000;
        for (thousandths, pages) in [
            (1, 1000),
            (500, 1000),
            (990, 20_000),
            (1000, 1000),
            (1000, 65_536),
            (1500, 100_000),
            (10_000, 100),
            (990, 3),
        ] {
            let mut zipf = zipf(thousandths, pages);
            let mut counts = vec![0.0f64; usize::try_from(pages).unwrap()];
            for _ in 0..draws {
                counts[usize::try_from(zipf.rank() - 1).unwrap()] += 1.0;
            }
            let theta = f64::from(thousandths) / 1000.0;
            let weights: Vec<f64> = (1..=pages).map(|rank| (rank as f64).powf(-theta)).collect();
            let all: f64 = weights.iter().sum();
            let (mut freedom, mut chi_square, mut seen, mut expected) = (-1.0, 0.0, 0.0, 0.0);
            for (index, (count, weight)) in counts.iter().zip(&weights).enumerate() {
                seen += count;
                expected += f64::from(draws) * weight / all;
                if expected >= 20.0 || index + 1 == counts.len() {
                    chi_square += (seen - expected) * (seen - expected) / expected;
                    (freedom, seen, expected) = (freedom + 1.0, 0.0, 0.0);
                }
            }
            let deviation = (2.0f64 * freedom).sqrt();
            let off = (chi_square - freedom) / deviation;
            assert!(off.abs() < 4.0, "theta {theta}, {pages} pages: {chi_square} for {freedom}");
        }
    }

    #[test]
    fn buckets_hold_every_rank_once_and_are_few() {
        for pages in [1, 2, 15, 16, 17, 1000, 1 << 40, (1 << 52) - 1] {
            let zipf = zipf(990, pages);
            let mut next = 1;
            for bucket in &zipf.buckets {
                assert_eq!(bucket.first, next);
                assert!(bucket.length <= (bucket.first / 8).max(1) && bucket.alias < zipf.buckets.len());
                next += bucket.length;
            }
            assert_eq!(next, pages + 1);
            assert!(zipf.buckets.len() < 330, "{}", zipf.buckets.len());
        }
    }

    #[test]
    fn the_first_ranks_are_scattered_over_the_slice() {
        let zipf = zipf(990, 1 << 20);
        let pages: Vec<u64> = (0..64).map(|rank| zipf.order.page(rank)).collect();
        let far = pages.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) > 1 << 10).count();
        assert!(far >= 60, "{pages:?}");
    }
}
