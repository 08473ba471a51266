//! What the kernel counted for the calling thread: faults, switches, CPU time, time in the run queue.

use super::clocksource::{clocksource, is_fallback};
use crate::record::GapFeatures;
use nix::{
    sys::resource::{UsageWho, getrusage},
    time::{ClockId, clock_gettime},
};
use std::{fs::File, os::unix::fs::FileExt};

/// Reads the counters of the thread that opened it, without allocating.
#[derive(Debug)]
pub struct ThreadProbe {
    schedstat: Option<File>,
}

/// Counters of one thread since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ThreadCounters {
    run_delay_ns: Option<u64>,
    cpu_ns: u64,
    minflt: u64,
    majflt: u64,
    nvcsw: u64,
    nivcsw: u64,
}

impl ThreadProbe {
    /// For the calling thread. A kernel without schedstat leaves the run delay absent, and so does one whose scheduler's
    /// clock may lag behind by what lies beyond one tick, until the next tick moves it on: that of x86 without a TSC that
    /// can be relied on. A vCPU that was away for all but a tick then seems to have waited in the run queue.
    pub fn open() -> Self {
        let schedstat = File::open("/proc/thread-self/schedstat").ok();
        Self { schedstat: schedstat.filter(|_| !is_fallback(clocksource().as_deref())) }
    }

    /// The counters now; to be called by the thread that opened the probe.
    pub fn read(&self) -> ThreadCounters {
        let usage = getrusage(UsageWho::RUSAGE_THREAD).ok();
        let count = |of: fn(&nix::sys::resource::Usage) -> i64| {
            usage.as_ref().map_or(0, |usage| u64::try_from(of(usage)).unwrap_or(0))
        };
        ThreadCounters {
            run_delay_ns: self.run_delay_ns(),
            cpu_ns: clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(0, |time| {
                u64::try_from(std::time::Duration::from(time).as_nanos()).unwrap_or(u64::MAX)
            }),
            minflt: count(nix::sys::resource::Usage::minor_page_faults),
            majflt: count(nix::sys::resource::Usage::major_page_faults),
            nvcsw: count(nix::sys::resource::Usage::voluntary_context_switches),
            nivcsw: count(nix::sys::resource::Usage::involuntary_context_switches),
        }
    }

    fn run_delay_ns(&self) -> Option<u64> {
        let mut text = [0; 96];
        let length = self.schedstat.as_ref()?.read_at(&mut text, 0).ok()?;
        run_delay(text.get(..length)?)
    }
}

/// The second number of `cpu_ns run_delay_ns timeslices`; a kernel that keeps no such counts shows three zeros.
fn run_delay(schedstat: &[u8]) -> Option<u64> {
    let mut numbers = std::str::from_utf8(schedstat).ok()?.split_ascii_whitespace();
    let (_cpu, delay, slices) = (numbers.next()?, numbers.next()?, numbers.next()?);
    (slices != "0").then(|| delay.parse().ok()).flatten()
}

impl ThreadCounters {
    /// What was counted since `earlier`.
    pub fn since(&self, earlier: &Self) -> GapFeatures {
        GapFeatures {
            run_delay_ns: self
                .run_delay_ns
                .zip(earlier.run_delay_ns)
                .map(|(now, then)| now.saturating_sub(then)),
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
            minflt: self.minflt.saturating_sub(earlier.minflt),
            majflt: self.majflt.saturating_sub(earlier.majflt),
            nvcsw: self.nvcsw.saturating_sub(earlier.nvcsw),
            nivcsw: self.nivcsw.saturating_sub(earlier.nivcsw),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_touch_of_memory_shows_as_minor_faults() {
        let probe = ThreadProbe::open();
        let before = probe.read();
        let mut fresh = memmap2::MmapMut::map_anon(64 * 4096).unwrap();
        fresh.fill(1);
        let features = probe.read().since(&before);
        assert!(features.minflt >= 1 && features.cpu_ns > 0, "{features:?}");
    }

    #[test]
    fn the_run_delay_is_the_second_number_where_the_kernel_counts() {
        assert_eq!(run_delay(b"123 45398 1\n"), Some(45398));
        assert_eq!(run_delay(b"0 0 0\n"), None);
        assert_eq!(run_delay(b""), None);
    }
}
