//! What the guest's two ports gave, as records: joined, counted, each handed on once, and what the guest is told about that.

use crate::lab::collect::{Audit, Duty, Joiner, Keeper, Piece, PortMessage};
use crate::record::{Arrival, Command, Side, StreamAudit};
use std::mem;

/// The guest's stream, from both sides' ports.
#[derive(Debug)]
pub struct GuestStream {
    audit: Audit,
    joiner: Joiner,
    keeper: Keeper,
}

impl GuestStream {
    /// A stream of which nothing came yet.
    pub fn new() -> Self {
        let mut stream =
            Self { audit: Audit::default(), joiner: Joiner::default(), keeper: Keeper::default() };
        stream.attached();
        stream
    }

    /// How the records arrived.
    pub const fn found(&self) -> StreamAudit {
        self.audit.found()
    }

    /// How many times the guest program spoke as a new one.
    pub fn sessions(&self) -> usize {
        self.audit.sessions()
    }

    /// Takes what a port gave. The records that it completed and that were not there yet.
    pub fn port(&mut self, message: &PortMessage) -> Vec<Arrival> {
        self.join(|joiner, mut on_piece| match message {
            PortMessage::Bytes { side, host_ns, bytes } => {
                joiner.bytes(*host_ns, *side, bytes, &mut on_piece);
            }
            PortMessage::Drained(Side::Source) => joiner.source_drained(&mut on_piece),
            PortMessage::Closed(Side::Source) => joiner.source_closed(&mut on_piece),
            PortMessage::Drained(Side::Destination) | PortMessage::Closed(Side::Destination) => {}
        })
    }

    /// The source stands still: once its port is empty it has said all.
    pub const fn source_stopped(&mut self) {
        self.joiner.source_stopped();
    }

    /// The source runs again. The records that it gave meanwhile.
    pub fn source_resumed(&mut self) -> Vec<Arrival> {
        self.join(|joiner, mut on_piece| joiner.source_resumed(&mut on_piece))
    }

    /// Nothing comes any more. The records that were held back until now.
    pub fn close(&mut self) -> Vec<Arrival> {
        self.join(|joiner, mut on_piece| joiner.finish(&mut on_piece))
    }

    /// What the guest should be told about how far its records have come, and on which side. What was handed on counts.
    pub fn word_to_guest(&mut self, now_ns: u64) -> Option<(Side, Command)> {
        match self.keeper.duty(now_ns, self.audit.progress()?)? {
            Duty::Tell(command) => {
                if matches!(command, Command::Attach { .. }) {
                    self.audit.attached();
                }
                Some((self.joiner.active(), command))
            }
            Duty::GiveUp => {
                self.audit.give_up();
                None
            }
        }
    }

    /// Both connections are new ones, each of which begins with an attach; only the files are as they were.
    pub fn reconnected(&mut self, now_ns: u64) {
        self.joiner.reconnected();
        self.keeper.connect(now_ns);
        self.attached();
    }

    /// Each of the two connections began with an attach.
    fn attached(&mut self) {
        self.audit.attached();
        self.audit.attached();
    }

    fn join(&mut self, work: impl FnOnce(&mut Joiner, &mut dyn FnMut(Piece))) -> Vec<Arrival> {
        let mut joiner = mem::take(&mut self.joiner);
        let mut records = Vec::new();
        work(&mut joiner, &mut |piece| {
            let is_new = self.audit.on(&piece);
            if let Piece::Record(arrival) = piece
                && is_new
            {
                records.push(*arrival);
            }
        });
        self.joiner = joiner;
        records
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn mark(seq: u64) -> Vec<u8> {
        let mark =
            json!({"session": "00c0ffee00c0ffee", "seq": seq, "mono_ns": 5, "type": "mark", "text": ""});
        format!("{mark}\n").into_bytes()
    }

    #[test]
    fn a_record_is_handed_on_with_the_moment_it_came_and_a_double_is_not() {
        let mut stream = GuestStream::new();
        let mut handed_on = |host_ns, seq| -> Vec<u64> {
            let message = PortMessage::Bytes { side: Side::Source, host_ns, bytes: mark(seq) };
            stream.port(&message).iter().map(|arrival| arrival.host_ns).collect()
        };
        assert_eq!(handed_on(11, 0), [11]);
        assert!(handed_on(12, 0).is_empty());
        assert_eq!(handed_on(13, 1), [13]);
        assert_eq!((stream.found().records, stream.sessions()), (2, 1));
    }
}
