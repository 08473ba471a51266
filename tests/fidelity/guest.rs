//! A guest program under test, started from outside, and what it reported.

use super::say;
use super::stops::Stop;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use sully::clock::{Clock, Monotonic};
use sully::record::{Body, End, Gap, GapClass, Hello, Interval, Throttle, ThrottleLaw};
use sully::wire::decode_record;

pub const MS: u64 = 1_000_000;
pub const SECOND: u64 = 1_000_000_000;

/// How a guest program is started.
#[derive(Debug, Default)]
pub struct Start {
    /// Another program than the one of this build.
    pub program: Option<PathBuf>,
    /// As `nobody`: its canaries are not real-time then.
    pub nobody: bool,
    /// In the control group of this directory, from its first page on.
    pub group: Option<PathBuf>,
    /// Without the right to lock its memory.
    pub unlocked: bool,
    /// Behind everybody else: its nice value is 19.
    pub nice: bool,
}

/// A running guest program that reports into a file.
pub struct Guest {
    child: Child,
    report: tempfile::NamedTempFile,
}

/// What it reported.
pub struct Report {
    pub hello: Hello,
    pub intervals: Vec<Interval>,
    pub gaps: Vec<Gap>,
    pub end: End,
}

impl Guest {
    /// Runs `sully run` with these options, once it has begun.
    pub fn start(options: &str) -> Self {
        Self::start_as(options, &Start::default())
    }

    /// The same, in another way. `SULLY_TEST_GUEST` names the program that is tested, where it is not this build's.
    pub fn start_as(options: &str, how: &Start) -> Self {
        let report = tempfile::NamedTempFile::new().unwrap();
        let program = how.program.clone().unwrap_or_else(program);
        let mut command = match &how.group {
            // A shell goes ahead into the group.
            Some(group) => {
                let without = "setpriv --bounding-set=-ipc_lock -- prlimit --memlock=0";
                let without = if how.unlocked { without } else { "" };
                let script = format!("echo $$ >\"$0/cgroup.procs\" && exec {without} \"$@\"");
                let mut command = Command::new("sh");
                command.args(["-c", &script]).arg(group).arg(program);
                command
            }
            None if how.nice => {
                let mut command = Command::new("nice");
                command.args(["-n", "19"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.args("run -m 16M --baseline 0s --report -".split(' ')).args(options.split_whitespace());
        command.stdin(Stdio::null()).stdout(report.reopen().unwrap()).stderr(Stdio::null());
        if how.nobody {
            command.uid(65_534);
        }
        let guest = Self { child: command.spawn().unwrap(), report };
        guest.wait_for("\"type\":\"heartbeat\"");
        guest
    }

    /// Its process.
    pub fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// Its threads, with what follows `sully-` in their names.
    pub fn threads(&self) -> Vec<(u32, String)> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap().flatten();
        let named = tasks.filter_map(|task| {
            let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
            let id = task.file_name().to_str()?.parse().ok()?;
            Some((id, name.trim().strip_prefix("sully-")?.to_owned()))
        });
        named.collect()
    }

    fn wait_for(&self, text: &str) {
        let limit_ns = Monotonic.now_ns() + 60 * SECOND;
        while !std::fs::read_to_string(self.report.path()).unwrap().contains(text) {
            assert!(Monotonic.now_ns() < limit_ns, "no {text} within a minute");
            Monotonic.sleep_until(Monotonic.now_ns() + 20 * MS);
        }
    }

    /// Lets it end by itself and reads its report.
    pub fn end(mut self) -> Report {
        // 3: the load stayed below its target, which the longer stops see to.
        let code = self.child.wait().unwrap().code();
        assert!(matches!(code, Some(0 | 3)), "{code:?}");
        let (mut hello, mut intervals, mut gaps, mut end) = (None, Vec::new(), Vec::new(), None);
        let text = std::io::read_to_string(File::open(self.report.path()).unwrap()).unwrap();
        for line in text.lines() {
            match decode_record(line.as_bytes()).unwrap().body {
                Body::Hello(body) => hello = Some(*body),
                Body::Interval(interval) => intervals.push(*interval),
                Body::Gap(gap) => gaps.push(gap),
                Body::End(body) => end = Some(*body),
                _ => {}
            }
        }
        gaps.sort_by_key(|gap: &Gap| gap.start_ns + gap.len_ns);
        Report { hello: hello.unwrap(), intervals, gaps, end: end.unwrap() }
    }
}

/// The guest program under test.
pub fn program() -> PathBuf {
    std::env::var_os("SULLY_TEST_GUEST").unwrap_or_else(|| env!("CARGO_BIN_EXE_sully").into()).into()
}

impl Drop for Guest {
    fn drop(&mut self) {
        // After `end` it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Report {
    /// Intervals that lie within the span.
    fn within(&self, from_ns: u64, until_ns: u64) -> impl Iterator<Item = &Interval> {
        self.intervals
            .iter()
            .filter(move |interval| interval.start_ns >= from_ns && interval.end_ns <= until_ns)
    }

    /// The throttles reported, in percent, of intervals that lie within the span.
    pub fn throttles(&self, from_ns: u64, until_ns: u64) -> Vec<f64> {
        self.within(from_ns, until_ns)
            .filter_map(|interval| interval.throttle)
            .map(|throttle| percent(&throttle))
            .collect()
    }

    /// Intervals that lie within the span.
    pub fn windows(&self, from_ns: u64, until_ns: u64) -> usize {
        self.within(from_ns, until_ns).count()
    }

    /// The time of a class in the interval in which a stop ended and the one after it, in ms, sum over canaries.
    pub fn told_ms(&self, class: &str, stop: &Stop) -> u64 {
        let near = self
            .intervals
            .iter()
            .filter(|interval| interval.end_ns >= stop.to_ns && interval.start_ns <= stop.to_ns + 100 * MS);
        near.filter_map(|interval| interval.stall_ms.as_ref()?.get(class)).sum()
    }

    /// Puts the time by class of all intervals that touch the span into the matrix, and returns how much of it is
    /// `right`, in percent.
    pub fn tell(&self, form: &str, injected: &str, right: GapClass, (from_ns, until_ns): (u64, u64)) -> f64 {
        let mut sums = std::collections::BTreeMap::new();
        for interval in &self.intervals {
            if interval.end_ns > from_ns && interval.start_ns < until_ns {
                for (class, ms) in interval.stall_ms.iter().flatten() {
                    *sums.entry(class.clone()).or_insert(0) += ms;
                }
            }
        }
        for (class, ms) in &sums {
            say::cell(form, injected, class, *ms);
        }
        let all: u64 = sums.values().sum();
        100.0 * sums.get(right.name()).copied().unwrap_or(0) as f64 / all.max(1) as f64
    }
}

/// The percent to a tenth of a point, where the law lets the period say it.
fn percent(throttle: &Throttle) -> f64 {
    match throttle.law {
        ThrottleLaw::Qemu => 100.0 * (1.0 - 1e7 / throttle.period_ns as f64),
        ThrottleLaw::Unknown => throttle.percent as f64,
    }
}
