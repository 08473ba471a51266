//! What is held back until it is known whose it is, and what becomes of it.

use super::super::heard::Heard;
use super::super::held::{Held, Why};
use super::super::store::Fit;
use super::{OUT_LIMIT_BYTES, Talk};
use crate::record::{Command, SessionId};

/// How much is held back, and how long: until a socket whose guest moved must be silent, and until a guest must have answered.
const HELD_LIMIT_BYTES: usize = 2 << 20;
const LEFT_NS: u64 = 1_000_000_000;
const ANSWERED_NS: u64 = 5_000_000_000;
const TWO_AT_ONCE: &str = "another socket speaks for the same session at the same time";

impl Talk {
    /// Another session speaks while records are held back. Where it is the one that the guest was to take, everything from
    /// `seq` on comes again under its new name, and what the guest no longer has is what it goes on from.
    pub(super) fn other_speaks(&mut self, session: SessionId, seq: u64) {
        let Some(mut held) = self.held.take() else { return };
        let took = self.offers.origin(session).is_some_and(|origin| origin.session == held.session);
        if took {
            held.records.retain(|record| record.seq < seq);
        }
        if !held.records.is_empty() {
            self.branch(held);
        }
    }

    /// A record would go on from a life of which it is not sure that it speaks here.
    pub(super) fn claim(&mut self, heard: Heard, life: usize) {
        let session = heard.session;
        self.held = Some(Held::of(Why::Claimed(life), TWO_AT_ONCE, heard));
        // Only the guest knows what it has said.
        if self.desk.is_divided(session) {
            self.rename(session);
        }
    }

    pub(super) fn hold(&mut self, heard: Heard) {
        let is_refused = self.offers.is_refused(&heard);
        let Some(held) = &mut self.held else { return };
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
            (Why::Claimed(_), _) if is_refused => {}
            _ if is_refused || is_enough => self.branch_off(),
            _ => {}
        }
    }

    /// What is held back is another life: its guest is to take another session, if it can.
    pub(super) fn ask_to_rename(&mut self, now_ns: u64, life: usize) {
        let Some(held) = &mut self.held else { return };
        (held.why, held.since_ns) = (Why::WentBack(life), now_ns);
        let session = held.session;
        self.rename(session);
    }

    /// The guest of a session is to take another, whatever it sent.
    pub(super) fn rename(&mut self, session: SessionId) {
        if self.out.len() < OUT_LIMIT_BYTES {
            self.renamed = Some(session);
        }
        self.desk.divide(session);
        // No guest ever sent this number.
        self.say(Command::Attach {
            id: None,
            session: Some(session),
            after: Some(u64::MAX),
            mono_ns: None,
            otherwise: None,
        });
    }

    /// Decides on what was held back long enough, or, at the end, on all of it.
    pub(super) fn decide(&mut self, now_ns: u64, is_end: bool) {
        let Some(held) = &self.held else { return };
        let wait_ns = if self.desk.is_divided(held.session) { ANSWERED_NS } else { LEFT_NS };
        let held_ns = now_ns.saturating_sub(held.since_ns);
        match held.why {
            Why::Claimed(life) if is_end || held_ns >= wait_ns => {
                if self.desk.is_left(&self.socket.path, held, life) {
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
                self.offers.goes_on_from(held.session, branch);
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
}
