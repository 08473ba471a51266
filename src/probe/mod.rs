//! What the kernel says about this machine and this program: reads `/proc`, `/sys` and the rusage of threads.

mod callbacks;
mod cgroup;
mod clocksource;
mod cost;
mod dirty_log;
mod disruption;
mod host;
mod own_pages;
mod ptp;
mod rows;
mod steal;
mod stock;
mod thread;

pub use callbacks::CallbackProbe;
pub use clocksource::{ClocksourceWatch, clocksource, is_fallback};
pub use cost::{process_cpu_ns, thread_cpu_ns};
pub use dirty_log::DirtyLog;
pub use disruption::DisruptionProbe;
pub use host::{HostFacts, host_facts};
pub use own_pages::OwnPages;
pub use ptp::PtpProbe;
pub use steal::StealProbe;
pub use stock::{numa_nodes, oom_score_adj, realtime_percent, transparent_huge_pages};
pub use thread::{ThreadCounters, ThreadProbe};

use crate::plan::Machine;
use nix::{
    sched::{CpuSet, sched_getaffinity},
    unistd::Pid,
};
use rows::row_bytes;
use std::{fs, path::Path};

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

/// What this machine offers a plan: available memory (less where a cgroup or a cpuset limits it) and usable CPUs.
///
/// # Errors
/// When `/proc` is not mounted, or the kernel does not name the CPUs.
pub fn machine() -> Result<Machine, ProbeError> {
    let cpus = u32::try_from(cpus()?.len()).unwrap_or(u32::MAX);
    let available_bytes = available_bytes(&meminfo()?)?;
    let limit_bytes = cgroup::headroom_bytes(Path::new("/proc/self")).unwrap_or(u64::MAX);
    let (stock, allowed_bytes) = stock::stock();
    let available_bytes = available_bytes.min(limit_bytes).min(allowed_bytes.unwrap_or(u64::MAX));
    Ok(Machine { available_bytes, cpus, stock })
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

/// The text of `/proc/meminfo`.
fn meminfo() -> Result<String, ProbeError> {
    fs::read_to_string(MEMINFO)
        .map_err(|cause| ProbeError::Memory { path: MEMINFO, cause: cause.to_string() })
}

/// MemAvailable; kernels before 3.14 lack it, and free memory is then the careful answer.
fn available_bytes(meminfo: &str) -> Result<u64, ProbeError> {
    let found = row_bytes(meminfo, "MemAvailable:").or_else(|| row_bytes(meminfo, "MemFree:"));
    found.ok_or_else(|| ProbeError::Memory { path: MEMINFO, cause: "it has no row MemFree".into() })
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
    fn available_memory_is_what_the_kernel_says_and_free_memory_where_it_does_not() {
        let new = "MemTotal: 900 kB\nMemFree:         100 kB\nMemAvailable:    700 kB\n";
        assert_eq!(available_bytes(new).unwrap(), 700 << 10);
        assert_eq!(available_bytes("MemTotal: 900 kB\nMemFree: 100 kB\n").unwrap(), 100 << 10);
        assert!(available_bytes("nonsense").is_err());
    }

    #[test]
    fn a_missing_proc_is_answered_with_the_remedy() {
        let message = ProbeError::Memory { path: MEMINFO, cause: "not found".into() }.to_string();
        assert!(message.contains("/proc/meminfo") && message.contains("mount /proc"), "{message}");
    }
}
