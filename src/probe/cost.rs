//! CPU time of this process and of single threads, as the kernel accounts it.

use nix::{
    time::{ClockId, clock_gettime},
    unistd::Pid,
};

/// CPU time of all threads of this process, living and ended, in ns.
pub fn process_cpu_ns() -> u64 {
    cpu_ns(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap_or(0)
}

/// CPU time of one living thread of this process, in ns; none once it has ended.
pub fn thread_cpu_ns(thread: Pid) -> Option<u64> {
    // The kernel's own encoding of a thread's CPU clock (what pthread_getcpuclockid returns): the inverted id,
    // shifted, then 4 for "one thread" and 2 for the scheduler's clock.
    let clock = (!thread.as_raw() << 3) | 4 | 2;
    cpu_ns(ClockId::from_raw(clock))
}

fn cpu_ns(clock: ClockId) -> Option<u64> {
    let time = clock_gettime(clock).ok()?;
    let whole = u64::try_from(time.tv_sec()).ok()?.checked_mul(1_000_000_000)?;
    whole.checked_add(u64::try_from(time.tv_nsec()).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_at_work_is_charged_and_the_process_with_it() {
        let me = nix::unistd::gettid();
        // The process first: what runs between the two readings must not count for the thread alone.
        let (process, thread) = (process_cpu_ns(), thread_cpu_ns(me).unwrap());
        while thread_cpu_ns(me).unwrap() < thread + 1_000_000 {
            std::hint::spin_loop();
        }
        assert!(process_cpu_ns() >= process + 1_000_000);
    }

    #[test]
    fn an_ended_thread_has_no_clock() {
        let ended = std::thread::spawn(nix::unistd::gettid).join().unwrap();
        // The kernel may need a moment to let go of a thread that has been joined.
        let gone = (0..10_000_000).any(|_| thread_cpu_ns(ended).is_none());
        assert!(gone);
    }
}
