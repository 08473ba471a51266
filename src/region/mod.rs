//! The memory the hypervisor sees: mapped as asked, dealt to writers in slices, and the only stores into it.

mod ahead;
mod claim;
mod cut;
mod error;
mod facts;
mod file;
mod line;
mod map;
mod rehearse;
mod slice;

pub use claim::claim;
pub use error::RegionError;
pub use facts::RegionFacts;
pub use file::examine_file;
pub use rehearse::{can_collapse, rehearse, spare};
pub use slice::Slice;

use crate::{
    plan::{Backing, MemoryKind, PageSize},
    units::PageCount,
};
use file::Made;
use map::{Mapping, SMALL_PAGE};
use nix::errno::Errno;
use std::{fs::File, ops::Range, sync::Arc};

/// Memory of one kind.
#[derive(Debug)]
pub struct Region {
    mapping: Arc<Mapping>,
    pages: PageCount,
    kind: MemoryKind,
    nodes: Vec<u32>,
    made: Made,
    /// Open as long as the region is there: nobody else is to use it.
    _file: Option<File>,
}

impl Region {
    /// Maps `pages` (at least 1) of anonymous memory in pages of 4096 bytes for `writers` (at least 1) and deals them
    /// out, evenly and in order.
    ///
    /// # Errors
    /// When the kernel does not map so much.
    pub fn map(pages: PageCount, writers: u32) -> Result<(Self, Vec<Slice>), RegionError> {
        Self::map_as(pages, writers, &MemoryKind::default(), &[])
    }

    /// The same with memory of `kind`; `nodes` are the NUMA nodes that have memory.
    ///
    /// # Errors
    /// When the kernel does not map so much, or not as asked, or the backing file cannot be used.
    pub fn map_as(
        pages: PageCount,
        writers: u32,
        kind: &MemoryKind,
        nodes: &[u32],
    ) -> Result<(Self, Vec<Slice>), RegionError> {
        let bytes = pages.bytes();
        let too_much = |_| RegionError::Map { bytes, cause: Errno::ENOMEM };
        let length = usize::try_from(bytes).map_err(too_much)?;
        let (file, made) = match &kind.backing {
            Backing::File(path) => {
                let (file, made) = file::open(path, bytes, kind.pages)?;
                cut::watch();
                (Some(file), made)
            }
            Backing::Shared => (Some(file::in_memory(bytes, kind.pages)?), Made::nothing()),
            Backing::Anon => (None, Made::nothing()),
        };
        let mapping = Arc::new(Mapping::new(length, kind, file.as_ref())?);
        mapping.prepare(kind, nodes)?;
        let slices = slice::deal(&mapping, pages, writers, PageCount::in_bytes(kind.pages.bytes()));
        Ok((Self { mapping, pages, kind: kind.clone(), nodes: nodes.to_vec(), made, _file: file }, slices))
    }

    /// The backing file stays after the region is gone. Until this is said, one that was made for the region goes with
    /// it: a run that did not begin leaves nothing behind.
    pub fn keep_file(&mut self) {
        self.made.keep();
    }

    /// All pages.
    pub fn pages(&self) -> PageCount {
        self.pages
    }

    /// Where it is, by address; it may be longer than its pages.
    pub fn range(&self) -> Range<u64> {
        let begin = self.mapping.base().addr() as u64;
        begin..begin + self.mapping.length() as u64
    }

    /// Once it is filled: what really backs the memory, and a warning where that is less than was hoped for.
    ///
    /// # Errors
    /// When the kernel does not say, or when it is not what was asked for.
    pub fn inspect(&self) -> Result<(RegionFacts, Option<String>), RegionError> {
        if self.kind.pages == PageSize::Transparent {
            self.mapping.collapse();
        }
        let start = self.mapping.base().addr();
        let found = RegionFacts {
            resident: self.resident()?,
            huge_bytes: facts::huge_bytes(start),
            node_bytes: facts::node_bytes(start),
        };
        let warning = facts::judge(&found, &self.kind, &self.nodes, self.pages.bytes())?;
        Ok((found, warning))
    }

    /// How many pages are in memory now.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn resident(&self) -> Result<PageCount, RegionError> {
        /// Pages asked about at a time: 64 MiB.
        const WINDOW: usize = 16_384;
        let page = SMALL_PAGE;
        let length = self.mapping.length();
        let mut present = vec![0u8; WINDOW];
        let mut resident = 0;
        for offset in (0..length).step_by(WINDOW * page) {
            let part = (length - offset).min(WINDOW * page);
            self.mapping.mincore(offset, part, &mut present).map_err(silent)?;
            let window = present.iter().take(part.div_ceil(page));
            resident += window.filter(|flags| **flags & 1 == 1).count() as u64;
        }
        Ok(PageCount(resident))
    }
}

/// The kernel does not tell of pages.
fn silent(cause: Errno) -> RegionError {
    RegionError::Refused {
        what: "the kernel does not say which pages are resident",
        cause,
        remedy: "mincore must be allowed",
    }
}

#[cfg(test)]
mod tests;
