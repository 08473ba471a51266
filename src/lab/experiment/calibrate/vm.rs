//! The guest of a calibration: one VM without a destination, told loads, and asked for the pages it wrote in a window of time.

use crate::lab::collect::{Desk, Links};
use crate::lab::hostclock;
use crate::lab::qmp::{QemuVersion, QmpError, QmpEvent};
use crate::lab::rundir::{Limits, RecordsFile};
use crate::lab::vm::{HostOptions, Qemu, Sockets, VmConfig, console, ram_for};
use crate::record::{Accelerator, Arrival, Body, Command, Side};
use anyhow::bail;
use serde_json::Value;
use std::{collections::VecDeque, path::PathBuf, sync::Arc, time::Duration};
use tokio::{io, net::UnixListener, sync::mpsc, task::JoinHandle, time};

/// How long the guest may take from its start to its first record.
const HELLO_LIMIT: Duration = Duration::from_mins(1);
/// How long it may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// How long QEMU may take to end when it is asked to.
const QUIT_LIMIT: Duration = Duration::from_secs(3);
/// How long a QEMU whose control channel closed may take to end.
const END_LIMIT: Duration = Duration::from_secs(2);
/// What the guest has beside the memory that is dirtied.
const BESIDE_BYTES: u64 = 128 << 20;

/// What a calibration runs on.
#[derive(Debug, Clone)]
pub struct CalibrationHost {
    /// The QEMU program.
    pub qemu: PathBuf,
    /// Its version.
    pub version: QemuVersion,
    /// The guest's kernel.
    pub kernel: PathBuf,
    /// Its initramfs.
    pub initramfs: PathBuf,
    /// How the guest's CPU is run.
    pub accelerator: Accelerator,
    /// The memory that is dirtied.
    pub load_bytes: u64,
}

/// What the guest counted in a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Different pages that it wrote.
    pub pages: u64,
    /// How long it was, by its own clock.
    pub seconds: f64,
}

impl Window {
    /// Different pages a second.
    pub fn pages_per_s(&self) -> f64 {
        self.pages as f64 / self.seconds
    }
}

/// The guest, under load.
pub struct CalibrationVm {
    vm: Qemu,
    events: mpsc::UnboundedReceiver<QmpEvent>,
    desk: Arc<Desk>,
    links: Links,
    sockets: Sockets,
    heard: VecDeque<Arrival>,
    /// Commands and windows so far.
    count: u64,
}

impl CalibrationVm {
    /// Boots it, and waits until it speaks.
    pub async fn boot(host: &CalibrationHost, guest_arguments: &str) -> anyhow::Result<Self> {
        let sockets = Sockets::create()?;
        let wanted = host.load_bytes.saturating_add(BESIDE_BYTES);
        let console_log = sockets.path().join("console.log");
        let config = VmConfig {
            qemu: host.qemu.clone(),
            accelerator: host.accelerator,
            memory_bytes: ram_for(host.accelerator, host.version.triple(), wanted, true).0,
            cpus: 1,
            kernel: host.kernel.clone(),
            initramfs: host.initramfs.clone(),
            kernel_arguments: String::new(),
            qemu_arguments: Vec::new(),
            host_options: HostOptions::default(),
            guest_arguments: guest_arguments.to_owned(),
            side: Side::Source,
            incoming: false,
            sockets: sockets.path().to_owned(),
            console_log: console_log.clone(),
        };
        let mut vm = Qemu::start(&config).await?;
        let events = vm.take_events().unwrap_or_else(|| mpsc::unbounded_channel().1);
        let records = RecordsFile::new(sockets.path().join("records"), Limits::ALL);
        let desk = Arc::new(Desk::of_one_vm(records));
        let mut links = Links::new(Arc::clone(&desk));
        links.attend(vm.port_socket(), Some(Side::Source));
        let mut booted = Self { vm, events, desk, links, sockets, heard: VecDeque::new(), count: 0 };
        let hello = booted.record(HELLO_LIMIT, |body| matches!(body, Body::Hello(_)).then_some(())).await;
        if let Err(why) = hello {
            let cause = console::find_panic(&console_log).map(|cause| format!("; {cause}"));
            booted.shut_down().await;
            bail!("the guest sent no record: {why}{}", cause.unwrap_or_default());
        }
        Ok(booted)
    }

    /// Gives QEMU a command.
    pub async fn execute(&self, command: &str, arguments: Value) -> Result<Value, String> {
        match self.vm.qmp().execute(command, arguments).await {
            Err(QmpError::Closed) => Err(self.how_it_ended().await),
            answered => answered.map_err(|error| match error {
                QmpError::Refused { desc, .. } => format!("QEMU refuses it: {desc}"),
                error => error.to_string(),
            }),
        }
    }

    /// That QEMU died, and how.
    async fn how_it_ended(&self) -> String {
        match time::timeout(END_LIMIT, self.vm.wait()).await {
            Ok(exit) => format!("QEMU died of it: {}", exit.to_string().trim().replace('\n', "; ")),
            Err(_) => QmpError::Closed.to_string(),
        }
    }

    /// Whether QEMU is gone.
    pub fn has_ended(&self) -> bool {
        self.vm.has_exited()
    }

    /// Waits, at most `limit`, for an event that `wanted` finds something in: what was found.
    pub async fn event<T>(
        &mut self,
        limit: Duration,
        wanted: impl Fn(&QmpEvent) -> Option<T>,
    ) -> Result<T, String> {
        let found = time::timeout(limit, async {
            loop {
                match self.events.recv().await {
                    Some(event) => {
                        if let Some(found) = wanted(&event) {
                            return Some(found);
                        }
                    }
                    None => return None,
                }
            }
        });
        match found.await {
            Ok(Some(found)) => Ok(found),
            Ok(None) => Err(self.how_it_ended().await),
            Err(_) => Err(format!("QEMU did not tell of it within {} s", limit.as_secs())),
        }
    }

    /// Forgets the events so far.
    pub fn forget_events(&mut self) {
        while self.events.try_recv().is_ok() {}
    }

    /// Gives the guest a command, which it must take.
    pub async fn command(&mut self, make: impl FnOnce(Option<u64>) -> Command) -> Result<(), String> {
        self.count += 1;
        let id = self.count;
        if !self.desk.tell(Side::Source, &make(Some(id))) {
            return Err("the guest's port is not connected".into());
        }
        let answer = |body: &Body| match body {
            Body::Reply(reply) if reply.to == Some(id) => Some(reply.error.clone()),
            _ => None,
        };
        match self.record(ANSWER_LIMIT, answer).await? {
            None => Ok(()),
            Some(error) => Err(format!("the guest refuses it: {error}")),
        }
    }

    /// Begins a window of time, in which the guest counts; the one before it ends. Its name.
    pub async fn begin_window(&mut self) -> Result<String, String> {
        let name = format!("window-{}", self.count);
        self.command(|id| Command::Phase { id, name: name.clone() }).await?;
        Ok(name)
    }

    /// Ends the window of that name: what the guest counted in it.
    pub async fn end_window(&mut self, name: &str) -> Result<Window, String> {
        self.command(|id| Command::Phase { id, name: "between".into() }).await?;
        self.window(name).await
    }

    /// What the guest counted in a window that has ended.
    pub async fn window(&mut self, name: &str) -> Result<Window, String> {
        let counted = |body: &Body| match body {
            Body::Interval(interval) if interval.phase == name => {
                Some((interval.pages_unique, interval.end_ns.saturating_sub(interval.start_ns)))
            }
            _ => None,
        };
        match self.record(ANSWER_LIMIT, counted).await? {
            (Some(pages), length_ns) if length_ns > 0 => {
                Ok(Window { pages, seconds: length_ns as f64 / 1e9 })
            }
            _ => Err("the guest could not count its different pages".into()),
        }
    }

    /// Waits for a record that `wanted` finds something in. Those before it stay, for whoever wants them.
    async fn record<T>(&mut self, limit: Duration, wanted: impl Fn(&Body) -> Option<T>) -> Result<T, String> {
        let end_ns = hostclock::mono_ns() + u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX / 2);
        loop {
            let is_awaited =
                |body: &Body| matches!(body, Body::Hello(_) | Body::Reply(_) | Body::Interval(_));
            let fresh = self.desk.take_fresh().into_iter();
            self.heard.extend(fresh.filter(|arrival| is_awaited(&arrival.record.body)));
            let at = self.heard.iter().position(|arrival| wanted(&arrival.record.body).is_some());
            if let Some(found) = at.and_then(|at| wanted(&self.heard.remove(at)?.record.body)) {
                return Ok(found);
            }
            let left = Duration::from_nanos(end_ns.saturating_sub(hostclock::mono_ns()));
            tokio::select! {
                () = self.desk.changed() => {}
                exit = self.vm.wait() => {
                    return Err(format!("QEMU ended: {}", exit.to_string().trim().replace('\n', "; ")));
                }
                () = time::sleep(left) => return Err(format!("the guest did not answer within {} s", limit.as_secs())),
            }
        }
    }

    /// Where a migration can go that nobody receives: what comes is read and forgotten.
    pub fn drain(&self) -> io::Result<(String, JoinHandle<()>)> {
        let path = self.sockets.migration();
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path)?;
        let drain = tokio::spawn(async move {
            if let Ok((mut stream, _)) = listener.accept().await {
                let _ = io::copy(&mut stream, &mut io::sink()).await;
            }
        });
        Ok((format!("unix:{}", path.display()), drain))
    }

    /// Ends it, in whatever state it is.
    pub async fn shut_down(self) {
        // Nothing that the guest would say now is waited for.
        let _ = self.vm.shut_down(QUIT_LIMIT).await;
        self.links.end().await;
    }
}
