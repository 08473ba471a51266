//! The link from outside: a real guest program, real collectors that are killed, readers of every bad habit.
//!
//! `SULLY_LINK_SECONDS` makes the comparison of readers longer (`make bench-link`).
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod chardev;

use chardev::Chardev;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use sully::lab::hostclock;
use sully::record::{Arrival, Body, Interval};
use sully::wire::decode_record;

/// A process that does not outlive its test.
struct Running(Child);

impl Running {
    fn start(program: &str, arguments: &str) -> Self {
        let mut command = Command::new(program);
        command.args(arguments.split_whitespace()).stdout(Stdio::null()).stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), signal).unwrap();
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Its exit code and what it said on standard error.
    fn end(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.0.wait().unwrap().code(), said)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn guest(arguments: &str) -> Running {
    Running::start(env!("CARGO_BIN_EXE_sully"), arguments)
}

fn collector(socket: &Path, out: &Path) -> Running {
    let arguments = format!("collect {} --out {} --duration 90s", socket.display(), out.display());
    Running::start(env!("CARGO_BIN_EXE_sully-lab"), &arguments)
}

fn ctl(target: &Path, command: &str) -> Output {
    let mut ctl = Command::new(env!("CARGO_BIN_EXE_sully-lab"));
    ctl.arg("ctl").arg(target).args(command.split_whitespace()).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Waits, at most a minute, until something is so.
fn comes_to(is_so: impl Fn() -> bool) -> bool {
    (0..1200).any(|_| {
        wait(Duration::from_millis(50));
        is_so()
    })
}

#[expect(clippy::disallowed_methods, reason = "watching real processes takes real time")]
fn wait(span: Duration) {
    std::thread::sleep(span);
}

/// The only session below `out`.
fn session(out: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(out).ok()?.flatten().map(|entry| entry.path());
    let mut sessions: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    assert!(sessions.len() <= 1, "{sessions:?}");
    sessions.pop()
}

fn kept(out: &Path) -> String {
    session(out).and_then(|dir| std::fs::read_to_string(dir.join("records.ndjson")).ok()).unwrap_or_default()
}

#[test]
fn collectors_that_are_killed_at_any_moment_lose_nothing_and_keep_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (out, port) = (dir.path().join("out"), Chardev::start(dir.path()));
    let mut run =
        guest(&format!("run -m 16M -r 5M/s --baseline 0s -i 20ms --report unix:{}", port.guest.display()));
    let mut collecting = collector(&port.host, &out);
    assert!(comes_to(|| kept(&out).contains("\"interval\"")));
    for _ in 0..8 {
        let moment = RandomState::new().hash_one(hostclock::mono_ns()) % 600;
        wait(Duration::from_millis(moment));
        collecting.kill();
        collecting = collector(&port.host, &out);
    }
    let before = kept(&out).len();
    assert!(comes_to(|| kept(&out).len() > before), "the last collector collects");
    let (code, said) = (ctl(&out, "stop").status.code(), text(&ctl(&out, "ping")));
    assert_eq!(code, Some(0), "{said}");
    assert!(run.0.wait().unwrap().success());
    assert!(comes_to(|| kept(&out).contains("\"type\":\"end\"")));
    collecting.signal(Signal::SIGINT);
    assert_eq!(collecting.end().0, Some(0));

    let arrivals: Vec<Arrival> = kept(&out).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut seqs: Vec<u64> = arrivals.iter().map(|arrival| arrival.record.seq).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (0..arrivals.len() as u64).collect::<Vec<_>>(), "no hole, no double");
    let end = arrivals.iter().map(|arrival| &arrival.record.body).find_map(|body| match body {
        Body::End(end) => Some(end),
        _ => None,
    });
    let intervals = arrivals.iter().filter_map(|arrival| match &arrival.record.body {
        Body::Interval(interval) => Some(interval.writes),
        _ => None,
    });
    assert_eq!(end.unwrap().totals.writes, intervals.sum::<u64>(), "every visit is counted once");
    let about = std::fs::read(session(&out).unwrap().join("session.json")).unwrap();
    let about: serde_json::Value = serde_json::from_slice(&about).unwrap();
    for fault in ["holes", "doubles", "torn"] {
        assert_eq!(about["stream"][fault], 0, "{about}");
    }
}

#[test]
fn people_command_a_guest_directly_and_through_its_collector() {
    let dir = tempfile::tempdir().unwrap();
    let (out, port) = (dir.path().join("out"), Chardev::start(dir.path()));
    let _run = guest(&format!("run -m 16M -r 1M/s -i 100ms --report unix:{}", port.guest.display()));
    let direct = ctl(&port.host, "ping");
    assert_eq!((direct.status.code(), text(&direct).as_str()), (Some(0), "ok\n"));

    let collecting = collector(&port.host, &out);
    assert!(comes_to(|| !kept(&out).is_empty()));
    let vm = session(&out).unwrap();
    let refused = ctl(&vm, "explode at=once");
    assert!(refused.status.code() == Some(3) && text(&refused).contains("'explode'"), "{}", text(&refused));
    assert_eq!(ctl(&out, "mark the backup begins").status.code(), Some(0));
    assert!(comes_to(|| kept(&out).contains("the backup begins")));
    let unknown = ctl(&out.join("nobody"), "ping");
    assert!(
        unknown.status.code() == Some(1) && text(&unknown).contains("Connected are"),
        "{}",
        text(&unknown)
    );

    let second = collector(&port.host, &out);
    let (code, said) = second.end();
    assert!(code == Some(2) && said.contains("another collector"), "{said}");
    collecting.signal(Signal::SIGINT);
    assert_eq!(collecting.end().0, Some(0));
    let none = ctl(&vm, "ping");
    assert!(none.status.code() == Some(1) && text(&none).contains("no collector"), "{}", text(&none));
    assert_eq!(ctl(&port.host, "stop").status.code(), Some(0), "the port is free again");
}

/// How a reader behaves for a while.
#[derive(Debug, Clone, Copy)]
enum Habit {
    Reads,
    Stops,
    Closes,
    IsAbsent,
}

/// Lets a reader on `listener` have a habit for some time; when that was, on the clock both sides share.
fn have(habit: Habit, path: &Path, span: Duration) -> (u64, u64) {
    let _ = std::fs::remove_file(path);
    let listener = (!matches!(habit, Habit::IsAbsent)).then(|| UnixListener::bind(path).unwrap());
    let begin_ns = hostclock::mono_ns();
    let until = begin_ns + u64::try_from(span.as_nanos()).unwrap();
    let accept = || listener.as_ref().map(|listener| listener.accept().unwrap().0);
    match habit {
        Habit::IsAbsent => wait(span),
        Habit::Stops => {
            let _held = accept();
            wait(span);
        }
        Habit::Reads => {
            let mut lines = BufReader::new(accept().unwrap()).lines();
            while hostclock::mono_ns() < until && lines.next().is_some() {}
        }
        Habit::Closes => {
            while hostclock::mono_ns() < until {
                let _held = accept();
                wait(Duration::from_millis(100));
            }
        }
    }
    (begin_ns, hostclock::mono_ns())
}

#[test]
fn no_habit_of_a_reader_moves_the_load() {
    let seconds = std::env::var("SULLY_LINK_SECONDS").ok().and_then(|text| text.parse().ok());
    let span = Duration::from_secs(seconds.unwrap_or(2));
    let dir = tempfile::tempdir().unwrap();
    let (whole, abused) = (dir.path().join("whole"), dir.path().join("abused"));
    let targets = format!("--report file:{} --report unix:{}", whole.display(), abused.display());
    let run = guest(&format!("run -m 32M -r 20M/s -t 1 --baseline 0s -i 50ms {targets}"));
    assert!(comes_to(|| std::fs::read_to_string(&whole).is_ok_and(|text| text.contains("\"interval\""))));
    let habits = [Habit::Reads, Habit::Stops, Habit::Closes, Habit::IsAbsent];
    // Each habit twice, there and back, so that what drifts meets all of them alike.
    let order = habits.iter().chain(habits.iter().rev());
    let spans: Vec<(Habit, (u64, u64))> = order.map(|habit| (*habit, have(*habit, &abused, span))).collect();
    run.signal(Signal::SIGINT);
    // The last reader is gone, and what it did not read is said.
    let (code, said) = run.end();
    assert!(code == Some(1) && said.contains("records: nobody reads there"), "{code:?}: {said}");

    let text = std::fs::read(&whole).unwrap();
    let records = text.split(|byte| *byte == b'\n').filter_map(|line| decode_record(line).ok());
    let intervals: Vec<Interval> = records
        .filter_map(|record| match record.body {
            Body::Interval(interval) => Some(*interval),
            _ => None,
        })
        .collect();
    // Of each habit the calmer of its two times: other programs on the machine come and go.
    let figures: Vec<(f64, u64)> = (0..4)
        .map(|index| {
            let (one, other) = (figures(&intervals, spans[index].1), figures(&intervals, spans[7 - index].1));
            (one.0.midpoint(other.0), one.1.min(other.1))
        })
        .collect();
    for (habit, (rate, p99_ns)) in habits.iter().zip(&figures) {
        eprintln!("{habit:?}: {rate:.0} pages/s, median of the intervals' service p99 {p99_ns} ns");
    }
    let (read_rate, read_p99_ns) = figures[0];
    for (habit, (rate, p99_ns)) in habits.iter().zip(&figures).skip(1) {
        assert!((rate / read_rate - 1.0).abs() < 0.05, "{habit:?}: {rate} against {read_rate}");
        assert!(*p99_ns < 4 * read_p99_ns, "{habit:?}: {p99_ns} against {read_p99_ns} ns");
    }
}

/// The achieved rate and the median p99 of the intervals within a span.
fn figures(intervals: &[Interval], (begin_ns, end_ns): (u64, u64)) -> (f64, u64) {
    let within = |interval: &&Interval| interval.start_ns >= begin_ns && interval.end_ns <= end_ns;
    let inside: Vec<&Interval> = intervals.iter().filter(within).collect();
    let writes: u64 = inside.iter().map(|interval| interval.writes).sum();
    let time_ns: u64 = inside.iter().map(|interval| interval.end_ns - interval.start_ns).sum();
    let mut p99s: Vec<u64> = inside.iter().filter_map(|interval| interval.service_ns.p99).collect();
    p99s.sort_unstable();
    (writes as f64 * 1e9 / time_ns as f64, p99s[p99s.len() / 2])
}
