//! A guest program under test, started from outside, and what it reported.

use super::stops::Stop;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use sully::clock::{Clock, Monotonic};
use sully::record::{Body, Gap, GapClass, Hello, Interval, Throttle, ThrottleLaw};
use sully::wire::decode_record;

pub const MS: u64 = 1_000_000;
pub const SECOND: u64 = 1_000_000_000;

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
}

impl Guest {
    /// Runs `sully run` with these options, as `nobody` where that is asked for; returns once it has begun.
    pub fn start(options: &str, nobody: bool) -> Self {
        let report = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sully"));
        command.args("run -m 16M --baseline 0s --report -".split(' ')).args(options.split_whitespace());
        command.stdin(Stdio::null()).stdout(report.reopen().unwrap()).stderr(Stdio::null());
        if nobody {
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
        let (mut hello, mut intervals, mut gaps) = (None, Vec::new(), Vec::new());
        let text = std::io::read_to_string(File::open(self.report.path()).unwrap()).unwrap();
        for line in text.lines() {
            match decode_record(line.as_bytes()).unwrap().body {
                Body::Hello(body) => hello = Some(*body),
                Body::Interval(interval) => intervals.push(*interval),
                Body::Gap(gap) => gaps.push(gap),
                _ => {}
            }
        }
        gaps.sort_by_key(|gap: &Gap| gap.start_ns + gap.len_ns);
        Report { hello: hello.unwrap(), intervals, gaps }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // After `end` it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Report {
    /// The throttles reported, in percent, of intervals that lie within the span.
    pub fn throttles(&self, from_ns: u64, until_ns: u64) -> Vec<f64> {
        let inside = self
            .intervals
            .iter()
            .filter(|interval| interval.start_ns >= from_ns && interval.end_ns <= until_ns);
        inside.filter_map(|interval| interval.throttle).map(|throttle| percent(&throttle)).collect()
    }

    /// Intervals that lie within the span.
    pub fn windows(&self, from_ns: u64, until_ns: u64) -> usize {
        let inside = |interval: &&Interval| interval.start_ns >= from_ns && interval.end_ns <= until_ns;
        self.intervals.iter().filter(inside).count()
    }

    /// The time of a class in the interval in which a stop ended and the one after it, in ms, sum over canaries.
    pub fn told_ms(&self, class: &str, stop: &Stop) -> u64 {
        let near = self
            .intervals
            .iter()
            .filter(|interval| interval.end_ns >= stop.to_ns && interval.start_ns <= stop.to_ns + 100 * MS);
        near.filter_map(|interval| interval.stall_ms.as_ref()?.get(class)).sum()
    }

    /// The time of gaps that end within the span: all, and that of one class, in ns.
    pub fn lost_ns(&self, from_ns: u64, until_ns: u64, class: GapClass) -> (u64, u64) {
        let mut sums = (0, 0);
        for gap in self.gaps.iter().filter(|gap| (from_ns..=until_ns).contains(&(gap.start_ns + gap.len_ns)))
        {
            sums.0 += gap.len_ns;
            sums.1 += if gap.class == class { gap.len_ns } else { 0 };
        }
        sums
    }
}

/// The percent to a tenth of a point, where the law lets the period say it.
fn percent(throttle: &Throttle) -> f64 {
    match throttle.law {
        ThrottleLaw::Qemu => 100.0 * (1.0 - 1e7 / throttle.period_ns as f64),
        ThrottleLaw::Unknown => throttle.percent as f64,
    }
}

/// The middle one.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}
