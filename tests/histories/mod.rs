//! VMs under one collector, and what they go through: guest and collector are the real ones, without their sockets.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use sully::guest::{Desk as Load, Session};
use sully::lab::collect::{Desk, Socket, Talk};
use sully::plan::{Machine, Plan, Stock, check};
use sully::record::{Body, Heartbeat, Hello, SessionId};
use sully::wire::decode_record;

const SECOND_NS: u64 = 1_000_000_000;
/// How many sockets there are.
pub const SOCKETS: usize = 4;

/// What a guest went through: enough to make it again.
#[derive(Debug, Clone)]
enum Input {
    Says(u64),
    /// What it hears, and when.
    Hears(u64, Vec<u8>),
    Sends(usize),
    Rewinds,
}

/// A guest and its past.
struct Guest {
    session: Session,
    load: Load,
    past: Vec<Input>,
    /// What it said, in order.
    said: Vec<u64>,
}

fn hello() -> Hello {
    let golden = include_str!("../golden/v1/records.ndjson").lines().next().unwrap();
    let Body::Hello(hello) = decode_record(golden.as_bytes()).unwrap().body else { panic!("no hello") };
    *hello
}

impl Guest {
    fn new(id: u64) -> Self {
        let machine = Machine { available_bytes: 1 << 30, cpus: 1, stock: Stock::default() };
        let load = Load::new(&check(&Plan::default(), &machine).unwrap(), 0);
        let mut session = Session::new(SessionId(id));
        session.say(0, Body::Hello(Box::new(hello())));
        Self { session, load, past: Vec::new(), said: Vec::new() }
    }

    /// The same guest as it was after so many inputs.
    fn restored(id: u64, past: &[Input]) -> Self {
        let mut guest = Self::new(id);
        for input in past {
            guest.goes_through(input.clone());
        }
        guest
    }

    fn goes_through(&mut self, input: Input) {
        match &input {
            // What makes a record of one life differ from that of another is the clock alone, which every record shows.
            Input::Says(real_ns) => {
                let beat = Heartbeat {
                    real_ns: *real_ns,
                    tsc: None,
                    disruptions: None,
                    ptp_ns: None,
                    clocksource: None,
                };
                self.session.offer_detail(*real_ns, Body::Heartbeat(beat));
                self.said.push(*real_ns);
            }
            Input::Hears(now_ns, bytes) => drop(self.session.hear(*now_ns, bytes, &mut self.load)),
            Input::Sends(bytes) => self.session.outbox().mark_sent(*bytes),
            Input::Rewinds => drop(self.session.outbox().rewind()),
        }
        self.past.push(input);
    }

    fn sends(&mut self, most: usize) -> Vec<u8> {
        let bytes = self.session.outbox().next_bytes();
        let bytes = bytes[..bytes.len().min(most)].to_vec();
        if !bytes.is_empty() {
            self.goes_through(Input::Sends(bytes.len()));
        }
        bytes
    }
}

/// One step of a history.
#[derive(Debug, Clone)]
pub enum Turn {
    Says(usize, u64),
    Sends(usize, usize),
    /// The guest hears what the collector said.
    Hears(usize),
    Waits(u64),
    /// The disk takes what was written.
    Syncs,
    Breaks(usize),
    /// The state of a guest is saved.
    Saves(usize),
    /// A guest ends when everything it said is kept; a saved state goes on at this socket.
    Restores(usize, usize),
    /// As before, on the open connection.
    Loads(usize, usize),
    /// A guest goes on at another socket, which nobody uses.
    Moves(usize, usize),
    Restarts,
}

/// VMs and the sockets they are at, each with a collector's connection.
pub struct World {
    desk: Arc<Desk>,
    guests: [Option<Guest>; SOCKETS],
    talks: [Option<Talk>; SOCKETS],
    /// What each guest that is no more said.
    ended: Vec<Vec<u64>>,
    saved: Vec<Vec<Input>>,
    /// Whether a VM was ever at a socket: another one is another process, and so another connection.
    used: [bool; SOCKETS],
    now_ns: u64,
    clock: u64,
}

const SESSION: u64 = 7;

fn path(index: usize) -> PathBuf {
    PathBuf::from(format!("/run/{index}.sock"))
}

impl World {
    pub fn new(out: &Path) -> Self {
        let mut world = Self {
            desk: Arc::new(Desk::open(out, 1 << 30).unwrap()),
            guests: [const { None }; SOCKETS],
            talks: [const { None }; SOCKETS],
            ended: Vec::new(),
            saved: Vec::new(),
            used: [true, false, false, false],
            now_ns: SECOND_NS,
            clock: 0,
        };
        world.guests[0] = Some(Guest::new(SESSION));
        world.starts();
        world
    }

    /// A collector begins: it knows what is on the disk.
    fn starts(&mut self) {
        for index in 0..SOCKETS {
            self.desk.admit(&path(index), None).unwrap();
            self.connects(index, Socket::new(path(index)));
        }
    }

    fn connects(&mut self, index: usize, socket: Socket) {
        self.desk.connection(&path(index), true);
        self.talks[index] = Some(Talk::begin(Arc::clone(&self.desk), socket, self.now_ns));
    }

    /// A VM begins at a socket.
    fn begins(&mut self, index: usize) {
        if std::mem::replace(&mut self.used[index], true) {
            self.breaks(index);
        }
    }

    fn breaks(&mut self, index: usize) {
        let mut talk = self.talks[index].take().unwrap();
        talk.close(self.now_ns);
        self.desk.connection(&path(index), false);
        // The port brings the line under way back.
        if let Some(guest) = &mut self.guests[index] {
            guest.goes_through(Input::Rewinds);
        }
        self.connects(index, talk.into_socket());
    }

    fn restarts(&mut self, out: &Path) {
        for index in 0..SOCKETS {
            self.talks[index].take().unwrap().close(self.now_ns);
            if let Some(guest) = &mut self.guests[index] {
                guest.goes_through(Input::Rewinds);
            }
        }
        self.desk.close().unwrap();
        self.desk = Arc::new(Desk::open(out, 1 << 30).unwrap());
        self.starts();
    }

    fn sends(&mut self, index: usize, most: usize) {
        self.now_ns += 1_000_000;
        if let (Some(guest), Some(talk)) = (&mut self.guests[index], &mut self.talks[index]) {
            let bytes = guest.sends(most);
            talk.hear(self.now_ns, &bytes);
        }
    }

    fn hears(&mut self, index: usize) {
        if let (Some(guest), Some(talk)) = (&mut self.guests[index], &mut self.talks[index]) {
            self.clock += 1;
            guest.goes_through(Input::Hears(self.clock, std::mem::take(talk.out())));
        }
    }

    fn syncs(&self) {
        for file in self.desk.take_unsynced() {
            self.desk.synced(&file, Ok(true));
        }
    }

    fn waits(&mut self, ms: u64) {
        self.now_ns += ms * 1_000_000;
        for talk in self.talks.iter_mut().flatten() {
            talk.tick(self.now_ns);
        }
    }

    /// Everybody says what there is to say, until nothing is left.
    fn settles(&mut self) {
        for _ in 0..12 {
            for index in 0..SOCKETS {
                self.hears(index);
                for _ in 0..20 {
                    self.sends(index, 100_000);
                }
            }
            self.syncs();
            self.waits(1000);
        }
    }

    pub fn turn(&mut self, turn: &Turn, out: &Path) {
        match *turn {
            Turn::Says(index, count) => {
                for _ in 0..count {
                    self.clock += 1;
                    let clock = self.clock;
                    if let Some(guest) = &mut self.guests[index] {
                        guest.goes_through(Input::Says(clock));
                    }
                }
            }
            Turn::Sends(index, most) => self.sends(index, most),
            Turn::Hears(index) => self.hears(index),
            Turn::Waits(ms) => self.waits(ms),
            Turn::Syncs => self.syncs(),
            Turn::Breaks(index) => self.breaks(index),
            Turn::Saves(index) => {
                if let Some(guest) = &self.guests[index] {
                    self.saved.push(guest.past.clone());
                }
            }
            Turn::Restores(index, state) | Turn::Loads(index, state) => {
                let Some(past) = self.saved.get(state).cloned() else { return };
                // Where a line is half sent on an open connection its record is lost, which is said.
                let is_half = Guest::restored(SESSION, &past).session.outbox().rewind() > 0;
                if is_half && matches!(turn, Turn::Loads(..)) {
                    return;
                }
                let is_new = self.guests[index].is_none();
                if !is_new {
                    self.settles();
                }
                if let Some(guest) = self.guests[index].take() {
                    self.ended.push(guest.said);
                }
                if matches!(turn, Turn::Restores(..)) || is_new {
                    self.begins(index);
                }
                self.guests[index] = Some(Guest::restored(SESSION, &past));
            }
            Turn::Moves(from, to) => {
                if self.guests[to].is_none() && self.guests[from].is_some() {
                    self.begins(to);
                    self.guests[to] = self.guests[from].take();
                }
            }
            Turn::Restarts => self.restarts(out),
        }
    }

    /// What each life said, and of guests that are still there, when all is said.
    pub fn ends(mut self) -> Result<Vec<Vec<u64>>, String> {
        self.settles();
        let findings = {
            for talk in self.talks.iter_mut().flatten() {
                talk.close(self.now_ns);
            }
            self.desk.close().unwrap()
        };
        if !findings.faults.is_empty() {
            return Err(findings.faults.join("; "));
        }
        let guests = self.guests.into_iter().flatten().map(|guest| guest.said);
        Ok(self.ended.into_iter().chain(guests).collect())
    }
}
