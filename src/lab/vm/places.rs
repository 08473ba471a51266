//! Where emulated vCPUs run: each on a CPU of its own, if the host has so many.
//!
//! vCPUs that slept together, as a throttle has them, wake where they went to sleep, and that is often one CPU; until the
//! host's scheduler has moved one away, some 4 ms later, they share it. Of the 10 ms that a throttled guest runs at a time
//! it so lost a third.

use crate::lab::qmp::Qmp;
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};
use serde::Deserialize;
use serde_json::Value;

/// What `query-cpus-fast` tells of one vCPU.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Vcpu {
    cpu_index: usize,
    thread_id: i32,
}

/// Binds each vCPU of the QEMU with this process id to one of the CPUs that this process may use, where there are two vCPUs or
/// more and a CPU for each. Where that fails they stay as they are.
///
/// The id says which CPU is the first: of several VMs on a large host not all are on the same few.
pub(super) async fn keep_apart(qmp: &Qmp, pid: u32) {
    let Ok(answer) = qmp.execute("query-cpus-fast", Value::Null).await else { return };
    let Ok(vcpus) = serde_json::from_value::<Vec<Vcpu>>(answer) else { return };
    let Ok(allowed) = sched_getaffinity(Pid::from_raw(0)) else { return };
    let cpus: Vec<usize> = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)).collect();
    if vcpus.len() < 2 || cpus.len() < vcpus.len() {
        return;
    }
    let first = pid as usize % cpus.len();
    for vcpu in &vcpus {
        let mut place = CpuSet::new();
        let cpu = cpus[(first + vcpu.cpu_index % cpus.len()) % cpus.len()];
        if place.set(cpu).is_ok() {
            let _ = sched_setaffinity(Pid::from_raw(vcpu.thread_id), &place);
        }
    }
}
