//! A file that one run writes: locked while it is open, so that a second run leaves it alone and says who has it.

use nix::sys::stat::{major, minor};
use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt,
};

/// Where the kernel lists who holds a lock on what.
const LOCKS: &str = "/proc/locks";

/// Makes a regular `file` this run's own (flock) until it is closed. A file system that has no locks, and what is no
/// regular file, can be had by many.
///
/// # Errors
/// When another run has it: which process that is.
pub fn claim(file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(());
    }
    let Err(TryLockError::WouldBlock) = file.try_lock() else { return Ok(()) };
    let device = metadata.dev();
    let place = format!("{:02x}:{:02x}:{}", major(device), minor(device), metadata.ino());
    let locks = fs::read_to_string(LOCKS).unwrap_or_default();
    let who = match holder(&locks, &place) {
        Some(pid) if pid == std::process::id() => "this run itself writes it already".into(),
        Some(pid) => format!("process {pid} writes it already: end that one first"),
        None => "another program writes it already: end that one first".into(),
    };
    Err(io::Error::new(io::ErrorKind::ResourceBusy, who))
}

/// The process that holds the lock on the file at `place`, from rows `1: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE 0 EOF`. A
/// process of another PID namespace has no number here.
fn holder(locks: &str, place: &str) -> Option<u32> {
    let row = locks.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let mut own = row.filter(|row| row.get(1) == Some(&"FLOCK") && row.get(5) == Some(&place));
    own.next()?.get(4)?.parse().ok().filter(|pid| *pid > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_taken_is_refused_with_the_process_that_has_it_until_it_is_closed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("records");
        let first = File::create(&path).unwrap();
        claim(&first).unwrap();
        let message = claim(&File::open(&path).unwrap()).unwrap_err().to_string();
        assert!(message.contains("writes it already"), "{message}");
        drop(first);
        claim(&File::open(&path).unwrap()).unwrap();
    }

    #[test]
    fn the_holder_is_the_process_in_the_row_of_that_file() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 fd:01:77 0 EOF\n2: FLOCK  ADVISORY  WRITE 12 fd:01:77 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 0 fd:01:78 0 EOF\n";
        assert_eq!(holder(locks, "fd:01:77"), Some(12));
        assert_eq!(
            (holder(locks, "fd:01:78"), holder(locks, "fd:02:77"), holder("", "")),
            (None, None, None)
        );
    }

    #[test]
    fn what_is_no_regular_file_can_be_had_by_many() {
        let null = || File::options().write(true).open("/dev/null").unwrap();
        let both = [null(), null()];
        assert!(both.iter().all(|file| claim(file).is_ok()));
    }
}
