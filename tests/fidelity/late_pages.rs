//! Pages that come late: who touches one waits until it is delivered, as in post-copy. The kernel (userfaultfd) tells
//! of each touch, and the page comes after a delay that is known.
#![expect(unsafe_code, reason = "userfaultfd is not in nix")]
// Laws: 1. the kernel reads and writes only the structures handed to it, and the page that is copied; all outlive the call;
//       2. a page that is delivered holds what it held before it was taken away: nobody's memory changes under them.

use super::stops::{become_punctual, wait};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use sully::clock::{Clock, Monotonic};

const PAGE: u64 = 4096;
const UFFDIO_API: u64 = 0xc018_aa3f;
const UFFDIO_REGISTER: u64 = 0xc020_aa00;
const UFFDIO_COPY: u64 = 0xc028_aa03;
const UFFD_API: u64 = 0xaa;
const MODE_MISSING: u64 = 1;
/// The first byte of a message about a touch.
const TOUCHED: u8 = 0x12;

/// Pages of this process that come late, from when it is made to when it is ended.
pub struct LatePages {
    over: Arc<AtomicBool>,
    handler: JoinHandle<Vec<u64>>,
}

impl LatePages {
    /// Takes `pages` of the file that is mapped at `base` away, and delivers each `delay_ns` after it was touched.
    ///
    /// # Errors
    /// Why that cannot be had here.
    pub fn of(path: &Path, pages: Range<u64>, delay_ns: u64) -> Result<Self, String> {
        let base = mapped_at(path).ok_or("the region is not mapped")?;
        let userfaultfd = open()?;
        let bytes = (pages.end - pages.start) * PAGE;
        request(&userfaultfd, UFFDIO_REGISTER, &mut [base + pages.start * PAGE, bytes, MODE_MISSING, 0])
            .map_err(|error| format!("userfaultfd does not take this memory: {error}"))?;
        let file = File::options().read(true).write(true).open(path).map_err(|error| error.to_string())?;
        let mut kept = vec![0; usize::try_from(bytes).map_err(|error| error.to_string())?];
        file.read_exact_at(&mut kept, pages.start * PAGE).map_err(|error| error.to_string())?;
        let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let at = |bytes: u64| i64::try_from(bytes).map_err(|error| error.to_string());
        fallocate(&file, hole, at(pages.start * PAGE)?, at(bytes)?).map_err(|error| error.to_string())?;
        let over = Arc::new(AtomicBool::new(false));
        let source = Source { userfaultfd: userfaultfd.into(), kept, first: base + pages.start * PAGE };
        let told = Arc::clone(&over);
        let handler = std::thread::spawn(move || source.serve(delay_ns, &told));
        Ok(Self { over, handler })
    }

    /// Ends the delays and hands back which pages were touched, in order. None of them may be missing still.
    pub fn end(self) -> Vec<u64> {
        self.over.store(true, Ordering::Relaxed);
        self.handler.join().unwrap()
    }
}

/// Where the file is mapped into this process.
fn mapped_at(path: &Path) -> Option<u64> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.ends_with(path.to_str().unwrap_or("?")))?;
    u64::from_str_radix(line.split('-').next()?, 16).ok()
}

/// What pages are delivered from.
struct Source {
    userfaultfd: File,
    kept: Vec<u8>,
    first: u64,
}

impl Source {
    /// Asleep until a page is touched and until shortly before it is due, then awake, so that a delay is as long as asked.
    fn serve(mut self, delay_ns: u64, over: &AtomicBool) -> Vec<u64> {
        become_punctual();
        let (mut touched, mut message) = (Vec::new(), [0; 32]);
        while !over.load(Ordering::Relaxed) {
            let mut ready = [PollFd::new(self.userfaultfd.as_fd(), PollFlags::POLLIN)];
            poll(&mut ready, PollTimeout::from(20u8)).unwrap();
            match self.userfaultfd.read(&mut message) {
                Ok(32) if message[0] == TOUCHED => {
                    let due_ns = Monotonic.now_ns() + delay_ns;
                    let address = u64::from_ne_bytes(message[16..24].try_into().unwrap()) / PAGE * PAGE;
                    wait(due_ns);
                    self.deliver(address);
                    touched.push((address - self.first) / PAGE);
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("userfaultfd: {error}"),
            }
        }
        touched
    }

    fn deliver(&self, address: u64) {
        let from = &self.kept[usize::try_from(address - self.first).unwrap()..];
        let page = from[..4096].as_ptr().expose_provenance() as u64;
        request(&self.userfaultfd, UFFDIO_COPY, &mut [address, page, PAGE, 0, 0]).unwrap();
    }
}

fn open() -> Result<OwnedFd, String> {
    // SAFETY: the call takes one integer and gives a descriptor or -1.
    let answer = unsafe {
        libc::syscall(libc::SYS_userfaultfd, libc::c_long::from(libc::O_CLOEXEC | libc::O_NONBLOCK))
    };
    let number = Errno::result(answer).map_err(|error| format!("userfaultfd: {error}"))?;
    let number = RawFd::try_from(number).map_err(|error| format!("userfaultfd: {error}"))?;
    // SAFETY: the kernel just gave us this descriptor, and nobody else knows it.
    let userfaultfd = unsafe { OwnedFd::from_raw_fd(number) };
    request(&userfaultfd, UFFDIO_API, &mut [UFFD_API, 0, 0])
        .map_err(|error| format!("userfaultfd: {error}"))?;
    Ok(userfaultfd)
}

/// One request about `file`, whose number fits the structure.
fn request<T>(file: &impl AsRawFd, number: u64, structure: &mut T) -> Result<(), Errno> {
    #[cfg_attr(
        target_env = "musl",
        expect(clippy::cast_possible_truncation, reason = "musl's type has 32 bits")
    )]
    let number = number as libc::Ioctl;
    // SAFETY: each request's number holds the size of its structure, which is borrowed for the call; the page that a copy
    // names is borrowed by the caller meanwhile, and is as long as the copy says (law 1).
    let answer = unsafe { libc::ioctl(file.as_raw_fd(), number, std::ptr::from_mut(structure)) };
    Errno::result(answer).map(drop)
}
