//! A VM that a script plays: what QEMU and the guest say are cues, each a while after something that the run did.
//!
//! Its clock is a number that waiting moves on, so a run of minutes takes milliseconds.

mod guest;
mod script;

pub use script::{Cue, active, completed, end, hello, mark};

use super::driver::{Renewal, StateFile};
use super::vm::{CommandedVm, LastWords, OwnVm, QmpAnswer, Vm, VmEvent};
use crate::lab::migrate::Uris;
use crate::lab::qmp::QmpEvent;
use crate::lab::scenario::Scenario;
use crate::lab::vm::Exit;
use crate::record::{Arrival, Body, Command, CommandEnd, Record, SessionId, Side, StreamAudit};
use crate::units::Rate;
use guest::{FakeGuest, MS, TICK_NS};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io;
use std::rc::Rc;

/// When the fake's time begins, ns: nothing may take a moment for a length.
pub const BOOT_NS: u64 = 1_000_000_000_000;
/// A run that lasts longer waits for something that never comes.
const LONGEST_NS: u64 = 3_600_000 * MS;
/// What the guest calls itself before it starts again.
const FIRST_SESSION: SessionId = SessionId(0xfa6e);

/// A scripted VM.
#[derive(Debug)]
pub struct FakeVm {
    now_ns: u64,
    next_tick_ns: u64,
    /// What is to come, by its moment and the order in which it was caused; with its cause.
    coming: BTreeMap<(u64, usize), (&'static str, Cue)>,
    caused: usize,
    has_booted: bool,
    happened: VecDeque<VmEvent>,
    script: Vec<(&'static str, u64, Cue)>,
    refusals: HashMap<&'static str, &'static str>,
    unanswered: HashSet<&'static str>,
    /// What each side says to `query-migrate`.
    answers: [Value; 2],
    has_exited: [bool; 2],
    port_is_closed: [bool; 2],
    home: Side,
    guest: FakeGuest,
    stream: StreamAudit,
    sessions: usize,
    stubborn: Vec<String>,
    /// Where a second guest is, beside the run's own: whoever was told something last speaks.
    fork: Option<Side>,
    fault: Option<io::Error>,
    heard: Rc<RefCell<Vec<String>>>,
    /// What it says to `query-qmp-schema`.
    pub schema: Value,
    /// The arguments of each command to a QEMU, beside its name.
    pub arguments: Rc<RefCell<Vec<(&'static str, Value)>>>,
}

impl FakeVm {
    /// A VM in which all goes well.
    pub fn new(scenario: &Scenario) -> Self {
        let asked = match scenario.load.asked.rate {
            Rate::PagesPerSecond(pages) => pages / 10,
            Rate::Max => 1000,
        };
        Self {
            now_ns: BOOT_NS,
            next_tick_ns: BOOT_NS + TICK_NS,
            coming: BTreeMap::new(),
            caused: 0,
            has_booted: false,
            happened: VecDeque::new(),
            script: script::well(),
            refusals: HashMap::new(),
            unanswered: HashSet::new(),
            answers: [json!({}), json!({})],
            has_exited: [false; 2],
            port_is_closed: [false; 2],
            home: Side::Source,
            guest: FakeGuest {
                session: FIRST_SESSION,
                seq: 0,
                runs: true,
                asked,
                percent: None,
                away_percent: None,
                baseline_ns: scenario.load.asked.baseline.0,
                began_ns: 0,
                phase: "run".into(),
            },
            stream: StreamAudit::default(),
            sessions: 1,
            stubborn: Vec::new(),
            fork: None,
            fault: None,
            heard: Rc::default(),
            schema: Value::Null,
            arguments: Rc::default(),
        }
    }

    /// Adds a cue, `ms` after `cause`.
    pub fn when(&mut self, cause: &'static str, ms: u64, cue: Cue) -> &mut Self {
        self.script.push((cause, ms, cue));
        self
    }

    /// Forgets what the script says about `cause`.
    pub fn without(&mut self, cause: &'static str) -> &mut Self {
        self.script.retain(|(other, ..)| *other != cause);
        self
    }

    /// Has `command`, such as `source migrate`, be refused.
    pub fn refuse(&mut self, command: &'static str, error: &'static str) -> &mut Self {
        self.refusals.insert(command, error);
        self
    }

    /// Has `command` never be answered.
    pub fn ignore(&mut self, command: &'static str) -> &mut Self {
        self.unanswered.insert(command);
        self
    }

    /// Has a QEMU that cannot be ended.
    pub fn is_stubborn(&mut self) -> &mut Self {
        self.stubborn.push("QEMU still runs".into());
        self
    }

    /// Everything that the VM is told, as it will be known after the run.
    pub fn heard(&self) -> Rc<RefCell<Vec<String>>> {
        Rc::clone(&self.heard)
    }

    /// It is told something: whatever the script has for that comes.
    fn hear(&mut self, cause: &str) {
        self.heard.borrow_mut().push(cause.to_owned());
        self.cause(cause);
    }

    fn cause(&mut self, cause: &str) {
        for (of, ms, cue) in self.script.iter().filter(|(of, ..)| *of == cause) {
            self.caused += 1;
            self.coming.insert((self.now_ns + ms * MS, self.caused), (*of, cue.clone()));
        }
    }

    fn play(&mut self, cue: Cue) {
        match cue {
            Cue::Event(side, name, data) => self.announce(side, name, data),
            Cue::Answers(side, answer) => self.answers[index(side)] = answer,
            Cue::Stops => {
                self.guest.runs = self.fork.is_some();
                self.announce(Side::Source, "STOP", Value::Null);
            }
            Cue::Runs(side) => {
                self.guest.runs = true;
                self.home = side;
                self.announce(side, "RESUME", Value::Null);
            }
            Cue::Says(body) => self.say(body),
            Cue::SaidBefore(ms, body) => self.say_at(self.now_ns - ms * MS, body),
            Cue::Loads(percent) => {
                self.guest.percent = Some(percent);
                if self.guest.began_ns == 0 {
                    self.guest.began_ns = self.now_ns;
                }
            }
            Cue::IsAway(percent) => self.guest.away_percent = Some(percent),
            Cue::IsSilent => self.guest.percent = None,
            Cue::Loses(records) => self.stream.holes += records,
            Cue::Restarts => {
                let SessionId(session) = self.guest.session;
                (self.guest.session, self.guest.seq) = (SessionId(session + 1), 0);
                self.sessions += 1;
                self.say(hello());
            }
            Cue::CommandEnds(code) => {
                let end = CommandEnd { host_ns: self.now_ns, code: Some(code), signal: None };
                self.happened.push_back(VmEvent::CommandEnded(end));
            }
            Cue::Exits(side, exit) => self.exit(side, exit),
            Cue::PowersOff => self.exit(self.home, Exit { code: Some(0), ..Exit::default() }),
            Cue::Closes(side) => self.close(side),
            Cue::Forks => self.fork = Some(self.home),
            Cue::ForkSays(body) => {
                let fork = self.fork.unwrap_or(self.home);
                let home = std::mem::replace(&mut self.home, fork);
                self.say(body);
                self.home = home;
            }
            Cue::FillsTheDisk => self.fault = Some(io::ErrorKind::StorageFull.into()),
            Cue::Drops(cause) => self.coming.retain(|_, (of, _)| *of != cause),
        }
    }

    fn announce(&mut self, side: Side, name: &str, data: Value) {
        let event = QmpEvent { host_ns: self.now_ns, name: name.to_owned(), qemu_real_us: None, data };
        self.happened.push_back(VmEvent::Qmp(side, event));
    }

    fn exit(&mut self, side: Side, exit: Exit) {
        if !std::mem::replace(&mut self.has_exited[index(side)], true) {
            self.close(side);
            self.happened.push_back(VmEvent::Exited(side, exit));
        }
    }

    fn close(&mut self, side: Side) {
        if !std::mem::replace(&mut self.port_is_closed[index(side)], true) {
            self.happened.push_back(VmEvent::PortClosed(side));
        }
    }

    /// The guest says something, which comes out of the port of the side it runs on.
    fn say(&mut self, body: Body) {
        self.say_at(self.now_ns, body);
    }

    fn say_at(&mut self, host_ns: u64, body: Body) {
        if !self.guest.runs || self.port_is_closed[index(self.home)] {
            return;
        }
        let is_own = self.fork.is_some_and(|fork| fork != self.home);
        let (session, seq) = (if is_own { FIRST_SESSION } else { self.guest.session }, self.guest.seq);
        self.guest.seq += 1;
        self.stream.records += 1;
        let record = Record { session, seq, mono_ns: self.now_ns, body };
        let arrival = Arrival { host_ns, side: self.home, record };
        self.happened.push_back(VmEvent::Heard(vec![arrival]));
    }

    fn tick(&mut self) {
        self.next_tick_ns += TICK_NS;
        if let Some(percent) = self.guest.percent {
            let interval = self.guest.interval(self.now_ns, percent);
            self.say(Body::Interval(Box::new(interval)));
        }
        self.happened.push_back(VmEvent::Tick);
    }
}

impl OwnVm for FakeVm {
    fn migration_uris(&mut self) -> Uris {
        Uris::same("unix:/fake/migration")
    }

    fn state_file(&self) -> StateFile {
        StateFile("/fake/state".into())
    }
}

impl CommandedVm for FakeVm {
    fn launch(&mut self) -> Result<(), String> {
        self.hear("command");
        self.refusals.get("command").map_or(Ok(()), |error| Err((*error).to_owned()))
    }

    fn ports(&self) -> Vec<String> {
        vec!["/fake/port: there is no such socket".into()]
    }
}

impl Vm for FakeVm {
    fn now_ns(&self) -> u64 {
        self.now_ns
    }

    async fn next(&mut self) -> VmEvent {
        if !std::mem::replace(&mut self.has_booted, true) {
            self.cause("boot");
        }
        loop {
            if let Some(event) = self.happened.pop_front() {
                return event;
            }
            let first = self.coming.first_key_value().map(|((at_ns, _), _)| *at_ns);
            let cue_ns = first.filter(|at_ns| *at_ns <= self.next_tick_ns);
            self.now_ns = cue_ns.unwrap_or(self.next_tick_ns);
            assert!(self.now_ns - BOOT_NS < LONGEST_NS, "the run never ends: {:?}", self.heard);
            match cue_ns.and_then(|_| self.coming.pop_first()) {
                Some((_, (_, cue))) => self.play(cue),
                None => self.tick(),
            }
        }
    }

    fn execute(&mut self, side: Side, command: &'static str, arguments: Value) {
        let told = format!("{} {command}", name(side));
        self.arguments.borrow_mut().push((command, arguments.clone()));
        let result = if self.has_exited[index(side)] {
            Err("the connection to QEMU was closed".to_owned())
        } else if let Some(error) = self.refusals.get(told.as_str()) {
            Err((*error).to_owned())
        } else {
            Ok(match command {
                "query-migrate-capabilities" => script::capabilities(),
                "query-qmp-schema" => self.schema.clone(),
                "query-migrate" => self.answers[index(side)].clone(),
                _ => json!({}),
            })
        };
        if self.unanswered.contains(told.as_str()) {
            return;
        }
        let (host_ns, done) = (self.now_ns, result.is_ok());
        self.happened.push_back(VmEvent::Answer(QmpAnswer { side, command, arguments, host_ns, result }));
        if done && command != "query-migrate" {
            self.hear(&told);
        }
    }

    async fn tell_guest(&mut self, side: Side, command: &Command) -> Result<(), String> {
        if self.port_is_closed[index(side)] {
            return Err("the guest cannot be told".into());
        }
        if self.fork.is_some() {
            (self.home, self.guest.runs) = (side, true);
        }
        self.offer_guest(side, command);
        Ok(())
    }

    fn offer_guest(&mut self, side: Side, command: &Command) {
        let reaches = side == self.home && !self.port_is_closed[index(side)];
        if reaches {
            match command {
                Command::Phase { name, .. } => self.guest.phase.clone_from(name),
                Command::Set { change, .. } => self.guest.take(change.rate.as_deref()),
                _ => {}
            }
            let word = serde_json::to_value(command).unwrap();
            self.hear(&format!("guest {}", word["type"].as_str().unwrap()));
        }
    }

    async fn renew(&mut self, side: Side) -> Result<Renewal, String> {
        let told = format!("{} renew", name(side));
        if let Some(error) = self.refusals.get(told.as_str()) {
            return Err((*error).to_owned());
        }
        (self.has_exited[index(side)], self.port_is_closed[index(side)]) = (false, false);
        self.answers[index(side)] = json!({});
        self.hear(&told);
        Ok(Renewal { file_bytes: Some(1 << 20), stored_bytes: Some(1 << 19) })
    }

    async fn reconnect(&mut self) {
        self.hear("reconnect");
    }

    async fn shut_down(mut self) -> LastWords {
        self.hear("shut down");
        while let Some(cue) = self.coming.first_entry().filter(|cue| cue.key().0 <= self.now_ns) {
            let (_, cue) = cue.remove();
            self.play(cue);
        }
        let heard = self.happened.into_iter().filter_map(|event| match event {
            VmEvent::Heard(records) => Some(records),
            _ => None,
        });
        let (stream, sessions, notes) = (self.stream, self.sessions, self.stubborn);
        LastWords {
            records: heard.flatten().collect(),
            stream,
            sessions,
            fault: self.fault,
            other_machine: None,
            notes,
        }
    }
}

const fn index(side: Side) -> usize {
    match side {
        Side::Source => 0,
        Side::Destination => 1,
    }
}

const fn name(side: Side) -> &'static str {
    match side {
        Side::Source => "source",
        Side::Destination => "destination",
    }
}
