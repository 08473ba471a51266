//! Which sockets there are: those that were named, and those that match a pattern now.

use super::source::Source;
use anyhow::bail;
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};

/// The most sockets that are attended at once.
const SOCKETS_LIMIT: usize = 4096;
/// The longest path a Unix socket can have.
const PATH_LIMIT_BYTES: usize = 107;

/// What was named on the command line.
#[derive(Debug)]
pub struct Finder {
    named: Vec<PathBuf>,
    patterns: Vec<String>,
    /// The sockets that each pattern ever matched, as far as they are attended.
    matched: Vec<BTreeSet<PathBuf>>,
}

impl Finder {
    /// Takes paths, and patterns with `*`, `?` or `[...]`.
    ///
    /// # Errors
    /// When a pattern is none, or a path cannot be one of a socket.
    pub fn new(sockets: &[String]) -> anyhow::Result<Self> {
        let mut finder = Self { named: Vec::new(), patterns: Vec::new(), matched: Vec::new() };
        for socket in sockets {
            if let Some(source) = Source::network(socket) {
                source.map_err(anyhow::Error::msg)?;
                finder.named.push(socket.into());
            } else if socket.contains(['*', '?', '[']) {
                if let Err(error) = glob::Pattern::new(socket) {
                    bail!(
                        "'{socket}' is no pattern of sockets: {error}; expected for example '/run/vms/*.sock'"
                    );
                }
                finder.patterns.push(socket.clone());
                finder.matched.push(BTreeSet::new());
            } else if socket.len() > PATH_LIMIT_BYTES {
                bail!("'{socket}' is longer than the {PATH_LIMIT_BYTES} bytes a Unix socket's path can have");
            } else if Path::new(socket).is_dir() {
                bail!("'{socket}' is a directory: expected a socket, or a pattern such as '{socket}/*.sock'");
            } else if fs::metadata(socket).is_ok_and(|metadata| !metadata.file_type().is_socket()) {
                bail!(
                    "'{socket}' is no socket: expected a VM's virtio-serial socket, or a pattern such as '/run/vms/*.sock'"
                );
            } else {
                finder.named.push(socket.into());
            }
        }
        Ok(finder)
    }

    /// The patterns that match no socket now, and how many sockets each matched before.
    pub fn unmatched(&self) -> Vec<(&str, usize)> {
        let patterns = self.patterns.iter().map(String::as_str).zip(&self.matched);
        let unmatched = patterns.filter(|(pattern, _)| sockets(pattern).next().is_none());
        unmatched.map(|(pattern, matched)| (pattern, matched.len())).collect()
    }

    /// Every socket to attend now; those that were named whether they are there or not.
    pub fn find(&mut self) -> Vec<PathBuf> {
        let mut found = self.named.clone();
        for (pattern, matched) in self.patterns.iter().zip(&mut self.matched) {
            for path in sockets(pattern) {
                if matched.len() < SOCKETS_LIMIT {
                    matched.insert(path.clone());
                }
                found.push(path);
            }
        }
        found.sort();
        found.dedup();
        found.truncate(SOCKETS_LIMIT);
        found
    }
}

/// The sockets that match a pattern now.
pub fn sockets(pattern: &str) -> impl Iterator<Item = PathBuf> {
    glob::glob(pattern).ok().into_iter().flatten().flatten().filter(|path| is_socket(path))
}

/// Whether a socket lies there.
pub(super) fn is_socket(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn patterns_match_sockets_only_and_a_named_one_need_not_be_there_yet() {
        let dir = tempfile::tempdir().unwrap();
        let named = dir.path().join("later");
        let pattern = format!("{}/*.sock", dir.path().display());
        let mut finder = Finder::new(&[named.display().to_string(), pattern]).unwrap();
        assert_eq!(finder.find(), [named.as_path()]);
        assert_eq!(finder.unmatched().len(), 1);
        fs::write(dir.path().join("file.sock"), "").unwrap();
        let _listener = UnixListener::bind(dir.path().join("a.sock")).unwrap();
        assert_eq!(finder.find(), [dir.path().join("a.sock"), named]);
        assert!(finder.unmatched().is_empty());
        fs::remove_file(dir.path().join("a.sock")).unwrap();
        assert_eq!(finder.unmatched().first().map(|(_, before)| *before), Some(1), "it was there");
    }

    #[test]
    fn what_can_be_no_socket_is_answered_with_what_is_expected() {
        let wrong = |socket: &str| Finder::new(&[socket.to_owned()]).unwrap_err().to_string();
        assert!(wrong("/run/[").contains("/run/vms/*.sock"));
        assert!(wrong("/tmp").contains("/tmp/*.sock"));
        assert!(wrong("/etc/passwd").contains("'/etc/passwd' is no socket"));
        assert!(wrong(&"x".repeat(200)).contains("107"));
    }
}
