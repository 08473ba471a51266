//! How a QEMU ended, and how that is said.

use nix::sys::signal::Signal;
use std::fmt;

/// How a QEMU ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exit {
    /// Its exit code, where it ended by itself.
    pub code: Option<i32>,
    /// The signal that ended it, where one did.
    pub signal: Option<i32>,
    /// The other machine, where nothing is known of it but that the connection to it ended.
    pub lost: Option<String>,
    /// The end of what it said on stderr; control characters but line ends removed.
    pub stderr_tail: String,
}

impl fmt::Display for Exit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.lost, self.code, self.signal) {
            (Some(address), ..) => write!(out, "the connection to {address} was lost")?,
            (None, Some(code), _) => write!(out, "exit code {code}")?,
            (None, None, Some(number)) => match Signal::try_from(number) {
                Ok(signal) => write!(out, "killed by {signal}")?,
                Err(_) => write!(out, "killed by signal {number}")?,
            },
            (None, None, None) => out.write_str("ended in an unknown way")?,
        }
        if self.stderr_tail.is_empty() {
            return out.write_str(", and it said nothing");
        }
        write!(out, ", and it said: {}", self.stderr_tail)
    }
}
