//! Attach, acknowledge, send again: every accepted record reaches a host that comes and goes, exactly once.

use super::*;
use crate::wire::encode_command;
use std::collections::BTreeMap;

fn say(session: &mut Session, count: usize) {
    for _ in 0..count {
        session.offer_detail(1, heartbeat());
    }
}

fn tell(session: &mut Session, command: &Command) {
    assert_eq!(session.hear(1, &encode_command(command), &mut desk()), []);
}

fn attach(session: &mut Session, after: Option<u64>) {
    tell(
        session,
        &Command::Attach { id: Some(9), session: Some(SessionId(1)), after, mono_ns: None, otherwise: None },
    );
}

fn seqs(session: &mut Session) -> Vec<u64> {
    said(session).iter().map(|record| record.seq).collect()
}

/// The answer to the last command.
fn answer(session: &mut Session) -> Reply {
    match said(session).pop().unwrap().body {
        Body::Reply(reply) => reply,
        other => panic!("the last record is {}", other.type_name()),
    }
}

#[test]
fn a_host_that_attaches_gets_what_was_sent_while_it_was_away() {
    let mut session = Session::new(SessionId(1));
    say(&mut session, 3);
    assert_eq!(seqs(&mut session), [0, 1, 2]);
    attach(&mut session, Some(0));
    assert_eq!(seqs(&mut session), [1, 2, 3], "and the answer");
    tell(&mut session, &Command::Ack { id: None, session: None, seq: 3, mono_ns: None });
    assert!(session.outbox().is_empty(), "an acknowledgement is not answered");
    attach(&mut session, Some(3));
    let reply = answer(&mut session);
    assert_eq!((reply.to, reply.ok, reply.from), (Some(9), true, Some(4)));
}

#[test]
fn what_another_session_reached_says_nothing_of_this_one() {
    let mut session = Session::new(SessionId(1));
    say(&mut session, 2);
    assert_eq!(seqs(&mut session), [0, 1]);
    tell(&mut session, &Command::Ack { id: None, session: Some(SessionId(2)), seq: 1, mono_ns: None });
    for otherwise in [None, Some(SessionId(3))] {
        let (session_2, after) = (Some(SessionId(2)), Some(77));
        tell(
            &mut session,
            &Command::Attach { id: None, session: session_2, after, mono_ns: None, otherwise },
        );
    }
    let records = said(&mut session);
    assert_eq!(records.iter().map(|record| record.seq).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert!(
        records.iter().all(|record| record.session == SessionId(1)),
        "it is another's life that was meant"
    );
}

#[test]
fn what_was_never_sent_cannot_be_acknowledged() {
    let mut session = Session::new(SessionId(1));
    say(&mut session, 2);
    for command in [
        Command::Ack { id: Some(1), session: None, seq: 0, mono_ns: None },
        Command::Attach { id: Some(2), session: None, after: Some(u64::MAX), mono_ns: None, otherwise: None },
    ] {
        tell(&mut session, &command);
    }
    let replies = said(&mut session).split_off(2);
    assert!(
        replies
            .iter()
            .all(|record| matches!(&record.body, Body::Reply(Reply { ok: false, error: Some(text), .. })
        if text.contains("only records before 0 were sent"))),
        "{replies:?}"
    );
}

/// What a VM that went back to an earlier state is told: `after` was sent in another life only.
fn attach_or_branch(session: &mut Session, after: u64) {
    let otherwise = Some(SessionId(0xb0b));
    tell(
        session,
        &Command::Attach {
            id: Some(4),
            session: Some(SessionId(1)),
            after: Some(after),
            mono_ns: None,
            otherwise,
        },
    );
}

#[test]
fn a_life_that_never_sent_what_the_host_has_becomes_the_session_that_the_host_names() {
    let mut session = Session::new(SessionId(1));
    session.hello = Some(Box::new(hello()));
    attach(&mut session, None);
    say(&mut session, 6);
    assert_eq!(seqs(&mut session), [0, 1, 2, 3, 4, 5, 6]);
    tell(&mut session, &Command::Ack { id: None, session: None, seq: 2, mono_ns: None });
    say(&mut session, 1);
    attach_or_branch(&mut session, 40);
    let records = said(&mut session);
    assert_eq!(records.iter().map(|record| record.seq).collect::<Vec<_>>(), [3, 4, 5, 6, 7, 8, 9]);
    assert!(records.iter().all(|record| record.session == SessionId(0xb0b)), "whole under its own name");
    let Body::Hello(hello) = &records[5].body else { panic!("it says again who speaks") };
    assert_eq!((hello.parent, hello.parent_seq), (Some(SessionId(1)), Some(3)));
    let Body::Reply(reply) = &records[6].body else { panic!("no answer") };
    assert_eq!((reply.to, reply.ok, reply.from), (Some(4), true, Some(3)));
    tell(&mut session, &Command::Ack { id: None, session: Some(SessionId(1)), seq: 9, mono_ns: None });
    assert_eq!(session.outbox().first_seq(), 3, "the other life's acknowledgements are not this one's");
    attach_or_branch(&mut session, 40);
    assert!(said(&mut session).iter().all(|record| record.session == SessionId(0xb0b)), "it is renamed once");
}

#[test]
fn a_life_that_sent_what_the_host_has_stays_what_it_is() {
    let mut session = Session::new(SessionId(1));
    say(&mut session, 3);
    assert_eq!(seqs(&mut session), [0, 1, 2]);
    attach_or_branch(&mut session, 2);
    assert!(said(&mut session).iter().all(|record| record.session == SessionId(1)));
}

#[test]
fn what_is_said_of_a_record_that_another_life_made_is_not_taken_for_its_own() {
    let mut session = Session::new(SessionId(1));
    attach(&mut session, None);
    for stamp_ns in [10, 20, 30] {
        session.offer_detail(stamp_ns, heartbeat());
    }
    assert_eq!(seqs(&mut session), [0, 1, 2, 3], "the answer comes first");
    let ack = |seq, mono_ns| Command::Ack { id: None, session: Some(SessionId(1)), seq, mono_ns };
    tell(&mut session, &ack(2, Some(21)));
    assert_eq!(session.outbox().first_seq(), 0);
    tell(&mut session, &ack(2, Some(20)));
    assert_eq!(session.outbox().first_seq(), 3);
    tell(&mut session, &ack(1, Some(99)));
    assert!(session.outbox().is_empty(), "it has let go of that already, and says nothing");
    let after = |seq, mono_ns, otherwise| {
        let (after, session) = (Some(seq), Some(SessionId(1)));
        Command::Attach { id: Some(9), session, after, mono_ns: Some(mono_ns), otherwise }
    };
    tell(&mut session, &after(3, 31, None));
    assert!(answer(&mut session).error.is_some_and(|error| error.contains("after = 3")));
    let otherwise = Some(SessionId(0xb0b));
    tell(&mut session, &after(3, 30, otherwise));
    assert_eq!(answer(&mut session).from, Some(4));
    session.offer_detail(40, heartbeat());
    let seq = said(&mut session).pop().unwrap().seq;
    tell(&mut session, &after(seq, 41, otherwise));
    assert!(said(&mut session).iter().all(|record| record.session == SessionId(0xb0b)), "it is another life");
}

#[test]
fn a_line_that_is_half_sent_keeps_its_name_until_it_is_whole() {
    for half in 1..60 {
        let mut session = Session::new(SessionId(1));
        attach(&mut session, None);
        say(&mut session, 3);
        session.outbox().mark_sent(half);
        let rest = session.outbox().next_bytes().to_vec();
        attach_or_branch(&mut session, 40);
        let under_way = session.outbox().next_bytes().to_vec();
        assert!(rest.starts_with(&under_way), "the line is brought to its end as it was");
        session.outbox().mark_sent(under_way.len());
        let sessions: Vec<SessionId> = said(&mut session).iter().map(|record| record.session).collect();
        assert_eq!(sessions, [SessionId(0xb0b); 5]);
    }
}

/// The `hello` of the golden files.
fn hello() -> Hello {
    let golden = include_str!("../../../../tests/golden/v1/records.ndjson").lines().next().unwrap();
    let Body::Hello(hello) = decode_record(golden.as_bytes()).unwrap().body else { panic!("no hello") };
    *hello
}

#[test]
fn a_full_session_nobody_acknowledges_merges_intervals_and_says_where_it_goes_on() {
    let mut session = Session::new(SessionId(1));
    attach(&mut session, None);
    say(&mut session, 20_000);
    let held = seqs(&mut session).len();
    say(&mut session, 20_000);
    assert!(
        session.dropped > 30_000 && session.outbox().is_empty(),
        "what was sent is kept, so nothing fits"
    );
    attach(&mut session, Some(9));
    assert_eq!(said(&mut session).len(), held - 10 + 1, "nothing of what was accepted is lost");
}

#[test]
fn a_host_that_comes_late_is_told_again_who_speaks() {
    let mut session = Session::new(SessionId(1));
    session.hello = None;
    say(&mut session, 20_000);
    said(&mut session);
    say(&mut session, 20_000);
    said(&mut session);
    attach(&mut session, None);
    let records = said(&mut session);
    let Body::Reply(reply) = &records.last().unwrap().body else { panic!("no answer") };
    assert_eq!(reply.from, Some(records[0].seq));
    assert!(records[0].seq > 0, "the oldest made room");
}

#[test]
fn a_reader_that_never_acknowledges_gets_the_stream_as_it_comes() {
    let mut session = Session::new(SessionId(1));
    attach(&mut session, None);
    let second = Nanos::from_secs(1).0;
    let full = |session: &mut Session| {
        say(session, 20_000);
        said(session);
        let dropped = session.dropped;
        say(session, 1);
        session.dropped > dropped
    };
    assert!(full(&mut session));
    session.watch(40 * second, false);
    session.watch(60 * second, true);
    assert!(full(&mut session), "it was away, and may come back");
    session.watch(71 * second, true);
    assert!(!full(&mut session));
}

/// What can happen between a guest and its hosts.
#[derive(Debug, Clone)]
enum Turn {
    Says(usize),
    Sends(usize),
    Acknowledges,
    /// The connection breaks, what is in flight is lost, and a host with its files comes back.
    Breaks,
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let turn = prop_oneof![
        (1usize..5).prop_map(Turn::Says),
        (1usize..400).prop_map(Turn::Sends),
        Just(Turn::Acknowledges),
        Just(Turn::Breaks),
    ];
    prop::collection::vec(turn, 0..200)
}

/// A host that keeps what it has, whatever becomes of its connections.
#[derive(Default)]
struct Host {
    has: BTreeMap<u64, String>,
    in_flight: Vec<u8>,
    lines: Option<Lines>,
}

impl Host {
    fn last(&self) -> Option<u64> {
        (0..self.has.len() as u64).take_while(|seq| self.has.contains_key(seq)).last()
    }

    fn takes(&mut self) {
        let bytes = std::mem::take(&mut self.in_flight);
        let has = &mut self.has;
        self.lines.get_or_insert_with(|| Lines::new(1 << 20)).feed(&bytes, |line| {
            let Line::Whole(line) = line else { panic!("too long") };
            // The rest of a line whose beginning went down with the last connection is no record.
            let Ok(record) = decode_record(line) else { return };
            let text = String::from_utf8(line.to_vec()).unwrap();
            let before = has.insert(record.seq, text.clone());
            assert!(before.is_none_or(|before| before == text), "a number never means two records");
        });
    }
}

proptest! {
    #[test]
    fn however_connections_break_every_accepted_record_arrives(turns in turns()) {
        let (mut session, mut host) = (Session::new(SessionId(1)), Host::default());
        attach(&mut session, None);
        for turn in turns {
            match turn {
                Turn::Says(count) => say(&mut session, count),
                Turn::Sends(most) => {
                    let bytes = session.outbox().next_bytes();
                    let bytes = bytes[..bytes.len().min(most)].to_vec();
                    session.outbox().mark_sent(bytes.len());
                    host.in_flight.extend(bytes);
                    if most % 2 == 0 {
                        host.takes();
                    }
                }
                Turn::Acknowledges => {
                    host.takes();
                    if let Some(seq) = host.last() {
                        tell(&mut session, &Command::Ack { id: None, session: None, seq, mono_ns: None });
                    }
                }
                Turn::Breaks => {
                    host.in_flight.clear();
                    host.lines = None;
                    attach(&mut session, host.last());
                }
            }
        }
        while !session.outbox().is_empty() {
            let bytes = session.outbox().next_bytes().to_vec();
            session.outbox().mark_sent(bytes.len());
            host.in_flight.extend(bytes);
            host.takes();
        }
        host.takes();
        prop_assert_eq!(host.has.len() as u64, session.outbox().next_seq());
        prop_assert_eq!(host.last(), session.outbox().next_seq().checked_sub(1));
    }
}
