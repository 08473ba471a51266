//! The VM of a run as a value: two QEMUs, between which a guest goes. What happens to it is one sequence.
//!
//! [`Pair`](super::pair::Pair) is one that we started, [`AttachedVm`](super::attached::AttachedVm) one of somebody else; the tests
//! have a scripted one, whose clock is moved by hand.

use super::driver::{Renewal, StateFile};
use crate::lab::migrate::Uris;
use crate::lab::qmp::QmpEvent;
use crate::lab::vm::Exit;
use crate::record::{Arrival, Command, CommandEnd, OtherMachine, Side, StreamAudit};
use serde_json::Value;
use std::io;

/// A VM that the lab started, and may do with as it likes.
pub trait OwnVm: Vm {
    /// Where the migration stream goes, as each QEMU names it, from now on.
    fn migration_uris(&mut self) -> Uris;

    /// Where a saved state goes.
    fn state_file(&self) -> StateFile;
}

/// A VM that somebody else started and migrates, by a command that the lab runs for him.
pub trait CommandedVm: Vm {
    /// Starts the command; how it ends is something that happens.
    ///
    /// # Errors
    /// Why it cannot be started, in a sentence.
    fn launch(&mut self) -> Result<(), String>;

    /// What is known of each socket that the guest may speak on, in sentences.
    fn ports(&self) -> Vec<String>;
}

/// A VM whose guest speaks, and which can be told to end.
pub trait Vm {
    /// Now, host CLOCK_MONOTONIC in ns: the clock of all moments in what happens.
    fn now_ns(&self) -> u64;

    /// Waits for the next thing to happen: at the latest in a tenth of a second. Cancel-safe.
    fn next(&mut self) -> impl Future<Output = VmEvent>;

    /// Gives a QEMU a command; its answer is something that happens.
    fn execute(&mut self, side: Side, command: &'static str, arguments: Value);

    /// Sends a command to the guest.
    ///
    /// # Errors
    /// Why it cannot be sent, in a sentence.
    fn tell_guest(&mut self, side: Side, command: &Command) -> impl Future<Output = Result<(), String>>;

    /// Sends a command to the guest if its port takes it at once.
    fn offer_guest(&mut self, side: Side, command: &Command);

    /// Ends the QEMU of a side and starts one there that waits for a state; how large the saved one is.
    ///
    /// # Errors
    /// Why there is none, in a sentence.
    fn renew(&mut self, side: Side) -> impl Future<Output = Result<Renewal, String>> {
        let _ = side;
        async { Err("the VM is another's: nobody but its owner may end its QEMU".to_owned()) }
    }

    /// Drops the connections to the guest's ports with all that is on its way, as the death of a collector does, and connects anew.
    fn reconnect(&mut self) -> impl Future<Output = ()>;

    /// Ends what the lab started, whatever it does: both QEMUs, or the command.
    fn shut_down(self) -> impl Future<Output = LastWords>;
}

/// Something that happened to a VM.
#[derive(Debug)]
pub enum VmEvent {
    /// The guest said something new: each record comes once, in the order of its stream.
    Heard(Vec<Arrival>),
    /// The guest's port of a side was closed, and all that it gave was heard.
    PortClosed(Side),
    /// QEMU announced something.
    Qmp(Side, QmpEvent),
    /// QEMU answered.
    Answer(QmpAnswer),
    /// The command of [`CommandedVm::launch`] ended.
    CommandEnded(CommandEnd),
    /// A QEMU ended.
    Exited(Side, Exit),
    /// A tenth of a second passed.
    Tick,
}

/// QEMU's answer to a command.
#[derive(Debug)]
pub struct QmpAnswer {
    /// Which QEMU.
    pub side: Side,
    /// The command.
    pub command: &'static str,
    /// Its arguments.
    pub arguments: Value,
    /// When the answer came, host CLOCK_MONOTONIC.
    pub host_ns: u64,
    /// What it was: a value, or QEMU's own words.
    pub result: Result<Value, String>,
}

/// What is known of a VM when both its QEMUs were ended.
#[derive(Debug, Default)]
pub struct LastWords {
    /// What the guest said meanwhile.
    pub records: Vec<Arrival>,
    /// How all its records arrived.
    pub stream: StreamAudit,
    /// How many times the guest program spoke as a new one.
    pub sessions: usize,
    /// Why the first record that could not be written could not be.
    pub fault: Option<io::Error>,
    /// The machine that the destination ran on, where that was another one.
    pub other_machine: Option<OtherMachine>,
    /// A sentence about each QEMU that would not end.
    pub notes: Vec<String>,
}
