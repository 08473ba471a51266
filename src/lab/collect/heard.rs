//! A record on its way from a socket to a directory.

use super::line::{own_fields, print_of};
use super::piece::Piece;
use crate::record::{Body, Reply, SessionId, Side};
use crate::wire::Line;
use std::borrow::Cow;

/// A record on its way to a directory.
#[derive(Debug)]
pub struct Heard {
    /// What it is.
    pub piece: Piece,
    /// Its session and number.
    pub session: SessionId,
    /// Its number.
    pub seq: u64,
    /// When it came.
    pub host_ns: u64,
    /// Its line, without the newline.
    pub line: Vec<u8>,
    /// What tells it from another with its number.
    pub print: u64,
}

impl Heard {
    /// Reads a line that was complete at `host_ns`; none where it is no record.
    pub fn of(line: &Line<'_>, host_ns: u64) -> Option<Self> {
        let piece = Piece::of(line, host_ns, Side::Source);
        // No guest comes to the last number there is: it is how one is asked what it is.
        let place = piece.place().filter(|(_, seq)| *seq < u64::MAX);
        let (Line::Whole(line), Some((session, seq))) = (line, place) else { return None };
        let print = print_of(&own_fields(line));
        Some(Self { piece, session, seq, host_ns, line: line.to_vec(), print })
    }

    /// When it was made, as it says itself; none of a type this version does not know.
    pub fn stamp_ns(&self) -> Option<u64> {
        match &self.piece {
            Piece::Record(arrival) => Some(arrival.record.mono_ns),
            _ => None,
        }
    }

    /// What is kept of its line behind the host's stamps.
    pub fn own_fields(&self) -> Cow<'_, [u8]> {
        own_fields(&self.line)
    }

    /// Whether others have its sum: a single gap or stall, which the intervals count.
    pub fn is_detail(&self) -> bool {
        match &self.piece {
            Piece::Record(arrival) => matches!(arrival.record.body, Body::Gap(_) | Body::Stall(_)),
            _ => false,
        }
    }

    /// The guest's answer to a command, where it is one.
    pub fn reply(&self) -> Option<&Reply> {
        match &self.piece {
            Piece::Record(arrival) => match &arrival.record.body {
                Body::Reply(reply) => Some(reply),
                _ => None,
            },
            _ => None,
        }
    }
}
