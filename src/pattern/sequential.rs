//! Page after page, and from the start again.

use super::address::AddressPattern;
use crate::units::PageIndex;

#[derive(Debug)]
pub(super) struct Sequential {
    pages: u64,
    next: u64,
}

impl Sequential {
    /// Over `pages` pages, at least 1.
    pub(super) fn new(pages: u64) -> Self {
        Self { pages, next: 0 }
    }
}

impl AddressPattern for Sequential {
    fn fill(&mut self, pages: &mut [PageIndex]) {
        for page in pages {
            *page = PageIndex(self.next);
            self.next = if self.next + 1 == self.pages { 0 } else { self.next + 1 };
        }
    }
}
