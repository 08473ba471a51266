//! Threads of the engine: named, pinned, and never dead unnoticed.

use super::{EngineError, control::Control, realtime::become_realtime};
use crate::clock::{Clock, Monotonic};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::prctl,
    unistd::Pid,
};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{Builder, JoinHandle},
};

/// The threads keep no large things on their stacks.
pub(super) const STACK_BYTES: usize = 256 * 1024;

/// Starts a thread; a panic in it becomes the engine's failure.
pub(super) fn spawn(
    name: &str,
    control: &Arc<Control>,
    body: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, EngineError> {
    let (control, own_name) = (Arc::clone(control), name.to_owned());
    let watched = move || {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(body)) {
            control.fail(format!("the thread {own_name} died: {}", message(panic.as_ref())));
        }
    };
    let builder = Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
    builder.spawn(watched).map_err(|cause| EngineError::Spawn { name: name.to_owned(), cause })
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no reason given")
}

/// Binds the calling thread to one CPU, and has the kernel wake it as exactly as it can.
pub(super) fn settle_on(name: &str, cpu: u32) -> Result<(), EngineError> {
    let pinned = || {
        let mut only = CpuSet::new();
        only.set(usize::try_from(cpu).unwrap_or(usize::MAX))?;
        sched_setaffinity(Pid::from_raw(0), &only)
    };
    pinned().map_err(|cause| EngineError::Pin { name: name.to_owned(), cpu, cause })?;
    // Without it the kernel may be 50 us late to save wake-ups; that costs accuracy, not correctness.
    let _ = prctl::set_timerslack(1);
    Ok(())
}

/// Binds the calling thread to each of `cpus` in turn, puts it under SCHED_FIFO, and says whether that was allowed.
/// It stays so: for a thread that is about to end.
///
/// # Errors
/// When it cannot be bound to one of them.
pub fn rehearse(cpus: &[u32]) -> Result<bool, EngineError> {
    cpus.iter().try_for_each(|cpu| settle_on("sully", *cpu))?;
    Ok(become_realtime())
}

/// Why a thread that never said it was ready is not there.
pub(super) fn died(thread: JoinHandle<()>, control: &Control) -> EngineError {
    // It drops its end of the channel while it dies: only once it has ended is the reason noted.
    let _ = thread.join();
    EngineError::Died(
        control.failure().unwrap_or_else(|| "a thread of the engine ended before it was ready".into()),
    )
}

/// Joins those threads that end within `limit_ns` and leaves the others to themselves.
pub(super) fn join(mut threads: Vec<JoinHandle<()>>, limit_ns: u64) {
    const LOOK_AGAIN_NS: u64 = 1_000_000;
    let give_up_ns = Monotonic.now_ns().saturating_add(limit_ns);
    loop {
        for ended in threads.extract_if(.., |thread| thread.is_finished()) {
            // A panic has been noted by the thread itself.
            let _ = ended.join();
        }
        let now_ns = Monotonic.now_ns();
        if threads.is_empty() || now_ns >= give_up_ns {
            return;
        }
        Monotonic.sleep_until(now_ns + LOOK_AGAIN_NS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_dies_leaves_its_name_and_reason() {
        let control = Arc::default();
        let thread = spawn("sully-test", &control, || panic!("for a reason")).unwrap();
        join(vec![thread], 10_000_000_000);
        let failure = control.failure().unwrap();
        assert_eq!(failure, "the thread sully-test died: for a reason");
    }

    #[test]
    fn a_cpu_that_is_not_there_is_named() {
        let message = settle_on("sully-test", 1023).unwrap_err().to_string();
        assert!(message.contains("sully-test") && message.contains("CPU 1023"), "{message}");
        assert!(settle_on("sully-test", u32::MAX).is_err());
    }

    #[test]
    fn a_thread_that_hangs_is_left_after_the_limit() {
        let control: Arc<Control> = Arc::default();
        let held = Arc::clone(&control);
        let thread = spawn("sully-test", &control, move || assert_eq!(held.wait_at_gate(), None)).unwrap();
        join(vec![thread], 1_000_000);
        assert_eq!(control.failure(), None);
        assert!(Arc::strong_count(&control) > 1, "the thread still runs, and nobody waits for it");
        control.stop();
    }
}
