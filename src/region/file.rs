//! The file that backs a region: created or grown to size, never cut, never overwritten unless it fits exactly; or one in
//! memory alone.

use super::{RegionError, claim, error::errno};
use crate::plan::PageSize;
use crate::units::{ByteSize, PAGE_BYTES};
use nix::errno::Errno;
use nix::libc::HUGETLBFS_MAGIC;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statfs::{FsType, statfs};
use nix::unistd::{AccessFlags, access};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// What `st_blocks` counts in.
const BLOCK_BYTES: u64 = 512;

/// Whether the file at `path` can back `bytes` in `pages`; nothing is changed.
///
/// # Errors
/// What is wrong with it, with the way out.
pub fn examine_file(path: &Path, bytes: u64, pages: PageSize) -> Result<(), RegionError> {
    examine(path, bytes, pages)?;
    let claimed = File::open(path).map_or(Ok(()), |file| claim(&file));
    claimed.map_err(|cause| RegionError::File { path: path.into(), cause })
}

/// The same whoever uses it now.
fn examine(path: &Path, bytes: u64, pages: PageSize) -> Result<(), RegionError> {
    let failed = |cause: io::Error| RegionError::File { path: path.into(), cause };
    let wrong = |why| Err(RegionError::FileSystem { path: PathBuf::from(path), why });
    let (is_there, found, held_bytes) = match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {
            (true, metadata.len(), metadata.blocks().saturating_mul(BLOCK_BYTES))
        }
        Ok(_) => return Err(failed(io::Error::other("it is no regular file"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (false, 0, 0),
        Err(error) => return Err(failed(error)),
    };
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Where there is no file yet, one has to be made.
    let (place, rights) = if is_there {
        (path, AccessFlags::R_OK | AccessFlags::W_OK)
    } else {
        (directory, AccessFlags::W_OK | AccessFlags::X_OK)
    };
    access(place, rights).map_err(|errno| failed(errno.into()))?;
    if found != 0 && found != bytes {
        return Err(RegionError::FileInUse { path: path.into(), found, asked: bytes });
    }
    if found < bytes && is_above_limit(bytes) {
        return wrong("it may not be so large (ulimit -f); raise that limit, or lower --memory".into());
    }
    let system = statfs(directory).map_err(|errno| failed(errno.into()))?;
    let block_bytes = system.block_size().unsigned_abs();
    let is_pooled = system.filesystem_type() == FsType(HUGETLBFS_MAGIC);
    let page_bytes = if is_pooled { block_bytes } else { PAGE_BYTES };
    if is_pooled != pages.is_pooled() || (is_pooled && page_bytes != pages.bytes()) {
        return wrong(format!(
            "its file system has pages of {}; use --pages 2M or 1G with a hugetlbfs of that page size, 4k or thp elsewhere",
            ByteSize(page_bytes)
        ));
    }
    let free_bytes = system.blocks_available().saturating_mul(block_bytes);
    // A file of the right size may have holes, and each takes room once it is filled.
    let missing_bytes = bytes.saturating_sub(held_bytes);
    // A hugetlbfs that is mounted without a size says 0 of everything: the pool alone bounds it.
    let has_no_size = is_pooled && system.blocks() == 0;
    if free_bytes < missing_bytes && !has_no_size {
        return wrong(format!(
            "{} are free there and {} are needed; free some, name another place, or lower --memory",
            ByteSize(free_bytes).human(),
            ByteSize(missing_bytes).human()
        ));
    }
    Ok(())
}

/// Whether no file may be `bytes` long: making one would be answered with a signal.
fn is_above_limit(bytes: u64) -> bool {
    getrlimit(Resource::RLIMIT_FSIZE).is_ok_and(|(limit, _)| limit < bytes)
}

/// A file of `bytes` that is in memory alone, in `pages`.
pub(super) fn in_memory(bytes: u64, pages: PageSize) -> Result<File, RegionError> {
    if is_above_limit(bytes) {
        return Err(RegionError::Refused {
            what: "--backing shared is refused",
            cause: Errno::EFBIG,
            remedy: "such memory is a file to the kernel: raise the limit of files (ulimit -f), or lower --memory",
        });
    }
    let pages = match pages {
        PageSize::Base | PageSize::Transparent => MFdFlags::empty(),
        PageSize::Huge2M => MFdFlags::MFD_HUGETLB | MFdFlags::MFD_HUGE_2MB,
        PageSize::Huge1G => MFdFlags::MFD_HUGETLB | MFdFlags::MFD_HUGE_1GB,
    };
    let made = memfd_create("sully", MFdFlags::MFD_CLOEXEC | pages).map(File::from);
    let file = made.map_err(|cause| RegionError::Map { bytes, cause })?;
    file.set_len(bytes).map_err(|error| RegionError::Map { bytes, cause: errno(&error) })?;
    Ok(file)
}

/// Opens the file at `path`, `bytes` long; with it comes what was made for that.
pub(super) fn open(path: &Path, bytes: u64, pages: PageSize) -> Result<(File, Made), RegionError> {
    examine(path, bytes, pages)?;
    let failed = |cause| RegionError::File { path: path.into(), cause };
    let before = fs::metadata(path).map(|metadata| metadata.len()).ok();
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let file = opened.map_err(failed)?;
    claim(&file).map_err(failed)?;
    let made = Made(match before {
        None => Some(Undo::Remove(path.into())),
        Some(0) => Some(Undo::Empty(path.into())),
        Some(_) => None,
    });
    file.set_len(bytes).map_err(failed)?;
    Ok((file, made))
}

/// What was made of a backing file. It is unmade when this is dropped, unless it was kept: a run that did not begin
/// leaves nothing behind.
#[derive(Debug)]
pub(super) struct Made(Option<Undo>);

#[derive(Debug)]
enum Undo {
    /// It was not there.
    Remove(PathBuf),
    /// It was there and empty.
    Empty(PathBuf),
}

impl Made {
    /// Nothing was made.
    pub(super) const fn nothing() -> Self {
        Self(None)
    }

    /// The file stays as it is.
    pub(super) fn keep(&mut self) {
        self.0 = None;
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // What cannot be unmade stays; why the run did not begin is being said already.
        let _ = match self.0.take() {
            None => Ok(()),
            Some(Undo::Remove(path)) => fs::remove_file(path),
            Some(Undo::Empty(path)) => OpenOptions::new().write(true).truncate(true).open(path).map(drop),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &Path, bytes: u64, pages: PageSize) -> String {
        let before = fs::read(path).ok();
        let message = open(path, bytes, pages).unwrap_err().to_string();
        assert_eq!(fs::read(path).ok(), before, "untouched");
        assert!(message.contains(path.to_str().unwrap()), "{message}");
        message
    }

    #[test]
    fn a_file_is_made_or_grown_from_nothing_or_taken_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("region");
        let length = |bytes| {
            let (file, mut made) = open(&path, bytes, PageSize::Base).unwrap();
            made.keep();
            file.metadata().unwrap().len()
        };
        assert_eq!(length(8192), 8192);
        fs::write(&path, [7; 8192]).unwrap();
        assert_eq!(length(8192), 8192);
        fs::write(&path, []).unwrap();
        assert_eq!(length(4096), 4096);
        assert!(path.exists());
    }

    #[test]
    fn what_was_made_for_nothing_is_unmade_and_what_was_there_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("region");
        drop(open(&path, 8192, PageSize::Base).unwrap());
        assert!(!path.exists());
        fs::write(&path, []).unwrap();
        drop(open(&path, 8192, PageSize::Base).unwrap());
        assert!(fs::read(&path).unwrap().is_empty());
        fs::write(&path, [7; 8192]).unwrap();
        drop(open(&path, 8192, PageSize::Base).unwrap());
        assert_eq!(fs::read(&path).unwrap(), [7; 8192]);
    }

    #[test]
    fn a_file_of_holes_needs_room_for_them() {
        let Ok(directory) = tempfile::tempdir_in("/dev/shm") else {
            return println!("SKIPPED: a file of holes: there is no /dev/shm");
        };
        let path = directory.path().join("region");
        let bytes = 1 << 45;
        File::create(&path).unwrap().set_len(bytes).unwrap();
        let message = examine_file(&path, bytes, PageSize::Base).unwrap_err().to_string();
        assert!(message.contains("are free there") && message.contains("lower --memory"), "{message}");
        assert_eq!(fs::metadata(&path).unwrap().len(), bytes, "untouched");
    }

    #[test]
    fn a_file_of_another_size_is_left_alone_and_both_sizes_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("letters");
        fs::write(&path, [7; 8192]).unwrap();
        for asked in [4096, 16384] {
            let message = refused(&path, asked, PageSize::Base);
            assert!(message.contains("8192") && message.contains(&asked.to_string()), "{message}");
            assert!(message.contains("--memory 8K"), "{message}");
        }
    }

    #[test]
    fn a_file_that_another_run_has_is_left_alone_until_that_is_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("region");
        let (first, mut made) = open(&path, 8192, PageSize::Base).unwrap();
        for message in [
            refused(&path, 8192, PageSize::Base),
            examine_file(&path, 8192, PageSize::Base).unwrap_err().to_string(),
        ] {
            assert!(message.contains("writes it already") && message.contains("a new one"), "{message}");
        }
        made.keep();
        drop(first);
        assert!(open(&path, 8192, PageSize::Base).is_ok());
    }

    #[test]
    fn what_is_no_file_or_does_not_fit_is_refused_with_the_way_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("region");
        assert!(refused(&path, 1 << 60, PageSize::Base).contains("lower --memory"));
        assert!(refused(&path, 2 << 20, PageSize::Huge2M).contains("hugetlbfs"));
        assert!(refused(directory.path(), 4096, PageSize::Base).contains("no regular file"));
        assert!(!path.exists());
        refused(Path::new("/nonexistent/region"), 4096, PageSize::Base);
    }
}
