//! Stops of a process at given times, and what came of them on a machine that others use too.

use super::guest::{MS, SECOND};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use sully::clock::{Clock, Monotonic};

/// One stop: from when to when, as it was done.
#[derive(Debug, Clone, Copy)]
pub struct Stop {
    pub from_ns: u64,
    pub to_ns: u64,
}

/// Stops `pid` at each of these times for so long; the times are after now. Always leaves it running.
pub fn stop(pid: Pid, plan: Vec<(u64, u64)>) -> Vec<Stop> {
    // By a thread of its own: what it becomes ends with it.
    std::thread::spawn(move || stop_here(pid, plan)).join().unwrap()
}

fn stop_here(pid: Pid, plan: Vec<(u64, u64)>) -> Vec<Stop> {
    become_punctual();
    // The kernel has the process's first thread carry out the stop: the others go on until it has run.
    punctual(pid, "40");
    let begin_ns = Monotonic.now_ns() + 5 * MS;
    let mut done = Vec::new();
    for (at_ns, len_ns) in plan {
        wait(begin_ns + at_ns);
        let from_ns = Monotonic.now_ns();
        kill(pid, Signal::SIGSTOP).unwrap();
        wait(begin_ns + at_ns + len_ns);
        kill(pid, Signal::SIGCONT).unwrap();
        done.push(Stop { from_ns, to_ns: Monotonic.now_ns() });
    }
    done
}

/// Puts this thread above the guest's canaries: on a busy machine injections would come late without.
pub fn become_punctual() {
    punctual(nix::unistd::gettid(), "50");
}

/// Makes a thread real-time, where that is allowed and `chrt` is there.
fn punctual(thread: Pid, priority: &str) {
    let thread = thread.to_string();
    let _ = Command::new("chrt").args(["-f", "-p", priority, &thread]).stderr(Stdio::null()).status();
}

/// Asleep, and the last 100 us awake.
pub fn wait(deadline_ns: u64) {
    Monotonic.sleep_until(deadline_ns.saturating_sub(MS / 10));
    while Monotonic.now_ns() < deadline_ns {
        std::hint::spin_loop();
    }
}

/// Sleeps of `sleep_ns` every `period_ns` for `span_ns`.
pub fn periodic(sleep_ns: u64, period_ns: u64, span_ns: u64) -> Vec<(u64, u64)> {
    (0..span_ns / period_ns).map(|step| (step * period_ns, sleep_ns)).collect()
}

/// QEMU's sleep and period at `percent`.
pub fn qemu_law(percent: u64) -> (u64, u64) {
    (10 * MS * percent / (100 - percent), 10 * MS * 100 / (100 - percent))
}

/// Whether the stops came as planned: nine of ten ended within half a ms of where the period has them.
pub fn kept_time(stops: &[Stop], period_ns: u64) -> bool {
    let offs = stops.windows(2).map(|pair| (pair[1].to_ns - pair[0].to_ns).abs_diff(period_ns));
    let kept = offs.filter(|off_ns| *off_ns <= MS / 2).count();
    kept * 10 >= stops.len().saturating_sub(1) * 9
}

/// Stops at random: run times exponential with mean `run_ns`, each of `len_ns`, for `span_ns`. By a fixed seed.
pub fn random(seed: u64, run_ns: u64, len_ns: u64, span_ns: u64) -> Vec<(u64, u64)> {
    let (mut state, mut at_ns, mut plan) = (seed, 0u64, Vec::new());
    while at_ns < span_ns {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let uniform = ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 40 means")]
        let run_ns = (-(1.0 - uniform).ln() * run_ns as f64) as u64;
        plan.push((at_ns + run_ns, len_ns));
        at_ns += run_ns + len_ns;
    }
    plan
}

/// How long a form of a test lasts: `short` in CI, `long` for `make fidelity`, in seconds.
pub fn seconds(short: u64, long: u64) -> u64 {
    if is_long() { long } else { short }
}

/// Whether the long forms are asked for.
pub fn is_long() -> bool {
    std::env::var_os("SULLY_FIDELITY").is_some_and(|form| form == "long")
}

/// What else the machine does during an injection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Quiet,
    /// Twice as many busy threads as CPUs.
    Loaded,
}

impl Form {
    pub const ALL: [Self; 2] = [Self::Quiet, Self::Loaded];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Loaded => "loaded",
        }
    }

    /// The load it takes, for as long as what is handed back lives.
    pub fn begin(self) -> Option<Load> {
        (self == Self::Loaded).then(Load::start)
    }
}

/// Takes all CPUs away from the guest now and then, until it is dropped.
pub struct Load(Arc<AtomicBool>);

impl Load {
    /// Two busy threads for each CPU.
    pub fn start() -> Self {
        let going = Arc::new(AtomicBool::new(true));
        let cpus = std::thread::available_parallelism().map_or(2, usize::from);
        for _ in 0..2 * cpus {
            let going = Arc::clone(&going);
            std::thread::spawn(move || {
                while going.load(Ordering::Relaxed) {
                    let busy_until = Monotonic.now_ns() + 20 * MS;
                    while Monotonic.now_ns() < busy_until {
                        std::hint::spin_loop();
                    }
                    Monotonic.sleep_until(Monotonic.now_ns() + MS);
                }
            });
        }
        Self(going)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Keeps the CPUs from falling asleep, until it is dropped: one that has to be woken lets a thread wait for 50 us and more.
/// Its threads run where nobody else wants to, and yield to whoever does at once.
pub struct Awake(Arc<AtomicBool>);

impl Awake {
    /// One thread for each CPU.
    pub fn start() -> Self {
        let going = Arc::new(AtomicBool::new(true));
        for cpu in sully::probe::cpus().unwrap() {
            let going = Arc::clone(&going);
            std::thread::spawn(move || {
                let thread = nix::unistd::gettid().to_string();
                let _ = Command::new("chrt").args(["-i", "-p", "0", &thread]).stderr(Stdio::null()).status();
                let _ = Command::new("taskset")
                    .args(["-pc", &cpu.to_string(), &thread])
                    .stdout(Stdio::null())
                    .status();
                while going.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Self(going)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// A span of `seconds` in ns.
pub const fn span(seconds: u64) -> u64 {
    seconds * SECOND
}
