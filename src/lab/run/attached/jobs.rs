//! A domain of libvirt as a monitor: its job statistics, asked again and again while there is a job, in place of QEMU's own answers.

use super::news::{MonitorFacts, MonitorNews};
use crate::lab::hostclock;
use crate::lab::libvirt::{Domain, JobStatistics, Virsh, job_of};
use crate::lab::run::vm::{QmpAnswer, VmEvent};
use crate::record::Side;
use serde_json::Value;
use std::time::Duration;
use tokio::{sync::mpsc, time};

/// How often libvirt is asked: each time a virsh is started.
const ASK: Duration = Duration::from_millis(300);

/// How often the last figures of a migration that is no more under way are asked for.
const TRIES: u32 = 10;

/// A domain, and where libvirt can be asked about it.
#[derive(Debug, Clone)]
pub struct LibvirtTarget {
    /// The domain.
    pub domain: Domain,
    /// The libvirt that it runs under.
    pub here: Virsh,
    /// The one that it is migrated to, where that can be asked.
    pub there: Option<Virsh>,
}

/// Tells how the domain's migration goes, for ever.
pub async fn attend(target: LibvirtTarget, teller: mpsc::UnboundedSender<MonitorNews>) {
    let name = format!("libvirt domain {} (virsh domjobinfo)", target.domain.name);
    let version = target.here.ask(&["version"]).await.unwrap_or_default();
    let version = version.lines().find_map(|line| line.strip_prefix("Running hypervisor: QEMU "));
    let version = version.unwrap_or_default().to_owned();
    let accelerator = target.domain.accelerator;
    let _ = teller.send(MonitorNews::Answers(MonitorFacts { name, version, accelerator }));
    let (mut said, mut owed) = (Value::Null, 0);
    loop {
        let job = target.job(&["--rawstats"], &target.here).await;
        let job = match job {
            None if owed > 0 => target.last().await,
            job => job,
        };
        owed = match &job {
            Some(answer) if answer["status"] == "active" => TRIES,
            Some(_) => 0,
            None => owed.saturating_sub(1),
        };
        if let Some(answer) = job.filter(|answer| *answer != said) {
            said.clone_from(&answer);
            let (side, command, host_ns) = (Side::Source, "query-migrate", hostclock::mono_ns());
            let arguments = Value::Null;
            let answer = QmpAnswer { side, command, arguments, host_ns, result: Ok(answer) };
            if teller.send(MonitorNews::Happened(VmEvent::Answer(answer))).is_err() {
                return;
            }
        }
        time::sleep(ASK).await;
    }
}

impl LibvirtTarget {
    /// The job's statistics; none where there is no migration, or nobody to ask.
    async fn job(&self, options: &[&str], virsh: &Virsh) -> Option<Value> {
        let words = [&["domjobinfo", self.domain.name.as_str()], options].concat();
        match job_of(&virsh.ask(&words).await.ok()?) {
            JobStatistics::Migration(answer) => Some(answer),
            JobStatistics::None => None,
        }
    }

    /// Those of a migration that was under way and is no more; they stay there for others to read.
    async fn last(&self) -> Option<Value> {
        let options = ["--completed", "--keep-completed", "--rawstats"];
        match (self.job(&options, &self.here).await, &self.there) {
            (None, Some(there)) => self.job(&options, there).await,
            (found, _) => found,
        }
    }
}
