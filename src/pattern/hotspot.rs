//! Few pages that get most of the visits: a window of neighbours, uniform within and uniform without, that may wander.

use super::address::AddressPattern;
use crate::{
    plan::Hotspot as Spec,
    units::{PageIndex, Share, below},
};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

#[derive(Debug)]
pub(super) struct Hotspot {
    pages: u64,
    hot: Window,
    /// Visits that fall into the window, in millionths.
    share: u64,
    drift_pages_per_s: u64,
    numbers: Xoshiro256PlusPlus,
}

/// The hot pages: so many from `first` on, round the end of the slice to its beginning.
#[derive(Debug, Clone, Copy)]
struct Window {
    first: u64,
    length: u64,
    /// How far it moves with each visit: whole pages, and so many parts of `parts` of a page.
    step: u64,
    step_parts: u64,
    parts: u64,
    /// The parts moved so far that are no whole page yet.
    rest: u64,
}

impl Hotspot {
    /// Over `pages` pages, at least 1. The window's drift is per second, which is `visits_per_s` visits; without any
    /// it stays where it is.
    pub(super) fn new(spec: Spec, visits_per_s: u64, pages: u64, seed: u64) -> Self {
        let length = spec.pages.of(pages).max(1);
        // A window that holds every page has no outside to visit.
        let share = if length == pages { Share::WHOLE } else { spec.writes.millionths() };
        let mut hotspot = Self {
            pages,
            hot: Window { first: 0, length, step: 0, step_parts: 0, parts: 1, rest: 0 },
            share: u64::from(share),
            drift_pages_per_s: spec.drift_pages_per_s,
            numbers: Xoshiro256PlusPlus::seed_from_u64(seed),
        };
        hotspot.set_pace(visits_per_s);
        hotspot
    }

    fn step(&mut self) -> u64 {
        let is_hot = below(self.numbers.next_u64(), u64::from(Share::WHOLE)) < self.share;
        let number = self.numbers.next_u64();
        let place = if is_hot {
            below(number, self.hot.length)
        } else {
            self.hot.length + below(number, self.pages - self.hot.length)
        };
        let page = around(self.hot.first + place, self.pages);
        self.hot.drift(self.pages);
        page
    }
}

impl Window {
    fn drift(&mut self, pages: u64) {
        self.rest += self.step_parts;
        self.first = around(self.first + self.step, pages);
        if self.rest >= self.parts {
            self.rest -= self.parts;
            self.first = around(self.first + 1, pages);
        }
    }
}

/// A place at most one round too far, brought back into `0..pages`.
fn around(place: u64, pages: u64) -> u64 {
    if place >= pages { place - pages } else { place }
}

impl AddressPattern for Hotspot {
    fn fill(&mut self, pages: &mut [PageIndex]) {
        for page in pages {
            *page = PageIndex(self.step());
        }
    }

    fn set_pace(&mut self, visits_per_s: u64) {
        let parts = visits_per_s.max(1);
        let drift = if visits_per_s == 0 { 0 } else { self.drift_pages_per_s };
        let (step, step_parts) = (drift / parts % self.pages, drift % parts);
        // What it has moved already of the next page is forgotten with the parts it was counted in.
        self.hot = Window { step, step_parts, parts, rest: 0, ..self.hot };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hotspot(text: &str, visits_per_s: u64, pages: u64) -> Hotspot {
        Hotspot::new(text.parse().unwrap_or_else(|_| panic!("{text}")), visits_per_s, pages, 1)
    }

    #[test]
    fn the_hot_pages_get_their_share_and_the_others_the_rest() {
        for (text, hot, share) in
            [("10%/90%", 100, 0.9), ("1%/50%", 10, 0.5), ("50%/0%", 500, 0.0), ("20%/100%", 200, 1.0)]
        {
            let mut pattern = hotspot(text, 0, 1000);
            let visits = 200_000;
            let mut counts = vec![0.0f64; 1000];
            for _ in 0..visits {
                counts[usize::try_from(pattern.step()).unwrap()] += 1.0;
            }
            let expected = |page: usize| {
                let (share, among) = if page < hot { (share, hot) } else { (1.0 - share, 1000 - hot) };
                f64::from(visits) * share / among as f64
            };
            let cells = counts.iter().enumerate().filter(|(page, _)| expected(*page) > 0.0);
            let (count, chi_square) = cells.fold((0.0, 0.0), |(cells, sum), (page, count)| {
                (cells + 1.0, sum + (count - expected(page)).powi(2) / expected(page))
            });
            // Mean: one less than the cells; deviation: the root of twice that; six deviations.
            assert!((chi_square - count + 1.0f64).abs() < 6.0 * (2.0 * count).sqrt(), "{text}: {chi_square}");
            let never: f64 = (0..1000).filter(|page| expected(*page) == 0.0).map(|page| counts[page]).sum();
            assert!(never == 0.0, "{text}: {never}");
        }
    }

    #[test]
    fn a_small_slice_has_one_hot_page_and_a_full_window_no_cold_one() {
        assert!((0..100).map(|_| hotspot("1%/100%", 0, 5).step()).all(|page| page == 0));
        assert_eq!(hotspot("100%/0%", 0, 5).share, 1_000_000);
        assert_eq!(hotspot("1%/0%", 0, 1).step(), 0);
    }

    proptest! {
        #[test]
        fn after_so_many_visits_the_window_has_moved_by_just_its_drift(
            drift in 0u64..=1_000_000_000, rate in 1u64..=1_000_000_000, pages in 1u64..10_000, visits in 0u64..5_000
        ) {
            let mut pattern = hotspot(&format!("10%/100%/{drift}p/s"), rate, pages);
            for _ in 0..visits {
                let page = pattern.step();
                prop_assert!(page < pages);
            }
            let moved = u128::from(visits) * u128::from(drift) / u128::from(rate) % u128::from(pages);
            prop_assert_eq!(u128::from(pattern.hot.first), moved);
        }
    }
}
