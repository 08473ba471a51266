//! One mapping of the kind asked for: mapped, aligned and unmapped by memmap2, and what memmap2 has no call for.
#![expect(
    unsafe_code,
    reason = "mmap over a part, mprotect, madvise, mincore, mlock2 and mbind take addresses"
)]
// Laws: 1. the region lies whole inside `memory`, which is ours alone until it is dropped;
//       2. no call here writes to the region's content, or moves it once the mapping is made; the kernel reads no
//          memory of it but its tables;
//       3. a part of the region that is handed to the kernel was checked to lie within it.

use super::{RegionError, error::errno};
use crate::plan::{MemoryKind, Numa, PageSize};
use crate::units::PAGE_WORDS;
use memmap2::{Advice, MmapOptions, MmapRaw};
use nix::errno::Errno;
use nix::libc;
use std::{
    ffi::{c_int, c_void},
    fs::File,
    os::fd::AsRawFd,
    ptr,
};

/// Collapse a range to huge pages (Linux 6.1); musl's headers do not have it yet.
const MADV_COLLAPSE: c_int = 25;
/// A page of 4096 bytes.
pub(super) const SMALL_PAGE: usize = PAGE_WORDS * size_of::<u64>();
/// Bits of a node mask: more nodes than any kernel has.
const NODE_BITS: usize = 1024;

/// Memory of one kind, readable and writable. Unmapped when dropped.
#[derive(Debug)]
pub(super) struct Mapping {
    /// The region, and what was mapped more so that it can begin at a page of its kind.
    memory: MmapRaw,
    /// Where the region begins in it.
    ahead: usize,
    length: usize,
    /// Whether its pages come from a pool.
    is_pooled: bool,
}

impl Mapping {
    /// Maps `length` bytes of `kind`; what is not anonymous comes with its file, open and at least so long.
    pub(super) fn new(length: usize, kind: &MemoryKind, file: Option<&File>) -> Result<Self, RegionError> {
        let refused = |cause| RegionError::Map { bytes: length as u64, cause };
        let page = usize::try_from(kind.pages.bytes()).map_err(|_| refused(Errno::ENOMEM))?;
        let more = match kind.pages {
            // The kernel aligns a file to small pages, and pages of a pool to themselves.
            PageSize::Base if file.is_some() => 0,
            PageSize::Huge2M | PageSize::Huge1G => 0,
            // A guard below and one above: at least a small page each.
            PageSize::Base | PageSize::Transparent => 2 * page,
        };
        let mut options = MmapOptions::new();
        options.len(length.checked_add(more).ok_or_else(|| refused(Errno::ENOMEM))?);
        if kind.pages.is_pooled() {
            options.huge(u8::try_from(page.ilog2()).ok());
        }
        let mapped = match file {
            Some(file) => options.map_raw(file),
            None => options.map_anon().map(MmapRaw::from),
        };
        let memory = mapped.map_err(|error| refused(errno(&error)))?;
        let start = memory.as_ptr().addr();
        let ahead = if more == 0 { 0 } else { (start + SMALL_PAGE).next_multiple_of(page) - start };
        let mapping = Self { memory, ahead, length, is_pooled: kind.pages.is_pooled() };
        if let Some(file) = file.filter(|_| more > 0) {
            mapping.place(file).map_err(refused)?;
        }
        mapping.guard().map_err(refused)?;
        Ok(mapping)
    }

    /// Has `file` begin where the region does. Its huge pages have to be aligned in the file as they are in memory, and
    /// memmap2 leaves the place to the kernel.
    fn place(&self, file: &File) -> Result<(), Errno> {
        let (start, rights) = (self.part(0, self.length), libc::PROT_READ | libc::PROT_WRITE);
        let (flags, file) = (libc::MAP_SHARED | libc::MAP_FIXED, file.as_raw_fd());
        // SAFETY: what is replaced is ours (law 3), and nobody uses it yet.
        let placed = unsafe { libc::mmap(start, self.length, rights, flags, file, 0) };
        if placed == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(()) }
    }

    /// Takes from everybody what was mapped more. So a store that misses the region ends the program, and the kernel, which
    /// merges neighbours that are alike, goes on telling of the region by itself.
    fn guard(&self) -> Result<(), Errno> {
        let end = self.ahead + self.length;
        for (offset, length) in [(0, self.ahead), (end, self.memory.len() - end)] {
            let start = self.memory.as_mut_ptr().wrapping_add(offset).cast();
            // SAFETY: it is ours (law 1) and no part of the region: nobody uses it.
            Errno::result(unsafe { libc::mprotect(start, length, libc::PROT_NONE) })?;
        }
        Ok(())
    }

    /// Where it begins: aligned to the size of its pages.
    #[inline]
    pub(super) fn base(&self) -> *mut u8 {
        self.memory.as_mut_ptr().wrapping_add(self.ahead)
    }

    /// Its length in bytes.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Has the kernel back the memory as `kind` asks, before anything is touched.
    pub(super) fn prepare(&self, kind: &MemoryKind, nodes: &[u32]) -> Result<(), RegionError> {
        let advice = match kind.pages {
            PageSize::Base => Some(Advice::NoHugePage),
            PageSize::Transparent => Some(Advice::HugePage),
            PageSize::Huge2M | PageSize::Huge1G => None,
        };
        match advice.map_or(Ok(()), |advice| self.advise(0, self.length, advice)) {
            // A kernel without transparent huge pages does not know the advice, and needs none for small pages.
            Err(Errno::EINVAL) if kind.pages == PageSize::Base => {}
            Err(cause) => {
                let remedy = "this kernel has no transparent huge pages here: use --pages 4k or 2M";
                return Err(RegionError::Refused { what: "--pages is refused", cause, remedy });
            }
            Ok(()) => {}
        }
        if let Some(numa) = kind.numa {
            self.bind(numa, nodes)?;
        }
        if kind.lock {
            self.lock()?;
        }
        Ok(())
    }

    /// Touches a part for writing, the pages' content unchanged. A kernel that cannot (before 5.14) leaves it to the
    /// first store.
    pub(super) fn populate(&self, offset: usize, length: usize) -> Result<(), RegionError> {
        match self.advise(offset, length, Advice::PopulateWrite) {
            Ok(()) | Err(Errno::EINVAL) => Ok(()),
            // This is how the kernel says that it has no page to give.
            Err(Errno::EFAULT) => Err(RegionError::NotAsAsked(format!(
                "the memory cannot be had: {}; ask for less with --memory",
                if self.is_pooled {
                    "its pool of huge pages is empty, or its cgroup allows no more of them (hugetlb.*.max)"
                } else {
                    "its file system or node is full"
                }
            ))),
            Err(cause) => Err(RegionError::Refused {
                what: "the memory cannot be had",
                cause,
                remedy: "its file system or node is full: ask for less with --memory",
            }),
        }
    }

    /// Makes huge pages of what is none yet, as far as the kernel can.
    pub(super) fn collapse(&self) {
        // What could not be collapsed shows when the pages are counted.
        let _ = collapse(self.part(0, self.length), self.length);
    }

    /// One flag byte for each page of a part of the mapping: bit 0 says resident.
    pub(super) fn mincore(&self, offset: usize, length: usize, present: &mut [u8]) -> Result<(), Errno> {
        let start = self.part(offset, length);
        assert!(present.len() >= length.div_ceil(SMALL_PAGE), "a byte for each page");
        // SAFETY: the kernel reads no memory of the range and writes one byte a page to `present`, which has room.
        let result = unsafe { libc::mincore(start, length, present.as_mut_ptr()) };
        Errno::result(result).map(drop)
    }

    fn advise(&self, offset: usize, length: usize, advice: Advice) -> Result<(), Errno> {
        self.check(offset, length);
        self.memory.advise_range(advice, self.ahead + offset, length).map_err(|error| errno(&error))
    }

    /// Locks each page as it is touched.
    fn lock(&self) -> Result<(), RegionError> {
        let start = self.part(0, self.length);
        let flags = libc::MLOCK_ONFAULT;
        // SAFETY: the range is ours (law 3); locking changes no content.
        let result = unsafe { libc::syscall(libc::SYS_mlock2, start, self.length, flags) };
        let refused = |cause| RegionError::Refused {
            what: "--lock is refused",
            cause,
            remedy: "run as root, or raise RLIMIT_MEMLOCK: ulimit -l unlimited, LimitMEMLOCK=infinity in a unit",
        };
        Errno::result(result).map(drop).map_err(refused)
    }

    /// Says on which of `nodes` pages are to be made.
    fn bind(&self, numa: Numa, nodes: &[u32]) -> Result<(), RegionError> {
        let mut mask = [0u64; NODE_BITS / 64];
        let (mode, chosen) = match &numa {
            Numa::Node(node) => (libc::MPOL_BIND, std::slice::from_ref(node)),
            Numa::Interleave => (libc::MPOL_INTERLEAVE, nodes),
        };
        for node in chosen.iter().map(|node| *node as usize).filter(|node| *node < NODE_BITS) {
            mask[node / 64] |= 1 << (node % 64);
        }
        let start = self.part(0, self.length);
        // The kernel takes one bit less than it is told.
        let bits = NODE_BITS + 1;
        // SAFETY: the range is ours (law 3), nothing of it is touched yet; the kernel reads `bits - 1` bits of the mask.
        let result =
            unsafe { libc::syscall(libc::SYS_mbind, start, self.length, mode, &raw const mask, bits, 0) };
        let refused = |cause| RegionError::Refused {
            what: "--numa is refused",
            cause,
            remedy: "name a node that is there (/sys/devices/system/node) and allowed by the cpuset, or leave it out",
        };
        Errno::result(result).map(drop).map_err(refused)
    }

    /// Where a part begins.
    fn part(&self, offset: usize, length: usize) -> *mut c_void {
        self.check(offset, length);
        self.base().wrapping_add(offset).cast()
    }

    fn check(&self, offset: usize, length: usize) {
        let inside = offset.checked_add(length).is_some_and(|end| end <= self.length);
        assert!(inside, "{length} bytes at {offset} are outside a mapping of {} bytes", self.length);
    }
}

/// Whether the kernel gives so much more private memory; it is given back untouched.
pub(super) fn can_map(length: usize) -> Result<(), Errno> {
    MmapOptions::new().len(length).map_anon().map(drop).map_err(|error| errno(&error))
}

/// Whether the kernel can make huge pages of small ones when it is told to (Linux 6.1).
pub(super) fn can_collapse() -> bool {
    // The range is empty; the kernel looks at the advice first.
    collapse(ptr::null_mut(), 0).is_ok()
}

/// Makes huge pages of a range, whatever is mapped there.
fn collapse(start: *mut c_void, length: usize) -> Result<(), Errno> {
    // SAFETY: the content of the range stays as it is, and where it stays.
    Errno::result(unsafe { libc::madvise(start, length, MADV_COLLAPSE) }).map(drop)
}
