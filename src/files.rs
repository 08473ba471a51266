//! Files that somebody names, read within limits: regular ones alone, and no more of them than makes sense.

use std::fs::{File, OpenOptions};
use std::io::{self, Error, ErrorKind::InvalidInput, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a regular file for reading. Anything else is refused: a FIFO would be waited for, a device may have no end.
///
/// # Errors
/// When it cannot be opened, or is no regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(Error::new(InvalidInput, "it is no regular file"))
}

/// The text of a regular file.
///
/// # Errors
/// When it cannot be opened, is no regular file, holds more than `limit_bytes`, or no UTF-8.
pub fn read_text(path: &Path, limit_bytes: u64) -> io::Result<String> {
    let mut text = String::new();
    open_regular(path)?.take(limit_bytes + 1).read_to_string(&mut text)?;
    if text.len() as u64 <= limit_bytes {
        return Ok(text);
    }
    Err(Error::new(InvalidInput, format!("it has more than {limit_bytes} bytes")))
}

/// Puts a file in the place of `path`, whole or not at all: `write` fills a draft beside it.
///
/// # Errors
/// When it cannot be written; what was there stays, and no draft does.
#[cfg(feature = "host")]
pub fn replace(
    path: &Path,
    write: impl FnOnce(&mut io::BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    use std::{fs, io::Write as _};

    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = path.with_file_name(format!(".{name}.draft"));
    let fill = || {
        let mut file = io::BufWriter::new(File::create(&draft)?);
        write(&mut file)?;
        file.flush()?;
        fs::rename(&draft, path)
    };
    fill().inspect_err(|_| {
        let _ = fs::remove_file(&draft);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit_and_no_pipe_device_or_directory_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let (file, pipe) = (dir.path().join("file"), dir.path().join("pipe"));
        std::fs::write(&file, "text").unwrap();
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(read_text(&file, 4).unwrap(), "text");
        assert_eq!(read_text(&file, 3).unwrap_err().to_string(), "it has more than 3 bytes");
        for other in [&*pipe, Path::new("/dev/zero"), dir.path()] {
            let error = read_text(other, 4).unwrap_err();
            assert_eq!(error.to_string(), "it is no regular file", "{}", other.display());
        }
    }

    #[cfg(feature = "host")]
    #[test]
    fn a_file_is_replaced_whole_or_not_at_all_and_no_draft_is_left() {
        use std::io::Write as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kept.json");
        replace(&path, |file| file.write_all(b"first")).unwrap();
        let failing = |file: &mut io::BufWriter<File>| {
            file.write_all(b"half")?;
            Err(Error::other("the disk is full"))
        };
        assert!(replace(&path, failing).is_err());
        assert_eq!(read_text(&path, 100).unwrap(), "first");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
