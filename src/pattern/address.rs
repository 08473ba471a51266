//! What every pattern does, whatever its order: name the next pages.

use crate::units::PageIndex;

/// So many are best drawn at once for bare stores where drawing is a short calculation. On a quiet Xeon with 8, random visits
/// and those of a shuffle are 1.0 to 1.15 times as quick as bare stores to pages drawn before; with 4 or 12 they take 5 to
/// 15 % longer, with 16 and more 15 % (`make bench` shows what is left of it). On a busy one a shuffle gains
/// nothing.
pub(super) const FEW_AT_ONCE: usize = 8;

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
