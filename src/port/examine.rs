//! Whether a report target could be opened; nothing is made, emptied or connected to.

use super::{
    Port, PortError, Target,
    doorway::Doorway,
    error::{no_such_port, unopened},
    virtio,
};
use crate::region::claim;
use nix::unistd::{AccessFlags, access};
use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::FileTypeExt,
    path::Path,
};

impl Port {
    /// Whether `target` could be opened now; what is to be known of it where it could, but nobody would hear.
    ///
    /// # Errors
    /// Why it could not.
    pub fn examine(target: &Target) -> Result<Option<&'static str>, PortError> {
        match target {
            Target::Stdout => Ok(None),
            Target::File(path) => {
                examine_file(path).map(|()| None).map_err(|source| unopened(target, source))
            }
            Target::Virtio(name) if virtio::find(name).is_none() => Err(no_such_port(name)),
            Target::Virtio(_) => Self::open(target).map(|_| None),
            Target::Unix(path) => {
                let is_socket = fs::metadata(path).is_ok_and(|found| found.file_type().is_socket());
                Ok((!is_socket).then_some("nobody listens there yet: start the reader first"))
            }
            // To connect would be seen by the host.
            Target::Dial(_) => {
                Ok(Some("whether a host listens there the run finds out, and tries again until one does"))
            }
            Target::Listen(address) => {
                Doorway::open(*address, None).map(|_| None).map_err(|source| unopened(target, source))
            }
        }
    }
}

fn examine_file(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => claim(&OpenOptions::new().write(true).open(path)?),
        Ok(found) if found.is_dir() => Err(ErrorKind::IsADirectory.into()),
        // To open a FIFO would be seen by its reader.
        Ok(_) => Ok(access(path, AccessFlags::W_OK)?),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Ok(access(directory(path), AccessFlags::W_OK | AccessFlags::X_OK)?)
        }
        Err(error) => Err(error),
    }
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn said(target: &str) -> String {
        match Port::examine(&target.parse().unwrap()) {
            Ok(note) => note.unwrap_or("ok").to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_a_run_could_not_open_is_said_as_the_run_says_it() {
        let directory = tempfile::tempdir().unwrap();
        let inside = directory.path().join("records");
        let held = File::create(directory.path().join("held")).unwrap();
        claim(&held).unwrap();
        for (target, part) in [
            (directory.path().to_path_buf(), "records.ndjson"),
            ("/nonexistent/x".into(), "No such file"),
            (directory.path().join("held"), "writes it already"),
            (inside.clone(), "ok"),
        ] {
            let target = format!("file:{}", target.display());
            let text = said(&target);
            assert!(text.contains(part), "{text}");
            assert_eq!(Port::open(&target.parse().unwrap()).is_ok(), text == "ok", "{text}");
            let _ = fs::remove_file(&inside);
        }
    }

    #[test]
    fn nothing_is_made_or_emptied() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("records");
        assert_eq!(said(&format!("file:{}", path.display())), "ok");
        assert!(!path.exists());
        fs::write(&path, "old").unwrap();
        assert_eq!(said(&format!("file:{}", path.display())), "ok");
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    }

    #[test]
    fn a_socket_nobody_has_made_yet_is_said() {
        assert!(said("unix:/nonexistent/s").contains("nobody listens"));
        assert_eq!(said("-"), "ok");
    }
}
