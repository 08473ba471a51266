//! Whom a command is for: a VM's own socket, or a collector that holds it.

use crate::lab::collect::{CONTROL_SOCKET, is_called, libvirt_patterns, sockets};
use crate::record::SessionId;
use anyhow::{bail, ensure};
use std::{
    fs,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};

/// Whom a command is for.
#[derive(Debug, PartialEq, Eq)]
pub enum CommandTarget {
    /// The collector of a directory, and the VM that is meant where one is named.
    Collector(PathBuf, Option<String>),
    /// A VM's socket.
    Socket(PathBuf),
}

/// What `target` names.
///
/// # Errors
/// When it is nothing that takes a command; says what would be.
pub fn find(target: &Path) -> anyhow::Result<CommandTarget> {
    if let Some((out, vm)) = through_collector(target) {
        return Ok(CommandTarget::Collector(out, vm));
    }
    let text = target.to_str().unwrap_or_default();
    if !target.exists() && text.contains(['*', '?', '[']) {
        return only(text, sockets(text).collect()).map(CommandTarget::Socket);
    }
    if !target.exists() && !text.contains('/') {
        let domains = libvirt_patterns().flat_map(|pattern| sockets(&pattern).collect::<Vec<_>>());
        let found: Vec<PathBuf> = domains.filter(|path| is_called(path, text)).collect();
        if !found.is_empty() {
            return only(text, found).map(CommandTarget::Socket);
        }
    }
    let shown = target.display();
    let Ok(found) = fs::metadata(target) else {
        bail!(
            "'{shown}' is not there: expected a running VM's socket, a domain of libvirt, or the directory of a collector at work"
        );
    };
    ensure!(
        !found.is_dir(),
        "'{shown}' is a directory in which no collector works or worked: expected a VM's socket, or the --out of a collector. \
         One that begins there adds its sessions to what is in it: sully-lab collect SOCKET... --out {shown}"
    );
    ensure!(
        found.file_type().is_socket(),
        "'{shown}' is no socket: expected a VM's virtio-serial socket, or the directory of a collector"
    );
    Ok(CommandTarget::Socket(target.to_owned()))
}

/// The one socket that a pattern or a domain's name means.
fn only(name: &str, mut found: Vec<PathBuf>) -> anyhow::Result<PathBuf> {
    match (found.pop(), found.len()) {
        (Some(path), 0) => Ok(path),
        (Some(_), others) => bail!("'{name}' matches {} sockets: a command is for one VM", others + 1),
        (None, _) => bail!("'{name}' matches no socket: expected a running VM's"),
    }
}

/// A collector's directory, and the VM that is meant, where `target` names these. The collector may have ended: then its socket
/// or its sessions are left.
fn through_collector(target: &Path) -> Option<(PathBuf, Option<String>)> {
    if target.join(CONTROL_SOCKET).exists() || (target.is_dir() && has_sessions(target)) {
        return Some((target.to_owned(), None));
    }
    let (out, name) = (target.parent()?, target.file_name()?.to_str()?);
    let is_below = out.join(CONTROL_SOCKET).exists() && name != CONTROL_SOCKET;
    (is_below || is_session(name)).then(|| (out.to_owned(), Some(name.to_owned())))
}

/// Whether a collector was at work in a directory.
fn has_sessions(dir: &Path) -> bool {
    let entries = dir.read_dir().into_iter().flatten().flatten();
    entries.take(ENTRIES_LIMIT).any(|entry| entry.file_name().to_str().is_some_and(is_session))
}

/// The most entries of a directory that are looked at.
const ENTRIES_LIMIT: usize = 10_000;

/// Whether a directory of this name is a session's life.
fn is_session(name: &str) -> bool {
    name.split_once('-').map_or(name, |(digits, _)| digits).parse::<SessionId>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_target_is_a_socket_a_collector_or_a_vm_of_one() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().to_owned();
        let socket = out.join("a.sock");
        let _listener = UnixListener::bind(&socket).unwrap();
        assert_eq!(find(&socket).unwrap(), CommandTarget::Socket(socket.clone()));
        assert_eq!(find(&out.join("*.sock")).unwrap(), CommandTarget::Socket(socket), "as in collect");
        fs::write(out.join(CONTROL_SOCKET), "").unwrap();
        let collector = |vm: Option<&str>| CommandTarget::Collector(out.clone(), vm.map(str::to_owned));
        assert_eq!(find(&out).unwrap(), collector(None));
        assert_eq!(find(&out.join("guest-7")).unwrap(), collector(Some("guest-7")));
        let gone = CommandTarget::Collector("/gone".into(), Some("00c0ffee00c0ffee-2".into()));
        assert_eq!(find(Path::new("/gone/00c0ffee00c0ffee-2")).unwrap(), gone);
    }

    #[test]
    fn what_takes_no_command_is_answered_with_what_does() {
        let dir = tempfile::tempdir().unwrap();
        let wrong = |target: &Path| find(target).unwrap_err().to_string();
        let said = wrong(dir.path());
        assert!(said.contains(&format!("collect SOCKET... --out {}", dir.path().display())), "{said}");
        assert!(wrong(Path::new("/etc/passwd")).contains("'/etc/passwd' is no socket"));
        assert!(wrong(Path::new("no-such-domain")).contains("a domain of libvirt"));
        assert!(wrong(&dir.path().join("*.sock")).contains("matches no socket"));
        let _listeners = ["a.sock", "b.sock"].map(|name| UnixListener::bind(dir.path().join(name)).unwrap());
        assert!(wrong(&dir.path().join("*.sock")).contains("matches 2 sockets"));
        fs::create_dir(dir.path().join("00c0ffee00c0ffee")).unwrap();
        assert_eq!(
            find(dir.path()).unwrap(),
            CommandTarget::Collector(dir.path().to_owned(), None),
            "its collector ended"
        );
    }
}
