//! What one report target is told, and what it says back: a state machine without I/O.
//!
//! Each target has a session stream of its own: a slow one merges its intervals and gives up details, the others
//! do not notice. Sequence numbers are given when a record is accepted, so a refused record leaves no hole.

use super::outbox::Outbox;
use crate::record::{Body, Command, End, Interval, MarkNote, Record, Reply, SessionId};
use crate::wire::{COMMAND_LIMIT_BYTES, CommandError, Line, Lines, decode_command, encode_record};

/// What an outbox holds at most.
const CAPACITY_BYTES: usize = 1 << 20;
/// What intervals leave free for answers; what details (gaps, heartbeats) leave free for intervals.
const RESERVE_BYTES: usize = 64 * 1024;
const DETAIL_RESERVE_BYTES: usize = CAPACITY_BYTES / 2;

/// The records of one run as one target gets them.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    next_seq: u64,
    dropped: u64,
    outbox: Outbox,
    heard: Lines,
}

/// What a host's command asks of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// End the run.
    Stop,
}

impl Session {
    /// A session that has said nothing yet.
    pub const fn new(id: SessionId) -> Self {
        Self {
            id,
            next_seq: 0,
            dropped: 0,
            outbox: Outbox::new(CAPACITY_BYTES),
            heard: Lines::new(COMMAND_LIMIT_BYTES),
        }
    }

    /// What waits to be sent.
    pub const fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// Says what must be said however full the outbox is: hello, phases, the end.
    pub fn say(&mut self, mono_ns: u64, body: Body) {
        self.accept(mono_ns, body, None);
    }

    /// Offers an interval. When it is refused, the next one must cover its time too.
    pub fn offer_interval(&mut self, mono_ns: u64, interval: Interval) -> bool {
        self.accept(mono_ns, Body::Interval(Box::new(interval)), Some(RESERVE_BYTES))
    }

    /// Offers a detail (gap, heartbeat); a refused one is counted and given up.
    pub fn offer_detail(&mut self, mono_ns: u64, body: Body) {
        if !self.accept(mono_ns, body, Some(DETAIL_RESERVE_BYTES)) {
            self.dropped += 1;
        }
    }

    /// Says why the run ended.
    pub fn end(&mut self, mono_ns: u64, mut end: End) {
        end.records_dropped = self.dropped;
        self.say(mono_ns, Body::End(Box::new(end)));
    }

    /// Hears bytes of the host: answers each command, and returns what the run is asked to do.
    pub fn hear(&mut self, mono_ns: u64, bytes: &[u8]) -> Vec<Asked> {
        let mut commands = Vec::new();
        self.heard.feed(bytes, |line| {
            commands.push(match line {
                Line::Whole(line) => decode_command(line),
                Line::TooLong { bytes } => Err(CommandError::too_long(bytes)),
            });
        });
        commands.iter().filter_map(|command| self.obey(mono_ns, command)).collect()
    }

    fn obey(&mut self, mono_ns: u64, command: &Result<Command, CommandError>) -> Option<Asked> {
        let (to, error) = match command {
            Ok(command) => (command.id(), None),
            Err(error) => (error.id, Some(error.message.clone())),
        };
        if let Ok(Command::Mark { text, .. }) = command {
            self.offer_detail(mono_ns, Body::Mark(MarkNote { text: text.clone() }));
        }
        self.offer_detail(mono_ns, Body::Reply(Reply { to, ok: error.is_none(), error }));
        matches!(command, Ok(Command::Stop { .. })).then_some(Asked::Stop)
    }

    /// Accepts a record if `reserve_bytes` stay free with it (always, when there is no such demand).
    fn accept(&mut self, mono_ns: u64, body: Body, reserve_bytes: Option<usize>) -> bool {
        let line = encode_record(&Record { session: self.id, seq: self.next_seq, mono_ns, body });
        if reserve_bytes.is_some_and(|reserve_bytes| !self.outbox.has_room(line.len(), reserve_bytes)) {
            return false;
        }
        self.outbox.push(line);
        self.next_seq += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Heartbeat, Phase};
    use crate::wire::decode_record;
    use proptest::prelude::*;

    fn said(session: &mut Session) -> Vec<Record> {
        let mut records = Vec::new();
        let mut lines = Lines::new(1 << 20);
        while !session.outbox().is_empty() {
            let bytes = session.outbox().next_bytes().to_vec();
            session.outbox().mark_sent(bytes.len());
            lines.feed(&bytes, |line| {
                if let Line::Whole(line) = line {
                    records.push(decode_record(line).unwrap());
                }
            });
        }
        records
    }

    fn heartbeat() -> Body {
        Body::Heartbeat(Heartbeat { real_ns: 1, tsc: None })
    }

    #[test]
    fn commands_are_answered_in_order_with_their_ids() {
        let mut session = Session::new(SessionId(1));
        assert_eq!(session.hear(5, b"{\"type\":\"ping\",\"id\":1}\n{\"type\":\"mark\",\"id\":2,"), []);
        assert_eq!(
            session.hear(6, b"\"text\":\"here\"}\nnonsense\n{\"type\":\"stop\",\"id\":3}\n"),
            [Asked::Stop]
        );
        let bodies: Vec<Body> = said(&mut session).into_iter().map(|record| record.body).collect();
        let ok = |to| Body::Reply(Reply { to: Some(to), ok: true, error: None });
        assert_eq!(bodies[..3], [ok(1), Body::Mark(MarkNote { text: "here".into() }), ok(2)]);
        assert!(matches!(&bodies[3], Body::Reply(Reply { to: None, ok: false, error: Some(_) })));
        assert_eq!(bodies[4..], [ok(3)]);
    }

    #[test]
    fn an_endless_command_line_is_answered_once_and_takes_no_memory() {
        let mut session = Session::new(SessionId(1));
        for _ in 0..100 {
            session.hear(1, &[b'x'; 10_000]);
        }
        session.hear(1, b"\n");
        let records = said(&mut session);
        assert_eq!(records.len(), 1);
        assert!(
            matches!(&records[0].body, Body::Reply(Reply { error: Some(text), .. }) if text.contains("1000000"))
        );
    }

    #[test]
    fn a_full_outbox_refuses_details_first_and_the_sequence_has_no_hole() {
        let mut session = Session::new(SessionId(1));
        session.say(0, Body::Phase(Phase { phase: "run".into() }));
        for _ in 0..20_000 {
            session.offer_detail(1, heartbeat());
        }
        assert!(session.dropped > 0);
        assert!(session.outbox().waiting_bytes() <= CAPACITY_BYTES);
        session.say(2, Body::Phase(Phase { phase: "late".into() }));
        let records = said(&mut session);
        assert!(records.iter().enumerate().all(|(index, record)| record.seq == index as u64));
        assert!(matches!(&records.last().unwrap().body, Body::Phase(phase) if phase.phase == "late"));
    }

    proptest! {
        #[test]
        fn no_bytes_of_a_host_panic_or_fill_the_memory(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..50)
        ) {
            let mut session = Session::new(SessionId(1));
            for piece in pieces {
                session.hear(1, &piece);
            }
            prop_assert!(session.outbox().waiting_bytes() <= CAPACITY_BYTES);
        }
    }
}
