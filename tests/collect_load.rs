//! Many guests and one collector: what it costs, and that nothing is lost.
//!
//! `make bench-collect` asks for more guests and more time than the short form.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use sully::lab::hostclock;
use sully::record::{Body, Heartbeat, Interval, Latency, Record, SelfCost, SessionId};
use sully::wire::encode_record;

/// How often each guest says something.
const PERIOD: Duration = Duration::from_millis(100);

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// A guest that says one record each period: an interval each second, heartbeats between.
struct Guest {
    stream: UnixStream,
    session: u64,
    seq: u64,
    heard_bytes: u64,
}

impl Guest {
    fn says(&mut self) {
        let at_ns = self.seq * 100_000_000;
        let body = if self.seq.is_multiple_of(10) { interval(at_ns) } else { heartbeat() };
        let record = Record { session: SessionId(self.session), seq: self.seq, mono_ns: at_ns, body };
        self.stream.write_all(&encode_record(&record)).unwrap();
        self.seq += 1;
        let mut heard = [0; 4096];
        match self.stream.read(&mut heard) {
            Ok(count) => self.heard_bytes += count as u64,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
}

fn heartbeat() -> Body {
    Body::Heartbeat(Heartbeat {
        real_ns: 1,
        tsc: Some(2),
        disruptions: None,
        ptp_ns: None,
        clocksource: None,
    })
}

/// An interval of the usual length: two packed histograms make most of it.
fn interval(end_ns: u64) -> Body {
    let latency = Latency { count: 9, p50: Some(1), p90: Some(2), p99: Some(3), p999: Some(4), max: Some(5) };
    Body::Interval(Box::new(Interval {
        phase: "run".into(),
        start_ns: end_ns.saturating_sub(1_000_000_000),
        end_ns,
        writes: 25_600,
        offered: Some(25_600),
        missed: Some(0),
        backlog: Some(0),
        target_pages_per_s: Some(25_600),
        service_ns: latency,
        response_ns: latency,
        service_hist: "H".repeat(600),
        response_hist: "H".repeat(600),
        self_cost: SelfCost { cpu_ns: 1, pages_dirtied: None },
        ..Interval::default()
    }))
}

fn collector(dir: &Path, metrics: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sully-lab"));
    command.arg("collect").arg(dir.join("*.sock")).arg("--out").arg(dir.join("out"));
    command.args(["--prometheus", metrics, "--duration", "10m"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// CPU time a process has taken, in ms, and the most memory it had, in KiB.
fn cost(process: u32) -> (u64, u64) {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = [11, 12].iter().map(|index| fields[*index].parse::<u64>().unwrap()).sum();
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    (ticks * 10, peak.trim().trim_end_matches(" kB").parse().unwrap())
}

/// What the collector's metrics say.
fn metrics(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[expect(clippy::disallowed_methods, reason = "watching real processes takes real time")]
fn wait(span: Duration) {
    std::thread::sleep(span);
}

#[test]
fn many_guests_cost_one_collector_little_and_none_of_their_records_is_lost() {
    let (count, seconds) = (number("SULLY_GUESTS", 40), number("SULLY_SECONDS", 3));
    let (_, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let listeners: Vec<UnixListener> = (0..count)
        .map(|index| UnixListener::bind(dir.path().join(format!("{index}.sock"))).unwrap())
        .collect();
    let mut collecting = collector(dir.path(), &address);
    let connected = listeners.iter().zip(1..).map(|(listener, session)| {
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        Guest { stream, session, seq: 0, heard_bytes: 0 }
    });
    let mut guests: Vec<Guest> = connected.collect();
    let (begin_ns, begun) = (hostclock::mono_ns(), cost(collecting.id()));
    for step in 1..=seconds * 10 {
        guests.iter_mut().for_each(Guest::says);
        let due_ns = begin_ns + step * 100_000_000;
        wait(Duration::from_nanos(due_ns.saturating_sub(hostclock::mono_ns())).min(PERIOD));
    }
    let shown = metrics(&address);
    let ended = cost(collecting.id());
    kill(Pid::from_raw(i32::try_from(collecting.id()).unwrap()), Signal::SIGINT).unwrap();
    assert!(collecting.wait().unwrap().success(), "every stream arrived whole");

    let sent: u64 = guests.iter().map(|guest| guest.seq).sum();
    let kept = guests.iter().map(|guest| {
        let file = dir.path().join("out").join(SessionId(guest.session).to_string()).join("records.ndjson");
        std::fs::read_to_string(file).unwrap().lines().count() as u64
    });
    let lost = sent - kept.sum::<u64>();
    let elapsed_ms = (hostclock::mono_ns() - begin_ns) / 1_000_000;
    eprintln!(
        "{count} guests, {sent} records in {elapsed_ms} ms: CPU {} ms ({:.1} % of one), memory at most {} KiB, lost = {lost}",
        ended.0 - begun.0,
        100.0 * (ended.0 - begun.0) as f64 / elapsed_ms as f64,
        ended.1
    );
    assert_eq!(lost, 0);
    assert!(guests.iter().all(|guest| guest.heard_bytes > 0), "every guest was attached to and acknowledged");
    let rates = shown.lines().filter(|line| line.starts_with("sully_dirty_bytes_per_second{"));
    assert!(
        rates.clone().count() as u64 == count && rates.clone().all(|line| line.ends_with(" 104857600.0")),
        "{shown}"
    );
}
