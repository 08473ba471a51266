//! What a driver of a VM is handed, what it wants done, and what can stand in its way.

use crate::lab::vm::Exit;
use crate::record::{Arrival, Command, CommandEnd, Side};
use serde_json::Value;

/// Something that happened to a VM.
#[derive(Debug, Clone, PartialEq)]
pub enum VmInput {
    /// A tenth of a second passed.
    Tick,
    /// A QEMU announced something.
    Event {
        /// Which QEMU.
        side: Side,
        /// When it was read, host CLOCK_MONOTONIC.
        host_ns: u64,
        /// What, as QEMU spells it.
        name: String,
        /// Its data.
        data: Value,
    },
    /// A QEMU answered a command.
    Answer {
        /// Which QEMU.
        side: Side,
        /// The command.
        command: &'static str,
        /// When the answer came, host CLOCK_MONOTONIC.
        host_ns: u64,
        /// What it was: a value, or QEMU's own words.
        result: Result<Value, String>,
    },
    /// A QEMU ended.
    Exited {
        /// Which.
        side: Side,
        /// How.
        exit: Exit,
        /// Why, by the guest's console: ready to follow a sentence, or empty.
        cause: String,
    },
    /// The guest's port of a side was closed: all its records were handed in before.
    PortClosed(Side),
    /// The guest said this. Each record is handed in once.
    Record(Box<Arrival>),
    /// A command that had to reach the guest did not.
    NotTold {
        /// Through which side's port.
        side: Side,
        /// Why not.
        error: String,
    },
    /// The command that somebody else's migration is made by has ended.
    CommandEnded(CommandEnd),
    /// A side has a new QEMU, or why not.
    Renewed {
        /// Which side.
        side: Side,
        /// The file that it is to read, as it lies on the disk.
        result: Result<Renewal, String>,
    },
    /// Somebody wants it to end at once.
    Interrupted,
}

/// What a saved state takes on the disk; none where the file cannot be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Renewal {
    /// The file's length.
    pub file_bytes: Option<u64>,
    /// What of it takes room: a file may have holes.
    pub stored_bytes: Option<u64>,
}

/// How a QEMU ended and what it said, on one line.
pub fn one_line(exit: &Exit) -> String {
    exit.to_string().trim().replace('\n', "; ")
}

/// Something to do.
#[derive(Debug, Clone, PartialEq)]
pub enum VmAction {
    /// Give a QEMU a command, and hand in its answer.
    Execute {
        /// Which QEMU.
        side: Side,
        /// The command.
        command: &'static str,
        /// Its arguments; null for none.
        arguments: Value,
    },
    /// Give the guest a command that has to arrive; hand in when it does not.
    Tell {
        /// Through which side's port.
        side: Side,
        /// The command.
        command: Command,
    },
    /// Give the guest a command if its port takes it at once.
    Offer {
        /// Through which side's port.
        side: Side,
        /// The command.
        command: Command,
    },
    /// End the QEMU of a side, whatever it does, and start one there that waits for a state; hand in when it is there.
    Renew {
        /// Which side.
        side: Side,
    },
    /// The goal is reached, or why it is not.
    Over(Result<(), Obstacle>),
}

/// Why a goal was not reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// The guest is not well; its console may say more.
    Guest {
        /// On which side.
        side: Side,
        /// What is wrong.
        sentence: String,
        /// How its QEMU ended, where it has.
        exit: Option<String>,
    },
    /// The guest is well, and its load was never steady.
    NeverSteady(String),
    /// Something else is wrong.
    Vm(String),
    /// Somebody wants it to end at once.
    Interrupted,
}
