//! Targets of every kind, opened, lost and found again.

use super::*;
use std::os::unix::net::UnixListener;

#[test]
fn a_file_is_emptied_and_holds_what_was_sent_when_it_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    std::fs::write(&path, "old content").unwrap();
    let mut port = Port::open(&Target::File(path.clone())).unwrap();
    assert_eq!(port.send(0, b"whole\n").unwrap(), Sent::Bytes(6));
    port.finish(0).unwrap();
    readiness(port.pollable().unwrap(), PollFlags::POLLIN, PollTimeout::from(20_000u16));
    assert!(port.finish(0).unwrap());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole\n");
}

#[test]
fn a_listener_whose_backlog_is_full_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let _listener = UnixListener::bind(&path).unwrap();
    let target = Target::Unix(path);
    let dialled: Vec<(UnixStream, bool)> = (0..10_000).map_while(|_| dial(&target)).collect();
    assert!(dialled.len() < 10_000);
    assert!(!Port::open(&target).unwrap().has_reader());
}

#[test]
fn a_file_that_cannot_be_created_is_named() {
    let error = Port::open(&Target::File("/nonexistent/dir/out".into())).unwrap_err().to_string();
    assert!(error.contains("file:/nonexistent/dir/out"), "{error}");
}

#[test]
fn a_file_that_another_run_writes_is_neither_emptied_nor_shared() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::File(dir.path().join("out"));
    let mut first = Port::open(&target).unwrap();
    first.send(0, b"mine\n").unwrap();
    let message = Port::open(&target).unwrap_err().to_string();
    assert!(message.contains("writes it already") && message.contains("name a file"), "{message}");
    first.finish(0).unwrap();
    readiness(first.pollable().unwrap(), PollFlags::POLLIN, PollTimeout::from(20_000u16));
    assert!(first.finish(0).unwrap());
    assert_eq!(std::fs::read_to_string(dir.path().join("out")).unwrap(), "mine\n");
}

#[test]
fn a_reader_that_answers_the_last_record_gets_no_reset() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let mut port = Port::open(&Target::Unix(path)).unwrap();
    let (mut host, _) = listener.accept().unwrap();
    port.send(0, b"end").unwrap();
    host.write_all(b"acknowledged").unwrap();
    assert!(!port.finish(0).unwrap(), "the reader has not closed yet");
    host.write_all(b"once more").unwrap();
    assert!(!port.finish(CLOSE_LIMIT.0 - 1).unwrap());
    assert!(port.finish(CLOSE_LIMIT.0).unwrap(), "it need not close");
    drop(port);
    let mut heard = String::new();
    host.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "end");
}

#[test]
fn a_reader_that_closes_with_records_unread_is_told_from_one_that_read_all() {
    let end = |reads: bool| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let mut port = Port::open(&Target::Unix(path)).unwrap();
        let (mut host, _) = listener.accept().unwrap();
        port.send(0, b"end").unwrap();
        if reads {
            host.read_exact(&mut [0; 3]).unwrap();
        }
        drop(host);
        port.finish(0).map_err(|error| error.to_string())
    };
    assert_eq!(end(true), Ok(true));
    assert!(end(false).unwrap_err().contains("before it had read all"));
}

#[test]
fn a_missing_virtio_port_is_answered_with_the_way_out() {
    let error = Port::open(&Target::Virtio("org.none.7".into())).unwrap_err().to_string();
    assert!(error.contains("'org.none.7'") && error.contains("virtserialport"), "{error}");
}

#[test]
fn a_socket_is_connected_to_when_its_listener_appears_and_again_when_it_closes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut port = Port::open(&Target::Unix(path.clone())).unwrap();
    assert_eq!((port.send(0, b"x").unwrap(), port.has_reader()), (Sent::Bytes(0), false));

    let listener = UnixListener::bind(&path).unwrap();
    let later_ns = 1_000_000_000;
    assert_eq!(port.send(later_ns, b"x").unwrap(), Sent::Reconnecting);
    let (mut host, _) = listener.accept().unwrap();
    assert_eq!(port.send(0, b"hello").unwrap(), Sent::Bytes(5));
    host.write_all(b"command").unwrap();
    let mut buffer = [0; 16];
    assert_eq!(port.receive(&mut buffer).unwrap(), 7);

    drop(host);
    assert_eq!((port.receive(&mut buffer).unwrap(), port.has_reader()), (0, false));
    assert_eq!(port.send(0, b"x").unwrap(), Sent::Reconnecting);
}
