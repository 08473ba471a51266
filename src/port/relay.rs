//! A thread that writes where writing may wait: a disk, a terminal, a pipe that somebody else shares.
//!
//! The run hands its bytes to a socket pair, which holds a bounded number of them and never makes it wait; the thread
//! takes them from there. So a stuck disk stops this thread and nothing else.

use super::readiness;
use nix::poll::{PollFlags, PollTimeout};
use std::{
    fs::File,
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    net::Shutdown,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// What the thread takes at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// What the thread needs: its stack is locked into memory with everything else.
const STACK_BYTES: usize = 128 * 1024;

/// Where the thread writes to.
#[derive(Debug)]
pub(super) enum Sink {
    /// Standard output.
    Stdout,
    /// A regular file or FIFO.
    File(File),
}

/// The run's end of the thread.
#[derive(Debug)]
pub(super) struct Relay {
    socket: UnixStream,
    failure: Arc<Mutex<Option<io::Error>>>,
}

impl Relay {
    /// Starts a thread that writes to `sink`.
    ///
    /// # Errors
    /// When the kernel gives no sockets or no thread.
    pub(super) fn start(sink: Sink) -> io::Result<Self> {
        let (socket, source) = UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        let failure = Arc::new(Mutex::new(None));
        let told = Arc::clone(&failure);
        let thread = thread::Builder::new().name("sully-report".into()).stack_size(STACK_BYTES);
        thread.spawn(move || {
            if let Err(error) = (Writing { sink, since_newline: 0 }).all(&source) {
                *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
            drop(source);
        })?;
        Ok(Self { socket, failure })
    }

    /// Hands over as many bytes as fit now.
    ///
    /// # Errors
    /// Why the thread gave up writing.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes).map_err(|error| self.cause(error))
    }

    /// Whether the thread has ended: all that it was given before [`Self::finish`] is written.
    ///
    /// # Errors
    /// Why the thread gave up writing.
    pub(super) fn has_ended(&mut self) -> io::Result<bool> {
        match self.socket.read(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            _ => match self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
                Some(error) => Err(error),
                None => Ok(true),
            },
        }
    }

    /// Nothing more comes.
    pub(super) fn finish(&mut self) {
        // It can only fail when the thread has ended already.
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// What to poll.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The thread's own reason, where it ended for one.
    fn cause(&self, error: io::Error) -> io::Error {
        let told = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        if error.kind() == ErrorKind::WouldBlock { error } else { told.unwrap_or(error) }
    }
}

/// The thread's work.
struct Writing {
    sink: Sink,
    /// Bytes of an unfinished line that are written.
    since_newline: u64,
}

impl Writing {
    /// Writes all that comes, until nothing more does. A line that a full disk tore does not stay behind.
    fn all(&mut self, mut source: &UnixStream) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let count = match source.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if let Err(error) = self.chunk(&buffer[..count]) {
                self.take_back();
                return Err(error);
            }
        }
    }

    fn chunk(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.sink.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.since_newline = match bytes[..count].iter().rposition(|byte| *byte == b'\n') {
                        Some(newline) => (count - newline - 1) as u64,
                        None => self.since_newline + count as u64,
                    };
                    bytes = &bytes[count..];
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.sink.wait();
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Cuts an unfinished line off a regular file.
    fn take_back(&mut self) {
        if let Sink::File(file) = &mut self.sink {
            let length = file.stream_position().unwrap_or(0).saturating_sub(self.since_newline);
            if file.set_len(length).is_ok() {
                // The file is being given up: where it stands afterwards matters to nobody.
                let _ = file.seek(SeekFrom::Start(length));
            }
        }
    }
}

impl Sink {
    /// Past the standard library's buffer, so that what was counted as written was written.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout => Ok(nix::unistd::write(io::stdout().as_fd(), bytes)?),
            Self::File(file) => file.write(bytes),
        }
    }

    /// Waits until it takes bytes again.
    fn wait(&self) {
        match self {
            Self::Stdout => readiness(io::stdout().as_fd(), PollFlags::POLLOUT, PollTimeout::NONE),
            Self::File(file) => readiness(file.as_fd(), PollFlags::POLLOUT, PollTimeout::NONE),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::OpenOptionsExt;

    /// Polls until the thread has ended, and says how.
    fn end(relay: &mut Relay) -> io::Result<bool> {
        readiness(relay.as_fd(), PollFlags::POLLIN, PollTimeout::from(20_000u16));
        relay.has_ended()
    }

    #[test]
    fn what_was_handed_over_before_the_end_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let mut relay = Relay::start(Sink::File(File::create(&path).unwrap())).unwrap();
        assert_eq!(relay.send(b"one\ntwo\n").unwrap(), 8);
        assert!(!relay.has_ended().unwrap());
        relay.finish();
        assert!(end(&mut relay).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn a_disk_that_is_full_is_told_as_such() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut relay = Relay::start(Sink::File(full)).unwrap();
        relay.send(b"one\n").unwrap();
        assert_eq!(end(&mut relay).unwrap_err().raw_os_error(), Some(libc::ENOSPC));
    }

    #[test]
    fn a_pipe_that_nobody_empties_never_makes_the_run_wait() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mut options = File::options();
        let stuck = options.read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
        let mut relay = Relay::start(Sink::File(stuck)).unwrap();
        let chunk = vec![b'x'; 64 * 1024];
        let taken: usize = (0..100).map_while(|_| relay.send(&chunk).ok()).sum();
        assert!(taken < 100 * 64 * 1024, "bounded");
        assert!(!relay.has_ended().unwrap());
    }

    #[test]
    fn a_line_that_was_torn_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let sink = Sink::File(File::create(&path).unwrap());
        let mut writing = Writing { sink, since_newline: 0 };
        writing.chunk(b"whole\nto").unwrap();
        writing.chunk(b"rn").unwrap();
        writing.take_back();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole\n");
    }
}
