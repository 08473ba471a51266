//! What is kept of what happens to a run, event by event; no VM is there.

use super::*;
use crate::lab::rundir::QEMU_FILE;
use serde_json::{Value, json};
use std::fs;

fn account() -> (tempfile::TempDir, Account) {
    let out = tempfile::tempdir().unwrap();
    let writer = RunWriter::create(out.path(), "x").unwrap();
    (out, Account::new(writer))
}

fn answer(side: Side, command: &'static str, result: Result<Value, String>) -> VmEvent {
    VmEvent::Answer(QmpAnswer { side, command, arguments: Value::Null, host_ns: 8, result })
}

#[test]
fn every_answer_event_and_refusal_is_written() {
    let (_out, mut account) = account();
    account.on(&answer(
        Side::Source,
        "query-migrate",
        Ok(json!({"status": "active", "nobody-knows": [1, {"x": -2}]})),
    ));
    let event = QmpEvent { host_ns: 7, name: "STOP".into(), qemu_real_us: None, data: Value::Null };
    account.on(&VmEvent::Qmp(Side::Destination, event));
    account.on(&answer(Side::Source, "migrate", Err("no".into())));
    account.on(&VmEvent::Tick);
    let text = fs::read_to_string(account.writer.dir().join(QEMU_FILE)).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let reply = json!({"status": "active", "nobody-knows": [1, {"x": -2}]});
    assert_eq!((&lines[0]["type"], &lines[0]["reply"]), (&"sample".into(), &reply), "whole, as it came");
    assert_eq!((&lines[1]["side"], &lines[1]["event"]), (&"destination".into(), &"STOP".into()));
    assert_eq!(lines[1].get("qemu_real_us"), None, "a stamp that QEMU did not give is no 0");
    assert_eq!((lines.len(), &lines[2]["error"]), (3, &"no".into()));
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
