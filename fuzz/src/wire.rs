//! The wire, both ways: what a guest says to a host, and a host to a guest.

use super::is_fit_to_print;
use super::plan::machine;
use sully::guest::{Desk, Session};
use sully::histogram::Counts;
use sully::lab::collect::View;
use sully::lab::collect::{Audit, Joiner, Piece};
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
/// `D` bytes without one, and the rest what happens to the sockets. Every piece is accounted for once.
pub fn stream(bytes: &[u8]) {
    let (mut joiner, mut audit, mut view) = (Joiner::default(), Audit::default(), View::new("fuzz"));
    let mut pieces = 0;
    let mut on_piece = |piece: Piece| {
        pieces += 1;
        let is_new = audit.on(&piece);
        if let Piece::Record(arrival) = &piece
            && is_new
        {
            view.on(arrival, &encode_record(&arrival.record));
        }
    };
    for (at, event) in (0..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
        let line = &event[1..];
        let part = line.strip_suffix(b"\n").unwrap_or(line);
        match event[0] {
            b's' => joiner.bytes(at, Side::Source, line, &mut on_piece),
            b'S' => joiner.bytes(at, Side::Source, part, &mut on_piece),
            b'd' => joiner.bytes(at, Side::Destination, line, &mut on_piece),
            b'D' => joiner.bytes(at, Side::Destination, part, &mut on_piece),
            b'-' => joiner.source_stopped(),
            b'0' => joiner.source_drained(&mut on_piece),
            b'+' => joiner.source_resumed(&mut on_piece),
            b'.' => joiner.source_closed(&mut on_piece),
            b'!' => joiner.reconnected(),
            _ => {}
        }
    }
    joiner.finish(&mut on_piece);
    let found = audit.found();
    let sorts = [found.records, found.unknown, found.torn, found.doubles, found.replayed];
    assert_eq!(sorts.iter().sum::<u64>(), pieces, "{found:?}");
}
