//! One VM under the lab's own tools: its guest's records with the host's stamps, and QEMU's word beside them.

use super::{parts, say::Row};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use sully::lab::collect::{Desk, Links};
use sully::lab::hostclock;
use sully::lab::qmp::QmpEvent;
use sully::lab::rundir::{Limits, RecordsFile};
use sully::lab::vm::{HostOptions, Qemu, Sockets, VmConfig, locate};
use sully::record::{Accelerator, Arrival, Body, Interval, Side};
use tokio::sync::mpsc;
use tokio::time::timeout;

pub const MS: u64 = 1_000_000;
pub const SECOND: u64 = 1_000_000_000;

/// The program and the image that `make test` and `make fidelity` name, or a skip that is heard.
pub fn lab_and_image(row: &Row<'_>) -> Option<(PathBuf, PathBuf)> {
    parts::lab_and_image().inspect_err(|why| row.skipped(why)).ok()
}

/// Whether the long forms are asked for.
pub fn is_long() -> bool {
    std::env::var_os("SULLY_FIDELITY").is_some_and(|form| form == "long")
}

/// A running VM.
pub struct Machine {
    vm: Qemu,
    events: mpsc::UnboundedReceiver<QmpEvent>,
    desk: Arc<Desk>,
    /// All records so far.
    pub arrivals: Vec<Arrival>,
    _links: Links,
    _sockets: Sockets,
    _log: tempfile::TempDir,
}

impl Machine {
    /// Boots the image on so many emulated vCPUs; the guest runs `sully run` with these options. Returns with its hello.
    pub async fn boot(image: &Path, cpus: u32, options: &str) -> Self {
        let (sockets, log) = (Sockets::create().unwrap(), tempfile::tempdir().unwrap());
        let config = VmConfig {
            qemu: locate::find(None).unwrap(),
            accelerator: Accelerator::Tcg,
            memory_bytes: 192 << 20,
            cpus,
            kernel: image.join("vmlinuz"),
            initramfs: image.join("initramfs"),
            kernel_arguments: String::new(),
            qemu_arguments: Vec::new(),
            guest_arguments: format!("run {options} --report virtio"),
            side: Side::Source,
            incoming: false,
            sockets: sockets.path().to_owned(),
            console_log: log.path().join("console.log"),
            host_options: HostOptions::default(),
        };
        let mut vm = Qemu::start(&config).await.unwrap();
        let events = vm.take_events().unwrap();
        let file = RecordsFile::new(log.path().join("records.ndjson"), Limits::ALL);
        let desk = Arc::new(Desk::of_one_vm(file));
        let mut links = Links::new(Arc::clone(&desk));
        links.attend(vm.port_socket(), Some(Side::Source));
        timeout(Duration::from_secs(10), desk.until_connected(&[Side::Source], true)).await.unwrap();
        let mut machine =
            Self { vm, events, desk, arrivals: Vec::new(), _links: links, _sockets: sockets, _log: log };
        let limit_ns = hostclock::mono_ns() + 90 * SECOND;
        while machine.arrivals.is_empty() {
            assert!(hostclock::mono_ns() < limit_ns, "the guest sent no record");
            machine.listen(100 * MS).await;
        }
        machine
    }

    /// Takes the guest's records in for so long.
    pub async fn listen(&mut self, span_ns: u64) {
        let end_ns = hostclock::mono_ns() + span_ns;
        loop {
            let left = Duration::from_nanos(end_ns.saturating_sub(hostclock::mono_ns()));
            let changed = timeout(left, self.desk.changed()).await;
            self.arrivals.extend(self.desk.take_fresh());
            assert!(self.desk.is_connected(Side::Source), "the guest's port was closed");
            if changed.is_err() {
                return;
            }
        }
    }

    /// Gives QEMU a command, which must not fail.
    pub async fn tell(&self, command: &str, arguments: Value) -> Value {
        self.vm.qmp().execute(command, arguments).await.unwrap()
    }

    /// The next event of this name.
    pub async fn event(&mut self, name: &str) -> QmpEvent {
        let found = async {
            loop {
                match self.events.recv().await {
                    Some(event) if event.name == name => return event,
                    Some(_) => {}
                    None => panic!("QEMU ended before {name}"),
                }
            }
        };
        timeout(Duration::from_secs(10), found).await.unwrap()
    }

    /// The guest's intervals, each with the host's time of its end.
    pub fn intervals(&self) -> Vec<(u64, &Interval)> {
        let least =
            self.arrivals.iter().map(|arrival| arrival.host_ns.saturating_sub(arrival.record.mono_ns)).min();
        let offset_ns = least.unwrap_or(0);
        let intervals = self.arrivals.iter().filter_map(|arrival| match &arrival.record.body {
            Body::Interval(interval) => Some((interval.end_ns + offset_ns, &**interval)),
            _ => None,
        });
        intervals.collect()
    }

    /// Ends it.
    pub async fn end(self) {
        self.vm.kill().await.unwrap();
    }
}
