//! What one report target is told, and what it says back: a state machine without I/O.
//!
//! Each target has a session stream of its own: a slow one merges its intervals and gives up details, the others
//! do not notice. Sequence numbers are given when a record is accepted, so a refused record leaves no hole.
//!
//! A host that attaches makes the session reliable: what was sent is kept until the host acknowledges it, and sent
//! again when a host attaches anew. A host that only reads gets the stream as it comes.

use super::desk::Desk;
use super::outbox::Outbox;
use crate::record::{Body, Command, End, Hello, Interval, MarkNote, Record, Reply, SessionId};
use crate::units::Nanos;
use crate::wire::{COMMAND_LIMIT_BYTES, CommandError, Line, Lines, decode_command, encode_into};

/// What an outbox holds at most.
const CAPACITY_BYTES: usize = 1 << 20;
/// What intervals leave free for answers; what details (gaps, heartbeats) leave free for intervals.
const RESERVE_BYTES: usize = 64 * 1024;
const DETAIL_RESERVE_BYTES: usize = CAPACITY_BYTES / 2;
/// How long a reader may acknowledge nothing before it counts as one that only reads.
const ACKNOWLEDGED_WITHIN: Nanos = Nanos::from_secs(30);

/// The records of one run as one target gets them.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    dropped: u64,
    /// The record that was offered last, in a place of its own: less of the guest's memory is dirtied for each.
    line: Vec<u8>,
    outbox: Outbox,
    heard: Lines,
    /// What was said first, for a host that comes later.
    hello: Option<Box<Hello>>,
    /// When a host last attached or acknowledged, or was last known to be away.
    acknowledged_ns: u64,
    /// The last record is there: nothing comes behind it, whatever is asked.
    has_ended: bool,
}

/// What a host's command asks of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// End the run.
    Stop,
    /// Tell of visits that take too long, from now on.
    Mark,
}

impl Session {
    /// A session that has said nothing yet.
    pub fn new(id: SessionId) -> Self {
        Self {
            id,
            dropped: 0,
            line: Vec::with_capacity(CAPACITY_BYTES / 64),
            outbox: Outbox::new(CAPACITY_BYTES),
            heard: Lines::new(COMMAND_LIMIT_BYTES),
            hello: None,
            acknowledged_ns: 0,
            has_ended: false,
        }
    }

    /// What waits to be sent.
    pub const fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// Says what must be said however full the outbox is: hello, corrupt pages, the end.
    pub fn say(&mut self, mono_ns: u64, body: Body) {
        if let Body::Hello(hello) = &body {
            self.hello = Some(hello.clone());
        }
        self.accept(mono_ns, body, None);
    }

    /// Says again who speaks: the port is a new one, or a host came too late for the first record.
    pub fn announce(&mut self, mono_ns: u64) {
        if let Some(hello) = self.hello.clone() {
            self.accept(mono_ns, Body::Hello(hello), Some(0));
        }
    }

    /// Notes whether somebody reads. A reader that does not acknowledge for half a minute gets the stream as it
    /// comes: nothing is kept for it. While nobody reads, everything is kept for the one who attached.
    pub fn watch(&mut self, now_ns: u64, has_reader: bool) {
        if !has_reader {
            self.acknowledged_ns = now_ns;
        } else if now_ns.saturating_sub(self.acknowledged_ns) > ACKNOWLEDGED_WITHIN.0 {
            self.outbox.keep_unacknowledged(false);
        }
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

    /// Offers what says how later records are to be read (a phase, a load) or answers the host. It may take the room that
    /// intervals leave; when nothing fits any more it is counted and given up.
    pub fn offer_news(&mut self, mono_ns: u64, body: Body) {
        if !self.accept(mono_ns, body, Some(0)) {
            self.dropped += 1;
        }
    }

    /// Records that were given up because nothing fitted any more.
    pub const fn given_up(&self) -> u64 {
        self.dropped
    }

    /// Says why the run ended. What the run gave up before a target was offered it counts too.
    pub fn end(&mut self, mono_ns: u64, mut end: End) {
        end.records_dropped = end.records_dropped.saturating_add(self.dropped);
        self.say(mono_ns, Body::End(Box::new(end)));
        self.has_ended = true;
    }

    /// Hears bytes of the host: answers each command, and returns what the run is asked to do.
    /// What concerns the load is left to the `desk`.
    pub fn hear(&mut self, mono_ns: u64, bytes: &[u8], desk: &mut Desk) -> Vec<Asked> {
        let mut commands = Vec::new();
        self.heard.feed(bytes, |line| {
            commands.push(match line {
                Line::Whole(line) => decode_command(line),
                Line::TooLong { bytes } => Err(CommandError::too_long(bytes)),
            });
        });
        commands.iter().filter_map(|command| self.obey(mono_ns, command, desk)).collect()
    }

    fn obey(
        &mut self,
        mono_ns: u64,
        command: &Result<Command, CommandError>,
        desk: &mut Desk,
    ) -> Option<Asked> {
        let (to, done) = match command {
            Ok(command) => (command.id(), self.carry_out(mono_ns, command, desk)),
            Err(error) => (error.id, Err(error.message.clone())),
        };
        let mut reply = Reply { to, ok: true, error: None, from: None, status: None };
        match done {
            Ok(Done::Unsaid) => return None,
            Ok(Done::Said) => {}
            Ok(Done::From(seq)) => reply.from = Some(seq),
            Ok(Done::Status) => reply.status = Some(desk.status()),
            Err(error) => (reply.ok, reply.error) = (false, Some(error)),
        }
        self.offer_news(mono_ns, Body::Reply(reply));
        match command {
            Ok(Command::Stop { .. }) => Some(Asked::Stop),
            Ok(Command::Mark { .. }) => Some(Asked::Mark),
            _ => None,
        }
    }

    /// Does what a command asks of the stream itself, and has the desk decide on the rest.
    fn carry_out(&mut self, mono_ns: u64, command: &Command, desk: &mut Desk) -> Result<Done, String> {
        match command {
            Command::Ping { .. } | Command::Stop { .. } => {}
            Command::Status { .. } => return Ok(Done::Status),
            Command::Set { .. }
            | Command::Pause { .. }
            | Command::Resume { .. }
            | Command::Phase { .. }
            | Command::Sweep { .. }
            | Command::Dirty { .. } => desk.obey(mono_ns, command)?,
            Command::Mark { text, .. } => {
                self.offer_detail(mono_ns, Body::Mark(MarkNote { text: text.clone() }));
            }
            Command::Attach { session, after, mono_ns: stamp_ns, otherwise, .. } => {
                let after = after.filter(|_| session.is_none_or(|session| session == self.id));
                let otherwise = otherwise.filter(|_| *session == Some(self.id));
                return self.attach(mono_ns, after, *stamp_ns, otherwise).map(Done::From);
            }
            Command::Ack { session, seq, mono_ns: stamp_ns, .. } => {
                if session.is_none_or(|session| session == self.id) && self.is_own(*seq, *stamp_ns) {
                    self.acknowledge(mono_ns, *seq, "seq")?;
                }
                return Ok(Done::Unsaid);
            }
        }
        Ok(Done::Said)
    }

    /// Sends everything after `after` again, as far as it is held; the number it goes on from.
    fn attach(
        &mut self,
        mono_ns: u64,
        after: Option<u64>,
        stamp_ns: Option<u64>,
        otherwise: Option<SessionId>,
    ) -> Result<u64, String> {
        let is_own = after.is_none_or(|seq| self.is_own(seq, stamp_ns));
        match (after, otherwise) {
            (Some(seq), Some(id)) if seq >= self.outbox.sent_end() || !is_own => {
                return Ok(self.branch(mono_ns, id));
            }
            (Some(seq), None) if !is_own => {
                return Err(format!("after = {seq} cannot be: that record was not made at mono_ns"));
            }
            _ => {}
        }
        match after {
            Some(seq) => self.acknowledge(mono_ns, seq, "after")?,
            None => self.keep_for_host(mono_ns),
        }
        let from = self.outbox.first_seq();
        self.outbox.send_again();
        if after.is_none() && from > 0 {
            self.announce(mono_ns);
        }
        Ok(from)
    }

    /// The host has records of this session that were never sent from here: the VM went back to an earlier state, and
    /// another life of it went on. From now on this one is the session `id`, with everything that is still held; the
    /// host named it, for two VMs restored from one state also have their random numbers in common.
    fn branch(&mut self, mono_ns: u64, id: SessionId) -> u64 {
        let (parent, from) = (self.id, self.outbox.first_seq());
        self.id = id;
        self.keep_for_host(mono_ns);
        self.outbox.rename(id.to_string());
        if let Some(mut hello) = self.hello.take() {
            (hello.parent, hello.parent_seq) = (Some(parent), Some(from));
            self.say(mono_ns, Body::Hello(hello));
        }
        from
    }

    /// Whether the record `seq` is this one's as far as can be told: one that is held was made at `stamp_ns`. A VM that went
    /// back to an earlier state may be told of a record of its other life that has the same number.
    fn is_own(&self, seq: u64, stamp_ns: Option<u64>) -> bool {
        let held_ns = self.outbox.stamp_ns(seq);
        stamp_ns.is_none_or(|stamp_ns| held_ns.is_none_or(|held_ns| held_ns == stamp_ns))
    }

    fn acknowledge(&mut self, mono_ns: u64, seq: u64, field: &str) -> Result<(), String> {
        let sent_end = self.outbox.sent_end();
        if seq >= sent_end {
            return Err(format!("{field} = {seq} cannot be: only records before {sent_end} were sent"));
        }
        self.outbox.acknowledge(seq + 1);
        self.keep_for_host(mono_ns);
        Ok(())
    }

    const fn keep_for_host(&mut self, mono_ns: u64) {
        self.outbox.keep_unacknowledged(true);
        self.acknowledged_ns = mono_ns;
    }

    /// Accepts a record if `reserve_bytes` stay free with it (always, when there is no such demand).
    fn accept(&mut self, mono_ns: u64, body: Body, reserve_bytes: Option<usize>) -> bool {
        if self.has_ended {
            return false;
        }
        let seq = self.outbox.next_seq();
        encode_into(&mut self.line, &Record { session: self.id, seq, mono_ns, body });
        let fits = self.outbox.has_room(self.line.len(), reserve_bytes.unwrap_or(0));
        if !fits && reserve_bytes.is_some() {
            return false;
        }
        self.outbox.push(&self.line);
        true
    }
}

/// What came of a command, as the host is told.
enum Done {
    /// It was done.
    Said,
    /// The stream goes on from this number.
    From(u64),
    /// What is going on is to be said.
    Status,
    /// It was done, and that need not be said.
    Unsaid,
}

#[cfg(test)]
mod tests;
