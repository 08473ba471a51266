//! What a run takes of ordinary memory besides its region: tables, stacks, and what the kernel keeps of its pages.
//!
//! The tables belong to modules above this one, so their sizes are written down here; a test of the engine holds each to
//! the truth.

use super::PageSize;

/// The stack of one thread.
pub const STACK_BYTES: u64 = 256 << 10;
/// What one writer counts in.
pub const WRITER_TABLE_BYTES: u64 = 104 << 10;
/// What one writer of stamped pages keeps besides.
pub const STAMP_TABLE_BYTES: u64 = 65 << 10;
/// What one canary counts in.
pub const CANARY_TABLE_BYTES: u64 = 99 << 10;
/// What a writer of stamped pages remembers of each page of 4096 bytes, and at most notes of it.
pub const LEDGER_BYTES: u64 = 6;
/// An entry of the page table for each page of 4096 bytes. Transparent huge pages have theirs in reserve, to be split.
const ENTRY_BYTES: u64 = 8;

/// What a run takes besides its region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tables {
    /// For its threads, however large the region is.
    pub(super) fixed_bytes: u64,
    /// For each page of 4096 bytes.
    pub(super) page_bytes: u64,
}

impl Tables {
    /// With so many writers, and so many canaries.
    pub(super) fn of(verify: bool, pages: PageSize, threads: u32, canaries: u32) -> Self {
        let (stamps, ledger) = if verify { (STAMP_TABLE_BYTES, LEDGER_BYTES) } else { (0, 0) };
        let entry = match pages {
            PageSize::Base | PageSize::Transparent => ENTRY_BYTES,
            PageSize::Huge2M | PageSize::Huge1G => 0,
        };
        let writers = u64::from(threads) * (WRITER_TABLE_BYTES + stamps + STACK_BYTES);
        let canaries = u64::from(canaries) * (CANARY_TABLE_BYTES + STACK_BYTES);
        Self { fixed_bytes: writers + canaries, page_bytes: ledger + entry }
    }

    /// What is taken for a region of so many bytes.
    pub(super) fn bytes(&self, region_bytes: u64) -> u64 {
        let pages = region_bytes / crate::units::PAGE_BYTES;
        self.fixed_bytes.saturating_add(pages.saturating_mul(self.page_bytes))
    }
}
