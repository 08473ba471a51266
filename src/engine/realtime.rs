//! Scheduling of the calling thread before others, which nix lacks.
#![expect(unsafe_code, reason = "sched_setscheduler and setpriority are not in nix")]
// Law: only the calling thread (id 0) is changed, and the kernel only reads the parameter.

use crate::probe::realtime_percent;
use nix::errno::Errno;

/// A canary takes 1 to 5 % of a CPU. Where the kernel lets realtime threads have less than this it holds them back, for most of each
/// second, and then they see their own absence.
const LEAST_PERCENT: u64 = 10;

/// Puts the calling thread under SCHED_FIFO, lowest priority. False where that is not allowed, or where the kernel would then hold
/// it back.
pub(super) fn become_realtime() -> bool {
    if realtime_percent().is_some_and(|percent| percent < LEAST_PERCENT) {
        return false;
    }
    // SAFETY: plain integers, for which all zeros are valid; musl adds reserved ones, hence no literal.
    let mut parameter: libc::sched_param = unsafe { std::mem::zeroed() };
    parameter.sched_priority = 1;
    // SAFETY: the parameter lives on our stack throughout the call, which only reads it.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameter) };
    Errno::result(result).is_ok()
}

/// Nine times a writer's share of a CPU that both want.
const NICE_BEFORE_WRITERS: libc::c_int = -10;

/// Has the calling thread, which takes samples, come before writers where both want a CPU. False where that is not allowed.
///
/// Under a throttle of 99 % the guest runs for 10 ms of each second, and writers that have a backlog want all of it: without
/// this a record is told seconds late, when a reader wants it most. Not real-time: a host that floods the port must not take a
/// CPU from the load.
pub fn come_before_writers() -> bool {
    // SAFETY: plain integers, of which 0 is the calling thread; no memory is touched.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE_BEFORE_WRITERS) };
    Errno::result(result).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_confirms_what_was_answered() {
        let stat = std::thread::spawn(|| {
            let granted = become_realtime();
            (granted, std::fs::read_to_string("/proc/thread-self/stat").unwrap())
        });
        let (granted, stat) = stat.join().unwrap();
        // After the name in parentheses: state is field 3, the scheduling policy field 41.
        let policy = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(41 - 3).unwrap();
        assert_eq!(policy == "1", granted, "{stat}");
    }

    #[test]
    fn only_the_thread_that_takes_samples_comes_first() {
        let nice = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            // Field 19.
            stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(19 - 3).unwrap().to_owned()
        };
        let before = nice();
        let (granted, after) = std::thread::spawn(move || (come_before_writers(), nice())).join().unwrap();
        assert_eq!(after == NICE_BEFORE_WRITERS.to_string(), granted, "{after}");
        assert_eq!(nice(), before);
    }
}
