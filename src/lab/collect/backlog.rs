//! Whether a connection to a socket still waits to be accepted: a QEMU that serves another client lets the next one wait, and
//! one whose guest only boots has accepted.

use std::{fs, path::Path};

/// The kernel's list of Unix sockets. Lines are number, references, protocol, flags, type, state, inode, path.
const LIST: &str = "/proc/net/unix";
/// The state of a connection that is not accepted yet, and the inode it shows until then.
const CONNECTING: &str = "02";
const NO_INODE: &str = "0";

/// Whether somebody waits to be accepted at the socket `path`; false also where that cannot be told.
pub fn waits_at(path: &Path) -> bool {
    let list = fs::read(LIST).unwrap_or_default();
    path.to_str()
        .is_some_and(|path| String::from_utf8_lossy(&list).lines().any(|line| is_waiting(line, path)))
}

fn is_waiting(line: &str, path: &str) -> bool {
    let mut fields = line.split_ascii_whitespace().skip(5);
    let is_connecting = fields.next() == Some(CONNECTING) && fields.next() == Some(NO_INODE);
    is_connecting && line.strip_suffix(path).is_some_and(|before| before.ends_with(' '))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn a_connection_waits_until_it_is_accepted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a port.sock");
        let listener = UnixListener::bind(&path).unwrap();
        assert!(!waits_at(&path), "nobody came");
        let _client = UnixStream::connect(&path).unwrap();
        assert!(waits_at(&path) && !waits_at(&dir.path().join("port.sock")));
        let _served = listener.accept().unwrap();
        assert!(!waits_at(&path));
    }
}
