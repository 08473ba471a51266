//! What one connection hears and says: a state machine without I/O.
//!
//! A record that contradicts what is kept of its session, or one of a session for which another socket speaks, is held
//! back until it is known whose it is. A guest of this version then takes a session that the host names (`otherwise` of
//! `attach`) and sends everything under that name; of another one a branch is made. Nothing is acknowledged meanwhile.

mod holding;

use super::backlog;
use super::desk::Desk;
use super::family::{Home, WENT_BACK};
use super::heard::Heard;
use super::held::{Held, Why};
use super::keeper::{Duty, Keeper};
use super::offers::{Offers, Origin};
use super::place::{Place, Socket};
use super::preface::{PREFACE_LIMIT_BYTES, Preface};
use super::request::ReplyTo;
use super::store::Fit;
use super::track::{Seen, Track};
use crate::record::{Command, SessionId};
use crate::units::shown;
use crate::wire::{Line, Lines, RECORD_LIMIT_BYTES, encode_command};
use std::sync::Arc;

/// What may wait to be sent.
const OUT_LIMIT_BYTES: usize = 64 << 10;
/// The most commands that wait for their answers.
const WAITING_LIMIT: usize = 64;
/// How long a connection may be silent before that is said.
const SILENT_NS: u64 = 5_000_000_000;
const SILENT: &str =
    "connected, and nothing comes yet: the VM may still boot, or no guest program reports there";
const HELD: &str = "connected, and not taken up: another client may hold it, for a port takes one at a time";

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
    waiting: Vec<ReplyTo>,
    /// Sessions that the guest was told to take.
    offers: Offers,
    /// The session whose guest was told so whatever it sent.
    renamed: Option<SessionId>,
    held: Option<Held>,
    /// Records that came again unasked and lines that were torn, since the last new record.
    loose: (u64, u64),
    begun_ns: u64,
}

impl Talk {
    /// A new connection, whose first words are an attach.
    pub fn begin(desk: Arc<Desk>, mut socket: Socket, now_ns: u64) -> Self {
        // Whose a record is that comes next here its number cannot tell.
        socket.forget(|session| desk.is_divided(session));
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
            offers: Offers::default(),
            renamed: None,
            held: None,
            loose: (0, 0),
            begun_ns: now_ns,
        };
        // With a number behind which to go on, a VM that went back meanwhile would let go of what it alone has.
        let attach = talk.keeper.connect(now_ns);
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
                None if excused => self.first_is_no_record(&line),
                None => self.torn(),
            }
        });
        self.lines = Some(lines);
    }

    /// Whether records came on this connection that are somebody's.
    pub const fn has_records(&self) -> bool {
        self.end.is_some()
    }

    /// The first line lacks its beginning, or says how the connection is to be taken.
    fn first_is_no_record(&mut self, line: &Line<'_>) {
        match Preface::of(line) {
            Some(Preface::Token) => {}
            Some(Preface::Refused { error }) => {
                self.desk.is_of_no_use(&self.socket.path, &shown(&error, PREFACE_LIMIT_BYTES));
            }
            None => self.lacks_first = true,
        }
    }

    /// Time goes on: what was held back is decided, and the guest is told how far its records are safe.
    pub fn tick(&mut self, now_ns: u64) {
        self.decide(now_ns, false);
        if self.socket.session.is_none() && now_ns.saturating_sub(self.begun_ns) > SILENT_NS {
            let why = if backlog::waits_at(&self.socket.path) { HELD } else { SILENT };
            self.desk.is_of_no_use(&self.socket.path, why);
        }
        if self.held.is_some() {
            return;
        }
        let Some((session, place, end)) = self.speaker() else { return };
        while let Some(progress) = self.desk.progress(session, place.life, end) {
            match self.keeper.duty(now_ns, progress) {
                Some(Duty::Tell(command)) => {
                    // Numbers of a branch mean something else in other lives: its guest first takes a session, if it can.
                    if place.life > 0 && self.renamed != Some(session) {
                        self.rename(session);
                    }
                    self.say(command);
                }
                Some(Duty::GiveUp) => self.desk.give_up(session, place.life, end),
                None => break,
            }
        }
    }

    /// The connection ends: nothing is held back any more.
    pub fn close(&mut self, now_ns: u64) {
        self.decide(now_ns, true);
        self.tick(now_ns);
        self.excuse_repeats();
    }

    /// The connection is broken off: the guest still has what is held back, and sends it again on the next.
    pub fn break_off(mut self) -> Socket {
        self.held = None;
        self.excuse_repeats();
        self.socket
    }

    fn excuse_repeats(&mut self) {
        // A VM that went back and said nothing else since: all that it repeats is kept.
        if let Some((session, place, _)) = self.speaker() {
            self.desk.excuse(session, place.life, (self.loose.0, 0));
        }
    }

    /// What the next connection has to know.
    pub fn into_socket(self) -> Socket {
        self.socket
    }

    /// Sends a command's line on; its answer is handed on where somebody waits for it.
    pub fn ask(&mut self, line: &[u8], answer: Option<ReplyTo>) {
        self.waiting.retain(|answer| !answer.to.is_closed());
        if self.out.len() + line.len() <= OUT_LIMIT_BYTES && self.waiting.len() < WAITING_LIMIT {
            self.out.extend(line);
            self.waiting.extend(answer);
        } else if let Some(answer) = answer {
            answer.refuse("the VM takes no commands at present");
        }
    }

    /// The session that speaks here, whose life that is, and how far it came on this connection.
    fn speaker(&mut self) -> Option<(SessionId, Place, u64)> {
        let (session, end) = (self.socket.session?, self.end?);
        Some((session, self.socket.place(session)?, end))
    }

    fn torn(&mut self) {
        self.loose.1 += 1;
        let spoke = self.socket.session.and_then(|session| Some((session, self.socket.place(session)?.life)));
        self.desk.torn(&self.socket.path, spoke);
    }

    fn record(&mut self, heard: Heard) {
        if let Some(reply) = heard.reply() {
            let to = reply.to;
            if let Some(index) = self.waiting.iter().position(|answer| Some(answer.id) == to) {
                let answer = self.waiting.swap_remove(index);
                let _ = answer.to.send(Ok(String::from_utf8_lossy(&heard.line).into_owned()));
            }
        }
        let before = self.socket.session.replace(heard.session);
        if before != Some(heard.session) {
            (self.end, self.track) = (None, None);
            let loose = std::mem::take(&mut self.loose);
            // A VM that went back to when it was another session broke off this one's line.
            if self.socket.place(heard.session).is_some()
                && let Some((session, place)) =
                    before.and_then(|before| Some((before, self.socket.place(before)?)))
            {
                self.desk.excuse(session, place.life, loose);
            }
            // It may be another life of it than the one that spoke here before.
            let desk = &self.desk;
            self.socket.forget(|session| desk.is_divided(session));
            self.renamed = None;
            // The attach of this connection was meant for whoever speaks here.
            self.desk.attached(Some(heard.session));
        }
        if self.held.as_ref().is_some_and(|held| held.session != heard.session) {
            self.other_speaks(heard.session, heard.seq);
        }
        if self.held.is_some() { self.hold(heard) } else { self.judge(heard) }
    }

    /// Finds out whose record it is.
    fn judge(&mut self, mut heard: Heard) {
        let session = heard.session;
        if let Some(place) = self.socket.place(session) {
            return match self.desk.fit(place.life, &heard) {
                Fit::Other => self.went_back(heard, place.life),
                // What the guest sent before may have been another life's, on another connection.
                Fit::New if place.life == 0 && self.passes_over(&heard) => self.went_back(heard, place.life),
                Fit::New | Fit::Same => self.file(&mut heard, place.life),
            };
        }
        let origin = self.offers.origin(session);
        match self.desk.home(&self.socket.path, &heard, origin) {
            None => self.desk.refuse(&self.socket.path, 1),
            // Where another life may speak, or a record came in part, what stands before this one has to be seen.
            Some(Home::Proven(life)) if !self.is_in_doubt(&heard, life) => {
                self.socket.put(session, life);
                self.file(&mut heard, life);
            }
            Some(Home::Proven(life) | Home::Claimed(life)) => self.claim(heard, life),
            Some(Home::WentBack) => self.went_back(heard, 0),
        }
    }

    fn is_in_doubt(&self, heard: &Heard, life: usize) -> bool {
        let may_be_another = self.lacks_first && !self.desk.is_of_one_vm();
        (may_be_another || self.desk.is_divided(heard.session)) && self.desk.fit(life, heard) == Fit::New
    }

    /// Whether records did not come on this connection that stand before this one, of a session with lives apart.
    fn passes_over(&self, heard: &Heard) -> bool {
        self.end.is_some_and(|end| heard.seq > end) && self.desk.is_divided(heard.session)
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

    fn say(&mut self, mut command: Command) {
        if let Command::Attach { id, session, otherwise, .. } = &mut command {
            if let Some(track) = &mut self.track {
                track.attached();
            }
            self.desk.attached(*session);
            if let Some(session) = *session {
                // A guest that can take a name was never told to let go of anything but the first life's.
                let (asked, name) = self.offers.make(Origin { session, life: 0 });
                (*id, *otherwise) = (Some(asked), Some(name));
            }
        }
        if self.out.len() < OUT_LIMIT_BYTES {
            self.out.extend(encode_command(&command));
        }
    }
}

#[cfg(test)]
mod tests;
