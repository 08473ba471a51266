//! Real-time scheduling of the calling thread, which nix lacks.
#![expect(unsafe_code, reason = "sched_setscheduler is not in nix")]
// Law: only the calling thread (id 0) is changed, and the kernel only reads the parameter.

use nix::errno::Errno;

/// Puts the calling thread under SCHED_FIFO, lowest priority. False where that is not allowed.
pub(super) fn become_realtime() -> bool {
    // SAFETY: plain integers, for which all zeros are valid; musl adds reserved ones, hence no literal.
    let mut parameter: libc::sched_param = unsafe { std::mem::zeroed() };
    parameter.sched_priority = 1;
    // SAFETY: the parameter lives on our stack throughout the call, which only reads it.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameter) };
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
}
