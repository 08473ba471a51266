//! The flags of `sully run` that say what kind of memory is dirtied.

use crate::plan::MemoryKind;
use crate::units::UnitError;
use clap::Args;

/// Reads the value of one flag; all else of the kind is as usual. One type for all flags, so that the parser of values
/// is there once.
type Reader = fn(&str) -> Result<MemoryKind, UnitError>;

const PAGES: Reader = |text| Ok(MemoryKind { pages: text.parse()?, ..MemoryKind::default() });
const BACKING: Reader = |text| Ok(MemoryKind { backing: text.parse()?, ..MemoryKind::default() });
const NUMA: Reader = |text| Ok(MemoryKind { numa: Some(text.parse()?), ..MemoryKind::default() });

/// The flags of the kind of memory.
#[derive(Debug, Args)]
pub(super) struct KindArgs {
    /// Backing pages: 4k (never huge), thp (transparent huge pages), 2M or 1G (from the kernel's pool)
    #[arg(long, allow_hyphen_values = true, value_name = "SIZE", value_parser = PAGES, default_value = "4k")]
    pages: MemoryKind,
    /// What backs the memory: anon, shared, or file:PATH (created, stays after the run and
    /// can be used again at the same size; one of another size is left alone)
    #[arg(long, allow_hyphen_values = true, value_parser = BACKING, default_value = "anon")]
    backing: MemoryKind,
    /// NUMA node the memory lies on, or interleave (all nodes in turn) [default: left to the kernel]
    #[arg(long, allow_hyphen_values = true, value_name = "NODE|interleave", value_parser = NUMA)]
    numa: Option<MemoryKind>,
    /// Lock the memory, so that nothing swaps it out
    #[arg(long)]
    lock: bool,
}

impl KindArgs {
    pub(super) fn kind(&self) -> MemoryKind {
        MemoryKind {
            pages: self.pages.pages,
            backing: self.backing.backing.clone(),
            numa: self.numa.as_ref().and_then(|kind| kind.numa),
            lock: self.lock,
        }
    }
}
