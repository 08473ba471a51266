//! One mapping of the kind asked for, between two guards that nobody may touch.
#![expect(unsafe_code, reason = "mmap, madvise, mincore, mlock2 and mbind take addresses")]
// Laws: 1. the mapping lies whole inside one reservation, which is ours alone until it is dropped;
//       2. no call here writes to the mapping's content or moves it; the kernel reads no memory of it but its tables;
//       3. a part of the mapping that is handed to the kernel was checked to lie within it.

use super::RegionError;
use crate::plan::{Backing, MemoryKind, Numa, PageSize};
use crate::units::PAGE_WORDS;
use nix::errno::Errno;
use nix::libc;
use std::{ffi::c_int, fs::File, os::fd::AsRawFd, ptr};

/// Collapse a range to huge pages (Linux 6.1); musl's headers do not have it yet.
const MADV_COLLAPSE: c_int = 25;
/// A page of 4096 bytes.
pub(super) const SMALL_PAGE: usize = PAGE_WORDS * size_of::<u64>();
/// Bits of a node mask: more nodes than any kernel has.
const NODE_BITS: usize = 1024;

/// Memory of one kind, readable and writable. Unmapped when dropped.
#[derive(Debug)]
pub(super) struct Mapping {
    reservation: *mut libc::c_void,
    reserved: usize,
    base: *mut u8,
    length: usize,
    /// Whether its pages come from a pool.
    is_pooled: bool,
}

// SAFETY: the addresses are those of memory that stays where it is until the drop, whoever holds the value.
unsafe impl Send for Mapping {}
// SAFETY: no method writes to the value or, through it, to the mapped memory (law 2).
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `length` bytes of `kind`; a backing file is given open and at least so long.
    pub(super) fn new(length: usize, kind: &MemoryKind, file: Option<&File>) -> Result<Self, RegionError> {
        let refused = |cause| RegionError::Map { bytes: length as u64, cause };
        let page = usize::try_from(kind.pages.bytes()).map_err(|_| refused(Errno::ENOMEM))?;
        // A guard below and one above; the guards also keep the kernel from merging us with a neighbour.
        let reserved = length.checked_add(2 * page).ok_or_else(|| refused(Errno::ENOMEM))?;
        let (nowhere, guard) =
            (ptr::null_mut(), libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
        // SAFETY: the kernel chooses the place, so nothing of ours is replaced.
        let reservation = unsafe { libc::mmap(nowhere, reserved, libc::PROT_NONE, guard, -1, 0) };
        if reservation == libc::MAP_FAILED {
            return Err(refused(Errno::last()));
        }
        let ahead = (reservation.addr() + SMALL_PAGE).next_multiple_of(page) - reservation.addr();
        let base = reservation.wrapping_byte_add(ahead).cast();
        let mapping = Self { reservation, reserved, base, length, is_pooled: kind.pages.is_pooled() };
        let (flags, file) = (map_flags(kind), file.map_or(-1, AsRawFd::as_raw_fd));
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: base to base + length lies in our reservation (ahead <= page), which nobody uses yet.
        let placed = unsafe { libc::mmap(base.cast(), length, rights, flags | libc::MAP_FIXED, file, 0) };
        if placed == libc::MAP_FAILED { Err(refused(Errno::last())) } else { Ok(mapping) }
    }

    /// Where it begins: aligned to the size of its pages.
    #[inline]
    pub(super) fn base(&self) -> *mut u8 {
        self.base
    }

    /// Its length in bytes.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Has the kernel back the memory as `kind` asks, before anything is touched.
    pub(super) fn prepare(&self, kind: &MemoryKind, nodes: &[u32]) -> Result<(), RegionError> {
        let advice = match kind.pages {
            PageSize::Base => Some(libc::MADV_NOHUGEPAGE),
            PageSize::Transparent => Some(libc::MADV_HUGEPAGE),
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
        match self.advise(offset, length, libc::MADV_POPULATE_WRITE) {
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
        let _ = self.advise(0, self.length, MADV_COLLAPSE);
    }

    /// One flag byte for each page of a part of the mapping: bit 0 says resident.
    pub(super) fn mincore(&self, offset: usize, length: usize, present: &mut [u8]) -> Result<(), Errno> {
        let start = self.part(offset, length);
        assert!(present.len() >= length.div_ceil(SMALL_PAGE), "a byte for each page");
        // SAFETY: the kernel reads no memory of the range and writes one byte a page to `present`, which has room.
        let result = unsafe { libc::mincore(start, length, present.as_mut_ptr()) };
        Errno::result(result).map(drop)
    }

    fn advise(&self, offset: usize, length: usize, advice: c_int) -> Result<(), Errno> {
        let start = self.part(offset, length);
        // SAFETY: the range is ours (law 3), and no advice used here drops content.
        let result = unsafe { libc::madvise(start, length, advice) };
        Errno::result(result).map(drop)
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
    fn part(&self, offset: usize, length: usize) -> *mut libc::c_void {
        let inside = offset.checked_add(length).is_some_and(|end| end <= self.length);
        assert!(inside, "{length} bytes at {offset} are outside a mapping of {} bytes", self.length);
        self.base.wrapping_byte_add(offset).cast()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the reservation is ours alone (law 1), and nobody holds the value any more.
        unsafe { libc::munmap(self.reservation, self.reserved) };
    }
}

/// Whether the kernel gives so much more private memory; it is given back untouched. A mapping that takes the place of
/// another, as [`Mapping::new`] makes it, is not held against `ulimit -d`; what is mapped after it then is.
pub(super) fn can_map(length: usize) -> Result<(), Errno> {
    let (nowhere, rights) = (ptr::null_mut(), libc::PROT_READ | libc::PROT_WRITE);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: the kernel chooses the place, so nothing of ours is replaced.
    let found = unsafe { libc::mmap(nowhere, length, rights, flags, -1, 0) };
    if found == libc::MAP_FAILED {
        return Err(Errno::last());
    }
    // SAFETY: it was mapped just now, and nobody else knows of it.
    unsafe { libc::munmap(found, length) };
    Ok(())
}

/// Whether the kernel can make huge pages of small ones when it is told to (Linux 6.1).
pub(super) fn can_collapse() -> bool {
    // SAFETY: the range is empty; the kernel looks at the advice first.
    let result = unsafe { libc::madvise(ptr::null_mut(), 0, MADV_COLLAPSE) };
    result == 0
}

fn map_flags(kind: &MemoryKind) -> c_int {
    let backing = match kind.backing {
        Backing::Anon => libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        Backing::Shared => libc::MAP_SHARED | libc::MAP_ANONYMOUS,
        // Its file system decides about the size of its pages.
        Backing::File(_) => return libc::MAP_SHARED,
    };
    match kind.pages {
        PageSize::Base | PageSize::Transparent => backing,
        PageSize::Huge2M => backing | libc::MAP_HUGETLB | libc::MAP_HUGE_2MB,
        PageSize::Huge1G => backing | libc::MAP_HUGETLB | libc::MAP_HUGE_1GB,
    }
}
