//! Pages: always 4096 bytes, the granule hypervisors track, whatever the backing page size is.

/// The size of a page in bytes.
pub const PAGE_BYTES: u64 = 4096;

/// The size of a page in words of 8 bytes.
pub const PAGE_WORDS: usize = 512;

/// The position of a page within a region, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PageIndex(pub u64);

/// A number of pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PageCount(pub u64);

impl PageCount {
    /// The whole pages that fit into `bytes`.
    pub const fn in_bytes(bytes: u64) -> Self {
        Self(bytes / PAGE_BYTES)
    }

    /// The size of these pages in bytes (saturating).
    pub const fn bytes(self) -> u64 {
        self.0.saturating_mul(PAGE_BYTES)
    }

    /// These pages dealt to `parts` slices, as evenly as can be: the `index`th slice's first page and length.
    ///
    /// Slices are contiguous, in order, and cover all pages; lengths differ by at most one. Where that hardly makes them
    /// less even (lengths differ by less than one part in 64), borders lie between units of so many pages.
    pub const fn slice(self, index: u64, parts: u64, unit: PageCount) -> (PageIndex, PageCount) {
        let parts = if parts == 0 { 1 } else { parts };
        let unit = self.border(parts, unit);
        let units = self.0 / unit;
        let (share, rest) = (units / parts, units % parts);
        let (before, own) = if index < rest { (index, share + 1) } else { (rest, share) };
        (PageIndex((index * share + before) * unit), PageCount(own * unit))
    }

    /// Of how many pages the borders between `parts` slices are a multiple.
    const fn border(self, parts: u64, unit: PageCount) -> u64 {
        /// As many units in each slice make one more or less of no account.
        const EVEN_UNITS: u64 = 64;
        if unit.0 == 0 || !self.0.is_multiple_of(unit.0) {
            return 1;
        }
        let units = self.0 / unit.0;
        if units.is_multiple_of(parts) || units / parts >= EVEN_UNITS { unit.0 } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn slices_cover_every_page_once_and_evenly(pages in 0u64..10_000, parts in 1u64..64, unit in 0u64..600) {
            let (all, unit) = (PageCount(pages), PageCount(unit));
            let border = all.border(parts, unit);
            let mut next = 0;
            for index in 0..parts {
                let (first, length) = all.slice(index, parts, unit);
                prop_assert_eq!(first.0, next);
                prop_assert!(length.0.abs_diff(pages / parts) <= border);
                prop_assert!(border == 1 || length.0.abs_diff(pages / parts) <= pages / parts / 64);
                prop_assert_eq!(next % border, 0);
                next += length.0;
            }
            prop_assert_eq!(next, pages);
        }
    }

    #[test]
    fn borders_lie_between_huge_pages_where_slices_stay_even_and_else_within_them() {
        let lengths = |units: u64, parts| {
            (0..parts)
                .map(|part| PageCount(units * 512).slice(part, parts, PageCount(512)).1.0)
                .collect::<Vec<_>>()
        };
        assert_eq!(lengths(4, 2), [1024, 1024]);
        assert_eq!(lengths(193, 3), [65 * 512, 64 * 512, 64 * 512]);
        assert_eq!(lengths(3, 2), [768, 768], "no writer has twice the pages of another");
        assert_eq!(lengths(1, 3), [171, 171, 170]);
    }
}
