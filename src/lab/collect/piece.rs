//! What a line of a guest turned out to be.

use crate::record::{Arrival, SessionId, Side};
use crate::wire::{DecodeError, Line, decode_record};

/// What a line turned out to be.
#[derive(Debug, PartialEq)]
pub enum Piece {
    /// A record.
    Record(Box<Arrival>),
    /// A record of a type this version does not know.
    Unknown {
        /// Its session.
        session: SessionId,
        /// Its place in the sequence.
        seq: u64,
    },
    /// No record: torn, malformed or too long.
    Torn,
}

impl Piece {
    /// Reads a line that was complete at `host_ns` on the socket of `side`.
    pub fn of(line: &Line<'_>, host_ns: u64, side: Side) -> Self {
        match line {
            Line::TooLong { .. } => Self::Torn,
            Line::Whole(line) => match decode_record(line) {
                Ok(record) => Self::Record(Box::new(Arrival { host_ns, side, record })),
                Err(DecodeError::UnknownType { seq, session, .. }) => Self::Unknown { session, seq },
                Err(DecodeError::Malformed(_)) => Self::Torn,
            },
        }
    }

    /// The record's session and number, where it is one.
    pub fn place(&self) -> Option<(SessionId, u64)> {
        match self {
            Self::Record(arrival) => Some((arrival.record.session, arrival.record.seq)),
            Self::Unknown { session, seq } => Some((*session, *seq)),
            Self::Torn => None,
        }
    }
}
