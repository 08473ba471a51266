//! Keeps account of a run while it goes on: what QEMU says and is told is written down. The guest's records are the collector's.

use super::vm::{QmpAnswer, VmEvent};
use crate::lab::qmp::QmpEvent;
use crate::lab::rundir::{RunWriter, WriteError};
use crate::record::{MigrationSample, QemuBody, QemuLine, Side};

/// The run directory while it is written.
#[derive(Debug)]
pub struct Account {
    /// The run directory.
    pub writer: RunWriter,
    /// The first file that could not be written: the run goes to its end, and then says so.
    pub fault: Option<WriteError>,
}

impl Account {
    /// An account in which nothing has happened.
    pub const fn new(writer: RunWriter) -> Self {
        Self { writer, fault: None }
    }

    /// Writes down what happened, as far as it is QEMU's.
    pub fn on(&mut self, event: &VmEvent) {
        match event {
            VmEvent::Qmp(side, event) => self.event(*side, event),
            VmEvent::Answer(answer) => self.answer(answer),
            VmEvent::Tick => {
                let flushed = self.writer.flush();
                self.keep_fault(flushed);
            }
            VmEvent::Heard(_) | VmEvent::PortClosed(_) | VmEvent::CommandEnded(_) | VmEvent::Exited(..) => {}
        }
    }

    /// Writes down a command the lab gave, or what came of one.
    fn answer(&mut self, answer: &QmpAnswer) {
        let QmpAnswer { side, command, arguments, host_ns, result } = answer;
        let body = match result {
            Ok(value) if *command == "query-migrate" => {
                let reply = Some(value.clone());
                QemuBody::Sample(Box::new(MigrationSample { reply, ..MigrationSample::default() }))
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
    }

    /// Why the run directory is not whole, in a sentence; what is still open is written first.
    pub fn write_fault(&mut self) -> Option<String> {
        let flushed = self.writer.flush();
        self.keep_fault(flushed);
        self.fault.as_ref().map(|fault| format!("the run directory is not whole: {fault}"))
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
