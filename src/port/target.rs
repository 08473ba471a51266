//! How a report target is written on the command line.

use crate::units::UnitError;
use std::{fmt, path::PathBuf, str::FromStr};

/// The virtio-serial port that is used when none is named.
pub const DEFAULT_PORT_NAME: &str = "org.sully.0";

/// A report target. Text: `-`, `file:PATH`, `virtio[:NAME]`, `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// A file, created or emptied.
    File(PathBuf),
    /// The virtio-serial port of this name.
    Virtio(String),
    /// A listening Unix socket; connected to, and again whenever it closes.
    Unix(PathBuf),
}

impl Target {
    /// The longest path a Unix socket can have.
    const UNIX_PATH_LIMIT_BYTES: usize = 107;
}

impl FromStr for Target {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse(text).ok_or_else(|| {
            UnitError::new(
                text,
                "a report target",
                "- | file:PATH | virtio[:NAME] | unix:PATH (at most 107 bytes)",
                "virtio or file:records.ndjson",
            )
        })
    }
}

fn parse(text: &str) -> Option<Target> {
    match text.split_once(':') {
        None if text == "-" => Some(Target::Stdout),
        None if text == "virtio" => Some(Target::Virtio(DEFAULT_PORT_NAME.into())),
        Some((_, "")) | None => None,
        Some(("file", path)) => Some(Target::File(path.into())),
        Some(("virtio", name)) => Some(Target::Virtio(name.into())),
        Some(("unix", path)) => {
            (path.len() <= Target::UNIX_PATH_LIMIT_BYTES).then(|| Target::Unix(path.into()))
        }
        Some(_) => None,
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => out.write_str("-"),
            Self::File(path) => write!(out, "file:{}", path.display()),
            Self::Virtio(name) => write!(out, "virtio:{name}"),
            Self::Unix(path) => write!(out, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_target_parses_and_prints() {
        for text in ["-", "file:/tmp/x", "virtio:org.sully.0", "unix:s.sock"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        assert_eq!("virtio".parse(), Ok(Target::Virtio(DEFAULT_PORT_NAME.into())));
    }

    #[test]
    fn what_is_no_target_is_answered_with_all_four_kinds() {
        for text in ["", "stdout", "file:", "virtio:", "tcp:1.2.3.4:5", &format!("unix:{}", "x".repeat(108))]
        {
            let message = text.parse::<Target>().unwrap_err().to_string();
            assert!(message.contains("- | file:PATH | virtio[:NAME] | unix:PATH"), "{message}");
        }
    }
}
