//! Keeps account of a run while it goes on: everything that happens is written down and taken into the picture.

use super::guest::GuestView;
use super::pair::{Answer, Happening};
use crate::lab::collect::{Audit, Duty, Joiner, Keeper, Piece, PortMessage};
use crate::lab::hostclock;
use crate::lab::migrate::sample;
use crate::lab::qmp::QmpEvent;
use crate::lab::rundir::{RunWriter, WriteError};
use crate::lab::scenario::Scenario;
use crate::lab::vm::Exit;
use crate::record::{Command, MigrationSample, Milestone, MilestoneName, QemuBody, QemuLine, Side};
use std::mem;

/// Everything that is known of a run.
#[derive(Debug)]
pub struct Account {
    /// The run directory.
    pub writer: RunWriter,
    /// What happened when.
    pub milestones: Vec<Milestone>,
    /// What the reader of a report should know.
    pub notes: Vec<String>,
    /// The guest's records, counted.
    pub audit: Audit,
    /// What the guest has said.
    pub guest: GuestView,
    /// The side the guest runs on.
    pub home: Side,
    /// QEMU's last answer about the migration, of the source.
    pub sample: Option<MigrationSample>,
    /// The first file that could not be written: the run goes to its end, and then says so.
    pub fault: Option<WriteError>,
    source: Remains,
    destination: Remains,
    joiner: Joiner,
    keeper: Keeper,
    settle_limit_ns: u64,
}

/// What is left of a side.
#[derive(Debug, Default)]
struct Remains {
    exit: Option<Exit>,
    port_closed: bool,
}

impl Account {
    /// An account in which nothing has happened.
    pub fn new(writer: RunWriter, scenario: &Scenario) -> Self {
        let mut audit = Audit::default();
        // Each of the two connections begins with an attach.
        audit.attached();
        audit.attached();
        Self {
            writer,
            milestones: Vec::new(),
            notes: Vec::new(),
            audit,
            guest: GuestView::default(),
            home: Side::Source,
            sample: None,
            fault: None,
            source: Remains::default(),
            destination: Remains::default(),
            joiner: Joiner::default(),
            keeper: Keeper::default(),
            settle_limit_ns: scenario.migration.settle.0,
        }
    }

    /// Takes what happened into account.
    pub fn on(&mut self, happening: &Happening) {
        match happening {
            Happening::Port(message) => self.port(message),
            Happening::Event(side, event) => self.event(*side, event),
            Happening::Answer(answer) => self.answer(answer),
            Happening::Exited(side, exit) => self.remains(*side).exit = Some(exit.clone()),
            Happening::Tick => {
                let flushed = self.writer.flush();
                self.keep_fault(flushed);
            }
            Happening::Interrupted => {}
        }
    }

    /// Takes what a socket gave into account.
    pub fn port(&mut self, message: &PortMessage) {
        self.join(|joiner, mut on_piece| match message {
            PortMessage::Bytes { side, host_ns, bytes } => {
                joiner.bytes(*host_ns, *side, bytes, &mut on_piece);
            }
            PortMessage::Drained(Side::Source) => joiner.source_drained(&mut on_piece),
            PortMessage::Closed(Side::Source) => joiner.source_closed(&mut on_piece),
            PortMessage::Drained(Side::Destination) | PortMessage::Closed(Side::Destination) => {}
        });
        if let PortMessage::Closed(side) = message {
            self.remains(*side).port_closed = true;
        }
    }

    /// What the guest should be told about how far its records have come, and on which side. What was flushed counts.
    pub fn word_to_guest(&mut self) -> Option<(Side, Command)> {
        let now_ns = hostclock::mono_ns();
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
    pub fn reconnected(&mut self) {
        self.joiner.reconnected();
        self.keeper.connect(hostclock::mono_ns());
        self.audit.attached();
        self.audit.attached();
    }

    /// Nothing comes any more.
    pub fn close(&mut self) {
        self.join(|joiner, mut on_piece| joiner.finish(&mut on_piece));
        if let Some(at_ns) = self.guest.end_ns {
            self.milestone(MilestoneName::End, at_ns);
        }
    }

    /// Writes down that something happened, the first time it does.
    pub fn milestone(&mut self, name: MilestoneName, host_ns: u64) {
        if !self.has(name) {
            self.milestones.push(Milestone { name, host_ns });
        }
    }

    /// Whether it has happened.
    pub fn has(&self, name: MilestoneName) -> bool {
        self.milestones.iter().any(|milestone| milestone.name == name)
    }

    /// How a side's QEMU ended, once nothing more can come from it.
    pub fn gone(&self, side: Side) -> Option<&Exit> {
        let remains = match side {
            Side::Source => &self.source,
            Side::Destination => &self.destination,
        };
        remains.exit.as_ref().filter(|_| remains.port_closed)
    }

    /// Whether the time for settling is over, counted from the moment the guest ran at the destination.
    pub fn settling_is_over(&self) -> bool {
        let resumed = self.milestones.iter().find(|milestone| milestone.name == MilestoneName::Completed);
        resumed.is_none_or(|at| hostclock::mono_ns().saturating_sub(at.host_ns) >= self.settle_limit_ns)
    }

    /// Writes down a command the lab gave, or what came of one.
    fn answer(&mut self, answer: &Answer) {
        let Answer { side, command, arguments, host_ns, result } = answer;
        let body = match result {
            Ok(value) if *command == "query-migrate" => {
                let sample = sample(value);
                if *side == Side::Source {
                    self.sample = Some(sample.clone());
                }
                QemuBody::Sample(Box::new(sample))
            }
            result => QemuBody::Command {
                command: (*command).to_owned(),
                arguments: arguments.clone(),
                error: result.as_ref().err().cloned(),
            },
        };
        let line = QemuLine { host_ns: *host_ns, side: *side, body };
        let written = self.writer.qemu(&line);
        self.keep_fault(written);
    }

    fn event(&mut self, side: Side, event: &QmpEvent) {
        let body = QemuBody::Event {
            event: event.name.clone(),
            qemu_real_us: event.qemu_real_us,
            data: event.data.clone(),
        };
        let written = self.writer.qemu(&QemuLine { host_ns: event.host_ns, side, body });
        self.keep_fault(written);
        match (side, event.name.as_str()) {
            (Side::Source, "STOP") => self.joiner.source_stopped(),
            (Side::Destination, "RESUME") => self.home = Side::Destination,
            (Side::Source, "RESUME") => {
                self.home = Side::Source;
                self.join(|joiner, mut on_piece| joiner.source_resumed(&mut on_piece));
            }
            _ => {}
        }
    }

    /// Lets the joiner work, and takes every piece it gives into account.
    fn join(&mut self, work: impl FnOnce(&mut Joiner, &mut dyn FnMut(Piece))) {
        let mut joiner = mem::take(&mut self.joiner);
        work(&mut joiner, &mut |piece| self.piece(&piece));
        self.joiner = joiner;
    }

    fn piece(&mut self, piece: &Piece) {
        let is_new = self.audit.on(piece);
        if let Piece::Record(arrival) = piece
            && is_new
        {
            self.guest.on(arrival, self.has(MilestoneName::Migrate));
            let written = self.writer.record(arrival);
            self.keep_fault(written);
        }
    }

    const fn remains(&mut self, side: Side) -> &mut Remains {
        match side {
            Side::Source => &mut self.source,
            Side::Destination => &mut self.destination,
        }
    }

    /// Keeps the first error of writing.
    pub fn keep_fault(&mut self, written: Result<(), WriteError>) {
        if let Err(error) = written {
            self.fault.get_or_insert(error);
        }
    }
}

#[cfg(test)]
mod tests;
