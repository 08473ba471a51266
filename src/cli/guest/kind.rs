//! The flags of `sully run` that say what kind of memory is dirtied.

use crate::plan::{Backing, MemoryKind, Numa, PageSize};
use clap::Args;

/// The flags of the kind of memory.
#[derive(Debug, Args)]
pub(super) struct KindArgs {
    /// Backing pages: 4k (never huge), thp (transparent huge pages), 2M or 1G (from the kernel's pool)
    #[arg(long, allow_hyphen_values = true, value_name = "SIZE", default_value_t)]
    pages: PageSize,
    /// What backs the memory: anon, shared, or file:PATH (created or grown; one of another size is left alone)
    #[arg(long, allow_hyphen_values = true, default_value_t)]
    backing: Backing,
    /// NUMA node the memory lies on, or interleave (all nodes in turn) [default: left to the kernel]
    #[arg(long, allow_hyphen_values = true, value_name = "NODE|interleave")]
    numa: Option<Numa>,
    /// Lock the memory, so that nothing swaps it out
    #[arg(long)]
    lock: bool,
}

impl KindArgs {
    pub(super) fn kind(&self) -> MemoryKind {
        MemoryKind { pages: self.pages, backing: self.backing.clone(), numa: self.numa, lock: self.lock }
    }
}
