//! Which file was written, and how far: a path may name another one by now.

use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
};

/// Which file was written, and how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMark {
    device: u64,
    inode: u64,
    bytes: u64,
}

impl FileMark {
    /// The file `found`, written as far as `bytes`.
    pub fn of(found: &Metadata, bytes: u64) -> Self {
        Self { device: found.dev(), inode: found.ino(), bytes }
    }

    /// Whether `found` is this file and ends where it was left. What is no regular file has no length to hold it against.
    pub fn is_exactly(&self, found: &Metadata) -> bool {
        !found.is_file() || *self == Self::of(found, found.len())
    }

    /// Whether this file, as it was written, holds all that `earlier` did.
    pub const fn covers(&self, earlier: &Self) -> bool {
        self.device == earlier.device && self.inode == earlier.inode && self.bytes >= earlier.bytes
    }

    /// Has the disk take the file at `path`, its name in its directory included. Whether what was written is in it.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn sync(&self, path: &Path) -> io::Result<bool> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened?,
        };
        file.sync_data()?;
        path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_data())?;
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
            Ok(found) => Ok(!found.is_file() || Self::of(&found, found.len()).covers(self)),
        }
    }

    /// The error of one who would go on writing where what was written is gone.
    pub fn not_there(path: &Path) -> io::Error {
        io::Error::other(format!("{} was removed, replaced or cut while it was written", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    fn mark(path: &Path) -> FileMark {
        let found = fs::metadata(path).unwrap();
        FileMark::of(&found, found.len())
    }

    #[test]
    fn a_disk_that_takes_a_file_or_its_name_not_is_an_error() {
        // The kernel syncs neither this file nor the directory that holds the names of open ones.
        let file = tempfile::tempfile().unwrap();
        let name = format!("/proc/self/fd/{}", file.as_raw_fd());
        assert!(file.sync_data().is_ok(), "the file itself can be synced");
        for path in ["/dev/null", &name] {
            let path = Path::new(path);
            assert_eq!(mark(path).sync(path).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{path:?}");
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records");
        fs::write(&path, "one\n").unwrap();
        assert!(mark(&path).sync(&path).unwrap());
    }
}
