//! Dialogues as QEMU 7.2 and 10 hold them, cut in every way.

use super::*;
use proptest::prelude::*;
use serde_json::json;

const GREETING: &str = r#"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian 1:7.2+dfsg-7+deb12u18+b3"}, "capabilities": ["oob"]}}"#;
const MIGRATION: &str = concat!(
    r#"{"return": {}, "id": 3}"#,
    "\r\n",
    r#"{"timestamp": {"seconds": 1795419608, "microseconds": 791814}, "event": "MIGRATION_PASS", "data": {"pass": 2}}"#,
    "\r\n",
    r#"{"timestamp": {"seconds": 1795419609, "microseconds": 5}, "event": "STOP"}"#,
    "\r\n",
    r#"{"id": 4, "error": {"class": "CommandNotFound", "desc": "The command nope has not been found"}}"#,
    "\r\n",
    r#"{"return": {"status": "completed", "downtime": 15}, "id": 5}"#,
    "\r\n",
);

fn all(decoder: &mut Decoder) -> Vec<Result<Incoming, ProtocolError>> {
    std::iter::from_fn(|| decoder.next_message()).collect()
}

fn decode(text: &str) -> Vec<Result<Incoming, ProtocolError>> {
    let mut decoder = Decoder::default();
    decoder.push(text.as_bytes());
    all(&mut decoder)
}

fn event(name: &str, qemu_real_us: impl Into<Option<u64>>, data: Value) -> Incoming {
    Incoming::Event { name: name.into(), qemu_real_us: qemu_real_us.into(), data }
}

#[test]
fn a_line_in_pieces_is_searched_once() {
    let mut decoder = Decoder::default();
    for _ in 0..3 {
        decoder.push(&[b' '; 100]);
        assert_eq!(all(&mut decoder), []);
        assert_eq!(decoder.searched, decoder.pending.len());
    }
    decoder.push(b"\n");
    assert_eq!((all(&mut decoder).len(), decoder.searched, decoder.pending.len()), (0, 0, 0));
}

#[test]
fn the_greeting_names_the_version() {
    let messages = decode(&format!("{GREETING}\r\n"));
    let [Ok(Incoming::Greeting { version })] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!(version.text(), "7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)");
}

#[test]
fn answers_refusals_and_events_come_in_the_order_of_the_wire() {
    let desc = "The command nope has not been found".to_owned();
    let expected = [
        Incoming::Return { id: Some(3), value: json!({}) },
        event("MIGRATION_PASS", 1_795_419_608_791_814, json!({"pass": 2})),
        event("STOP", 1_795_419_609_000_005, Value::Null),
        Incoming::Error { id: Some(4), class: "CommandNotFound".into(), desc },
        Incoming::Return { id: Some(5), value: json!({"status": "completed", "downtime": 15}) },
    ];
    assert_eq!(decode(MIGRATION), expected.map(Ok));
}

#[test]
fn what_a_newer_qemu_adds_is_passed_over() {
    let text = concat!(
        r#"{"return": 7, "id": 1, "took-ns": 12}"#,
        "\n",
        r#"{"progress": {"of": 1}, "id": 1}"#,
        "\n\n",
        r#"{"event": "NEW", "timestamp": {"seconds": -1, "microseconds": -1}, "severity": "low"}"#,
        "\n"
    );
    let expected = [Incoming::Return { id: Some(1), value: json!(7) }, event("NEW", None, Value::Null)];
    assert_eq!(decode(text), expected.map(Ok));
}

#[test]
fn an_error_about_an_unreadable_command_has_no_id() {
    let text =
        "{\"error\": {\"class\": \"GenericError\", \"desc\": \"JSON parse error, invalid keyword 'x'\"}}\n";
    let messages = decode(text);
    assert!(
        matches!(&messages[..], [Ok(Incoming::Error { id: None, class, .. })] if class == "GenericError")
    );
}

#[test]
fn a_line_that_is_no_qmp_is_shown_and_got_over() {
    let messages = decode("QEMU 7.2.22 monitor\x07 - type 'help'\n[1]\n{\"return\": {}, \"id\": 1}\n");
    let [Err(monitor), Err(list), Ok(Incoming::Return { id: Some(1), .. })] = &messages[..] else {
        panic!("{messages:?}")
    };
    assert!(monitor.to_string().contains("'QEMU 7.2.22 monitor\u{fffd} - type 'help''"), "{monitor}");
    assert!(list.to_string().contains("not an object"), "{list}");
}

#[test]
fn a_line_without_end_is_given_up_and_its_memory_with_it() {
    for ending in ["", "\n"] {
        let mut decoder = Decoder { limit: 100, ..Decoder::default() };
        decoder.push("x".repeat(100).as_bytes());
        assert_eq!(decoder.next_message(), None);
        decoder.push(format!("x{ending}").as_bytes());
        let lost = Some(Err(ProtocolError::TooLong { limit: 100 }));
        assert_eq!(decoder.next_message(), lost);
        decoder.push(b"{\"return\": {}}\n");
        assert_eq!(decoder.next_message(), lost);
        assert_eq!(decoder.pending.capacity(), 0);
    }
}

#[test]
fn a_line_of_just_the_limit_is_read() {
    let line = b"{\"return\": \"12345678\", \"id\": 1}\n";
    let mut decoder = Decoder { limit: line.len() - 1, ..Decoder::default() };
    decoder.push(line);
    assert!(matches!(decoder.next_message(), Some(Ok(Incoming::Return { .. }))));
}

proptest! {
    #[test]
    fn the_cuts_do_not_matter(cuts in proptest::collection::vec(1usize..60, 1..40)) {
        let text = format!("{GREETING}\n{MIGRATION}");
        let mut decoder = Decoder::default();
        let (mut rest, mut messages) = (text.as_bytes(), Vec::new());
        for cut in cuts.iter().cycle() {
            let (piece, remaining) = rest.split_at((*cut).min(rest.len()));
            decoder.push(piece);
            messages.extend(all(&mut decoder));
            rest = remaining;
            if rest.is_empty() { break; }
        }
        prop_assert_eq!(messages, decode(&text));
    }

    #[test]
    fn no_bytes_panic(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..20)) {
        let mut decoder = Decoder { limit: 64, ..Decoder::default() };
        for piece in pieces {
            decoder.push(&piece);
            while let Some(message) = decoder.next_message() {
                if matches!(message, Err(ProtocolError::TooLong { .. })) { break; }
            }
        }
    }
}
