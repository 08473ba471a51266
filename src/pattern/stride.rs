//! Every so-manyth page. Lap k begins at page k, so that in as many visits as there are pages each is visited once,
//! whatever the stride divides; then it begins anew. A stride of the slice's length or more is sequential.

use super::address::{AddressPattern, FEW_AT_ONCE};
use crate::units::PageIndex;

#[derive(Debug)]
pub(super) struct Stride {
    pages: u64,
    step: u64,
    /// The page the lap began at.
    first: u64,
    next: u64,
}

impl Stride {
    /// Over `pages` pages, at least 1, every `stride`th, at least 1.
    pub(super) fn new(pages: u64, stride: u64) -> Self {
        Self { pages, step: stride.min(pages), first: 0, next: 0 }
    }
}

impl AddressPattern for Stride {
    fn best_at_once(&self) -> usize {
        FEW_AT_ONCE
    }

    fn fill(&mut self, pages: &mut [PageIndex]) {
        for page in pages {
            *page = PageIndex(self.next);
            if self.pages - self.next > self.step {
                self.next += self.step;
            } else {
                self.first = if self.first + 1 == self.step { 0 } else { self.first + 1 };
                self.next = self.first;
            }
        }
    }
}
