//! What is pushed arrives, in order, however it is sent, acknowledged and asked for again.

use super::*;
use proptest::prelude::*;

fn outbox(capacity_bytes: usize, lines: &[&str]) -> Outbox {
    let mut outbox = Outbox::new(capacity_bytes);
    for line in lines {
        outbox.push(line.as_bytes());
    }
    outbox
}

/// Sends everything that waits.
fn drain(outbox: &mut Outbox) -> String {
    let mut sent = Vec::new();
    while !outbox.is_empty() {
        let bytes = outbox.next_bytes().to_vec();
        assert!(!bytes.is_empty(), "what waits can be sent");
        outbox.mark_sent(bytes.len());
        sent.extend(bytes);
    }
    String::from_utf8(sent).unwrap()
}

#[test]
fn a_half_sent_line_begins_again_and_whole_ones_do_not() {
    let mut outbox = outbox(100, &["one\n", "two\n"]);
    assert_eq!(outbox.next_bytes(), b"one\ntwo\n");
    outbox.mark_sent(6);
    assert_eq!(outbox.rewind(), 2);
    assert_eq!(outbox.next_bytes(), b"two\n");
}

#[test]
fn lines_that_were_sent_make_room_and_lines_that_wait_do_not() {
    let mut outbox = outbox(10, &["12345678\n"]);
    assert!(outbox.has_room(1, 0) && !outbox.has_room(2, 0) && !outbox.has_room(1, 1));
    drain(&mut outbox);
    assert!(outbox.has_room(10, 0) && !outbox.has_room(11, 0));
    assert_eq!((outbox.first_seq(), outbox.next_seq(), outbox.sent_end()), (1, 1, 1));
}

#[test]
fn what_is_not_acknowledged_stays_and_is_sent_again_when_asked_for() {
    let mut outbox = outbox(16, &["one\n", "two\n", "six\n"]);
    outbox.keep_unacknowledged(true);
    drain(&mut outbox);
    assert!(!outbox.has_room(5, 0), "twelve bytes are kept");
    outbox.acknowledge(1);
    assert!(outbox.has_room(5, 0));
    outbox.send_again();
    assert_eq!(drain(&mut outbox), "two\nsix\n");
}

#[test]
fn a_line_under_way_is_brought_to_its_end_before_sending_goes_back() {
    let mut outbox = outbox(100, &["one\n", "two\n", "six\n"]);
    outbox.keep_unacknowledged(true);
    outbox.mark_sent(6);
    outbox.send_again();
    assert_eq!(outbox.next_bytes(), b"o\n");
    assert_eq!(drain(&mut outbox), "o\none\ntwo\nsix\n");
    outbox.send_again();
    outbox.mark_sent(1);
    outbox.send_again();
    assert_eq!(outbox.rewind(), 1, "a byte of the line under way is taken back all the same");
    assert_eq!(drain(&mut outbox), "one\ntwo\nsix\n");
}

#[test]
fn nothing_is_acknowledged_that_was_not_sent_nor_the_line_under_way() {
    let mut outbox = outbox(100, &["one\n", "two\n"]);
    outbox.acknowledge(u64::MAX);
    assert_eq!(outbox.first_seq(), 0);
    drain(&mut outbox);
    outbox.send_again();
    outbox.mark_sent(1);
    outbox.acknowledge(u64::MAX);
    assert_eq!(drain(&mut outbox), "ne\ntwo\n");
    outbox.acknowledge(u64::MAX);
    assert_eq!(outbox.first_seq(), 2);
}

#[test]
fn a_record_that_is_held_tells_when_it_was_made() {
    let line = |seq, stamp_ns: u64| {
        format!("{{\"type\":\"mark\",\"seq\":{seq},\"mono_ns\":{stamp_ns},\"text\":\"\\\"mono_ns\\\":5\"}}\n")
    };
    let mut outbox = outbox(1000, &[&line(0, 7), &line(1, u64::MAX), "no record\n", &line(3, 0)]);
    let stamps = |outbox: &Outbox| [0, 1, 2, 3, 4, u64::MAX].map(|seq| outbox.stamp_ns(seq));
    assert_eq!(stamps(&outbox), [Some(7), Some(u64::MAX), None, Some(0), None, None]);
    outbox.keep_unacknowledged(true);
    drain(&mut outbox);
    outbox.acknowledge(1);
    assert_eq!(stamps(&outbox), [None, Some(u64::MAX), None, Some(0), None, None]);
}

proptest! {
    #[test]
    fn every_byte_arrives_once_in_order_however_much_the_port_takes(
        lines in prop::collection::vec("[a-z]{0,30}\n", 0..40), takes in prop::collection::vec(1usize..50, 1..50)
    ) {
        let mut outbox = Outbox::new(0);
        let mut arrived = Vec::new();
        let mut takes = takes.iter().cycle();
        for chunk in lines.chunks(7) {
            for line in chunk {
                outbox.push(line.as_bytes());
            }
            while !outbox.is_empty() {
                let bytes = outbox.next_bytes();
                let taken = bytes.len().min(*takes.next().unwrap());
                arrived.extend_from_slice(&bytes[..taken]);
                outbox.mark_sent(taken);
            }
            let _ = outbox.has_room(0, 0);
        }
        prop_assert_eq!(arrived, lines.concat().into_bytes());
    }
}
