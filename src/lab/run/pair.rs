//! The two VMs of a migration, their sockets, and everything that happens to them as one sequence.

use super::host::Host;
use super::stream::GuestStream;
use super::vm::{LastWords, QmpAnswer, Vm, VmEvent};
use crate::lab::collect::{Port, PortMessage};
use crate::lab::hostclock;
use crate::lab::qmp::{QmpError, QmpEvent};
use crate::lab::rundir::RunWriter;
use crate::lab::scenario::Scenario;
use crate::lab::vm::{Qemu, Sockets, VmConfig};
use crate::record::{Arrival, Command, Side};
use anyhow::Context;
use serde_json::Value;
use std::{collections::VecDeque, future::pending, path::PathBuf, pin::pin, time::Duration};
use tokio::{
    sync::mpsc,
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

/// What every connection begins with: the guest keeps what is not acknowledged, and sends again what it has kept.
const ATTACH: Command =
    Command::Attach { id: None, session: None, after: None, mono_ns: None, otherwise: None };

/// A VM that we started: both its QEMUs, running.
pub struct Pair {
    source: Half,
    destination: Half,
    ports: mpsc::Receiver<PortMessage>,
    sink: mpsc::Sender<PortMessage>,
    answers: mpsc::UnboundedReceiver<QmpAnswer>,
    answer: mpsc::UnboundedSender<QmpAnswer>,
    tick: Interval,
    stream: GuestStream,
    /// What is known and not yet handed out.
    ready: VecDeque<VmEvent>,
    /// What the last tick found is on its way to the disk: it can be acknowledged.
    has_ticked: bool,
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
        let (stream, ready, sockets) = (GuestStream::new(), VecDeque::new(), config.sockets);
        let has_ticked = false;
        Ok(Self {
            source,
            destination,
            ports,
            sink,
            answers,
            answer,
            tick,
            stream,
            ready,
            has_ticked,
            sockets,
        })
    }

    /// Takes what a port gave.
    fn port(&mut self, message: &PortMessage) {
        let records = self.stream.port(message);
        self.hear(records);
        if let PortMessage::Closed(side) = message {
            self.ready.push_back(VmEvent::PortClosed(*side));
        }
    }

    /// Takes what else happened; what follows from it for the guest's stream comes first.
    fn see(&mut self, event: VmEvent) {
        match &event {
            VmEvent::Exited(side, _) => self.half(*side).exit_told = true,
            VmEvent::Qmp(Side::Source, event) if event.name == "STOP" => {
                // The source stands still: what its socket holds now is all there will be.
                self.stream.source_stopped();
                self.source.port.probe();
            }
            VmEvent::Qmp(Side::Source, event) if event.name == "RESUME" => {
                let records = self.stream.source_resumed();
                self.hear(records);
            }
            VmEvent::Tick => self.has_ticked = true,
            _ => {}
        }
        self.ready.push_back(event);
    }

    fn hear(&mut self, records: Vec<Arrival>) {
        if !records.is_empty() {
            self.ready.push_back(VmEvent::Heard(records));
        }
    }

    const fn half(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Source => &mut self.source,
            Side::Destination => &mut self.destination,
        }
    }
}

impl Vm for Pair {
    fn now_ns(&self) -> u64 {
        hostclock::mono_ns()
    }

    fn migration_uri(&self) -> String {
        format!("unix:{}", self.sockets.migration().display())
    }

    async fn next(&mut self) -> VmEvent {
        if std::mem::take(&mut self.has_ticked)
            && let Some((side, command)) = self.stream.word_to_guest(hostclock::mono_ns())
        {
            self.offer_guest(side, &command);
        }
        loop {
            if let Some(event) = self.ready.pop_front() {
                return event;
            }
            let Self { source, destination, ports, answers, tick, .. } = self;
            let event = tokio::select! {
                Some(message) = ports.recv() => {
                    self.port(&message);
                    continue;
                }
                event = next_event(&mut source.events) => VmEvent::Qmp(Side::Source, event),
                event = next_event(&mut destination.events) => VmEvent::Qmp(Side::Destination, event),
                Some(answer) = answers.recv() => VmEvent::Answer(answer),
                exit = source.vm.wait(), if !source.exit_told => VmEvent::Exited(Side::Source, exit),
                exit = destination.vm.wait(), if !destination.exit_told => VmEvent::Exited(Side::Destination, exit),
                _ = tick.tick() => VmEvent::Tick,
            };
            self.see(event);
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
        self.half(side).port.send(command).await.map_err(|error| error.to_string())
    }

    fn offer_guest(&mut self, side: Side, command: &Command) {
        self.half(side).port.offer(command);
    }

    async fn reconnect(&mut self) {
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
        self.stream.reconnected(hostclock::mono_ns());
    }

    async fn shut_down(self) -> LastWords {
        let Self { source, destination, mut ports, sink, sockets, mut stream, ready, .. } = self;
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
        let heard = ready.into_iter().filter_map(|event| match event {
            VmEvent::Heard(records) => Some(records),
            _ => None,
        });
        let mut records: Vec<Arrival> = heard.flatten().collect();
        records.extend(left.iter().flat_map(|message| stream.port(message)));
        records.extend(stream.close());
        let (sessions, stream) = (stream.sessions(), stream.found());
        LastWords { records, stream, sessions, notes: stubborn.collect() }
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
