//! Exactly so many different pages, each once and as fast as can be: an order apart from every load and its schedule.
//!
//! They are the first pages of a lap of its own, the same ones for every order of as many. It is given while the load is held, so
//! that nothing else is written meanwhile, and nothing is due. The load that comes back begins its pattern anew: one that meets
//! every page once in a lap then meets each first of all once.

use crate::{
    pace::BATCH,
    pattern::{AddressPattern, pattern, writer_seed},
    plan::{Checked, Load, PatternSpec},
    units::{PageCount, PageIndex},
};

/// One writer's part of the pages that are to be dirtied.
pub(super) struct DirtyPart {
    lap: Box<dyn AddressPattern>,
    left: u64,
    pages: Box<[PageIndex; BATCH]>,
    /// What the load that comes back begins with.
    pub(super) anew: Box<dyn AddressPattern>,
}

impl DirtyPart {
    /// Of the writer `index`, who has `pages`: `count` of them, at most all, as the pattern of `load` has them.
    pub(super) fn new(plan: &Checked, load: &Load, (index, pages): (u32, PageCount), count: u64) -> Self {
        debug_assert!(count <= pages.0, "a lap has each page once");
        let (asked, seed) = (plan.region_share(index).load(load).pattern, writer_seed(plan.seed, index));
        // Of those that meet every page once in a lap, the one that is asked for.
        let lap = if asked == PatternSpec::Sequential { asked } else { PatternSpec::Shuffle };
        Self {
            lap: pattern(lap, pages, seed),
            left: count,
            pages: Box::new([PageIndex(0); BATCH]),
            anew: pattern(asked, pages, seed),
        }
    }

    /// The next few pages; none when all are done.
    pub(super) fn draw(&mut self) -> &[PageIndex] {
        let count = usize::try_from(self.left).unwrap_or(BATCH).min(BATCH);
        let pages = &mut self.pages[..count];
        self.lap.fill(pages);
        self.left -= count as u64;
        pages
    }
}

/// `pages` divided among writers that own so many each, in proportion; at most what each owns.
pub(super) fn parts(own: &[u64], pages: u64) -> Vec<u64> {
    let all = own.iter().sum::<u64>().max(1);
    debug_assert!(pages <= all, "no more than there are");
    let mut before = 0;
    let up_to = |owned: u64| u128::from(pages) * u128::from(owned) / u128::from(all);
    let part = |own: &u64| {
        let part = up_to(before + own) - up_to(before);
        before += own;
        // A difference of two numbers of 64 bits.
        u64::try_from(part).unwrap_or(0)
    };
    own.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_are_all_that_is_asked_and_no_more_than_each_owns(
            own in proptest::collection::vec(0u64..1_000_000, 1..20), share in 0u64..=1000
        ) {
            let pages = own.iter().sum::<u64>() * share / 1000;
            let parts = parts(&own, pages);
            prop_assert_eq!(parts.iter().sum::<u64>(), pages);
            prop_assert!(parts.iter().zip(&own).all(|(part, own)| part <= own), "{:?} of {:?}", parts, own);
        }
    }
}
