//! SIGINT, SIGTERM and SIGHUP as something to wait for, instead of something that strikes anywhere.

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::os::fd::{AsFd, BorrowedFd};

/// The signals that end a run, blocked in every thread made after this.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    const ENDING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

    /// Takes the signals over. Must come before any other thread is made.
    ///
    /// # Errors
    /// When the kernel gives no signalfd.
    pub fn take() -> nix::Result<Self> {
        let set: SigSet = Self::ENDING.into_iter().collect();
        set.thread_block()?;
        // A file that may grow no more (ulimit -f) is an error like a full disk, and no reason to be killed.
        SigSet::from(Signal::SIGXFSZ).thread_block()?;
        SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).map(Self)
    }

    /// The name of a signal that has come since, if one has.
    pub fn received(&self) -> Option<&'static str> {
        let info = self.0.read_signal().ok().flatten()?;
        let number = i32::try_from(info.ssi_signo).ok()?;
        Signal::try_from(number).ok().map(Signal::as_str)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
