//! How a report target is written on the command line.

use super::address::Address;
use crate::units::UnitError;
use std::{fmt, path::PathBuf, str::FromStr};

/// The virtio-serial port that is used when none is named.
pub const DEFAULT_PORT_NAME: &str = "org.sully.0";

/// A report target. Text: `-`, `file:PATH`, `virtio[:NAME]`, `unix:PATH`, `tcp:ADDRESS:PORT`, `vsock:[CID:]PORT`, and
/// `listen:` before one of the last two.
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
    /// A host that listens; connected to, and again whenever the connection breaks.
    Dial(Address),
    /// Where this program listens, for one host at a time.
    Listen(Address),
}

impl Target {
    /// Whether it is reached by a network, over which connections break and strangers come.
    pub const fn is_network(&self) -> bool {
        matches!(self, Self::Dial(_) | Self::Listen(_))
    }

    /// Whether it is safe without a token.
    ///
    /// # Errors
    /// That strangers could come to it, and what to do; a sentence.
    pub fn examine_openness(&self) -> Result<(), String> {
        match self {
            Self::Listen(address) if !address.is_loopback() => Err(address.is_open("--report listen:")),
            _ => Ok(()),
        }
    }

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
                "- | file:PATH | virtio[:NAME] | unix:PATH (at most 107 bytes) | tcp:ADDRESS:PORT (in digits: no name \
                 is looked up here) | vsock:[CID:]PORT | listen:tcp:ADDRESS:PORT | listen:vsock:PORT",
                "virtio or tcp:192.0.2.7:7007",
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
        Some(("listen", address)) => Address::to_listen(address).map(Target::Listen),
        Some(_) => Address::to_dial(text).map(Target::Dial),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => out.write_str("-"),
            Self::File(path) => write!(out, "file:{}", path.display()),
            Self::Virtio(name) => write!(out, "virtio:{name}"),
            Self::Unix(path) => write!(out, "unix:{}", path.display()),
            Self::Dial(address) => write!(out, "{address}"),
            Self::Listen(address) => write!(out, "listen:{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_target_parses_and_prints() {
        for text in [
            "-",
            "file:/tmp/x",
            "virtio:org.sully.0",
            "unix:s.sock",
            "tcp:192.0.2.7:7007",
            "tcp:[2001:db8::7]:7007",
            "vsock:3:7007",
            "listen:tcp:127.0.0.1:7007",
            "listen:vsock:7007",
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        assert_eq!("vsock:7".parse::<Target>().unwrap().to_string(), "vsock:2:7", "the host");
        assert_eq!("virtio".parse(), Ok(Target::Virtio(DEFAULT_PORT_NAME.into())));
    }

    #[test]
    fn what_is_no_target_is_answered_with_every_kind() {
        let long = format!("unix:{}", "x".repeat(108));
        for text in [
            "",
            "stdout",
            "file:",
            "virtio:",
            &long,
            "tcp:host:5",
            "tcp:1.2.3.4",
            "tcp:1.2.3.4:0",
            "tcp:::1:5",
            "tcp:1.2.3.4:70000",
            "vsock:",
            "vsock:x:1",
            "vsock:2:x",
            "listen:unix:/tmp/x",
            "listen:vsock:3:5",
            "listen:listen:tcp:127.0.0.1:5",
        ] {
            let message = text.parse::<Target>().unwrap_err().to_string();
            assert!(message.contains("- | file:PATH | virtio[:NAME] | unix:PATH"), "{message}");
            assert!(message.contains("no name is looked up here"), "{message}");
        }
    }
}
