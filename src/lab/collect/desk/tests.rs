//! What a socket may bring, and what becomes of records that the disk does not take.

use super::super::{Socket, Talk};
use super::*;
use crate::lab::rundir::{Limits, RecordsFile};
use serde_json::json;
use std::sync::Arc;

/// A connection of one of the sockets of `desk`.
fn talk(desk: &Arc<Desk>, path: &str) -> Talk {
    desk.admit(Path::new(path), None).unwrap();
    desk.connection(Path::new(path), true);
    Talk::begin(Arc::clone(desk), Socket::new(path.into()), 0)
}

fn heartbeat(session: u64, seq: u64) -> Vec<u8> {
    let beat =
        json!({"session": SessionId(session), "seq": seq, "mono_ns": 5, "type": "heartbeat", "real_ns": seq});
    format!("{beat}\n").into()
}

fn of_one_vm(path: &str) -> Arc<Desk> {
    Arc::new(Desk::of_one_vm(RecordsFile::new(path.into(), Limits { reserve_bytes: 0, ..Limits::ALL })))
}

#[test]
fn a_socket_brings_so_many_sessions_and_what_more_came_is_counted() {
    let desk = of_one_vm("/dev/null");
    let mut talk = talk(&desk, "/port");
    (0..70).for_each(|session| talk.hear(9, &heartbeat(session, 0)));
    let found = desk.finish();
    assert_eq!((desk.sessions(), found.records, found.unwritten), (64, 64, 6));
}

#[test]
fn a_socket_brings_so_many_bytes_whatever_it_calls_itself() {
    let (dir, limit) = (tempfile::tempdir().unwrap(), 1000);
    let desk = Arc::new(Desk::open(dir.path(), limit).unwrap());
    let mut talk = talk(&desk, "/port");
    for session in 0..10 {
        (0..20).for_each(|seq| talk.hear(9, &heartbeat(session, seq)));
    }
    desk.close().unwrap();
    let dirs = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let lengths = dirs.map(|dir| fs::metadata(dir.join("records.ndjson")).map_or(0, |file| file.len()));
    let sum: u64 = lengths.sum();
    assert!((limit * (SOCKET_LIMITS - 1)..limit * (SOCKET_LIMITS + 1)).contains(&sum), "{sum}");
}

#[test]
fn a_guest_that_moves_is_silent_from_its_last_beat_on_one_socket_to_its_first_on_the_other() {
    let desk = of_one_vm("/dev/null");
    let (mut source, mut destination) = (talk(&desk, "/a"), talk(&desk, "/b"));
    source.hear(1_000_000_000, &heartbeat(1, 0));
    source.hear(1_100_000_000, &heartbeat(1, 1));
    destination.hear(1_700_000_000, &heartbeat(1, 2));
    assert_eq!(desk.views().last().unwrap().blackout_ns, Some(500_000_000));
}

#[test]
fn what_the_disk_did_not_take_until_the_end_is_counted_and_a_fault() {
    let desk = of_one_vm("/dev/full");
    let mut talk = talk(&desk, "/port");
    (0..3).for_each(|seq| talk.hear(9, &heartbeat(1, seq)));
    let found = desk.finish();
    assert_eq!((found.records, found.unwritten), (3, 3));
    assert_eq!(desk.take_fault().unwrap().kind(), io::ErrorKind::StorageFull);
}
