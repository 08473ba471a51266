//! What a host hears and what it is answered, as transcripts; and that any host is borne.

use super::*;
use crate::plan::{self, Machine, Plan, Stock};
use crate::record::{Heartbeat, Phase};
use crate::wire::decode_record;
use proptest::prelude::*;

mod reliable;

/// The desk of a run that begins as runs usually do.
fn desk() -> Desk {
    let machine = Machine { available_bytes: 1 << 30, cpus: 1, stock: Stock::default() };
    Desk::new(&plan::check(&Plan::default(), &machine).unwrap(), 0)
}

pub(super) fn said(session: &mut Session) -> Vec<Record> {
    let mut records = Vec::new();
    let mut lines = Lines::new(1 << 20);
    while !session.outbox().is_empty() {
        let bytes = session.outbox().next_bytes().to_vec();
        session.outbox().mark_sent(bytes.len());
        lines.feed(&bytes, |line| {
            if let Line::Whole(line) = line {
                records.push(decode_record(line).unwrap());
            }
        });
    }
    records
}

pub(super) fn heartbeat() -> Body {
    Body::Heartbeat(Heartbeat { real_ns: 1, tsc: None, disruptions: None, ptp_ns: None, clocksource: None })
}

#[test]
fn commands_are_answered_in_order_with_their_ids() {
    let mut session = Session::new(SessionId(1));
    assert_eq!(
        session.hear(5, b"{\"type\":\"ping\",\"id\":1}\n{\"type\":\"mark\",\"id\":2,", &mut desk()),
        []
    );
    assert_eq!(
        session.hear(6, b"\"text\":\"here\"}\nnonsense\n{\"type\":\"stop\",\"id\":3}\n", &mut desk()),
        [Asked::Mark, Asked::Stop]
    );
    let bodies: Vec<Body> = said(&mut session).into_iter().map(|record| record.body).collect();
    let ok = |to| Body::Reply(Reply { to: Some(to), ok: true, error: None, from: None, status: None });
    assert_eq!(bodies[..3], [ok(1), Body::Mark(MarkNote { text: "here".into() }), ok(2)]);
    assert!(matches!(&bodies[3], Body::Reply(Reply { to: None, ok: false, error: Some(_), .. })));
    assert_eq!(bodies[4..], [ok(3)]);
}

#[test]
fn an_endless_command_line_is_answered_once_and_takes_no_memory() {
    let mut session = Session::new(SessionId(1));
    for _ in 0..100 {
        session.hear(1, &[b'x'; 10_000], &mut desk());
    }
    session.hear(1, b"\n", &mut desk());
    let records = said(&mut session);
    assert_eq!(records.len(), 1);
    assert!(
        matches!(&records[0].body, Body::Reply(Reply { error: Some(text), .. }) if text.contains("1000000"))
    );
}

#[test]
fn a_full_outbox_refuses_details_first_and_the_sequence_has_no_hole() {
    let mut session = Session::new(SessionId(1));
    session.say(0, Body::Phase(Phase { phase: "run".into() }));
    for _ in 0..20_000 {
        session.offer_detail(1, heartbeat());
    }
    assert!(session.dropped > 0);
    assert!(session.outbox().waiting_bytes() <= CAPACITY_BYTES);
    session.say(2, Body::Phase(Phase { phase: "late".into() }));
    let records = said(&mut session);
    assert!(records.iter().enumerate().all(|(index, record)| record.seq == index as u64));
    assert!(matches!(&records.last().unwrap().body, Body::Phase(phase) if phase.phase == "late"));
}

proptest! {
    #[test]
    fn no_bytes_of_a_host_panic_or_fill_the_memory(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..50)
    ) {
        let mut session = Session::new(SessionId(1));
        for piece in pieces {
            session.hear(1, &piece, &mut desk());
        }
        prop_assert!(session.outbox().waiting_bytes() <= CAPACITY_BYTES);
    }
}
