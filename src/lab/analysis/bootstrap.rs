//! Moving-block bootstrap: how far a figure of a run could have come out otherwise.
//!
//! Neighbouring intervals depend on each other (a throttle's period, a burst of the host), so whole blocks of them are
//! drawn, with replacement, until as many intervals are together as there were (Künsch 1989).

use super::pooled::{Pooled, Work};
use crate::units;
use rand::{Rng, SeedableRng};
use rand_xoshiro::SplitMix64;

/// How often the run is drawn anew.
pub const RESAMPLES: usize = 2000;
/// Where the generator begins: the same run gives the same figures.
const SEED: u64 = 0x5011_7b00;
/// The shares of the drawn figures below and above the interval that is stated: 95 % lie in it.
const TAIL: f64 = 0.025;

/// A small generator of even numbers.
#[derive(Debug, Clone)]
pub struct Draws(SplitMix64);

impl Default for Draws {
    fn default() -> Self {
        Self(SplitMix64::seed_from_u64(SEED))
    }
}

impl Draws {
    /// A number from 0 up to `bound`; 0 where `bound` is 0.
    #[expect(clippy::cast_possible_truncation, reason = "below bound, which is a usize")]
    pub fn below(&mut self, bound: usize) -> usize {
        units::below(self.0.next_u64(), bound as u64) as usize
    }
}

/// The bounds between which 95 % of `figures` lie; none where there is none.
pub fn bounds(mut figures: Vec<f64>) -> Option<[f64; 2]> {
    figures.sort_by(f64::total_cmp);
    let last = figures.len().checked_sub(1)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a tail of an index")]
    let skipped = (last as f64 * TAIL).round() as usize;
    Some([figures[skipped], figures[last - skipped]])
}

/// Quantiles of `pooled` and its rate, drawn anew [`RESAMPLES`] times in blocks of `block` units: for each draw one
/// value per quantile (in ns), and last the rate; not a number where nothing was drawn that has one. None where there are fewer than two blocks.
pub fn resampled(
    pooled: &Pooled,
    block: usize,
    quantiles: &[f64],
    generator: &mut Draws,
) -> Option<Vec<Vec<f64>>> {
    let units = pooled.units();
    if block == 0 || units < block.saturating_mul(2) {
        return None;
    }
    let mut counts = Vec::new();
    let drawn = (0..RESAMPLES).map(|_| {
        counts.clear();
        counts.resize(pooled.cells(), 0);
        let mut work = Work::default();
        for _ in 0..units.div_ceil(block) {
            let from = generator.below(units - block + 1);
            pooled.add_block(from, from + block, &mut counts, &mut work);
        }
        let mut values: Vec<f64> = quantiles
            .iter()
            .map(|quantile| pooled.quantile_of(&counts, *quantile).unwrap_or(f64::NAN))
            .collect();
        values.push(work.rate().unwrap_or(f64::NAN));
        values
    });
    Some(drawn.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_even_and_the_same_each_time() {
        let drawn = |mut draws: Draws| (0..6000).map(|_| draws.below(6)).collect::<Vec<_>>();
        let first = drawn(Draws::default());
        assert_eq!(first, drawn(Draws::default()));
        // From a second implementation of splitmix64.
        let mut numbers = Draws::default();
        assert_eq!([(); 8].map(|()| numbers.below(1000)), [722, 435, 588, 191, 65, 312, 285, 830]);
        for side in 0..6 {
            let count = first.iter().filter(|drawn| **drawn == side).count();
            assert!((850..1150).contains(&count), "{side}: {count} of 6000");
        }
    }

    #[test]
    fn bounds_leave_out_a_fortieth_on_each_side() {
        assert_eq!(bounds((0..=1000).map(f64::from).collect()), Some([25.0, 975.0]));
        assert_eq!(bounds(Vec::new()), None);
    }
}
