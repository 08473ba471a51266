//! The kernel's own log of the pages written in this process, as a hypervisor keeps one of a guest's pages.
#![expect(unsafe_code, reason = "userfaultfd and PAGEMAP_SCAN are not in nix")]
// Laws: 1. the kernel reads and writes only the structures handed to it, and they outlive the call;
//       2. of the range only the write protection is changed, which the kernel takes back by itself at the next store
//          (WP_ASYNC): nobody ever waits for us, and no content changes.

use nix::errno::Errno;
use std::{
    fs::File,
    ops::Range,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

/// Only stores of this program are logged; so the kernel asks for no right to look into other processes.
const USER_MODE_ONLY: libc::c_int = 1;
/// The interface that the kernel and we agree on.
const UFFD_API: u64 = 0xaa;
/// Stores into protected pages go on; the page is no longer protected.
const WP_ASYNC: u64 = 1 << 15;
const REGISTER_MODE_WP: u64 = 1 << 1;
const UFFDIO_API: u64 = 0xc018_aa3f;
const UFFDIO_REGISTER: u64 = 0xc020_aa00;
const PAGEMAP_SCAN: u64 = 0xc060_6610;
/// The pages found are protected again in the same step.
const PROTECT_FOUND: u64 = 1 << 0;
/// Pages that are not logged are an error.
const ONLY_LOGGED: u64 = 1 << 1;
const IS_WRITTEN: u64 = 1 << 1;

/// `struct pm_scan_arg` of the kernel.
#[repr(C)]
#[derive(Debug, Default)]
struct Scan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    found: u64,
    found_room: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// `struct page_region` of the kernel: pages from `start` to before `end`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    start: u64,
    end: u64,
    categories: u64,
}

/// So many runs of pages are told at a time.
const ROOM: usize = 32;

/// Which pages of some ranges were written since it was last asked.
#[derive(Debug)]
pub struct DirtyLog {
    ranges: Vec<Range<u64>>,
    pagemap: File,
    /// Pages are logged as long as it is open.
    _userfaultfd: OwnedFd,
}

impl DirtyLog {
    /// Logs stores into `ranges` of whole mapped pages, by address; none is written yet.
    ///
    /// The first store into each page then takes about a microsecond more: the kernel writes it down on the way.
    ///
    /// # Errors
    /// When the kernel is older than Linux 6.7 or does not allow it, or a range is not mapped or logged already.
    pub fn open(ranges: Vec<Range<u64>>) -> Result<Self, String> {
        // SAFETY: the call takes one integer and gives a descriptor or -1.
        let answer = unsafe {
            let flags = libc::O_CLOEXEC | libc::O_NONBLOCK | USER_MODE_ONLY;
            libc::syscall(libc::SYS_userfaultfd, libc::c_long::from(flags))
        };
        let number = Errno::result(answer).map_err(|error| format!("userfaultfd: {error}"))?;
        let number = RawFd::try_from(number).map_err(|error| format!("userfaultfd: {error}"))?;
        // SAFETY: the kernel just gave us this descriptor, and nobody else knows it.
        let userfaultfd = unsafe { OwnedFd::from_raw_fd(number) };
        request(&userfaultfd, UFFDIO_API, &mut [UFFD_API, WP_ASYNC, 0])
            .map_err(|error| format!("userfaultfd without WP_ASYNC (Linux 6.7): {error}"))?;
        for range in &ranges {
            let mut asked = [range.start, range.end - range.start, REGISTER_MODE_WP, 0];
            request(&userfaultfd, UFFDIO_REGISTER, &mut asked)
                .map_err(|error| format!("userfaultfd does not log this memory: {error}"))?;
        }
        let pagemap = File::open("/proc/self/pagemap").map_err(|error| format!("pagemap: {error}"))?;
        let log = Self { ranges, pagemap, _userfaultfd: userfaultfd };
        log.take(|_| {})?;
        Ok(log)
    }

    /// Tells the pages written since the last call, as addresses from and to, in order; from now on they count anew.
    ///
    /// # Errors
    /// When the kernel cannot scan (Linux 6.7 and newer can).
    pub fn take(&self, mut told: impl FnMut(Range<u64>)) -> Result<(), String> {
        let mut runs = [Run::default(); ROOM];
        for range in &self.ranges {
            let mut from = range.start;
            while from < range.end {
                let mut scan = Scan {
                    size: size_of::<Scan>() as u64,
                    flags: PROTECT_FOUND | ONLY_LOGGED,
                    start: from,
                    end: range.end,
                    found: runs.as_mut_ptr().expose_provenance() as u64,
                    found_room: ROOM as u64,
                    category_mask: IS_WRITTEN,
                    return_mask: IS_WRITTEN,
                    ..Scan::default()
                };
                let count = request(&self.pagemap, PAGEMAP_SCAN, &mut scan)
                    .map_err(|error| format!("PAGEMAP_SCAN (Linux 6.7): {error}"))?;
                runs[..count].iter().for_each(|run| told(run.start..run.end));
                // It goes on where the kernel ended for want of room.
                from = scan.walk_end.max(from + 1);
            }
        }
        Ok(())
    }
}

/// One request about `file`, whose number fits the structure; returns the kernel's count.
fn request<T>(file: &impl AsRawFd, number: u64, structure: &mut T) -> Result<usize, Errno> {
    #[cfg_attr(
        target_env = "musl",
        expect(clippy::cast_possible_truncation, reason = "musl's type has 32 bits")
    )]
    let number = number as libc::Ioctl;
    // SAFETY: each request's number holds the size of its structure, which is borrowed for the call; the room that a
    // scan names is an array of as many runs, alive and not looked at meanwhile (law 1).
    let answer = unsafe { libc::ioctl(file.as_raw_fd(), number, std::ptr::from_mut(structure)) };
    Errno::result(answer).map(|count| usize::try_from(count).unwrap_or(0))
}
