//! What a host may tell the guest: one JSON object a line, `type` names the command.

use serde::{Deserialize, Serialize};

/// A command of the host. `id` comes back in the reply's `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", try_from = "Flat")]
pub enum Command {
    /// Answer at once.
    Ping {
        /// Comes back in the reply.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
    },
    /// Put a note into the stream.
    Mark {
        /// Comes back in the reply.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// The note.
        text: String,
    },
    /// End the run.
    Stop {
        /// Comes back in the reply.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
    },
}

impl Command {
    /// The commands this version knows, for the answer to an unknown one.
    pub const NAMES: [&'static str; 3] = ["ping", "mark", "stop"];

    /// The id the reply repeats.
    pub const fn id(&self) -> Option<u64> {
        match self {
            Self::Ping { id } | Self::Mark { id, .. } | Self::Stop { id } => *id,
        }
    }
}

/// A command as it stands on the line. Read in one pass: what serde makes of a tagged enum first keeps every value
/// of any shape, which costs the guest program 20 KB and a hostile line's size in memory.
#[derive(Deserialize)]
struct Flat {
    r#type: String,
    id: Option<u64>,
    text: Option<String>,
}

impl TryFrom<Flat> for Command {
    type Error = &'static str;

    fn try_from(flat: Flat) -> Result<Self, Self::Error> {
        let id = flat.id;
        match flat.r#type.as_str() {
            "ping" => Ok(Self::Ping { id }),
            "mark" => Ok(Self::Mark { id, text: flat.text.ok_or("missing field `text`")? }),
            "stop" => Ok(Self::Stop { id }),
            _ => Err("unknown type"),
        }
    }
}
