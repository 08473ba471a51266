//! One report target of a run: its session, its port, and the state its last interval was taken against.

use super::desk::Desk;
use super::session::{Asked, Session};
use crate::engine::Snapshot;
use crate::plan::Checked;
use crate::port::{Port, PortError, Sent, Target};
use crate::record::{Body, End};
use nix::poll::PollFlags;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

/// One report target of a run.
#[derive(Debug)]
pub struct Stream {
    port: Port,
    session: Session,
    /// What the last accepted interval ended with: the next one begins there, so no count is ever lost.
    base: Rc<Snapshot>,
    failed: bool,
}

/// Records that no reader took.
#[derive(Debug)]
pub struct Unread {
    /// Whether the run failed with it: a port of a VM may do without a reader.
    pub is_lost: bool,
    /// How many of which target.
    pub text: String,
}

impl Stream {
    /// A session on an open port; its counts begin at `start`.
    pub fn new(port: Port, session: Session, start: &Rc<Snapshot>) -> Self {
        Self { port, session, base: Rc::clone(start), failed: false }
    }

    /// Says something that must be said.
    pub fn say(&mut self, mono_ns: u64, body: Body) {
        self.session.say(mono_ns, body);
    }

    /// Offers a detail, which a slow reader does not get.
    pub fn offer_detail(&mut self, mono_ns: u64, body: Body) {
        self.session.offer_detail(mono_ns, body);
    }

    /// Offers what says how later records are to be read; given up when nothing fits any more.
    pub fn offer_news(&mut self, mono_ns: u64, body: Body) {
        self.session.offer_news(mono_ns, body);
    }

    /// Offers the interval since the last accepted one.
    pub fn offer_interval(&mut self, now: &Rc<Snapshot>, plan: &Checked, phase: &str) {
        let interval = now.interval_since(&self.base, plan, phase);
        if interval.end_ns > interval.start_ns && self.session.offer_interval(now.at_ns, interval) {
            self.base = Rc::clone(now);
        }
    }

    /// Says why the run ended.
    pub fn end(&mut self, mono_ns: u64, end: End) {
        self.session.end(mono_ns, end);
    }

    /// Sends what the port takes now.
    ///
    /// # Errors
    /// When the target is gone for good; it is not tried again.
    pub fn pump(&mut self, now_ns: u64) -> Result<(), PortError> {
        self.session.watch(now_ns, self.port.has_reader());
        while !self.is_done() {
            match self.port.send(now_ns, self.session.outbox().next_bytes()) {
                Ok(Sent::Bytes(0)) => break,
                Ok(Sent::Bytes(count)) => self.session.outbox().mark_sent(count),
                Ok(Sent::Reconnecting) => drop(self.session.outbox().rewind()),
                Ok(Sent::Reopened) => {
                    self.session.outbox().rewind();
                    self.session.announce(now_ns);
                }
                Err(error) => {
                    self.failed = true;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Reads the host's commands that are there.
    ///
    /// # Errors
    /// When the target is gone for good.
    pub fn listen(&mut self, mono_ns: u64, desk: &mut Desk) -> Result<Vec<Asked>, PortError> {
        let mut asked = Vec::new();
        let mut buffer = [0; 512];
        for _ in 0..READS_AT_ONCE {
            if self.failed {
                break;
            }
            match self.port.receive(&mut buffer) {
                Ok(0) => break,
                Ok(count) => asked.extend(self.session.hear(mono_ns, &buffer[..count], desk)),
                Err(error) => {
                    self.failed = true;
                    return Err(error);
                }
            }
        }
        Ok(asked)
    }

    /// Reads what a host over a network says once all is said: which records it has, or wants again.
    ///
    /// # Errors
    /// When the target is gone for good.
    pub fn hear_last(&mut self, mono_ns: u64, desk: &mut Desk) -> Result<(), PortError> {
        if !self.is_safe() {
            self.listen(mono_ns, desk)?;
        }
        Ok(())
    }

    /// Whether nothing can or need be sent any more.
    pub fn is_done(&mut self) -> bool {
        self.failed || self.session.outbox().is_empty()
    }

    /// Sends what the port takes now, the last of it included; whether all of it is where it belongs.
    ///
    /// # Errors
    /// When the target is gone for good.
    pub fn finish(&mut self, now_ns: u64) -> Result<bool, PortError> {
        self.pump(now_ns)?;
        if !self.is_done() {
            return Ok(false);
        }
        if self.failed {
            return Ok(true);
        }
        if !self.is_safe() {
            // It comes again to say what it lacks.
            if !self.port.has_reader() {
                self.port.send(now_ns, &[]).inspect_err(|_| self.failed = true)?;
            }
            return Ok(false);
        }
        self.port.finish(now_ns).inspect_err(|_| self.failed = true)
    }

    /// Whether a host over a network has what was sent: of a connection that breaks nobody knows what arrived.
    fn is_safe(&mut self) -> bool {
        self.failed || !self.port.target().is_network() || self.session.outbox().is_settled()
    }

    /// Records that were given up and that somebody was to get; of a VM's port that nobody reads none were asked for.
    pub fn given_up(&self) -> u64 {
        let is_wanted = self.has_reader() || !matches!(self.port.target(), Target::Virtio(_));
        if is_wanted { self.session.given_up() } else { 0 }
    }

    /// What of the session was never taken, once the run is over and no more time is given; none where all was.
    pub fn unread(&mut self) -> Option<Unread> {
        if self.is_done() && self.is_safe() {
            return None;
        }
        let (has_reader, outbox) = (self.has_reader(), self.session.outbox());
        let (sent, all) = (outbox.sent_end(), outbox.next_seq());
        let target = self.port.target();
        // A port of a VM need not have a reader: nobody may be there to ask. Of every other target records were asked for.
        let is_lost = has_reader || !matches!(target, Target::Virtio(_));
        if outbox.is_empty() {
            let held = all - outbox.first_seq();
            let text = format!(
                "report target {target}: its host did not acknowledge the last {held} of {all} records"
            );
            return Some(Unread { is_lost: true, text });
        }
        let why =
            if has_reader { "its reader is too slow" } else { "nobody reads there; start the reader first" };
        let text = format!("report target {target} took {sent} of {all} records: {why}");
        Some(Unread { is_lost, text })
    }

    /// Whether somebody seems to read.
    pub fn has_reader(&self) -> bool {
        !self.failed && self.port.has_reader()
    }

    /// Whether a host that spoke over a network is expected back: connections break, and that is no end.
    pub fn is_expected(&self) -> bool {
        !self.failed && self.port.is_expected()
    }

    /// Whether somebody reads, or is expected to.
    pub fn is_awaited(&self) -> bool {
        self.has_reader() || self.is_expected()
    }

    /// What to wait for. A port nobody reads is not waited for: it would report its hang-up without end.
    pub fn interest(&mut self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let is_empty = self.session.outbox().is_empty();
        if self.port.is_connecting() && !is_empty {
            return self.port.pollable().map(|fd| (fd, PollFlags::POLLOUT));
        }
        if self.failed || !self.port.has_reader() {
            return None;
        }
        let writes = if is_empty { PollFlags::empty() } else { PollFlags::POLLOUT };
        self.port.pollable().map(|fd| (fd, writes | PollFlags::POLLIN))
    }
}

/// A host that floods the port with commands does not keep the run from its other work.
const READS_AT_ONCE: usize = 128;
