//! The pages of one writer, and the only stores into the region.
#![expect(unsafe_code, reason = "stores into memory shared between threads")]
// Laws: 1. every page of the mapping belongs to exactly one `Slice`, which cannot be cloned: who holds it `&mut` is the
//          only one to store into its pages (helpers have the kernel make them, and store nothing);
//       2. the mapping lives as long as any slice does (`Arc`);
//       3. a page's address is made in one place, `Slice::address`, which checks the index;
//       4. no Rust reference into the mapping is ever made.

use super::{
    RegionError,
    ahead::{self, WINDOW_PAGES, Windows},
    map::Mapping,
};
use crate::units::{PAGE_BYTES, PAGE_WORDS, PageCount, PageIndex};
use std::{mem, sync::Arc};

/// The pages of one writer. Pages are counted from the slice's first.
#[derive(Debug)]
pub struct Slice {
    mapping: Arc<Mapping>,
    /// Where its first page begins: kept here, since to look it up anew between two stores costs as much as they do.
    start: *mut u64,
    /// Its first page in the mapping.
    first: PageIndex,
    pages: PageCount,
    /// The pages of the regions before its own.
    before: PageCount,
    /// CPUs that are idle while it is filled.
    idle: Vec<u32>,
}

/// The whole mapping of `pages` in slices for `writers`, evenly and in order (law 1); borders between backing pages of
/// `unit` where that is even too.
pub(super) fn deal(mapping: &Arc<Mapping>, pages: PageCount, writers: u32, unit: PageCount) -> Vec<Slice> {
    let parts = u64::from(writers.max(1));
    let slices = (0..parts).map(|part| {
        let (first, pages) = pages.slice(part, parts, unit);
        // The mapping is aligned to pages, and the offset is whole pages.
        let (mapping, start) = (Arc::clone(mapping), mapping.base().wrapping_add(bytes(first.0)).cast());
        Slice { mapping, start, first, pages, before: PageCount(0), idle: Vec::new() }
    });
    slices.collect()
}

// SAFETY: the address is that of the mapping's memory, which is held and stays where it is (law 2).
unsafe impl Send for Slice {}
// SAFETY: through `&self` nothing is stored: whoever stores has the slice `&mut` (law 1).
unsafe impl Sync for Slice {}

#[expect(clippy::cast_possible_truncation, reason = "below the mapping's length, which is a usize")]
const fn bytes(pages: u64) -> usize {
    (pages * PAGE_BYTES) as usize
}

impl Slice {
    /// Its pages.
    pub fn pages(&self) -> PageCount {
        self.pages
    }

    /// The position of its first page in all memory of the run: in its region, and behind the regions before it.
    pub fn first(&self) -> PageIndex {
        PageIndex(self.before.0 + self.first.0)
    }

    /// So many pages of other regions are before its own.
    pub fn follow(&mut self, before: PageCount) {
        self.before = before;
    }

    /// Names CPUs that are idle while it is filled: each makes pages ahead of the filling.
    pub fn lend(&mut self, idle: Vec<u32>) {
        self.idle = idle;
    }

    /// Writes every page whole, in order; `content` gives each page's words.
    ///
    /// # Errors
    /// When the memory cannot be had: a store into it would end the process.
    pub fn fill(&mut self, content: impl FnMut(&mut [u64; PAGE_WORDS])) -> Result<(), RegionError> {
        self.fill_while(|_| true, content)
    }

    /// The same; `goes_on` hears now and then of so many more pages, and says whether to go on.
    ///
    /// # Errors
    /// When the memory cannot be had, or when it did not go on.
    pub fn fill_while(
        &mut self,
        goes_on: impl Fn(PageCount) -> bool,
        content: impl FnMut(&mut [u64; PAGE_WORDS]),
    ) -> Result<(), RegionError> {
        let idle = mem::take(&mut self.idle);
        let this = &*self;
        let make = |window| this.populate(window * WINDOW_PAGES).is_ok();
        let count = this.pages.0.div_ceil(WINDOW_PAGES);
        ahead::with_helpers(count, &idle, make, |windows| this.fill_windows(windows, goes_on, content))
    }

    fn fill_windows(
        &self,
        windows: &Windows,
        goes_on: impl Fn(PageCount) -> bool,
        mut content: impl FnMut(&mut [u64; PAGE_WORDS]),
    ) -> Result<(), RegionError> {
        let mut words = [0; PAGE_WORDS];
        for page in 0..self.pages.0 {
            if page % WINDOW_PAGES == 0 {
                windows.reach(page / WINDOW_PAGES);
                if !goes_on(PageCount(page.min(WINDOW_PAGES))) {
                    return Err(RegionError::NotAsAsked("the filling was given up".into()));
                }
                self.populate(page)?;
            }
            content(&mut words);
            let target = self.address(PageIndex(page));
            // SAFETY: `address` gives the start of a page of ours, aligned to 4096; `words` is one page long and
            // on the stack, so the two do not overlap (laws 1 to 3). `fill` has the slice `&mut`, and shares it only
            // with helpers that store nothing.
            unsafe { target.copy_from_nonoverlapping(words.as_ptr(), PAGE_WORDS) };
        }
        Ok(())
    }

    /// Has the kernel make the window of pages that begins at `page`: many in one call, and an error where a store
    /// would be answered with a signal.
    pub(super) fn populate(&self, page: u64) -> Result<(), RegionError> {
        let pages = (self.pages.0 - page).min(WINDOW_PAGES);
        let (offset, length) = (bytes(self.first.0 + page), bytes(pages));
        self.mapping.populate(offset, length)
    }

    /// Writes the first word of `page`; the store is neither left out nor merged with another.
    ///
    /// # Panics
    /// When `page` is outside the slice.
    #[inline(always)]
    pub fn write(&mut self, page: PageIndex, word: u64) {
        let target = self.address(page);
        // SAFETY: `address` gives an aligned page of ours, and `&mut self` makes us the only one at it (laws 1 to 3).
        unsafe { target.write_volatile(word) }
    }

    /// The first word of `page`.
    ///
    /// # Panics
    /// When `page` is outside the slice.
    pub fn read(&self, page: PageIndex) -> u64 {
        let source = self.address(page);
        // SAFETY: `address` gives an aligned page of ours; nobody writes while `&self` is held (laws 1 to 3).
        unsafe { source.read_volatile() }
    }

    /// Where `page` begins.
    #[inline(always)]
    pub(super) fn address(&self, page: PageIndex) -> *mut u64 {
        if page.0 >= self.pages.0 {
            outside(page, self.pages);
        }
        // All pages of the slice lie in the mapping from `start` on.
        self.start.wrapping_byte_add(bytes(page.0))
    }
}

/// Takes what it tells by value: for what it took by reference every visit would have to keep a place in memory.
#[cold]
#[inline(never)]
fn outside(page: PageIndex, pages: PageCount) -> ! {
    panic!("page {} is outside a slice of {} pages", page.0, pages.0)
}
