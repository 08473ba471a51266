//! What one connection hears and says: a state machine without I/O.
//!
//! A record that contradicts what is kept of its session, or one of a session for which another socket speaks, is held
//! back until it is known whose it is. A guest of this version then takes a session that the host names (`otherwise` of
//! `attach`) and sends everything under that name; of another one a branch is made. Nothing is acknowledged meanwhile.

use super::desk::{Desk, WENT_BACK};
use super::family::Home;
use super::heard::{Heard, Origin};
use super::held::{Held, Why};
use super::place::{Place, Socket};
use super::request::Request;
use super::store::Fit;
use crate::lab::collect::{Duty, Keeper, Seen, Track};
use crate::record::{Command, SessionId};
use crate::wire::{Lines, RECORD_LIMIT_BYTES, encode_command};
use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
};

/// What may wait to be sent.
const OUT_LIMIT_BYTES: usize = 64 << 10;
/// The most commands that wait for their answers.
const WAITING_LIMIT: usize = 64;
/// The most names offered on a connection that are remembered.
const REMEMBERED: usize = 64;
/// How much is held back, and how long: until a socket whose guest moved must be silent, and until a guest must have answered.
const HELD_LIMIT_BYTES: usize = 2 << 20;
const LEFT_NS: u64 = 1_000_000_000;
const ANSWERED_NS: u64 = 5_000_000_000;
/// How long a connection may be silent before that is said.
const SILENT_NS: u64 = 5_000_000_000;
const TWO_AT_ONCE: &str = "another socket speaks for the same session at the same time";
const SILENT: &str = "connected, and nothing comes: another client may hold it, for a port takes one at a time, or no guest \
                      program reports there";

/// One connection.
#[derive(Debug)]
pub struct Talk {
    desk: Arc<Desk>,
    socket: Socket,
    keeper: Keeper,
    lines: Option<Lines>,
    /// The first line may lack its beginning, and whether it did.
    fragment: bool,
    lacks_first: bool,
    /// One beyond the last record of this session that came on this connection: nothing else is acknowledged.
    end: Option<u64>,
    /// The numbers of this session on this connection alone: what other connections said is no double here.
    track: Option<Track>,
    out: Vec<u8>,
    waiting: Vec<Request>,
    /// Sessions that the guest was told to take, and instead of which.
    offers: Vec<(SessionId, Origin)>,
    /// The id of the last attach that offered one.
    asked: u64,
    held: Option<Held>,
    /// Records that came again unasked and lines that were torn, since the last new record.
    loose: (u64, u64),
    begun_ns: u64,
}

impl Talk {
    /// A new connection, whose first words are an attach.
    pub fn begin(desk: Arc<Desk>, mut socket: Socket, now_ns: u64) -> Self {
        let session = socket.session;
        let place = session.and_then(|session| socket.place(session)).copied();
        let known =
            session.zip(place).and_then(|(session, place)| desk.progress(session, place.life, place.end));
        let mut talk = Self {
            desk,
            socket,
            keeper: Keeper::default(),
            lines: Some(Lines::new(RECORD_LIMIT_BYTES)),
            fragment: true,
            lacks_first: false,
            end: None,
            track: None,
            // An empty line is nothing: it ends what another connection may have begun.
            out: vec![b'\n'],
            waiting: Vec::new(),
            offers: Vec::new(),
            asked: 0,
            held: None,
            loose: (0, 0),
            begun_ns: now_ns,
        };
        let attach = talk.keeper.connect(now_ns, known);
        talk.say(attach);
        talk
    }

    /// What is to be sent; what was taken is removed by whoever sends.
    pub const fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Bytes came.
    pub fn hear(&mut self, now_ns: u64, bytes: &[u8]) {
        let Some(mut lines) = self.lines.take() else { return };
        lines.feed(bytes, |line| {
            let excused = std::mem::take(&mut self.fragment);
            match Heard::of(&line, now_ns) {
                Some(heard) => self.record(heard),
                None if excused => self.lacks_first = true,
                None => self.torn(),
            }
        });
        self.lines = Some(lines);
    }

    /// Time goes on: what was held back is decided, and the guest is told how far its records are safe.
    pub fn tick(&mut self, now_ns: u64) {
        self.decide(now_ns, false);
        if self.socket.session.is_none() && now_ns.saturating_sub(self.begun_ns) > SILENT_NS {
            self.desk.is_of_no_use(&self.socket.path, SILENT);
        }
        if self.held.is_some() {
            return;
        }
        let Some((session, place, end)) = self.speaker() else { return };
        while let Some(progress) = self.desk.progress(session, place.life, end) {
            match self.keeper.duty(now_ns, progress) {
                Some(Duty::Tell(command)) => self.say(command),
                Some(Duty::GiveUp) => self.desk.give_up(session, place.life, end),
                None => break,
            }
        }
    }

    /// The connection ends: nothing is held back any more.
    pub fn close(&mut self, now_ns: u64) {
        self.decide(now_ns, true);
        self.tick(now_ns);
    }

    /// What the next connection has to know.
    pub fn into_socket(self) -> Socket {
        self.socket
    }

    /// Sends a command on.
    pub fn ask(&mut self, request: Request) {
        self.waiting.retain(|request| !request.answer.is_closed());
        if self.out.len() + request.line.len() > OUT_LIMIT_BYTES || self.waiting.len() >= WAITING_LIMIT {
            return request.refuse("the VM takes no commands at present");
        }
        self.out.extend(&request.line);
        self.waiting.push(request);
    }

    /// The session that speaks here, whose life that is, and how far it came on this connection.
    fn speaker(&mut self) -> Option<(SessionId, Place, u64)> {
        let (session, end) = (self.socket.session?, self.end?);
        Some((session, *self.socket.place(session)?, end))
    }

    fn torn(&mut self) {
        self.loose.1 += 1;
        let spoke = self.socket.session.and_then(|session| Some((session, self.socket.place(session)?.life)));
        self.desk.torn(&self.socket.path, spoke);
    }

    fn record(&mut self, heard: Heard) {
        if let Some(reply) = heard.reply() {
            let to = reply.to;
            if let Some(index) = self.waiting.iter().position(|request| Some(request.id) == to) {
                let request = self.waiting.swap_remove(index);
                let _ = request.answer.send(Ok(String::from_utf8_lossy(&heard.line).into_owned()));
            }
        }
        let before = self.socket.session.replace(heard.session);
        if before != Some(heard.session) {
            (self.end, self.track) = (None, None);
            let loose = std::mem::take(&mut self.loose);
            // A VM that went back to when it was another session broke off this one's line.
            if self.socket.place(heard.session).is_some()
                && let Some((session, place)) =
                    before.and_then(|before| Some((before, *self.socket.place(before)?)))
            {
                self.desk.excuse(session, place.life, loose);
            }
            // The attach of this connection was meant for whoever speaks here.
            self.desk.attached(Some(heard.session));
        }
        if self.held.as_ref().is_some_and(|held| held.session != heard.session) {
            self.other_speaks(heard.session, heard.seq);
        }
        if self.held.is_some() { self.hold(heard) } else { self.judge(heard) }
    }

    /// Another session speaks while records are held back. Where it is the one that the guest was to take, everything from
    /// `seq` on comes again under its new name, and what the guest no longer has is what it goes on from.
    fn other_speaks(&mut self, session: SessionId, seq: u64) {
        let Some(mut held) = self.held.take() else { return };
        let took = |(name, origin): &(SessionId, Origin)| *name == session && origin.session == held.session;
        let offer = self.offers.iter().position(took);
        if offer.is_some() {
            held.records.retain(|record| record.seq < seq);
        }
        if held.records.is_empty() {
            return;
        }
        let of = held.session;
        self.branch(held);
        let branch = self.socket.place(of).map(|place| place.life);
        if let Some((offer, life)) = offer.zip(branch) {
            self.offers[offer].1.life = life;
        }
    }

    /// Finds out whose record it is.
    fn judge(&mut self, mut heard: Heard) {
        let session = heard.session;
        if let Some(place) = self.socket.place(session).copied() {
            return match self.desk.fit(place.life, &heard) {
                Fit::Other => self.went_back(heard, place.life),
                Fit::New | Fit::Same => self.file(&mut heard, place.life),
            };
        }
        let origin = self.offers.iter().find(|(name, _)| *name == session).map(|(_, origin)| origin.clone());
        match self.desk.home(&self.socket.path, &heard, origin.as_ref()) {
            None => self.desk.refuse(&self.socket.path, 1),
            // What a record stands behind that came in part is unknown until it comes again.
            Some(Home::Proven(life)) if self.lacks_first && self.desk.fit(life, &heard) == Fit::New => {
                self.held = Some(Held::of(Why::Claimed(life), TWO_AT_ONCE, heard));
            }
            Some(Home::Proven(life)) => {
                self.socket.put(session, life);
                self.file(&mut heard, life);
            }
            Some(Home::Claimed(life)) => self.held = Some(Held::of(Why::Claimed(life), TWO_AT_ONCE, heard)),
            Some(Home::WentBack(life)) => self.went_back(heard, life),
        }
    }

    fn file(&mut self, heard: &mut Heard, life: usize) {
        let seen = self.desk.file(&self.socket.path, life, heard);
        let track = self.track.get_or_insert_with(|| {
            let mut track = Track::joined_at(heard.seq);
            track.attached();
            track
        });
        track.reach_back(heard.seq);
        let own = track.see(heard.seq);
        match seen {
            Some(Seen::Double) if own != Seen::Double => self.desk.excuse(heard.session, life, (1, 0)),
            Some(Seen::Double) => self.loose.0 += 1,
            Some(Seen::New { .. } | Seen::Late) => self.loose = (0, 0),
            _ => {}
        }
        let end = heard.seq.saturating_add(1);
        self.end = Some(self.end.map_or(end, |before| before.max(end)));
        if let Some(place) = self.socket.place(heard.session) {
            place.end = place.end.max(end);
        }
        if let Some(from) = heard.reply().and_then(|reply| reply.from) {
            self.desk.give_up(heard.session, life, from);
        }
    }

    /// The record contradicts what is kept of a life: the guest is to take another session, if it can.
    fn went_back(&mut self, heard: Heard, life: usize) {
        self.desk.excuse(heard.session, life, std::mem::take(&mut self.loose));
        let now_ns = heard.host_ns;
        self.held = Some(Held::of(Why::WentBack(life), WENT_BACK, heard));
        self.ask_to_rename(now_ns, life);
    }

    fn hold(&mut self, heard: Heard) {
        let asked = self.asked;
        let Some(held) = &mut self.held else { return };
        let is_refused = heard.reply().is_some_and(|reply| !reply.ok && reply.to == Some(asked));
        let (why, fit) = match held.why {
            Why::Claimed(life) => (held.why, self.desk.fit(life, &heard)),
            Why::WentBack(_) => (held.why, Fit::New),
        };
        let now_ns = heard.host_ns;
        held.bytes += heard.line.len();
        let is_enough = held.bytes > HELD_LIMIT_BYTES;
        held.records.push(heard);
        match (why, fit) {
            // It repeats what is kept: they are one. What came before and has a higher number comes again behind it.
            (Why::Claimed(life), Fit::Same) => {
                let seq = held.records.last().map_or(0, |record| record.seq);
                held.records.retain(|record| record.seq <= seq);
                self.accept(life);
            }
            (Why::Claimed(life), Fit::Other) => self.ask_to_rename(now_ns, life),
            _ if is_refused || is_enough => self.branch_off(),
            _ => {}
        }
    }

    /// What is held back is another life: its guest is to take another session, if it can.
    fn ask_to_rename(&mut self, now_ns: u64, life: usize) {
        let Some(held) = &mut self.held else { return };
        (held.why, held.since_ns) = (Why::WentBack(life), now_ns);
        let session = Some(held.session);
        // No guest ever sent this number.
        self.say(Command::Attach { id: None, session, after: Some(u64::MAX), otherwise: None });
    }

    /// Decides on what was held back long enough, or, at the end, on all of it.
    fn decide(&mut self, now_ns: u64, is_end: bool) {
        let Some(held) = &self.held else { return };
        let held_ns = now_ns.saturating_sub(held.since_ns);
        match held.why {
            Why::Claimed(life) if is_end || held_ns >= LEFT_NS => {
                if self.desk.is_left(&self.socket.path, held.session, life, held.since_ns) {
                    self.accept(life);
                } else if is_end {
                    self.branch_off();
                } else {
                    self.ask_to_rename(now_ns, life);
                }
            }
            Why::WentBack(_) if is_end || held_ns >= ANSWERED_NS => self.branch_off(),
            _ => {}
        }
    }

    fn branch_off(&mut self) {
        if let Some(held) = self.held.take() {
            self.branch(held);
        }
    }

    /// What was held back belongs to a life after all.
    fn accept(&mut self, life: usize) {
        let Some(held) = self.held.take() else { return };
        self.socket.put(held.session, life);
        self.again(held.records);
    }

    /// What was held back becomes a branch.
    fn branch(&mut self, held: Held) {
        let (Why::Claimed(life) | Why::WentBack(life)) = held.why;
        let seq = held.records.first().map_or(0, |record| record.seq);
        match self.desk.branch(&self.socket.path, held.session, life, seq, held.reason) {
            Some(branch) => {
                self.socket.put(held.session, branch);
                self.again(held.records);
            }
            None => self.desk.refuse(&self.socket.path, held.records.len() as u64),
        }
    }

    fn again(&mut self, records: Vec<Heard>) {
        self.end = None;
        for record in records {
            if self.held.is_some() { self.hold(record) } else { self.judge(record) }
        }
    }

    fn say(&mut self, mut command: Command) {
        if let Command::Attach { id, session, otherwise, .. } = &mut command {
            if let Some(track) = &mut self.track {
                track.attached();
            }
            self.desk.attached(*session);
            if let Some(session) = *session {
                (*id, *otherwise) = self.offer(session);
            }
        }
        if self.out.len() < OUT_LIMIT_BYTES {
            self.out.extend(encode_command(&command));
        }
    }

    /// A name of this host's own making for a guest whose VM went back, and an id to know its refusal by.
    fn offer(&mut self, session: SessionId) -> (Option<u64>, Option<SessionId>) {
        let life = self.socket.place(session).map_or(0, |place| place.life);
        let life = self.held.as_ref().map_or(life, |held| {
            let (Why::Claimed(life) | Why::WentBack(life)) = held.why;
            life
        });
        let random = || RandomState::new().build_hasher().finish();
        let name = SessionId(random());
        self.asked = random();
        if self.offers.len() >= REMEMBERED {
            self.offers.remove(0);
        }
        self.offers.push((name, Origin { session, life }));
        (Some(self.asked), Some(name))
    }
}
