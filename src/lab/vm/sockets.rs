//! A private directory for the sockets of one run, gone when it is over.

use super::VmError;
use crate::record::Side;
use std::{
    env, fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
};

/// The longest directory name that leaves room for a socket's name: Linux takes 107 bytes for the two together.
const MAX_DIRECTORY_BYTES: usize = 89;
/// What the slash, `sully-` and six random letters add to the directory it is made in.
const OWN_NAME_BYTES: usize = 13;

/// A private directory (mode 0700) with a short name; dropping it removes it and all that is in it.
#[derive(Debug)]
pub struct Sockets(tempfile::TempDir);

impl Sockets {
    /// Makes one under `TMPDIR`, or under `/tmp` where the name would be too long for a socket's address, or no UTF-8.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn create() -> Result<Self, VmError> {
        Self::create_under(&base_directory(env::var_os("TMPDIR").map(PathBuf::from)))
    }

    fn create_under(base: &Path) -> Result<Self, VmError> {
        let made = tempfile::Builder::new()
            .prefix("sully-")
            .rand_bytes(6)
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(base);
        made.map(Self).map_err(|source| VmError::SocketDirectory { base: base.to_owned(), source })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Where the migration stream goes from one QEMU to the other.
    pub fn migration(&self) -> PathBuf {
        self.path().join("migration")
    }

    /// Where a saved state goes, which is gone with the directory.
    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }
}

/// Where the QEMU of `side` listens for QMP, in the sockets directory `directory`.
pub fn qmp_socket(directory: &Path, side: Side) -> PathBuf {
    directory.join(format!("{}.qmp", side_name(side)))
}

/// Where the QEMU of `side` offers the guest's virtio-serial port, in the sockets directory `directory`.
pub fn port_socket(directory: &Path, side: Side) -> PathBuf {
    directory.join(format!("{}.port", side_name(side)))
}

/// The side as it appears in file and process names.
pub(super) const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Source => "source",
        Side::Destination => "destination",
    }
}

/// `TMPDIR` where it is set, absolute, text that QEMU can be told over QMP, short enough and there; else `/tmp`.
fn base_directory(wanted: Option<PathBuf>) -> PathBuf {
    wanted
        .filter(|path| path.is_absolute() && path.to_str().is_some() && path.is_dir())
        .filter(|path| path.as_os_str().as_bytes().len() + OWN_NAME_BYTES <= MAX_DIRECTORY_BYTES)
        .unwrap_or_else(|| PathBuf::from("/tmp"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_private_short_and_gone_afterwards() {
        let sockets = Sockets::create().unwrap();
        let path = sockets.path().to_owned();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        for socket in
            [qmp_socket(&path, Side::Destination), port_socket(&path, Side::Destination), sockets.migration()]
        {
            assert!(socket.as_os_str().as_bytes().len() <= 107, "{}", socket.display());
        }
        fs::write(qmp_socket(&path, Side::Source), "left behind").unwrap();
        drop(sockets);
        assert!(!path.exists());
    }

    #[test]
    fn a_short_tmpdir_is_honoured_and_one_that_is_long_missing_or_no_text_is_not() {
        let outer = tempfile::tempdir_in("/tmp").unwrap();
        assert_eq!(base_directory(Some(outer.path().to_owned())), outer.path());
        let long = outer.path().join("x".repeat(100));
        fs::create_dir(&long).unwrap();
        let odd = outer.path().join(std::ffi::OsStr::from_bytes(b"\xff"));
        fs::create_dir(&odd).unwrap();
        for unusable in
            [Some(long), Some(odd), Some(outer.path().join("missing")), Some(PathBuf::from(".")), None]
        {
            assert_eq!(base_directory(unusable), Path::new("/tmp"));
        }
    }

    #[test]
    fn a_base_that_cannot_be_used_is_named() {
        let error = Sockets::create_under(Path::new("/proc/nowhere")).unwrap_err();
        assert!(error.to_string().contains("/proc/nowhere"), "{error}");
    }
}
