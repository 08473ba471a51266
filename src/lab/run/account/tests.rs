//! What is kept of what happens to a run, event by event; no VM is there.

use super::*;
use crate::lab::rundir::QEMU_FILE;
use serde_json::{Value, json};
use std::fs;

fn account() -> (tempfile::TempDir, Account) {
    let out = tempfile::tempdir().unwrap();
    let writer = RunWriter::create(out.path(), "x").unwrap();
    (out, Account::new(writer, &Scenario::default()))
}

fn event(side: Side, name: &str) -> Happening {
    let event = QmpEvent { host_ns: 7, name: name.into(), qemu_real_us: Some(9), data: Value::Null };
    Happening::Event(side, event)
}

fn answer(side: Side, command: &'static str, result: Result<Value, String>) -> Happening {
    Happening::Answer(Answer { side, command, arguments: Value::Null, host_ns: 8, result })
}

/// A line of the guest, as its socket gives it.
fn line(side: Side, host_ns: u64, record: &Value) -> Happening {
    let bytes = format!("{record}\n").into_bytes();
    Happening::Port(PortMessage::Bytes { side, host_ns, bytes })
}

fn mark(seq: u64) -> Value {
    json!({"v": 1, "session": "00c0ffee00c0ffee", "seq": seq, "mono_ns": 5, "type": "mark", "text": "here"})
}

#[test]
fn the_guest_is_at_home_where_it_was_resumed_last() {
    let (_out, mut account) = account();
    assert_eq!(account.home, Side::Source);
    account.on(&event(Side::Source, "STOP"));
    account.on(&event(Side::Destination, "RESUME"));
    assert_eq!(account.home, Side::Destination);
    account.on(&event(Side::Source, "RESUME"));
    assert_eq!(account.home, Side::Source, "a migration that was given up");
}

#[test]
fn a_side_is_gone_when_its_qemu_ended_and_its_socket_gave_all_it_had() {
    let (_out, mut account) = account();
    account.on(&Happening::Exited(Side::Source, Exit { code: Some(1), ..Exit::default() }));
    assert_eq!(account.gone(Side::Source), None, "its last bytes may still come");
    account.on(&Happening::Port(PortMessage::Closed(Side::Source)));
    assert_eq!(account.gone(Side::Source).and_then(|exit| exit.code), Some(1));
    assert_eq!(account.gone(Side::Destination), None);
}

#[test]
fn what_happened_is_written_down_the_first_time() {
    let (_out, mut account) = account();
    account.milestone(MilestoneName::Migrate, 5);
    account.milestone(MilestoneName::Migrate, 9);
    let host_ns: Vec<u64> = account.milestones.iter().map(|milestone| milestone.host_ns).collect();
    assert_eq!(host_ns, [5]);
    assert!(account.has(MilestoneName::Migrate) && !account.has(MilestoneName::PostcopyStart));
}

#[test]
fn the_sources_answer_is_the_picture_and_every_answer_and_refusal_is_written() {
    let (_out, mut account) = account();
    account.on(&answer(Side::Source, "query-migrate", Ok(json!({"status": "active"}))));
    account.on(&answer(Side::Destination, "query-migrate", Ok(json!({"status": "none"}))));
    account.on(&answer(Side::Source, "migrate", Err("no".into())));
    account.on(&Happening::Tick);
    assert_eq!(account.sample.as_ref().and_then(|sample| sample.status.as_deref()), Some("active"));
    let text = fs::read_to_string(account.writer.dir().join(QEMU_FILE)).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (lines.len(), &lines[1]["side"], &lines[2]["error"]),
        (3, &"destination".into(), &"no".into())
    );
}

#[test]
fn a_mark_of_the_guest_is_known_with_the_moment_it_came_and_a_double_is_kept_once() {
    let (_out, mut account) = account();
    account.on(&line(Side::Source, 11, &mark(0)));
    account.on(&line(Side::Source, 12, &mark(0)));
    assert_eq!(account.guest.marked_ns, Some(11));
    account.on(&line(Side::Source, 13, &mark(1)));
    account.on(&Happening::Tick);
    assert_eq!(account.guest.marked_ns, Some(13));
    let records = fs::read_to_string(account.writer.dir().join("records.ndjson")).unwrap();
    assert_eq!(records.lines().count(), 2);
}

#[test]
fn the_first_file_that_could_not_be_written_is_what_is_said() {
    let (_out, mut account) = account();
    let refused = |path: &str| RunWriter::create(std::path::Path::new(path), "x").map(drop);
    account.keep_fault(Ok(()));
    assert!(account.fault.is_none());
    account.keep_fault(refused("/proc/first"));
    account.keep_fault(refused("/proc/second"));
    assert!(account.fault.is_some_and(|fault| fault.to_string().contains("/proc/first")));
}
