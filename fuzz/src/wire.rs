//! The wire, both ways: what a guest says to a host, and a host to a guest.

use super::is_fit_to_print;
use super::plan::machine;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use sully::guest::{Desk, Session};
use sully::histogram::Counts;
use sully::lab::collect::{Desk as Collector, Socket, Talk};
use sully::lab::rundir::{Limits, RecordsFile};
use sully::plan::{Plan, check};
use sully::record::{Body, SessionId, Side};
use sully::wire::{Line, Lines, RECORD_LIMIT_BYTES, decode_record, encode_record};

/// Lines of a guest: what is read is written and read again the same, however the stream is cut.
pub fn wire_record(bytes: &[u8]) {
    let mut whole = Vec::new();
    cut(bytes, bytes.len().max(1), |line| whole.push(line.map(<[u8]>::to_vec)));
    let mut at = 0;
    cut(bytes, 7, |line| {
        assert_eq!(line, whole[at].as_deref().map_err(|bytes| *bytes));
        at += 1;
    });
    assert_eq!(at, whole.len());
    for line in whole.iter().flatten() {
        match decode_record(line) {
            Ok(record) => {
                let written = encode_record(&record);
                assert_eq!(decode_record(&written[..written.len() - 1]), Ok(record));
            }
            Err(error) => is_fit_to_print(&error.to_string()),
        }
    }
}

/// The lines of a stream that comes in pieces of `size` bytes; of one that is too long, its length.
fn cut(bytes: &[u8], size: usize, mut on_line: impl FnMut(Result<&[u8], u64>)) {
    let mut lines = Lines::new(RECORD_LIMIT_BYTES);
    for piece in bytes.chunks(size) {
        lines.feed(piece, |line| {
            on_line(match line {
                Line::Whole(line) => Ok(line),
                Line::TooLong { bytes } => Err(bytes),
            });
        });
    }
}

/// What a host says to a guest's session: the answers are whole records with numbers one after another, and no more
/// than the outbox holds.
pub fn wire_command(bytes: &[u8]) {
    let mut session = Session::new(SessionId(1));
    let checked = check(&Plan::default(), &machine(1 << 30)).expect("the usual plan fits");
    let mut desk = Desk::new(&checked, 0);
    let mut said = Lines::new(RECORD_LIMIT_BYTES);
    let mut highest = None;
    for (at, piece) in bytes.chunks(61).enumerate() {
        session.hear(at as u64, piece, &mut desk);
        // What the writers are to do from now on can be done.
        if let Some(load) = desk.change() {
            assert!(load.faults().is_empty(), "{load:?}");
            desk.carried_out();
        }
        assert!(session.outbox().waiting_bytes() <= 2 << 20);
        // A host may ask for records again while a line is on its way; so only half of what waits is sent at once.
        for _ in 0..4 {
            let sent = session.outbox().next_bytes().to_vec();
            let sent = &sent[..sent.len().div_ceil(2)];
            session.outbox().mark_sent(sent.len());
            said.feed(sent, |line| {
                let Line::Whole(line) = line else { panic!("an answer is too long") };
                let record = decode_record(line).expect("an answer is a record");
                assert!(record.seq <= highest.map_or(0, |seq: u64| seq + 1), "a hole before {}", record.seq);
                highest = highest.max(Some(record.seq));
                if let Body::Reply(reply) = record.body {
                    is_fit_to_print(&reply.error.unwrap_or_default());
                }
            });
        }
    }
}

/// A packed histogram: what is read keeps its counts when it is packed and read again.
pub fn histogram(bytes: &[u8]) {
    match Counts::unpack(&String::from_utf8_lossy(bytes)) {
        Ok(counts) => assert_eq!(Counts::unpack(&counts.pack()).ok().as_ref(), Some(&counts)),
        Err(error) => is_fit_to_print(&error.to_string()),
    }
}

/// Both sockets of a migration, one event a line: `s` and `d` are bytes of source and destination and the newline, `S` and
/// `D` bytes without one, and the rest what happens to the sockets. Every record is handed on once, and what is said to the
/// guest is bounded.
pub fn stream(bytes: &[u8]) {
    let desk = Arc::new(Collector::of_one_vm(RecordsFile::new("/dev/null".into(), Limits::ALL)));
    let mut talks = ["/source", "/destination"].map(|path| {
        let side = if path == "/source" { Side::Source } else { Side::Destination };
        desk.admit(Path::new(path), Some(side));
        desk.connection(Path::new(path), true);
        Talk::begin(Arc::clone(&desk), Socket::new(path.into()), 0)
    });
    let mut now_ns = 0;
    for event in bytes.split_inclusive(|byte| *byte == b'\n') {
        let line = &event[1..];
        let part = line.strip_suffix(b"\n").unwrap_or(line);
        now_ns += 1_000_000;
        match event[0] {
            b's' => talks[0].hear(now_ns, line),
            b'S' => talks[0].hear(now_ns, part),
            b'd' => talks[1].hear(now_ns, line),
            b'D' => talks[1].hear(now_ns, part),
            b'-' | b'+' => {
                now_ns += 1_000_000_000;
                for talk in &mut talks {
                    talk.tick(now_ns);
                }
            }
            b'0' => {
                for file in desk.take_unsynced() {
                    desk.synced(&file, Ok(true));
                }
            }
            b'.' => {
                talks = talks.map(|mut talk| {
                    talk.close(now_ns);
                    Talk::begin(Arc::clone(&desk), talk.into_socket(), now_ns)
                });
            }
            b'!' => {
                talks = talks.map(|talk| Talk::begin(Arc::clone(&desk), talk.break_off(), now_ns));
            }
            _ => {}
        }
        assert!(talks.iter_mut().all(|talk| talk.out().len() <= 128 << 10));
    }
    for talk in &mut talks {
        talk.close(now_ns);
    }
    let (found, fresh) = (desk.finish(), desk.take_fresh());
    assert_eq!(fresh.len() as u64 + found.unknown, found.records, "{found:?}");
    let places = fresh.iter().map(|arrival| (arrival.record.session, arrival.record.seq));
    let once = places.collect::<HashSet<_>>().len();
    assert!(once == fresh.len() || found.doubles > 0, "{found:?}");
}
