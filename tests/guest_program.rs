//! The guest program as a user runs it: real memory, real clock, real files and sockets, no VM.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "guest_program/clock.rs"]
mod clock;
#[path = "guest_program/content.rs"]
mod content;
#[path = "guest_program/distinct.rs"]
mod distinct;
#[path = "guest_program/integrity.rs"]
mod integrity;
#[path = "guest_program/limits.rs"]
mod limits;
#[path = "guest_program/memory.rs"]
mod memory;
#[path = "guest_program/output.rs"]
mod output;
#[path = "guest_program/pacing.rs"]
mod pacing;
#[path = "guest_program/targets.rs"]
mod targets;
#[path = "guest_program/wrong.rs"]
mod wrong;

use assert_cmd::Command;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;
use sully::record::{Body, CorruptionCounts, End, EndReason, Interval, Record};
use sully::wire::decode_record;

fn sully(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sully"));
    command.args(arguments.split_whitespace()).timeout(Duration::from_mins(1));
    command
}

fn spawn(arguments: &str) -> Child {
    std::process::Command::new(env!("CARGO_BIN_EXE_sully"))
        .args(arguments.split_whitespace())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The exit code of a run that fails, and what it says on standard error.
fn failure(arguments: &str) -> (Option<i32>, String) {
    let output = sully(arguments).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// Every line of a report, each a whole record, the sequence without a hole or a double.
fn records(path: &Path) -> Vec<Record> {
    let text = std::fs::read(path).unwrap();
    assert_eq!(text.last(), Some(&b'\n'), "the last line is whole");
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let records: Vec<Record> = lines.map(|line| decode_record(line).unwrap()).collect();
    for (index, record) in records.iter().enumerate() {
        assert_eq!((record.seq, record.session), (index as u64, records[0].session));
    }
    records
}

fn intervals(records: &[Record]) -> Vec<&Interval> {
    let interval = |record: &'_ Record| matches!(record.body, Body::Interval(_));
    records
        .iter()
        .filter(|record| interval(record))
        .map(|record| match &record.body {
            Body::Interval(interval) => interval.as_ref(),
            _ => unreachable!("filtered"),
        })
        .collect()
}

fn end(records: &[Record]) -> &End {
    match &records.last().unwrap().body {
        Body::End(end) => end,
        other => panic!("the last record is {}", other.type_name()),
    }
}

#[test]
fn a_run_reports_from_hello_to_end_and_its_counts_add_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    sully(&format!("run -m 32M -r 20M/s -t 2 -d 2s --baseline 1s -i 100ms --report file:{}", path.display()))
        .assert()
        .success();
    let records = records(&path);
    let Body::Hello(hello) = &records[0].body else { panic!("no hello") };
    assert_eq!((hello.schema, hello.plan.threads, hello.plan.memory_bytes), (1, 2, 32 << 20));
    assert_eq!(hello.memory.resident_bytes, hello.memory.bytes, "all resident before the first record");

    let intervals = intervals(&records);
    assert!(intervals.windows(2).all(|pair| pair[0].end_ns == pair[1].start_ns), "no time between intervals");
    assert_eq!(intervals[0].phase, "baseline");
    assert_eq!(intervals.last().unwrap().phase, "run");
    let end = end(&records);
    assert_eq!(end.reason, EndReason::Duration);
    assert_eq!(end.totals.writes, intervals.iter().map(|interval| interval.writes).sum::<u64>());
    assert_eq!(end.totals.writes, end.service_ns.count);
    assert_eq!(end.service_ns.count, end.response_ns.count);
    assert_eq!(
        (end.totals.corruptions, end.totals.pages_swept),
        (Some(CorruptionCounts::default()), Some(8192))
    );
    assert!(
        intervals.iter().all(|interval| interval.pages_unique.is_some_and(|pages| pages <= interval.writes))
    );
    assert!(end.service_hist.starts_with("HISTFA"));
    assert!(records.iter().any(|record| matches!(record.body, Body::Heartbeat(_))));
}

#[test]
fn the_mean_rate_is_the_one_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    sully(&format!("run -m 64M -r 50M/s -t 1 -d 4s --baseline 0s -i 100ms --report file:{}", path.display()))
        .assert()
        .success();
    let totals = end(&records(&path)).totals.clone();
    let asked = 12_800.0 * totals.elapsed_ns as f64 / 1e9;
    let ratio = totals.writes as f64 / asked;
    assert!((ratio - 1.0).abs() < 0.01, "achieved / asked = {ratio}");
}

#[test]
fn at_every_pace_the_plan_is_echoed_and_the_counts_add_up() {
    for pacing in ["--pace poisson --backlog shed", "--pace burst:100ms/200ms --catch-up 9"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let run = format!(
            "run -m 16M -r 9000p/s -t 2 -d 2s --baseline 0s -i 100ms --report file:{}",
            path.display()
        );
        let code = sully(&format!("{run} {pacing}")).output().unwrap().status.code();
        assert!(matches!(code, Some(0 | 3)), "a busy machine may miss some: {code:?}");
        let records = records(&path);
        let Body::Hello(hello) = &records[0].body else { panic!("no hello") };
        let echoed = format!(
            "--pace {} --backlog {} --catch-up {}",
            hello.plan.pace, hello.plan.backlog, hello.plan.catch_up
        );
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(words(pacing).iter().all(|word| words(&echoed).contains(word)), "{echoed}");
        let totals = &end(&records).totals;
        let (offered, missed, backlog) =
            (totals.offered.unwrap(), totals.missed.unwrap(), totals.backlog.unwrap());
        assert_eq!(offered, totals.writes + missed + backlog);
        let due = u128::from(totals.elapsed_ns) * 9_000 / 1_000_000_000;
        assert!(
            u128::from(offered).abs_diff(due) < 9_000 * 2 / 5,
            "{offered} for {due}: within a cycle or a block"
        );
        let mut behind = 0;
        for interval in intervals(&records) {
            let past = interval.writes + interval.missed.unwrap() + interval.backlog.unwrap();
            assert_eq!(interval.offered.unwrap() + behind, past);
            behind = interval.backlog.unwrap();
        }
    }
}

#[test]
fn reads_come_on_top_of_the_rate_and_are_counted_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let load = "run -m 32M -r 20M/s -p zipf:0.99 --reads 75% -t 2 -d 2s --baseline 0s -i 100ms";
    sully(&format!("{load} --report file:{}", path.display())).assert().success();
    let records = records(&path);
    let Body::Hello(hello) = &records[0].body else { panic!("no hello") };
    assert_eq!(
        (hello.plan.pattern.to_string(), hello.plan.reads.to_string()),
        ("zipf:0.99".into(), "75%".into())
    );
    let totals = &end(&records).totals;
    assert_eq!(totals.reads, intervals(&records).iter().map(|interval| interval.reads).sum::<u64>());
    assert_eq!(totals.writes + totals.reads, end(&records).service_ns.count);
    assert_eq!(totals.corruptions.map(|counts| counts.sum()), Some(0));
    // Three reads to a write, and each of two writers keeps its own to five visits wherever they are counted.
    assert!(totals.reads.abs_diff(3 * totals.writes) <= 2 * 5 * 4, "{totals:?}");
    let asked = 4.0 * 5_120.0 * totals.elapsed_ns as f64 / 1e9;
    let ratio = totals.offered.unwrap() as f64 / asked;
    assert!((ratio - 1.0).abs() < 0.01, "offered / asked = {ratio}");
}

#[test]
fn a_signal_ends_in_a_complete_end_record() {
    for (signal, name) in [(Signal::SIGINT, "SIGINT"), (Signal::SIGTERM, "SIGTERM")] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let mut child = spawn(&format!("run -m 16M -i 100ms --report unix:{}", path.display()));
        let (socket, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(socket).lines();
        lines.next().unwrap().unwrap();
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
        let last = lines.map_while(Result::ok).last().unwrap();
        let Body::End(end) = decode_record(last.as_bytes()).unwrap().body else { panic!("{last}") };
        assert_eq!((end.reason, end.detail.as_deref()), (EndReason::Signal, Some(name)));
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn a_full_disk_ends_the_run_and_the_other_target_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let run = format!("run -m 16M -i 50ms --report file:{} --report file:/dev/full", path.display());
    let (code, message) = failure(&run);
    assert!(code == Some(1) && message.contains("/dev/full"), "{code:?} {message}");
    let records = records(&path);
    let end = end(&records);
    assert_eq!(end.reason, EndReason::ReportFailed);
    assert!(end.detail.as_deref().unwrap().contains("/dev/full"), "{:?}", end.detail);
}

#[test]
fn a_reader_that_goes_away_ends_a_run_that_has_no_other() {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_sully"))
        .args("run -m 16M -i 20ms --report -".split(' '))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 100];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert!(first.starts_with(b"{\"type\":\"hello\""));
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let mut message = String::new();
    child.stderr.take().unwrap().read_to_string(&mut message).unwrap();
    assert!(message.contains("report target -"), "{message}");
}

#[test]
fn a_host_on_a_socket_is_answered_and_can_stop_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let mut child = spawn(&format!("run -m 16M --report unix:{}", path.display()));
    let (mut socket, _) = listener.accept().unwrap();
    let lines = BufReader::new(socket.try_clone().unwrap()).lines();
    socket
        .write_all(b"{\"type\":\"explode\",\"id\":1}\n{\"type\":\"mark\",\"id\":2,\"text\":\"x\"}\n")
        .unwrap();
    socket.write_all(b"{\"type\":\"stop\",\"id\":3}\n").unwrap();
    let bodies: Vec<Body> =
        lines.map_while(Result::ok).map(|line| decode_record(line.as_bytes()).unwrap().body).collect();
    let replies: Vec<(Option<u64>, bool)> = bodies
        .iter()
        .filter_map(|body| match body {
            Body::Reply(reply) => Some((reply.to, reply.ok)),
            _ => None,
        })
        .collect();
    assert_eq!(replies, [(Some(1), false), (Some(2), true), (Some(3), true)]);
    assert!(matches!(bodies.last(), Some(Body::End(end)) if end.reason == EndReason::Stop));
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_socket_that_closes_is_connected_to_again_at_the_start_of_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let mut child = spawn(&format!("run -m 16M -i 20ms --report unix:{}", path.display()));
    drop(listener.accept().unwrap());
    let (socket, _) = listener.accept().unwrap();
    let mut lines = BufReader::new(socket.try_clone().unwrap()).lines();
    for _ in 0..5 {
        decode_record(lines.next().unwrap().unwrap().as_bytes()).unwrap();
    }
    (&socket).write_all(b"{\"type\":\"stop\"}\n").unwrap();
    assert!(lines.map_while(Result::ok).last().unwrap().contains("\"end\""));
    assert!(child.wait().unwrap().success());
}

#[test]
fn without_latency_visits_are_counted_and_not_timed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let run = "run -m 16M -r 20M/s -t 1 -d 500ms --baseline 0s --no-latency --verify off -w page --reads 50%";
    sully(&format!("{run} --report file:{}", path.display())).assert().success();
    let records = records(&path);
    let end = end(&records);
    assert!(end.totals.writes >= 2_000 && end.service_ns.count == 0, "{:?}", end.totals);
    assert!(end.totals.reads.abs_diff(end.totals.writes) <= 10, "{:?}", end.totals);
    assert_eq!((end.totals.corruptions, end.totals.pages_swept), (None, None));
    assert!(intervals(&records).iter().all(|interval| interval.pages_unique.is_none()));
}

#[test]
fn without_a_target_a_table_is_printed() {
    let output = sully("run -m 16M -d 1s -i 200ms --baseline 0s").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("achieved") && text.contains("dirtied in"), "{text}");
}

#[test]
fn a_load_that_cannot_be_reached_ends_with_code_3() {
    let (code, message) = failure("run -m 16M -r 1000000000p/s -t 1 -d 1s");
    assert!(code == Some(3) && message.contains("--rate"), "{code:?} {message}");
}

#[test]
fn wrong_inputs_are_repeated_and_answered_with_the_way_out() {
    for (arguments, repeated, way_out) in [
        ("run -m lots", "'lots'", "512M"),
        ("run -m 999999G", "999999G", "--memory"),
        ("run -m 175%", "'175%'", "75%"),
        ("run -m 1", "--memory 1", "64M"),
        ("run -r 100", "'100'", "100M/s"),
        ("run -r -5M/s", "-5M/s", "--rate"),
        ("run -p zigzag", "'zigzag'", "shuffle"),
        ("run --pace brisk", "'brisk'", "burst:200ms/800ms"),
        ("run --pace burst:1s", "'burst:1s'", "burst:ON/OFF"),
        ("run --pace burst:0s/1s", "'burst:0s/1s'", "1ms to 1h"),
        ("run --pace poisson -r max", "--pace poisson", "--rate 100M/s"),
        ("run --backlog drop", "'drop'", "repay or shed"),
        ("run --catch-up 0", "--catch-up 0", "--catch-up 1 never"),
        ("run --catch-up 101", "--catch-up 101", "1 to 100"),
        ("run -p zipf:much", "'zipf:much'", "zipf:0.99"),
        ("run -p zipf:0", "'zipf:0'", "0.001 to 10"),
        ("run -p hotspot:10/90", "'hotspot:10/90'", "hotspot:10%/90%"),
        ("run -p stride:0", "'stride:0'", "stride:512"),
        ("run -p hotspot:10%/90%/5p/s -r max", "hotspot:10%/90%/5p/s", "--rate 100M/s"),
        ("run --reads 120%", "'120%'", "75%"),
        ("run --reads 100%", "--reads 100%", "--rate max"),
        ("run --reads 99% -r 1000000000p/s", "100000000000 visits", "--rate"),
        ("run -w 7", "'7'", "page"),
        ("run -w 8192", "'8192'", "4096"),
        ("run --verify maybe", "'maybe'", "on or off"),
        ("run -t 0", "--threads 0", "one writer per vCPU"),
        ("run -t many", "'many'", "--threads"),
        ("run -d soon", "'soon'", "1m30s"),
        ("run -d 0s", "--duration 0s", "10s"),
        ("run -i 1ms", "--interval 1ms", "100ms"),
        ("run --pages 3M", "'3M'", "4k, thp, 2M or 1G"),
        ("run --backing disk", "'disk'", "file:PATH"),
        ("run --backing file:/nonexistent/x", "/nonexistent/x", "may be written"),
        ("run -m 8M --backing file:/proc/self/exe", "/proc/self/exe", "neither cut nor overwritten"),
        ("run --numa left", "'left'", "interleave"),
        ("run -m 8M --numa 999", "--numa 999", "leave --numa out"),
        ("run -m 999G --pages 2M", "--memory 999G", "nr_hugepages"),
        ("run -m 1M --pages thp", "--memory 1M", "64M"),
        ("check -m lots", "'lots'", "512M"),
        ("run --report tcp:1.2.3.4", "'tcp:1.2.3.4'", "file:PATH"),
        ("run --report file:/nonexistent/x", "/nonexistent/x", "cannot be opened"),
        ("run --report virtio:org.none.0", "'org.none.0'", "virtserialport"),
        ("run --speed 5", "--speed", "--help"),
        ("walk", "walk", "--help"),
    ] {
        let (code, message) = failure(arguments);
        assert!(matches!(code, Some(1 | 2)), "{arguments}: {code:?}");
        assert!(message.contains(repeated) && message.contains(way_out), "{arguments}:\n{message}");
    }
}
