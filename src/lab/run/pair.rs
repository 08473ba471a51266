//! The two VMs of a migration, their sockets, and everything that happens to them as one sequence.

use super::destination::{DestinationHost, DestinationLink};
use super::driver::{Renewal, StateFile};
use super::host::Host;
use super::link::Link;
use super::vm::{LastWords, OwnVm, QmpAnswer, Vm, VmEvent};
use crate::lab::collect::{Desk, Links};
use crate::lab::hostclock;
use crate::lab::migrate::Uris;
use crate::lab::qmp::{QmpError, QmpEvent};
use crate::lab::rundir::RunWriter;
use crate::lab::scenario::{GUEST_ARGUMENTS, Scenario};
use crate::lab::vm::{HostOptions, Qemu, Sockets, VmConfig};
use crate::record::{Command, OtherMachine, Side};
use anyhow::Context;
use serde_json::Value;
use std::{fs, future::pending, os::unix::fs::MetadataExt, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{self, Interval, MissedTickBehavior},
};

/// How often the lab looks at a clock, and asks QEMU how the migration goes.
const TICK: Duration = Duration::from_millis(100);
/// How long a QEMU may take to accept a connection to the guest's port.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long a command that must arrive waits for a connection.
const TELL_LIMIT: Duration = Duration::from_secs(5);
/// How long a QEMU may take to end when it is asked to.
const QUIT_LIMIT: Duration = Duration::from_secs(3);
/// How long the last bytes of the sockets are waited for.
const LAST_BYTES_LIMIT: Duration = Duration::from_secs(2);

/// What `stat` counts a file's room in, bytes.
const BLOCK_BYTES: u64 = 512;

/// What both VMs are made of.
pub struct PairConfig<'a> {
    /// The scenario.
    pub scenario: &'a Scenario,
    /// What it runs on.
    pub host: &'a Host,
    /// Guest memory as given to QEMU.
    pub memory_bytes: u64,
    /// The guest's initramfs.
    pub initramfs: PathBuf,
    /// Where the sockets are.
    pub sockets: Sockets,
    /// What joins both sides.
    pub link: Link,
}

impl PairConfig<'_> {
    /// The VM the guest starts on.
    pub fn source(&self, writer: &RunWriter) -> VmConfig {
        self.side(Side::Source, writer)
    }

    fn side(&self, side: Side, writer: &RunWriter) -> VmConfig {
        VmConfig {
            qemu: self.host.qemu.clone(),
            accelerator: self.host.accelerator(),
            memory_bytes: self.memory_bytes,
            cpus: self.scenario.vm.cpus,
            kernel: self.host.kernel.clone(),
            initramfs: self.initramfs.clone(),
            kernel_arguments: String::new(),
            qemu_arguments: self.scenario.vm.qemu_arguments(),
            guest_arguments: GUEST_ARGUMENTS.into(),
            side,
            incoming: side == Side::Destination,
            sockets: self.sockets.path().to_owned(),
            console_log: writer.console(side),
            host_options: HostOptions {
                namespace: self.link.namespace(side),
                ..HostOptions::of(self.scenario)
            },
        }
    }
}

/// A VM that we started: both its QEMUs, running.
pub struct Pair {
    source: Half,
    destination: Half,
    /// What the QEMU of each side is started with, to wait for a state.
    waiting: [VmConfig; 2],
    desk: Arc<Desk>,
    links: Links,
    answers: mpsc::UnboundedReceiver<QmpAnswer>,
    answer: mpsc::UnboundedSender<QmpAnswer>,
    tick: Interval,
    elsewhere: Option<Elsewhere>,
    sockets: Sockets,
    link: Link,
}

/// The other machine, where the destination is on one.
struct Elsewhere {
    link: DestinationLink,
    uris: Uris,
    facts: OtherMachine,
    /// When the destination's RESUME was read.
    resumed_ns: Option<u64>,
}

impl Elsewhere {
    /// Connects, and finds a way for the migration stream.
    async fn connect(host: &DestinationHost, sockets: &Sockets) -> anyhow::Result<Self> {
        let link = host.connect(sockets.path()).await?;
        let uris = host.uris(&link).await?;
        let facts = OtherMachine { stream: uris.outgoing.clone(), ..host.facts() };
        Ok(Self { link, uris, facts, resumed_ns: None })
    }

    /// Notes when the guest began to run there.
    fn heard(&mut self, event: &QmpEvent) {
        if event.name == "RESUME" {
            self.resumed_ns.get_or_insert(event.host_ns);
        }
    }

    /// Disconnects. What is known of it, with its clock.
    async fn close(self) -> OtherMachine {
        let Self { link, mut facts, resumed_ns, .. } = self;
        link.read_clock(&mut facts, resumed_ns);
        link.close().await;
        facts
    }
}

/// One VM, and what there is to hear from it.
struct Half {
    vm: Qemu,
    events: Option<mpsc::UnboundedReceiver<QmpEvent>>,
    exit_told: bool,
    /// That nothing more can come from the guest's port.
    close_told: bool,
}

impl Half {
    /// Starts it on this machine, or on the other one.
    async fn start(
        config: &VmConfig,
        elsewhere: Option<&Elsewhere>,
        desk: &Desk,
        links: &mut Links,
    ) -> anyhow::Result<Self> {
        let mut vm = match elsewhere {
            Some(elsewhere) => elsewhere.link.start(config).await?,
            None => Qemu::start(config).await?,
        };
        let events = vm.take_events();
        links.attend(vm.port_socket(), Some(config.side));
        let connecting = time::timeout(CONNECT_LIMIT, desk.until_connected(&[config.side], true)).await;
        connecting.with_context(|| {
            format!("cannot connect to the guest's port at {}", vm.port_socket().display())
        })?;
        Ok(Self { vm, events, exit_told: false, close_told: false })
    }
}

impl Pair {
    /// Starts the destination, then the source, and connects both ports: the destination's has to be open before the
    /// guest arrives there.
    ///
    /// # Errors
    /// A QEMU does not start; the other one is ended.
    pub async fn start(config: PairConfig<'_>, writer: &RunWriter) -> anyhow::Result<Self> {
        let desk = Arc::new(Desk::of_one_vm(writer.records()));
        let mut links = Links::new(Arc::clone(&desk));
        let (answer, answers) = mpsc::unbounded_channel();
        let elsewhere = match &config.host.destination {
            Some(host) => Some(Elsewhere::connect(host, &config.sockets).await?),
            None => None,
        };
        let there = config.side(Side::Destination, writer);
        let destination = Half::start(&there, elsewhere.as_ref(), &desk, &mut links)
            .await
            .context("the destination did not start")?;
        let here = config.side(Side::Source, writer);
        let source = match Half::start(&here, None, &desk, &mut links).await {
            Ok(source) => source,
            Err(error) => {
                destination.vm.kill().await?;
                return Err(error.context("the source did not start"));
            }
        };
        let mut tick = time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let waiting = [Side::Source, Side::Destination]
            .map(|side| VmConfig { incoming: true, ..config.side(side, writer) });
        let (sockets, link) = (config.sockets, config.link);
        Ok(Self {
            source,
            destination,
            waiting,
            desk,
            links,
            answers,
            answer,
            tick,
            elsewhere,
            sockets,
            link,
        })
    }

    /// What the guest said, or else the news that nothing more can come from a port.
    fn heard(&mut self) -> Option<VmEvent> {
        let records = self.desk.take_fresh();
        if !records.is_empty() {
            return Some(VmEvent::Heard(records));
        }
        let Self { source, destination, desk, .. } = self;
        for (side, half) in [(Side::Source, source), (Side::Destination, destination)] {
            if half.exit_told && !half.close_told && desk.has_given_all(side) {
                half.close_told = true;
                return Some(VmEvent::PortClosed(side));
            }
        }
        None
    }

    const fn half(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Source => &mut self.source,
            Side::Destination => &mut self.destination,
        }
    }
}

impl OwnVm for Pair {
    fn migration_uris(&mut self) -> Uris {
        match &self.elsewhere {
            Some(elsewhere) => elsewhere.uris.clone(),
            None => self.link.uris(),
        }
    }

    fn state_file(&self) -> StateFile {
        StateFile(self.sockets.state())
    }
}

impl Vm for Pair {
    fn now_ns(&self) -> u64 {
        hostclock::mono_ns()
    }

    async fn next(&mut self) -> VmEvent {
        loop {
            if let Some(event) = self.heard() {
                return event;
            }
            let Self { source, destination, desk, answers, tick, .. } = self;
            let event = tokio::select! {
                () = desk.changed() => continue,
                event = next_event(&mut source.events) => VmEvent::Qmp(Side::Source, event),
                event = next_event(&mut destination.events) => VmEvent::Qmp(Side::Destination, event),
                Some(answer) = answers.recv() => VmEvent::Answer(answer),
                exit = source.vm.wait(), if !source.exit_told => VmEvent::Exited(Side::Source, exit),
                exit = destination.vm.wait(), if !destination.exit_told => VmEvent::Exited(Side::Destination, exit),
                _ = tick.tick() => VmEvent::Tick,
            };
            match (&event, &mut self.elsewhere) {
                (VmEvent::Exited(side, _), _) => self.half(*side).exit_told = true,
                (VmEvent::Qmp(Side::Destination, event), Some(elsewhere)) => elsewhere.heard(event),
                _ => {}
            }
            return event;
        }
    }

    fn execute(&mut self, side: Side, command: &'static str, arguments: Value) {
        let (qmp, answer) = (self.half(side).vm.qmp().clone(), self.answer.clone());
        tokio::spawn(async move {
            let result = qmp.execute(command, arguments.clone()).await.map_err(|error| match error {
                QmpError::Refused { desc, .. } => desc,
                error => error.to_string(),
            });
            let host_ns = hostclock::mono_ns();
            let _ = answer.send(QmpAnswer { side, command, arguments, host_ns, result });
        });
    }

    async fn tell_guest(&mut self, side: Side, command: &Command) -> Result<(), String> {
        if self.half(side).exit_told && !self.desk.is_connected(side) {
            return Err("cannot send the command to the guest: its QEMU has ended".into());
        }
        let connected = time::timeout(TELL_LIMIT, self.desk.until_connected(&[side], true)).await;
        if connected.is_ok() && self.desk.tell(side, command) {
            return Ok(());
        }
        let limit_s = TELL_LIMIT.as_secs();
        Err(format!("cannot send the command to the guest: its port was not connected for {limit_s} s"))
    }

    fn offer_guest(&mut self, side: Side, command: &Command) {
        // One that is lost is given again, or missed by nobody.
        let _ = self.desk.tell(side, command);
    }

    async fn renew(&mut self, side: Side) -> Result<Renewal, String> {
        let config = &self.waiting[usize::from(side == Side::Destination)];
        let half = match side {
            Side::Source => &mut self.source,
            Side::Destination => &mut self.destination,
        };
        half.vm.end().await.map_err(|error| error.to_string())?;
        // A command must not reach the one that is gone.
        let closed = time::timeout(CONNECT_LIMIT, self.desk.until_connected(&[side], false)).await;
        closed.map_err(|_| "the port of the QEMU that was ended stayed open".to_owned())?;
        let renewed = Half::start(config, None, &self.desk, &mut self.links).await;
        *half = renewed.map_err(|error| format!("{error:#}"))?;
        let file = fs::metadata(self.sockets.state()).ok();
        let stored_bytes = file.as_ref().map(|file| file.blocks() * BLOCK_BYTES);
        Ok(Renewal { file_bytes: file.map(|file| file.len()), stored_bytes })
    }

    async fn reconnect(&mut self) {
        for side in [Side::Source, Side::Destination] {
            self.desk.break_off(side);
        }
    }

    async fn shut_down(self) -> LastWords {
        let Self { source, destination, desk, links, elsewhere, sockets, link, .. } = self;
        let (one, other) =
            tokio::join!(source.vm.shut_down(QUIT_LIMIT), destination.vm.shut_down(QUIT_LIMIT));
        let closed = desk.until_connected(&[Side::Source, Side::Destination], false);
        // What does not come in time is missing from the stream, whose audit says so.
        let _ = time::timeout(LAST_BYTES_LIMIT, closed).await;
        links.end().await;
        let other_machine = match elsewhere {
            Some(elsewhere) => Some(elsewhere.close().await),
            None => None,
        };
        drop((sockets, link));
        let notes = [one, other].into_iter().filter_map(|ended| match ended {
            Err(error) => Some(error.to_string()),
            Ok(exit) => exit.lost.map(|address| {
                format!("what the run has on {address} ends there by itself, at the latest half a minute after the connection")
            }),
        });
        let stream = desk.finish();
        let (records, sessions, fault) = (desk.take_fresh(), desk.sessions(), desk.take_fault());
        LastWords { records, stream, sessions, fault, other_machine, notes: notes.collect() }
    }
}

/// The next event of a QEMU; never, once there are no more.
async fn next_event(events: &mut Option<mpsc::UnboundedReceiver<QmpEvent>>) -> QmpEvent {
    loop {
        match events {
            None => pending::<()>().await,
            Some(open) => match open.recv().await {
                Some(event) => return event,
                None => *events = None,
            },
        }
    }
}
