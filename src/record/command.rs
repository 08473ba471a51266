//! What a host may tell the guest: one JSON object a line, `type` names the command.

use super::SessionId;
use serde::{Deserialize, Serialize};

/// A command of the host. `id` comes back in the reply's `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema), schemars(!try_from))]
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
    /// Keep every record until it is acknowledged, and send what was not again.
    Attach {
        /// Comes back in the reply.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// The session `after` belongs to; of another one it says nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<SessionId>,
        /// The last record the host has without a hole before it; none when it has none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<u64>,
    },
    /// The host has every record up to this one. Not answered, unless it cannot be.
    Ack {
        /// Comes back in the reply.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// The session meant; an acknowledgement of another one is passed over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<SessionId>,
        /// The last record the host has without a hole before it.
        seq: u64,
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
    pub const NAMES: [&'static str; 5] = ["ping", "mark", "attach", "ack", "stop"];

    /// The id the reply repeats.
    pub const fn id(&self) -> Option<u64> {
        match self {
            Self::Ping { id }
            | Self::Mark { id, .. }
            | Self::Attach { id, .. }
            | Self::Ack { id, .. }
            | Self::Stop { id } => *id,
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
    session: Option<SessionId>,
    after: Option<u64>,
    seq: Option<u64>,
}

impl TryFrom<Flat> for Command {
    type Error = &'static str;

    fn try_from(flat: Flat) -> Result<Self, Self::Error> {
        let id = flat.id;
        match flat.r#type.as_str() {
            "ping" => Ok(Self::Ping { id }),
            "mark" => Ok(Self::Mark { id, text: flat.text.ok_or("missing field `text`")? }),
            "attach" => Ok(Self::Attach { id, session: flat.session, after: flat.after }),
            "ack" => Ok(Self::Ack { id, session: flat.session, seq: flat.seq.ok_or("missing field `seq`")? }),
            "stop" => Ok(Self::Stop { id }),
            _ => Err("unknown type"),
        }
    }
}
