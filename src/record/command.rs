//! What a host may tell the guest: one JSON object a line, `type` names the command.

use super::SessionId;
use crate::plan::parameters;
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
        /// When that record was made, as it says itself: a guest that holds another one with its number never sent it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mono_ns: Option<u64>,
        /// What the guest calls itself when it never sent `after`: it is then not the life of the session that the host
        /// knows, but went back to an earlier state.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        otherwise: Option<SessionId>,
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
        /// When that record was made, as it says itself; an acknowledgement of another one with its number is passed over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mono_ns: Option<u64>,
    },
    /// Replace parts of the load.
    Set {
        /// Comes back in the reply.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// What changes.
        #[serde(flatten)]
        change: LoadChange,
    },
    /// Hold the memory, visit nothing.
    Pause {
        /// Comes back in the reply.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
    },
    /// Go on with the load that was paused.
    Resume {
        /// Comes back in the reply.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
    },
    /// Go to a phase of the plan; without a plan of phases, name what comes now.
    Phase {
        /// Comes back in the reply.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// The phase's name.
        name: String,
    },
    /// Look at every page now.
    Sweep {
        /// Comes back in the reply.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
    },
    /// Dirty exactly so many different pages as fast as can be, then hold still.
    Dirty {
        /// Comes back in the reply.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// How many, 1 to all that are visited.
        pages: u64,
    },
    /// Say what is going on.
    Status {
        /// Comes back in the reply.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
    },
    /// End the run.
    Stop {
        /// Comes back in the reply.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
    },
}

macro_rules! change {
    (amount $amount:tt kind $kind:tt load { $(
        #[doc = $doc:tt] $field:ident $name:tt: $type:ty = $usual:expr, $how:tt
        [$(hello $hello:meta,)? $(load $load:meta,)? $(in $phase:ident,)? $(own $region:ident,)?] $column:tt
    )* } $($other:tt)*) => {
        /// What of a load changes: texts as on the command line, read by the guest.
        #[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
        #[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
        pub struct LoadChange {
            $( $(
                // Only the rows that have the word; the attribute itself is nothing.
                #[cfg_attr(false, $phase)]
                #[doc = $doc]
                #[serde(rename = $name, default, skip_serializing_if = "Option::is_none")]
                pub $field: Option<String>,
            )? )*
        }

        impl LoadChange {
            /// The parts of a load that this version can replace, for the answer to an unknown one.
            pub const KEYS: &'static [&'static str] = &[ $( $( #[cfg_attr(false, $phase)] $name, )? )* ];

            /// The name of each part that changes, and its text.
            pub fn parts(&self) -> impl Iterator<Item = (&'static str, &str)> {
                let all = [ $( $( #[cfg_attr(false, $phase)] ($name, &self.$field), )? )* ];
                all.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?)))
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
            otherwise: Option<SessionId>,
            seq: Option<u64>,
            mono_ns: Option<u64>,
            name: Option<String>,
            pages: Option<u64>,
            $( $( #[cfg_attr(false, $phase)] #[serde(rename = $name)] $field: Option<String>, )? )*
        }

        impl Flat {
            fn change(self) -> LoadChange {
                LoadChange { $( $( #[cfg_attr(false, $phase)] $field: self.$field, )? )* }
            }
        }
    };
}
parameters!(change);

impl Command {
    /// The commands this version knows, for the answer to an unknown one.
    pub const NAMES: [&'static str; 12] = [
        "ping", "mark", "attach", "ack", "stop", "set", "pause", "resume", "phase", "sweep", "dirty",
        "status",
    ];

    /// The id the reply repeats.
    pub const fn id(&self) -> Option<u64> {
        match self {
            Self::Ping { id }
            | Self::Mark { id, .. }
            | Self::Attach { id, .. }
            | Self::Ack { id, .. }
            | Self::Set { id, .. }
            | Self::Pause { id }
            | Self::Resume { id }
            | Self::Phase { id, .. }
            | Self::Sweep { id }
            | Self::Dirty { id, .. }
            | Self::Status { id }
            | Self::Stop { id } => *id,
        }
    }
}

impl TryFrom<Flat> for Command {
    type Error = &'static str;

    fn try_from(flat: Flat) -> Result<Self, Self::Error> {
        let id = flat.id;
        match flat.r#type.as_str() {
            "ping" => Ok(Self::Ping { id }),
            "mark" => Ok(Self::Mark { id, text: flat.text.ok_or("missing field `text`")? }),
            "attach" => {
                let Flat { session, after, mono_ns, otherwise, .. } = flat;
                Ok(Self::Attach { id, session, after, mono_ns, otherwise })
            }
            "ack" => {
                let Flat { session, mono_ns, .. } = flat;
                Ok(Self::Ack { id, session, seq: flat.seq.ok_or("missing field `seq`")?, mono_ns })
            }
            "stop" => Ok(Self::Stop { id }),
            "pause" => Ok(Self::Pause { id }),
            "resume" => Ok(Self::Resume { id }),
            "sweep" => Ok(Self::Sweep { id }),
            "dirty" => Ok(Self::Dirty { id, pages: flat.pages.ok_or("missing field `pages`")? }),
            "status" => Ok(Self::Status { id }),
            "phase" => Ok(Self::Phase { id, name: flat.name.ok_or("missing field `name`")? }),
            "set" => Ok(Self::Set { id, change: flat.change() }),
            _ => Err("unknown type"),
        }
    }
}
