//! What a record says: one variant per type, and the small ones whole.

use super::{Corruption, End, Gap, Hello, Interval};
use serde::{Deserialize, Serialize, Serializer};

/// The content of a record. The wire's `type` is the variant's name in lower case.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Body {
    /// Who speaks, on what machine, with which plan: the first record of a session.
    Hello(Box<Hello>),
    /// What happened in one interval.
    Interval(Box<Interval>),
    /// One vCPU was away for longer than the threshold.
    Gap(Gap),
    /// One page did not hold what its writer had left there.
    Corruption(Corruption),
    /// For the host's clock arithmetic.
    Heartbeat(Heartbeat),
    /// A phase began.
    Phase(Phase),
    /// A note of the host, echoed into the stream where it arrived.
    Mark(MarkNote),
    /// The answer to a command.
    Reply(Reply),
    /// The last record of a session: why it ended, and the sums.
    End(Box<End>),
}

impl Body {
    /// The record's `type` on the wire.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Interval(_) => "interval",
            Self::Gap(_) => "gap",
            Self::Corruption(_) => "corruption",
            Self::Heartbeat(_) => "heartbeat",
            Self::Phase(_) => "phase",
            Self::Mark(_) => "mark",
            Self::Reply(_) => "reply",
            Self::End(_) => "end",
        }
    }

    /// The types a reader of this version knows.
    pub const TYPE_NAMES: [&'static str; 9] =
        ["hello", "interval", "gap", "corruption", "heartbeat", "phase", "mark", "reply", "end"];
}

/// Writes the fields alone: the envelope writes the `type`.
impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Hello(body) => body.serialize(serializer),
            Self::Interval(body) => body.serialize(serializer),
            Self::Gap(body) => body.serialize(serializer),
            Self::Corruption(body) => body.serialize(serializer),
            Self::Heartbeat(body) => body.serialize(serializer),
            Self::Phase(body) => body.serialize(serializer),
            Self::Mark(body) => body.serialize(serializer),
            Self::Reply(body) => body.serialize(serializer),
            Self::End(body) => body.serialize(serializer),
        }
    }
}

/// Guest clocks at one moment; `mono_ns` is in the envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct Heartbeat {
    /// Guest CLOCK_REALTIME, ns since 1970.
    pub real_ns: u64,
    /// The CPU's cycle counter, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tsc: Option<u64>,
}

/// A phase of the run began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct Phase {
    /// `baseline`, then `run`.
    pub phase: String,
}

/// A note of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct MarkNote {
    /// The note, as it came.
    pub text: String,
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct Reply {
    /// The command's `id`, when it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// Whether it was done.
    pub ok: bool,
    /// Why not, and what is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// To `attach`: the number of the record that the stream goes on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
}
