//! Reading back what was written, and what was written badly.

use super::*;
use crate::lab::timeline::fixture::{FixtureData, Story, write_dir};
use crate::record::{Arrival, Body};
use std::{fs, io::Write};

fn written() -> (tempfile::TempDir, FixtureData) {
    let data = Story { begin_ms: -500, end_ms: 500, blackout: None, ..Story::precopy() }.run_data();
    let dir = tempfile::tempdir().unwrap();
    write_dir(&data, dir.path());
    (dir, data)
}

fn append(dir: &Path, name: &str, text: &str) {
    let mut file = fs::OpenOptions::new().append(true).open(dir.join(name)).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn what_was_written_is_read_back() {
    let (dir, data) = written();
    let (read, kept) = (RunData::read(dir.path()).unwrap(), data.data().records);
    assert_eq!((&read.dir_name, &read.run, &read.qemu), (&name_of(dir.path()), &data.run, &data.qemu));
    assert_eq!((&read.records.stamps, &read.records.intervals), (&kept.stamps, &kept.intervals));
    assert_eq!((read.source_console, read.remarks), (data.source_console, Vec::<String>::new()));
    let is_interval = |arrival: &&Arrival| matches!(arrival.record.body, Body::Interval(_));
    let whole: Vec<&Arrival> = data.arrivals.iter().filter(is_interval).collect();
    let mut lines = read.records.interval_lines().unwrap();
    assert!(whole.len() == read.records.intervals.len() && whole.len() > 5);
    // Forwards and backwards: wherever a line begins it is found again, whole.
    let mut pairs: Vec<_> = whole.iter().zip(&read.records.intervals).collect();
    for _ in 0..2 {
        for (arrival, figures) in &pairs {
            let Body::Interval(interval) = &arrival.record.body else { unreachable!() };
            assert_eq!(lines.whole(figures).as_ref(), Some(&**interval));
            assert_eq!(lines.histograms(figures).unwrap().service_hist, interval.service_hist);
            assert_eq!(figures.response_p99_ns, interval.response_ns.p99);
        }
        pairs.reverse();
    }
}

#[test]
fn a_last_line_cut_short_is_left_out_and_said() {
    let (dir, data) = written();
    append(dir.path(), RECORDS_FILE, r#"{"host_ns":1,"side":"sou"#);
    let read = RunData::read(dir.path()).unwrap();
    assert_eq!(read.records.stamps.len(), data.arrivals.len());
    let line = data.arrivals.len() + 1;
    assert_eq!(read.remarks, [format!("records.ndjson: the last line, {line}, is incomplete and left out")]);
}

#[test]
fn a_malformed_line_within_is_an_error_that_names_file_and_line() {
    let (dir, data) = written();
    append(dir.path(), QEMU_FILE, "{\"host_ns\":true}\n");
    let message = RunData::read(dir.path()).unwrap_err().to_string();
    let place = format!("{QEMU_FILE}', line {}: expected a line about QEMU", data.qemu.len() + 1);
    assert!(message.contains(&place), "{message}");
}

#[test]
fn a_line_without_an_end_is_refused_before_it_fills_the_memory() {
    let (dir, _) = written();
    append(dir.path(), QEMU_FILE, &"x".repeat(3 << 20));
    let error = RunData::read(dir.path()).unwrap_err();
    assert!(matches!(error, ReadError::TooLong { .. }), "{error}");
}

#[test]
fn a_run_that_ended_before_its_first_record_is_still_a_run() {
    let (dir, _) = written();
    fs::remove_file(dir.path().join(RECORDS_FILE)).unwrap();
    let read = RunData::read(dir.path()).unwrap();
    assert!(read.records.stamps.is_empty() && read.remarks[0].starts_with("records.ndjson is missing"));
}

#[test]
fn a_parent_of_run_directories_is_answered_with_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("smoke-precopy-001");
    fs::create_dir(&run).unwrap();
    fs::write(run.join(RUN_FILE), "{}").unwrap();
    let message = RunData::read(dir.path()).unwrap_err().to_string();
    assert!(message.contains("has no run.json") && message.contains("smoke-precopy-001"), "{message}");
}

#[test]
fn a_run_of_a_later_schema_is_refused_by_its_number() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(RUN_FILE), r#"{"schema":7,"novel":true}"#).unwrap();
    let message = RunData::read(dir.path()).unwrap_err().to_string();
    assert!(message.contains("schema 7"), "{message}");
}

#[test]
fn a_console_is_shown_by_its_last_lines_without_control_characters() {
    let (dir, _) = written();
    let lines: Vec<String> = (0..100).map(|line| format!("\x1b[31mline {line}\r\n\n")).collect();
    fs::write(dir.path().join(DESTINATION_CONSOLE_FILE), lines.concat()).unwrap();
    let tail = RunData::read(dir.path()).unwrap().destination_console;
    assert_eq!((tail.len(), tail.last().unwrap().as_str()), (CONSOLE_TAIL_LINES, "line 99"));
}

/// What is left of a story where nobody asked QEMU: the directory of a session.
fn collected(story: &Story) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_dir(&story.run_data(), dir.path());
    for name in [RUN_FILE, QEMU_FILE, SOURCE_CONSOLE_FILE] {
        fs::remove_file(dir.path().join(name)).unwrap();
    }
    let about = r#"{"schema":1,"session":"00c0ffee00c0ffee","hostname":"vm\u001b7","sockets":["a.sock","b.sock"],
        "unkept":3,"stream":{"records":9,"holes":2},"divided":true}"#;
    fs::write(dir.path().join(SESSION_FILE), about).unwrap();
    dir
}

#[test]
fn a_session_is_read_without_a_word_of_qemu() {
    let story = Story { begin_ms: -500, end_ms: 500, blackout: None, ..Story::precopy() };
    let dir = collected(&story);
    append(
        dir.path(),
        RECORDS_FILE,
        "{\"host_ns\":1,\"side\":\"source\",\"type\":\"novel\",\"session\":\"00c0ffee00c0ffee\",\"seq\":77,\"mono_ns\":1}\n",
    );
    let read = RunData::read(dir.path()).unwrap();
    assert_eq!(read.records.stamps.len(), story.run_data().arrivals.len() + 1);
    assert_eq!(read.records.unknown, 1);
    assert_eq!(read.run.name, format!("session {} of vm\u{fffd}7", read.dir_name));
    assert_eq!((read.run.stream.holes, read.run.stream.unwritten), (2, 3));
    assert_eq!(read.session.as_ref().unwrap().sockets, ["a.sock", "b.sock"]);
    let first =
        story.run_data().arrivals.into_iter().find(|arrival| arrival.record.body.type_name() == "heartbeat");
    assert_eq!(read.run.clock.mono_ns, first.unwrap().host_ns);
    assert!(read.remarks[0].starts_with("3 records came and were not kept"), "{:?}", read.remarks);
    assert!(read.remarks[1].starts_with("1 records are of types"), "{:?}", read.remarks);
    append(dir.path(), RECORDS_FILE, "{\"host_ns\":1,\"side\":\"source\",\"type\":\"gap\",\"seq\":78}\n");
    assert!(RunData::read(dir.path()).is_err(), "a type that is known, and no such record");
}

#[test]
fn a_session_that_is_still_collected_is_read_as_far_as_it_has_come() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("00c0ffee00c0ffee-2");
    let data = Story { begin_ms: -500, end_ms: 0, ..Story::precopy() }.run_data();
    write_dir(&data, &dir);
    fs::remove_file(dir.join(RUN_FILE)).unwrap();
    append(&dir, RECORDS_FILE, "{\"host_ns\":1,\"si");
    let read = RunData::read(&dir).unwrap();
    let name = read.run.name.as_str();
    assert_eq!((read.records.stamps.len(), name), (data.arrivals.len(), "session 00c0ffee00c0ffee-2"));
    assert!(read.remarks[0].contains("still collected") && read.remarks[1].contains("incomplete"));
}

#[test]
fn known_fields_are_made_of_a_whole_reply_and_older_lines_have_them_already() {
    let (dir, data) = written();
    let reply =
        r#"{"status": "active", "cpu-throttle-percentage": 40, "new": {"x": 1}, "ram": {"remaining": 7}}"#;
    let line = |fields: &str| format!("{{\"host_ns\":1,\"side\":\"source\",\"type\":\"sample\",{fields}}}\n");
    let old = r#""status":"active","cpu_throttle_percent":40,"ram":{"remaining_bytes":7}"#;
    append(dir.path(), QEMU_FILE, &(line(&format!("\"reply\":{reply}")) + &line(old)));
    let read = RunData::read(dir.path()).unwrap().qemu.split_off(data.qemu.len());
    assert_eq!(read[0], read[1]);
    let QemuBody::Sample(sample) = &read[0].body else { panic!("{read:?}") };
    assert_eq!(
        (sample.cpu_throttle_percent, &sample.reply),
        (Some(40), &None),
        "and no more of it in memory"
    );
}

#[test]
fn a_number_of_qemus_that_cannot_be_is_left_out_wherever_it_stands_and_said_once() {
    let (dir, _) = written();
    let run = fs::read_to_string(dir.path().join(RUN_FILE)).unwrap();
    let run: serde_json::Value = serde_json::from_str(&run).unwrap();
    let mut changed = run.clone();
    changed["source"] =
        serde_json::json!({ "downtime_ms": u64::MAX, "ram": { "dirty_sync_count": u64::MAX } });
    fs::write(dir.path().join(RUN_FILE), changed.to_string()).unwrap();
    for fields in
        [r#""cpu_throttle_percent":4000000000"#, r#""reply":{"cpu-throttle-percentage":4000000000}"#]
    {
        let text = format!("{{\"host_ns\":1,\"side\":\"source\",\"type\":\"sample\",{fields}}}\n");
        append(dir.path(), QEMU_FILE, &text);
    }
    let read = RunData::read(dir.path()).unwrap();
    let is_named = |said: &&String| said.starts_with("QEMU said what cannot be");
    let said: Vec<&String> = read.remarks.iter().filter(is_named).collect();
    assert_eq!(
        read.audit.sentences().count(),
        0,
        "QEMU's word is no damage of the directory: {:?}",
        read.audit
    );
    assert_eq!(
        said,
        [
            "QEMU said what cannot be, which is left out: cpu-throttle-percentage 4000000000, dirty-sync-count \
          18446744073709551615, downtime 18446744073709551615"
        ]
    );
    assert_eq!(read.run.source.unwrap().downtime_ms, None);
}
