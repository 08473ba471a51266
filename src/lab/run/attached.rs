//! A VM of somebody else's, attached to: the sockets its guest may speak on, the monitors it may be asked through, and the command
//! that migrates it.

mod command;
mod jobs;
mod monitor;
mod news;

pub use command::{LOG_FILE, program};
pub use jobs::LibvirtTarget;
pub use news::MonitorFacts;

use super::vm::{CommandedVm, LastWords, QmpAnswer, Vm, VmEvent};
use crate::lab::collect::{Desk, Finder, Links};
use crate::lab::hostclock;
use crate::lab::rundir::RunWriter;
use crate::record::{Accelerator, Command, Side};
use command::RunningCommand;
use monitor::Monitors;
use news::MonitorNews;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{self, Interval, MissedTickBehavior},
};

/// How often the lab looks at a clock.
const TICK: Duration = Duration::from_millis(100);
/// How many ticks pass from one look for new sockets to the next.
const LOOK_TICKS: u32 = 3;

/// What is known of the VM besides what its guest says.
#[derive(Debug, Clone, Default)]
pub struct AttachedFacts {
    /// The sockets that the guest spoke on, the first one first.
    pub sockets: Vec<String>,
    /// The monitors that answered.
    pub monitors: Vec<MonitorFacts>,
    /// Monitors that are of no use at present, and why.
    pub troubles: BTreeMap<String, String>,
    /// The last lines of the command.
    pub last_lines: Vec<String>,
}

impl AttachedFacts {
    /// How the guest's CPUs are run, by the first monitor that says it.
    pub fn accelerator(&self) -> Option<Accelerator> {
        self.monitors.iter().find_map(|monitor| monitor.accelerator)
    }
}

/// What is attached to, and what is run.
#[derive(Debug, Clone)]
pub struct AttachedConfig {
    /// QMP sockets, the source's first; they may appear later.
    pub qmp: Vec<PathBuf>,
    /// The domain of libvirt that it is.
    pub libvirt: Option<LibvirtTarget>,
    /// The command that migrates, word by word; empty for none.
    pub command: Vec<String>,
    /// Whether what the command says is shown.
    pub shows: bool,
}

/// A VM of somebody else's.
pub struct AttachedVm {
    config: AttachedConfig,
    finder: Finder,
    desk: Arc<Desk>,
    links: Links,
    monitors: Monitors,
    ended: (mpsc::UnboundedSender<VmEvent>, mpsc::UnboundedReceiver<VmEvent>),
    command: Option<RunningCommand>,
    log: PathBuf,
    tick: Interval,
    ticks: u32,
    facts: Arc<Mutex<AttachedFacts>>,
}

impl AttachedVm {
    /// Attends the sockets that `finder` finds, now and later.
    pub fn new(config: AttachedConfig, finder: Finder, writer: &RunWriter) -> Self {
        let desk = Arc::new(Desk::of_attached_vm(writer.records()));
        let mut tick = time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut vm = Self {
            monitors: Monitors::new(&config.qmp, config.libvirt.as_ref()),
            log: writer.dir().join(LOG_FILE),
            config,
            finder,
            links: Links::new(Arc::clone(&desk)),
            desk,
            ended: mpsc::unbounded_channel(),
            command: None,
            tick,
            ticks: 0,
            facts: Arc::default(),
        };
        vm.look();
        vm
    }

    /// What is known of it, also when it is gone.
    pub fn facts(&self) -> Arc<Mutex<AttachedFacts>> {
        Arc::clone(&self.facts)
    }

    fn look(&mut self) {
        self.finder.find().iter().for_each(|path| self.links.attend(path, None));
    }

    fn take(&self, news: MonitorNews) -> Option<VmEvent> {
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        match news {
            MonitorNews::Happened(event) => return Some(event),
            MonitorNews::Answers(monitor) => {
                facts.troubles.remove(&monitor.name);
                facts.monitors.retain(|known| known.name != monitor.name);
                facts.monitors.push(monitor);
            }
            MonitorNews::Trouble { name, why } => {
                if facts.monitors.iter().all(|known| known.name != name) {
                    facts.troubles.insert(name, why);
                }
            }
        }
        None
    }
}

impl CommandedVm for AttachedVm {
    fn launch(&mut self) -> Result<(), String> {
        let ended = self.ended.0.clone();
        let command = RunningCommand::start(&self.config.command, &self.log, self.config.shows, ended)?;
        self.command = Some(command);
        Ok(())
    }

    fn ports(&self) -> Vec<String> {
        let patterns = self.finder.unmatched();
        let unmatched = patterns.iter().filter(|(_, before)| *before == 0);
        let unmatched = unmatched.map(|(pattern, _)| format!("'{pattern}' matches no socket"));
        self.desk.ports().into_iter().chain(unmatched).collect()
    }
}

impl Vm for AttachedVm {
    fn now_ns(&self) -> u64 {
        hostclock::mono_ns()
    }

    async fn next(&mut self) -> VmEvent {
        loop {
            let records = self.desk.take_fresh();
            if !records.is_empty() {
                return VmEvent::Heard(records);
            }
            let Self { desk, monitors, ended, tick, .. } = self;
            let news = tokio::select! {
                () = desk.changed() => continue,
                news = monitors.next() => news,
                Some(event) = ended.1.recv() => return event,
                _ = tick.tick() => {
                    self.ticks += 1;
                    if self.ticks.is_multiple_of(LOOK_TICKS) {
                        self.look();
                    }
                    return VmEvent::Tick;
                }
            };
            if let Some(event) = self.take(news) {
                return event;
            }
        }
    }

    fn execute(&mut self, side: Side, command: &'static str, arguments: Value) {
        // Its monitors are asked what changes nothing, and by nobody else.
        let result = Err("the VM is another's: its QEMU is given no commands".to_owned());
        let answer = QmpAnswer { side, command, arguments, host_ns: self.now_ns(), result };
        let _ = self.ended.0.send(VmEvent::Answer(answer));
    }

    async fn tell_guest(&mut self, _side: Side, command: &Command) -> Result<(), String> {
        self.desk.tell_guest(command)
    }

    fn offer_guest(&mut self, _side: Side, command: &Command) {
        // One that is lost is given again, or missed by nobody.
        let _ = self.desk.tell_guest(command);
    }

    async fn reconnect(&mut self) {
        self.desk.break_off_all();
    }

    async fn shut_down(mut self) -> LastWords {
        let mut notes = Vec::new();
        let mut facts = std::mem::take(&mut *self.facts.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(command) = self.command.take() {
            let (last_lines, note) = pin!(command.end()).await;
            facts.last_lines = last_lines;
            notes.extend(note);
        }
        self.monitors.end().await;
        self.links.end().await;
        let stream = self.desk.finish();
        facts.sockets = self.desk.spoke_on();
        *self.facts.lock().unwrap_or_else(PoisonError::into_inner) = facts;
        let (records, sessions, fault) =
            (self.desk.take_fresh(), self.desk.sessions(), self.desk.take_fault());
        LastWords { records, stream, sessions, fault, other_machine: None, notes }
    }
}
