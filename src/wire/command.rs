//! Commands as lines: what the host says, read without trust.

use crate::record::Command;
use crate::units;
use serde::Deserialize;

/// The longest command line that is read, in bytes.
pub const COMMAND_LIMIT_BYTES: usize = 4096;

/// A line that is no command; its text is the answer to the host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CommandError {
    /// The command's id, where it could be read.
    pub id: Option<u64>,
    /// What is wrong, and what is accepted.
    pub message: String,
}

/// What can be read of a command that is not understood.
#[derive(Deserialize)]
struct Outline {
    r#type: Option<String>,
    id: Option<u64>,
}

/// A command as one line, newline included.
pub fn encode_command(command: &Command) -> Vec<u8> {
    let mut line = serde_json::to_vec(command).unwrap_or_default();
    line.push(b'\n');
    line
}

/// What a line (without its newline) commands.
///
/// # Errors
/// When it is too long, no JSON object, of an unknown type, or a field is missing or wrong.
pub fn decode_command(line: &[u8]) -> Result<Command, CommandError> {
    if line.len() > COMMAND_LIMIT_BYTES {
        return Err(CommandError::too_long(line.len() as u64));
    }
    serde_json::from_slice(line).map_err(|error| explain(line, &error))
}

impl CommandError {
    /// The answer to a line above [`COMMAND_LIMIT_BYTES`].
    pub fn too_long(bytes: u64) -> Self {
        let message =
            format!("a command of {bytes} bytes is too long: at most {COMMAND_LIMIT_BYTES} are read");
        Self { id: None, message }
    }
}

fn explain(line: &[u8], error: &serde_json::Error) -> CommandError {
    let known = Command::NAMES.join(", ");
    let Ok(outline) = serde_json::from_slice::<Outline>(line) else {
        let message = format!(
            r#"not a command: expected one JSON object a line, for example {{"type":"ping","id":1}} ({error})"#
        );
        return CommandError { id: None, message };
    };
    let message = match outline.r#type {
        None => format!("a command needs a type: one of {known}"),
        Some(name) if Command::NAMES.contains(&name.as_str()) => {
            format!("the command {name} is wrong: {error}")
        }
        Some(name) => {
            let shown = units::shown(&name, 40);
            format!("'{shown}' is not a command this version knows: one of {known}")
        }
    };
    CommandError { id: outline.id, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::SessionId;
    use proptest::prelude::*;

    #[test]
    fn commands_read_as_people_type_them() {
        assert_eq!(decode_command(br#"{"type":"stop"}"#), Ok(Command::Stop { id: None }));
        let mark = Command::Mark { id: Some(4), text: "a".into() };
        assert_eq!(decode_command(br#" {"type": "mark", "id": 4, "text": "a"} "#), Ok(mark));
    }

    #[test]
    fn an_answer_names_what_is_wrong_and_what_is_accepted() {
        let wrong = |line: &str| decode_command(line.as_bytes()).unwrap_err();
        let unknown = wrong(r#"{"type":"explode","id":9}"#);
        assert_eq!(unknown.id, Some(9));
        assert!(
            unknown.message.contains("'explode'")
                && unknown.message.contains("ping, mark, attach, ack, stop")
        );
        assert!(wrong(r#"{"type":"mark","id":1}"#).message.contains("text"));
        assert!(wrong(r#"{"id":1}"#).message.contains("type"));
        assert!(wrong("stop").message.contains("JSON"));
        assert!(wrong(&format!(r#"{{"type":"{}"}}"#, "x".repeat(5000))).message.contains("too long"));
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same_command(
            id in any::<Option<u64>>(), text in ".{0,60}", after in any::<Option<u64>>(), seq in any::<u64>()
        ) {
            let session = after.map(SessionId);
            for command in [
                Command::Ping { id },
                Command::Mark { id, text },
                Command::Attach { id, session, after, mono_ns: after, otherwise: session },
                Command::Ack { id, session, seq, mono_ns: after },
                Command::Stop { id },
            ] {
                let line = encode_command(&command);
                prop_assert_eq!(decode_command(&line[..line.len() - 1]), Ok(command));
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode_command(&bytes);
        }
    }
}
