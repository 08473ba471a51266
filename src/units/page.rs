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
    /// Slices are contiguous, in order, and cover all pages; lengths differ by at most one.
    pub fn slice(self, index: u64, parts: u64) -> (PageIndex, PageCount) {
        let parts = parts.max(1);
        let (share, rest) = (self.0 / parts, self.0 % parts);
        let first = index * share + index.min(rest);
        (PageIndex(first), PageCount(share + u64::from(index < rest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn slices_cover_every_page_once_and_evenly(pages in 0u64..10_000, parts in 1u64..64) {
            let mut next = 0;
            for index in 0..parts {
                let (first, length) = PageCount(pages).slice(index, parts);
                prop_assert_eq!(first.0, next);
                prop_assert!(length.0.abs_diff(pages / parts) <= 1);
                next += length.0;
            }
            prop_assert_eq!(next, pages);
        }
    }
}
