//! What can go wrong between the lab and QEMU's control channel.

use super::ProtocolError;
use std::{path::PathBuf, time::Duration};

/// A QMP exchange that did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QmpError {
    /// Nobody answered at the socket in time.
    #[error("no QMP connection at {} within {}: {reason}", path.display(), seconds(*.limit))]
    Connect {
        /// The socket.
        path: PathBuf,
        /// How long it was tried.
        limit: Duration,
        /// What the last try said.
        reason: String,
    },
    /// QEMU understood the command and refused it.
    #[error("QEMU refused '{command}': {desc} ({class})")]
    Refused {
        /// The command.
        command: String,
        /// QEMU's class of errors, `GenericError` or `CommandNotFound` mostly.
        class: String,
        /// QEMU's own sentence.
        desc: String,
    },
    /// QEMU did not answer in time. The command may still take effect.
    #[error("QEMU did not answer '{command}' within {}", seconds(*.limit))]
    TimedOut {
        /// The command.
        command: String,
        /// How long the answer was waited for.
        limit: Duration,
    },
    /// QEMU closed the connection, or has ended.
    #[error("QEMU closed its QMP connection")]
    Closed,
    /// QEMU sent something that is no QMP; the connection was given up.
    #[error("the QMP connection was given up: {0}")]
    Protocol(#[from] ProtocolError),
}

impl QmpError {
    /// Whether QEMU does not know the command at all: how a version is asked what it can do.
    pub fn is_unknown_command(&self) -> bool {
        matches!(self, Self::Refused { class, .. } if class == "CommandNotFound")
    }
}

/// A time limit as people say it.
fn seconds(limit: Duration) -> String {
    format!("{} s", limit.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_command_and_repeats_what_qemu_said() {
        let error = QmpError::Refused {
            command: "nope".into(),
            class: "CommandNotFound".into(),
            desc: "The command nope has not been found".into(),
        };
        assert_eq!(
            error.to_string(),
            "QEMU refused 'nope': The command nope has not been found (CommandNotFound)"
        );
        assert!(error.is_unknown_command());
        assert!(!QmpError::Closed.is_unknown_command());
    }

    #[test]
    fn a_limit_is_said_in_seconds() {
        let error = QmpError::TimedOut { command: "stop".into(), limit: Duration::from_millis(2500) };
        assert_eq!(error.to_string(), "QEMU did not answer 'stop' within 2.5 s");
    }
}
