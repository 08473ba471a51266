//! The first words of a page, read and written together, and the hint that they will be needed soon.
#![expect(
    unsafe_code,
    reason = "loads and stores in memory that the hypervisor changes hands of, and a prefetch"
)]
// Laws: those of the region. `Slice::address` gives an aligned page of ours and nobody else touches it while the
//       slice is borrowed; what is read or written stays below the page's 512 words.

use super::Slice;
use crate::units::{PAGE_WORDS, PageIndex};

impl Slice {
    /// The first `N` words of `page`, at most a whole page.
    ///
    /// # Panics
    /// When `page` is outside the slice.
    #[inline(always)]
    pub fn words<const N: usize>(&self, page: PageIndex) -> [u64; N] {
        const { assert!(N <= PAGE_WORDS, "a page has no more") };
        let source = self.address(page);
        std::array::from_fn(|index| {
            // SAFETY: a word of a page of ours (laws), since the index is below N; nobody writes while `&self` is held.
            unsafe { source.wrapping_add(index).read_volatile() }
        })
    }

    /// Writes the first `N` words of `page`, at most a whole page, one store each.
    ///
    /// # Panics
    /// When `page` is outside the slice.
    #[inline(always)]
    pub fn put<const N: usize>(&mut self, page: PageIndex, words: &[u64; N]) {
        const { assert!(N <= PAGE_WORDS, "a page has no more") };
        let target = self.address(page);
        for (index, word) in words.iter().enumerate() {
            // SAFETY: a word of a page of ours (laws), since the index is below N, and `&mut self` makes us the only one
            // at it.
            unsafe { target.wrapping_add(index).write_volatile(*word) };
        }
    }

    /// Writes `words` into `page` from its word `from` on.
    ///
    /// # Panics
    /// When `page` is outside the slice, or the words reach beyond it.
    #[inline]
    pub fn put_at(&mut self, page: PageIndex, from: usize, words: &[u64]) {
        assert!(from <= PAGE_WORDS && words.len() <= PAGE_WORDS - from, "the words reach beyond the page");
        let target = self.address(page).wrapping_add(from);
        // SAFETY: the words end within a page of ours, as just checked; `words` is no part of the mapping (law 4).
        unsafe { target.copy_from_nonoverlapping(words.as_ptr(), words.len()) };
    }

    /// Changes the bits `bits` of word `index` of `page`.
    ///
    /// # Panics
    /// When `page` is outside the slice, or the word outside the page.
    #[inline]
    pub fn flip(&mut self, page: PageIndex, index: usize, bits: u64) {
        let word = self.word(page, index);
        // SAFETY: a word of a page of ours, and `&mut self` makes us the only one at it (laws).
        let old = unsafe { word.read_volatile() };
        // SAFETY: as above.
        unsafe { word.write_volatile(old ^ bits) };
    }

    /// Stores the first `count` words of `page` again as they are: stores that change nothing.
    ///
    /// # Panics
    /// When `page` is outside the slice, or there are not so many words in it.
    #[inline]
    pub fn keep(&mut self, page: PageIndex, count: usize) {
        (0..count).for_each(|index| self.flip(page, index, 0));
    }

    /// Where word `index` of `page` is.
    #[inline]
    fn word(&self, page: PageIndex, index: usize) -> *mut u64 {
        assert!(index < PAGE_WORDS, "the word is beyond the page");
        self.address(page).wrapping_add(index)
    }

    /// Asks the processor to fetch the beginning of `page`; never faults, and where it cannot be done nothing happens.
    ///
    /// # Panics
    /// When `page` is outside the slice.
    #[inline(always)]
    pub fn prefetch(&self, page: PageIndex) {
        let line = self.address(page);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch is a hint: it reads nothing and cannot fault.
        unsafe {
            core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(line.cast::<i8>());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = line;
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        region::Region,
        units::{PageCount, PageIndex},
    };

    #[test]
    fn what_is_put_is_read_and_the_rest_of_the_page_stays() {
        let (_region, mut slices) = Region::map(PageCount(4), 2).unwrap();
        let slice = &mut slices[1];
        slice.fill(|words| words.fill(9)).unwrap();
        slice.prefetch(PageIndex(1));
        slice.put(PageIndex(1), &[1, 2, 3]);
        slice.put_at(PageIndex(1), 510, &[4, 5]);
        let page: [u64; 512] = slice.words(PageIndex(1));
        assert_eq!((&page[..4], &page[509..]), (&[1, 2, 3, 9][..], &[9, 4, 5][..]));
        assert_eq!(slice.words(PageIndex(0)), [9; 512]);
    }

    #[test]
    fn a_flip_changes_the_bits_it_names_and_what_is_kept_stays() {
        let (_region, mut slices) = Region::map(PageCount(2), 1).unwrap();
        let slice = &mut slices[0];
        slice.fill(|words| words.fill(9)).unwrap();
        slice.flip(PageIndex(1), 511, 0b1010);
        slice.keep(PageIndex(1), 512);
        let page: [u64; 512] = slice.words(PageIndex(1));
        assert_eq!((page[511], page[..511].iter().all(|word| *word == 9)), (3, true));
        assert_eq!(slice.words(PageIndex(0)), [9; 512]);
    }

    #[test]
    #[should_panic(expected = "beyond the page")]
    fn a_word_beyond_the_page_is_refused() {
        let (_region, mut slices) = Region::map(PageCount(1), 1).unwrap();
        slices[0].flip(PageIndex(0), 512, 1);
    }

    #[test]
    #[should_panic(expected = "beyond the page")]
    fn words_beyond_the_page_are_refused() {
        let (_region, mut slices) = Region::map(PageCount(1), 1).unwrap();
        slices[0].put_at(PageIndex(0), 511, &[1, 2]);
    }
}
