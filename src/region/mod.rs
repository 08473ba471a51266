//! The memory the hypervisor sees: mapped, dealt to writers in slices, and the only stores into it.
#![expect(unsafe_code, reason = "stores into memory shared between threads, and mincore, which nix lacks")]
// Laws: 1. every page of the mapping belongs to exactly one `Slice`, which cannot be cloned: who holds it `&mut` is the
//          only one to touch its pages;
//       2. the mapping lives as long as any slice does (`Arc`);
//       3. a page's address is made in one place, `Slice::address`, which checks the index;
//       4. no Rust reference into the mapping is ever made.

mod line;

use crate::units::{PAGE_BYTES, PAGE_WORDS, PageCount, PageIndex};
use memmap2::{Advice, MmapOptions, MmapRaw};
use nix::errno::Errno;
use std::{io, sync::Arc};

/// Why there is no region.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// The kernel does not map so much.
    #[error(
        "the kernel refuses to map {bytes} bytes ({cause}): ask for less with --memory, or look at ulimit -v and \
         /proc/sys/vm/overcommit_memory"
    )]
    Map {
        /// What was asked for.
        bytes: u64,
        /// What the kernel said.
        cause: io::Error,
    },
    /// The kernel does not say what is resident.
    #[error("the kernel does not say which pages are resident (mincore: {0})")]
    Residency(Errno),
}

/// Anonymous private memory in pages of 4096 bytes, never backed by huge pages.
#[derive(Debug)]
pub struct Region {
    mapping: Arc<MmapRaw>,
    pages: PageCount,
}

/// The pages of one writer. Pages are counted from the slice's first.
#[derive(Debug)]
pub struct Slice {
    mapping: Arc<MmapRaw>,
    first: PageIndex,
    pages: PageCount,
}

impl Region {
    /// Maps `pages` (at least 1) for `writers` (at least 1) and deals them out, evenly and in order.
    ///
    /// # Errors
    /// When the kernel does not map so much.
    pub fn map(pages: PageCount, writers: u32) -> Result<(Self, Vec<Slice>), RegionError> {
        let refused = |cause| RegionError::Map { bytes: pages.bytes(), cause };
        let length = usize::try_from(pages.bytes()).map_err(|_| refused(Errno::ENOMEM.into()))?;
        let mapping = MmapOptions::new().len(length).map_anon().map_err(refused)?;
        let mapping = Arc::new(MmapRaw::from(mapping));
        match mapping.advise(Advice::NoHugePage) {
            // A kernel without transparent huge pages does not know the advice, and needs none.
            Err(cause) if cause.raw_os_error() != Some(libc::EINVAL) => return Err(refused(cause)),
            _ => {}
        }
        let parts = u64::from(writers.max(1));
        let slices = (0..parts).map(|part| {
            let (first, pages) = pages.slice(part, parts);
            Slice { mapping: Arc::clone(&mapping), first, pages }
        });
        let slices = slices.collect();
        Ok((Self { mapping, pages }, slices))
    }

    /// All pages.
    pub fn pages(&self) -> PageCount {
        self.pages
    }

    /// Where it begins, for tests that write behind the writers' backs.
    #[cfg(test)]
    pub fn base(&self) -> u64 {
        self.mapping.as_mut_ptr().addr() as u64
    }

    /// How many pages are in memory now.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn resident(&self) -> Result<PageCount, RegionError> {
        /// Pages asked about at a time: 64 MiB.
        const WINDOW: usize = 16_384;
        let page = PAGE_WORDS * size_of::<u64>();
        let mut present = vec![0u8; WINDOW];
        let mut resident = 0;
        for offset in (0..self.mapping.len()).step_by(WINDOW * page) {
            let length = (self.mapping.len() - offset).min(WINDOW * page);
            self.mincore(offset, length, &mut present)?;
            let window = present.iter().take(length.div_ceil(page));
            resident += window.filter(|flags| **flags & 1 == 1).count() as u64;
        }
        Ok(PageCount(resident))
    }

    /// One flag byte for each page of a part of the mapping.
    fn mincore(&self, offset: usize, length: usize, present: &mut [u8]) -> Result<(), RegionError> {
        let page = PAGE_WORDS * size_of::<u64>();
        let inside = offset.checked_add(length).is_some_and(|end| end <= self.mapping.len());
        assert!(
            inside && present.len() >= length.div_ceil(page),
            "a window of the mapping, a byte for each page"
        );
        // SAFETY: the offset was just checked to lie within the mapping.
        let start = unsafe { self.mapping.as_mut_ptr().add(offset) };
        // SAFETY: the kernel reads no memory of the range and writes one byte a page to `present`, which has room.
        let result = unsafe { libc::mincore(start.cast(), length, present.as_mut_ptr()) };
        Errno::result(result).map(drop).map_err(RegionError::Residency)
    }
}

impl Slice {
    /// Its pages.
    pub fn pages(&self) -> PageCount {
        self.pages
    }

    /// The position of its first page in the region.
    pub fn first(&self) -> PageIndex {
        self.first
    }

    /// Writes every page whole, in order; `content` gives each page's words.
    pub fn fill(&mut self, mut content: impl FnMut(&mut [u64; PAGE_WORDS])) {
        let mut words = [0; PAGE_WORDS];
        for page in 0..self.pages.0 {
            content(&mut words);
            let target = self.address(PageIndex(page));
            // SAFETY: `address` gives the start of a page of ours, aligned to 4096; `words` is one page long and
            // on the stack, so the two do not overlap (laws 1 to 3).
            unsafe { target.copy_from_nonoverlapping(words.as_ptr(), PAGE_WORDS) };
        }
    }

    /// Writes the first word of `page`; the store is neither left out nor merged with another.
    ///
    /// # Panics
    /// When `page` is outside the slice.
    #[inline]
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
    #[inline]
    fn address(&self, page: PageIndex) -> *mut u64 {
        assert!(page.0 < self.pages.0, "page {} is outside a slice of {} pages", page.0, self.pages.0);
        let offset = (self.first.0 + page.0) * PAGE_BYTES;
        #[expect(clippy::cast_possible_truncation, reason = "below the mapping's length, which is a usize")]
        let offset = offset as usize;
        // SAFETY: the slice's pages lie within the mapping, and the index was just checked.
        let address = unsafe { self.mapping.as_mut_ptr().add(offset) };
        // mmap aligns to pages, and the offset is whole pages.
        address.cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filled_region_is_resident_and_each_page_holds_its_own() {
        let (region, mut slices) = Region::map(PageCount(1001), 3).unwrap();
        assert_eq!(region.resident().unwrap(), PageCount(0));
        let mut number = 0;
        for slice in &mut slices {
            slice.fill(|words| {
                number += 1;
                words.fill(number);
            });
        }
        assert_eq!(region.resident().unwrap(), region.pages());
        let read: Vec<u64> = slices
            .iter()
            .flat_map(|slice| (0..slice.pages().0).map(|page| slice.read(PageIndex(page))))
            .collect();
        assert!(read.into_iter().eq(1..=1001));
    }

    #[test]
    fn a_write_changes_its_own_page_alone() {
        let (_region, mut slices) = Region::map(PageCount(8), 2).unwrap();
        slices[1].write(PageIndex(2), 7);
        let words = |slice: &Slice| (0..4).map(|page| slice.read(PageIndex(page))).collect::<Vec<_>>();
        assert_eq!((words(&slices[0]), words(&slices[1])), (vec![0; 4], vec![0, 0, 7, 0]));
    }

    #[test]
    #[should_panic(expected = "outside a slice of 4 pages")]
    fn a_page_outside_the_slice_is_refused() {
        let (_region, mut slices) = Region::map(PageCount(8), 2).unwrap();
        slices[0].write(PageIndex(4), 7);
    }

    #[test]
    fn the_memory_outlives_the_region_while_a_slice_is_held() {
        let (region, mut slices) = Region::map(PageCount(4), 1).unwrap();
        drop(region);
        slices[0].write(PageIndex(3), 9);
        assert_eq!(slices[0].read(PageIndex(3)), 9);
    }

    #[test]
    fn more_than_the_kernel_maps_is_refused_with_the_flag_to_change() {
        let message = Region::map(PageCount(1 << 50), 1).unwrap_err().to_string();
        assert!(message.contains("--memory") && message.contains("4611686018427387904"), "{message}");
    }
}
