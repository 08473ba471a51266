//! What QEMU is heard through: asked what changes nothing, and only that.

use super::jobs::{self, LibvirtTarget};
use super::news::{MonitorFacts, MonitorNews};
use crate::lab::hostclock;
use crate::lab::qmp::{Qmp, QmpEvent};
use crate::lab::run::vm::{QmpAnswer, VmEvent};
use crate::record::{Accelerator, Side};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::mpsc, task::JoinSet, time};

/// How often QEMU is asked how a migration goes.
const ASK: Duration = Duration::from_millis(100);
/// How long a monitor may take to greet.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// How long to wait before the next try.
const RETRY: Duration = Duration::from_millis(500);
/// QEMU may stand still when it switches: so long an answer is waited for.
const ANSWER_LIMIT: Duration = Duration::from_mins(1);

/// All monitors of a VM.
pub struct Monitors {
    news: mpsc::UnboundedReceiver<MonitorNews>,
    /// There is always one who may tell.
    teller: mpsc::UnboundedSender<MonitorNews>,
    tasks: JoinSet<()>,
}

impl Monitors {
    /// Connects to QMP sockets whenever they are there, and asks libvirt.
    pub fn new(qmp: &[PathBuf], libvirt: Option<&LibvirtTarget>) -> Self {
        let (teller, news) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        let has_source = Arc::new(AtomicBool::new(false));
        for (index, path) in qmp.iter().enumerate() {
            let source = Arc::clone(&has_source);
            tasks.spawn(attend(path.clone(), index == 0, source, teller.clone()));
        }
        if let Some(target) = libvirt {
            tasks.spawn(jobs::attend(target.clone(), teller.clone()));
        }
        Self { news, teller, tasks }
    }

    /// The next thing that one has to tell. Cancel-safe.
    pub async fn next(&mut self) -> MonitorNews {
        match self.news.recv().await {
            Some(news) => news,
            // It has a teller itself, so there may always be more.
            None => std::future::pending().await,
        }
    }

    /// Leaves them all.
    pub async fn end(mut self) {
        self.tasks.shutdown().await;
        drop(self.teller);
    }
}

/// Attends one QMP socket for ever.
async fn attend(
    path: PathBuf,
    is_first: bool,
    has_source: Arc<AtomicBool>,
    teller: mpsc::UnboundedSender<MonitorNews>,
) {
    loop {
        match Qmp::connect(&path, CONNECT_LIMIT).await {
            Ok((qmp, events)) => {
                let side = side(&qmp, is_first, &has_source).await;
                serve(&path, side, &qmp, events, &teller).await;
            }
            Err(error) => {
                let held = path.exists().then_some(
                    "; another client may hold it (libvirt does), for a monitor takes one at a time: virt-qemu-qmp-proxy shares \
                     one, --libvirt asks libvirt",
                );
                let why = format!("{error}{}", held.unwrap_or_default());
                let _ = teller.send(MonitorNews::Trouble { name: path.display().to_string(), why });
            }
        }
        time::sleep(RETRY).await;
    }
}

/// A QEMU that waits for a guest is a destination. Of others the first that was named, or the first there is, is the source.
async fn side(qmp: &Qmp, is_first: bool, has_source: &AtomicBool) -> Side {
    let status = ask(qmp, "query-status").await.unwrap_or_default();
    let waits = status["status"] == "inmigrate";
    if waits || !is_first && has_source.swap(true, Ordering::Relaxed) {
        return Side::Destination;
    }
    has_source.store(true, Ordering::Relaxed);
    Side::Source
}

async fn ask(qmp: &Qmp, command: &str) -> Option<Value> {
    qmp.execute_within(command, Value::Null, ANSWER_LIMIT).await.ok()
}

/// Tells what QEMU says until it is gone. An answer that says nothing new is not told.
async fn serve(
    path: &Path,
    side: Side,
    qmp: &Qmp,
    mut events: mpsc::UnboundedReceiver<QmpEvent>,
    teller: &mpsc::UnboundedSender<MonitorNews>,
) {
    let accelerator = ask(qmp, "query-kvm").await.and_then(|answer| answer["enabled"].as_bool());
    let accelerator = accelerator.map(|is_kvm| if is_kvm { Accelerator::Kvm } else { Accelerator::Tcg });
    let (name, version) = (path.display().to_string(), qmp.version().to_owned());
    let _ = teller.send(MonitorNews::Answers(MonitorFacts { name, version, accelerator }));
    let mut said = None;
    let mut tick = time::interval(ASK);
    tick.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        let happened = tokio::select! {
            event = events.recv() => match event {
                Some(event) => VmEvent::Qmp(side, event),
                None => return,
            },
            reply = async { tick.tick().await; ask(qmp, "query-migrate").await } => match reply {
                Some(reply) if said.as_ref() != Some(&reply) => {
                    said = Some(reply.clone());
                    let (command, arguments, host_ns) = ("query-migrate", Value::Null, hostclock::mono_ns());
                    VmEvent::Answer(QmpAnswer { side, command, arguments, host_ns, result: Ok(reply) })
                }
                Some(_) => continue,
                None => {
                    // It is gone; what it announced last is still to be told.
                    while let Ok(event) = events.try_recv() {
                        let _ = teller.send(MonitorNews::Happened(VmEvent::Qmp(side, event)));
                    }
                    return;
                }
            },
        };
        if teller.send(MonitorNews::Happened(happened)).is_err() {
            return;
        }
    }
}
