//! What every pattern does, whatever its order: name the next pages.

use crate::units::PageIndex;

/// An endless sequence of pages of one writer's slice.
pub trait AddressPattern: Send {
    /// The next `pages.len()` pages of the sequence; each is within the slice, counted from its first page.
    fn fill(&mut self, pages: &mut [PageIndex]);

    /// How many pages are best drawn at a time, where a store into each is all that follows. Where drawing is a short
    /// calculation, few: the processor does it while it waits for the memory of the pages before.
    fn best_at_once(&self) -> usize {
        usize::MAX
    }

    /// From now on so many visits, of all writers together, are a second: for patterns that drift with time.
    fn set_pace(&mut self, _visits_per_s: u64) {}
}
