//! The two VMs of a migration, their sockets, and everything that happens to them as one sequence.

use super::host::Host;
use crate::lab::collect::{Port, PortError, PortMessage};
use crate::lab::hostclock;
use crate::lab::qmp::{QmpError, QmpEvent};
use crate::lab::rundir::RunWriter;
use crate::lab::scenario::Scenario;
use crate::lab::vm::{Exit, Qemu, Sockets, VmConfig};
use crate::record::{Command, Side};
use anyhow::Context;
use serde_json::Value;
use std::{future::pending, path::PathBuf, pin::pin, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::{self, Interval, MissedTickBehavior},
};

/// How often the lab looks at a clock, and asks QEMU how the migration goes.
const TICK: Duration = Duration::from_millis(100);
/// Messages of the ports that may wait; the readers wait when there are more.
const QUEUED_MESSAGES: usize = 256;
/// How long a QEMU may take to end when it is asked to.
const QUIT_LIMIT: Duration = Duration::from_secs(3);
/// How long a QEMU may take to accept a new connection.
const RECONNECT_LIMIT: Duration = Duration::from_secs(1);
/// How long the last bytes of the sockets are waited for.
const LAST_BYTES_LIMIT: Duration = Duration::from_secs(2);

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
            qemu_arguments: self.scenario.vm.qemu_args.clone(),
            guest_arguments: self.scenario.load.guest_arguments(),
            side,
            incoming: side == Side::Destination,
            sockets: self.sockets.path().to_owned(),
            console_log: writer.console(side),
        }
    }
}

/// Something that happened to the pair.
#[derive(Debug)]
pub enum Happening {
    /// A socket gave something.
    Port(PortMessage),
    /// QEMU announced something.
    Event(Side, QmpEvent),
    /// QEMU answered.
    Answer(Answer),
    /// A QEMU ended.
    Exited(Side, Exit),
    /// A tenth of a second passed.
    Tick,
    /// Somebody wants the run to end.
    Interrupted,
}

/// QEMU's answer to a command.
#[derive(Debug)]
pub struct Answer {
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

/// What every connection begins with: the guest keeps what is not acknowledged, and sends again what it has kept.
const ATTACH: Command = Command::Attach { id: None, session: None, after: None, otherwise: None };

/// Both VMs, running.
pub struct Pair {
    source: Half,
    destination: Half,
    ports: mpsc::Receiver<PortMessage>,
    sink: mpsc::Sender<PortMessage>,
    answers: mpsc::UnboundedReceiver<Answer>,
    answer: mpsc::UnboundedSender<Answer>,
    tick: Interval,
    sockets: Sockets,
}

/// One VM, and what there is to hear from it.
struct Half {
    vm: Qemu,
    port: Port,
    events: Option<mpsc::UnboundedReceiver<QmpEvent>>,
    exit_told: bool,
}

impl Half {
    async fn start(config: &VmConfig, sink: mpsc::Sender<PortMessage>) -> anyhow::Result<Self> {
        let mut vm = Qemu::start(config).await?;
        let events = vm.take_events();
        let port = Port::connect(vm.port_socket(), config.side, sink).await?;
        port.offer(&ATTACH);
        Ok(Self { vm, port, events, exit_told: false })
    }
}

impl Pair {
    /// Starts the destination, then the source, and connects both ports: the destination's has to be open before the
    /// guest arrives there.
    ///
    /// # Errors
    /// A QEMU does not start; the other one is ended.
    pub async fn start(config: PairConfig<'_>, writer: &RunWriter) -> anyhow::Result<Self> {
        let (sink, ports) = mpsc::channel(QUEUED_MESSAGES);
        let (answer, answers) = mpsc::unbounded_channel();
        let destination = Half::start(&config.side(Side::Destination, writer), sink.clone())
            .await
            .context("the destination did not start")?;
        let source = match Half::start(&config.side(Side::Source, writer), sink.clone()).await {
            Ok(source) => source,
            Err(error) => {
                destination.vm.kill().await?;
                return Err(error.context("the source did not start"));
            }
        };
        let mut tick = time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self { source, destination, ports, sink, answers, answer, tick, sockets: config.sockets })
    }

    /// Where the migration stream goes, as QEMU names it.
    pub fn migration_uri(&self) -> String {
        format!("unix:{}", self.sockets.migration().display())
    }

    /// Waits for the next thing to happen: at the latest in a tenth of a second.
    pub async fn next(&mut self, interrupt: &mut watch::Receiver<bool>) -> Happening {
        let Self { source, destination, ports, answers, tick, .. } = self;
        let happening = tokio::select! {
            Some(message) = ports.recv() => Happening::Port(message),
            event = next_event(&mut source.events) => Happening::Event(Side::Source, event),
            event = next_event(&mut destination.events) => Happening::Event(Side::Destination, event),
            Some(answer) = answers.recv() => Happening::Answer(answer),
            exit = source.vm.wait(), if !source.exit_told => Happening::Exited(Side::Source, exit),
            exit = destination.vm.wait(), if !destination.exit_told => Happening::Exited(Side::Destination, exit),
            _ = tick.tick() => Happening::Tick,
            () = interrupted(interrupt) => Happening::Interrupted,
        };
        match &happening {
            Happening::Exited(side, _) => self.half(*side).exit_told = true,
            // The source stands still: what its socket holds now is all there will be.
            Happening::Event(Side::Source, event) if event.name == "STOP" => self.source.port.probe(),
            _ => {}
        }
        happening
    }

    /// Gives QEMU a command; the answer comes as a [`Happening`].
    pub fn execute(&mut self, side: Side, command: &'static str, arguments: Value) {
        let (qmp, answer) = (self.half(side).vm.qmp().clone(), self.answer.clone());
        tokio::spawn(async move {
            let result = qmp.execute(command, arguments.clone()).await.map_err(|error| match error {
                QmpError::Refused { desc, .. } => desc,
                error => error.to_string(),
            });
            let host_ns = hostclock::mono_ns();
            let _ = answer.send(Answer { side, command, arguments, host_ns, result });
        });
    }

    /// Sends a command to the guest.
    ///
    /// # Errors
    /// The guest's port is closed or takes nothing.
    pub async fn tell_guest(&mut self, side: Side, command: &Command) -> Result<(), PortError> {
        self.half(side).port.send(command).await
    }

    /// Sends a command to the guest if its port takes it at once.
    pub fn offer_guest(&mut self, side: Side, command: &Command) {
        self.half(side).port.offer(command);
    }

    /// Drops both connections with all that is on its way, as the death of a collector does, and connects anew.
    pub async fn reconnect(&mut self) {
        for side in [Side::Source, Side::Destination] {
            self.half(side).port.close().await;
        }
        while self.ports.try_recv().is_ok() {}
        for side in [Side::Source, Side::Destination] {
            let sink = self.sink.clone();
            let path = self.half(side).vm.port_socket().to_owned();
            match time::timeout(RECONNECT_LIMIT, Port::connect(&path, side, sink)).await {
                Ok(Ok(port)) => {
                    port.offer(&ATTACH);
                    // The source may stand still already; what it says then is told anew.
                    port.probe();
                    self.half(side).port = port;
                }
                // This QEMU is gone.
                Ok(Err(_)) | Err(_) => drop(self.sink.send(PortMessage::Closed(side)).await),
            }
        }
    }

    /// Ends both QEMUs. What their sockets still gave, and a sentence about a QEMU that would not end.
    pub async fn shut_down(self) -> (Vec<PortMessage>, Vec<String>) {
        let Self { source, destination, mut ports, sink, sockets, .. } = self;
        drop(sink);
        // The ports stay open until both QEMUs are gone, so that their last bytes are read.
        let _open = (source.port, destination.port, sockets);
        let (one, other) = (source.vm.shut_down(QUIT_LIMIT), destination.vm.shut_down(QUIT_LIMIT));
        let mut ended = pin!(async { tokio::join!(one, other) });
        let mut left = Vec::new();
        let (one, other) = loop {
            tokio::select! {
                Some(message) = ports.recv() => left.push(message),
                results = &mut ended => break results,
            }
        };
        // Both readers end when their sockets are closed, and with them the messages.
        while let Ok(Some(message)) = time::timeout(LAST_BYTES_LIMIT, ports.recv()).await {
            left.push(message);
        }
        let stubborn = [one, other].into_iter().filter_map(Result::err).map(|error| error.to_string());
        (left, stubborn.collect())
    }

    const fn half(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Source => &mut self.source,
            Side::Destination => &mut self.destination,
        }
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

/// Returns when somebody wants the run to end; never, when nobody can want it any more.
async fn interrupted(interrupt: &mut watch::Receiver<bool>) {
    if interrupt.wait_for(|interrupted| *interrupted).await.is_err() {
        pending::<()>().await;
    }
}
