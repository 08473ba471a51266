//! The guest program as a user runs it: real memory, real clock, real files and sockets, no VM.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use assert_cmd::Command;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;
use sully::record::{Body, End, EndReason, Interval, Record};
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

#[test]
fn what_the_run_writes_is_seen_in_its_backing_file_from_outside() {
    let dir = tempfile::tempdir().unwrap();
    let (region, report) = (dir.path().join("region"), dir.path().join("out"));
    let (region_text, report_text) = (region.display(), report.display());
    sully(&format!(
        "run -m 4M --backing file:{region_text} -r max -t 2 -d 300ms --baseline 0s --report file:{report_text}"
    ))
    .assert()
    .success();
    let bytes = std::fs::read(&region).unwrap();
    let pages: Vec<&[u8]> = bytes.chunks(4096).collect();
    let word = |page: &[u8]| u64::from_ne_bytes(page[..8].try_into().unwrap());
    let distinct: std::collections::HashSet<&&[u8]> = pages.iter().collect();
    assert_eq!((pages.len(), distinct.len()), (1024, 1024), "no two pages alike");
    let records = records(&report);
    // Every page was visited in so many laps; the visits left more than the fill did.
    assert!(end(&records).totals.writes > 4096);
    assert!(pages.iter().all(|page| sully::content::is_visited(word(page)) && word(page) > 0));
    let Body::Hello(hello) = &records[0].body else { panic!("no hello") };
    assert_eq!(hello.plan.kind.backing.to_string(), format!("file:{region_text}"));
    assert_eq!((hello.memory.page_bytes_asked, hello.memory.resident_bytes), (Some(4096), 4 << 20));

    let (code, message) = failure(&format!("run -m 8M --backing file:{region_text} -d 100ms"));
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("--memory 4M"), "{message}");
    assert_eq!(std::fs::read(&region).unwrap(), bytes, "left alone");
}

#[test]
fn a_check_says_line_by_line_whether_the_plan_can_be_run() {
    let output = sully("check -m 8M").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && !text.contains("FAULT"), "{text}");
    for name in ["memory", "pages", "numa", "lock", "backing", "writers", "canaries", "clock", "port"] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name}\n{text}");
    }

    let output = sully("check -m 8M --numa 999 --report virtio:org.none.0").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert_eq!(text.matches("FAULT").count(), 2, "{text}");
    assert!(text.contains("leave --numa out") && text.contains("virtserialport"), "{text}");
}
