//! What can be tried of memory without touching it: whether the kernel maps it, treats it as asked and tells of it.

use super::{
    RegionError, file,
    map::{self, Mapping, SMALL_PAGE},
    silent,
};
use crate::plan::{Backing, MemoryKind};
use nix::errno::Errno;

/// Whether the kernel gives this process so many more bytes of private memory: limits and overcommit allow it.
///
/// # Errors
/// When it does not.
pub fn spare(bytes: u64) -> Result<(), RegionError> {
    let length = usize::try_from(bytes).map_err(|_| Errno::ENOMEM);
    length.and_then(map::can_map).map_err(|cause| RegionError::Map { bytes, cause })
}

/// Maps memory of all these kinds and sizes at once, and gives it back untouched. A file is only looked at elsewhere.
///
/// # Errors
/// What a run would fail with.
pub fn rehearse(areas: &[(MemoryKind, u64)], nodes: &[u32]) -> Result<(), RegionError> {
    let mut mappings = Vec::new();
    for (kind, bytes) in areas {
        let shared = match kind.backing {
            Backing::File(_) => continue,
            Backing::Shared => Some(file::in_memory(*bytes, kind.pages)?),
            Backing::Anon => None,
        };
        let too_much = |_| RegionError::Map { bytes: *bytes, cause: Errno::ENOMEM };
        let mapping = Mapping::new(usize::try_from(*bytes).map_err(too_much)?, kind, shared.as_ref())?;
        mapping.prepare(kind, nodes)?;
        mapping.mincore(0, SMALL_PAGE, &mut [0]).map_err(silent)?;
        mappings.push(mapping);
    }
    Ok(())
}

/// Whether the kernel can make huge pages of small ones when it is told to (Linux 6.1), whatever its mode is.
pub fn can_collapse() -> bool {
    map::can_collapse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_mapped_passes_and_what_cannot_is_said_as_the_run_says_it() {
        spare(1 << 20).unwrap();
        rehearse(&[(MemoryKind::default(), 8 << 20), (MemoryKind::default(), 4096)], &[0]).unwrap();
        for message in [
            spare(1 << 60).unwrap_err().to_string(),
            rehearse(&[(MemoryKind::default(), 1 << 60)], &[0]).unwrap_err().to_string(),
        ] {
            assert!(
                message.contains("1152921504606846976 bytes") && message.contains("ulimit -d"),
                "{message}"
            );
        }
    }

    #[test]
    fn memory_on_a_node_that_is_not_there_is_refused_before_it_is_touched() {
        let kind = MemoryKind { numa: Some(crate::plan::Numa::Node(1000)), ..MemoryKind::default() };
        let message = rehearse(&[(kind, 1 << 20)], &[0]).unwrap_err().to_string();
        assert!(message.contains("--numa is refused"), "{message}");
    }
}
