//! What the kernel says about this machine and this program: reads `/proc`, `/sys` and the rusage of threads.

mod cgroup;
mod cost;
mod counters;
mod host;
mod steal;
mod thread;

pub use cost::{process_cpu_ns, thread_cpu_ns};
pub use counters::{CounterProbe, Counters};
pub use host::{HostFacts, host_facts};
pub use steal::StealProbe;
pub use thread::{ThreadCounters, ThreadProbe};

use crate::plan::Machine;
use nix::{
    sched::{CpuSet, sched_getaffinity},
    unistd::Pid,
};
use procfs_core::{FromRead, Meminfo};
use std::{fs::File, path::Path};

/// Why the machine cannot be described.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// `/proc/meminfo` is not there, or not readable as such.
    #[error("{path} does not say how much memory there is ({cause}): mount /proc first")]
    Memory {
        /// What was read.
        path: &'static str,
        /// Why it does not say.
        cause: String,
    },
    /// The kernel does not say which CPUs this program may use.
    #[error("the kernel does not say which CPUs may be used (sched_getaffinity: {0})")]
    Cpus(#[from] nix::Error),
}

const MEMINFO: &str = "/proc/meminfo";

/// What this machine offers a plan: available memory (less where a memory cgroup limits it) and usable CPUs.
///
/// # Errors
/// When `/proc` is not mounted, or the kernel does not name the CPUs.
pub fn machine() -> Result<Machine, ProbeError> {
    let cpus = u32::try_from(cpus()?.len()).unwrap_or(u32::MAX);
    let available_bytes = available_bytes(&meminfo()?);
    let limit_bytes = cgroup::headroom_bytes(Path::new("/proc/self")).unwrap_or(u64::MAX);
    Ok(Machine { available_bytes: available_bytes.min(limit_bytes), cpus })
}

/// The ids of the CPUs this program may run on, in order.
///
/// # Errors
/// When the kernel does not name them.
pub fn cpus() -> Result<Vec<u32>, ProbeError> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let ids = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false));
    Ok(ids.filter_map(|cpu| u32::try_from(cpu).ok()).collect())
}

fn meminfo() -> Result<Meminfo, ProbeError> {
    let error = |cause: String| ProbeError::Memory { path: MEMINFO, cause };
    let file = File::open(MEMINFO).map_err(|cause| error(cause.to_string()))?;
    Meminfo::from_read(file).map_err(|cause| error(cause.to_string()))
}

/// MemAvailable; kernels before 3.14 lack it, and free memory is then the careful answer.
fn available_bytes(meminfo: &Meminfo) -> u64 {
    meminfo.mem_available.unwrap_or(meminfo.mem_free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_memory_and_cpus() {
        let machine = machine().unwrap();
        assert!(machine.available_bytes > 1 << 20, "{machine:?}");
        assert_eq!(machine.cpus as usize, cpus().unwrap().len());
        assert!(machine.cpus >= 1);
    }

    #[test]
    fn a_missing_proc_is_answered_with_the_remedy() {
        let message = ProbeError::Memory { path: MEMINFO, cause: "not found".into() }.to_string();
        assert!(message.contains("/proc/meminfo") && message.contains("mount /proc"), "{message}");
    }
}
