//! Whose a record is on a connection, and what is excused, held back and told on it.

use super::*;
use crate::lab::rundir::{Limits, RECORDS_FILE, RecordsFile};
use serde_json::json;
use std::{fs, io, path::Path};

const PATH: &str = "/port";
const SECOND_NS: u64 = 1_000_000_000;

fn line(session: u64, seq: u64, text: &str) -> String {
    let session = SessionId(session);
    let mark = json!({"session": session, "seq": seq, "mono_ns": 5, "type": "mark", "text": text});
    format!("{mark}\n")
}

/// Hears these records of a session, one after the other.
fn hear(talk: &mut Talk, session: u64, numbers: &[u64]) {
    for seq in numbers {
        talk.hear(*seq, line(session, *seq, "here").as_bytes());
    }
}

/// A connection of a socket that `desk` admits, and attends from now on.
fn begun(desk: Desk) -> (Arc<Desk>, Talk) {
    let desk = Arc::new(desk);
    desk.admit(Path::new(PATH), None).unwrap();
    desk.connection(Path::new(PATH), true);
    let talk = Talk::begin(Arc::clone(&desk), Socket::new(PATH.into()), 0);
    (desk, talk)
}

/// A collector of one VM, whose records go nowhere.
fn of_one_vm() -> Desk {
    Desk::of_one_vm(RecordsFile::new("/dev/null".into(), Limits::ALL))
}

/// How many records are kept of a life, by the name of its directory.
fn kept(dir: &Path, life: &str) -> usize {
    fs::read_to_string(dir.join(life).join(RECORDS_FILE)).map_or(0, |text| text.lines().count())
}

/// A session whose second life spoke last on the socket.
fn divided(dir: &Path) -> (Arc<Desk>, Talk) {
    let (desk, mut talk) = begun(Desk::open(dir, 1 << 20).unwrap());
    hear(&mut talk, 1, &[0, 1, 2]);
    talk.hear(9, line(1, 1, "elsewhere").as_bytes());
    talk.tick(6 * SECOND_NS);
    desk.close().unwrap();
    assert_eq!((kept(dir, &SessionId(1).to_string()), kept(dir, "0000000000000001-2")), (3, 1));
    (desk, talk)
}

/// After what `between` does, a record of the first life is the first life's.
fn is_first_again(between: fn(&Arc<Desk>, Talk) -> Talk) {
    let dir = tempfile::tempdir().unwrap();
    let (desk, talk) = divided(dir.path());
    let mut talk = between(&desk, talk);
    hear(&mut talk, 1, &[2]);
    talk.close(20 * SECOND_NS);
    desk.close().unwrap();
    assert_eq!((kept(dir.path(), "0000000000000001"), kept(dir.path(), "0000000000000001-2")), (3, 1));
}

#[test]
fn whose_a_socket_s_records_are_is_forgotten_with_its_connection() {
    is_first_again(|desk, talk| Talk::begin(Arc::clone(desk), talk.break_off(), 7 * SECOND_NS));
}

#[test]
fn whose_a_socket_s_records_are_is_forgotten_when_another_session_speaks() {
    is_first_again(|_, mut talk| {
        hear(&mut talk, 2, &[0]);
        talk
    });
}

#[test]
fn how_far_a_session_came_is_forgotten_when_another_speaks() {
    let dir = tempfile::tempdir().unwrap();
    let (desk, mut talk) = begun(Desk::open(dir.path(), 1 << 20).unwrap());
    hear(&mut talk, 1, &[0, 1, 2, 3]);
    hear(&mut talk, 2, &[0, 1]);
    for file in desk.take_unsynced() {
        desk.synced(&file, Ok(true));
    }
    talk.out().clear();
    talk.tick(2 * SECOND_NS);
    let said = String::from_utf8_lossy(talk.out()).into_owned();
    assert!(said.contains("\"type\":\"ack\"") && said.contains("\"seq\":1"), "{said}");
}

/// A VM goes back and says again, unasked, what it said, and then what `then` does happens: the doubles that are left.
fn doubles_after(then: fn(&mut Talk)) -> u64 {
    let (desk, mut talk) = begun(of_one_vm());
    // One more session is known on the socket.
    hear(&mut talk, 2, &[0]);
    hear(&mut talk, 1, &[0, 1, 2]);
    hear(&mut talk, 1, &[0, 1, 2]);
    hear(&mut talk, 1, &[0, 1, 2]);
    then(&mut talk);
    desk.finish().doubles
}

#[test]
fn what_comes_twice_is_excused_where_another_life_may_begin_and_nowhere_else() {
    assert_eq!(doubles_after(|_| {}), 3);
    assert_eq!(doubles_after(|talk| hear(talk, 1, &[3])), 3, "the same life went on");
    assert_eq!(
        doubles_after(|talk| {
            hear(talk, 1, &[3]);
            talk.close(9);
        }),
        3,
        "and is not excused later"
    );
    assert_eq!(doubles_after(|talk| talk.close(9)), 0, "the connection ends");
    assert_eq!(doubles_after(|talk| hear(talk, 2, &[1])), 0, "another session speaks");
}

#[test]
fn what_comes_twice_before_a_break_is_excused() {
    let (desk, mut talk) = begun(of_one_vm());
    for _ in 0..3 {
        hear(&mut talk, 1, &[0, 1, 2]);
    }
    talk.break_off();
    assert_eq!(desk.finish().doubles, 0);
}

#[test]
fn what_comes_twice_before_a_contradiction_is_another_life_s_past() {
    let dir = tempfile::tempdir().unwrap();
    let (desk, mut talk) = begun(Desk::open(dir.path(), 1 << 20).unwrap());
    for _ in 0..3 {
        hear(&mut talk, 1, &[0, 1, 2]);
    }
    talk.hear(9, line(1, 2, "elsewhere").as_bytes());
    talk.tick(6 * SECOND_NS);
    assert_eq!(desk.views()[0].stream.doubles, 0);
    let text = desk.close().map(|_| fs::read_to_string(dir.path().join("0000000000000001/session.json")));
    assert!(text.unwrap().unwrap().contains("\"doubles\": 0"));
}

#[test]
fn what_two_connections_say_at_once_is_a_double_on_neither() {
    for spoke_before in [false, true] {
        let (desk, mut source) = begun(of_one_vm());
        desk.admit(Path::new("/other"), None).unwrap();
        let mut other = Talk::begin(Arc::clone(&desk), Socket::new("/other".into()), 0);
        if spoke_before {
            // What another session said on the connection is none of this one's.
            hear(&mut other, 2, &[0, 1, 2, 3, 3]);
        }
        hear(&mut source, 1, &[0, 1, 2, 3]);
        for seq in 1..4 {
            hear(&mut other, 1, &[seq]);
            hear(&mut source, 1, &[seq + 3]);
        }
        hear(&mut other, 1, &[7]);
        assert_eq!(desk.finish().doubles, 0, "{spoke_before}");
    }
}

#[test]
fn what_is_held_back_is_kept_at_the_end_and_comes_again_after_a_break() {
    let contradicts = |talk: &mut Talk| {
        hear(talk, 1, &[0, 1]);
        talk.hear(9, line(1, 1, "elsewhere").as_bytes());
    };
    let (desk, mut talk) = begun(of_one_vm());
    contradicts(&mut talk);
    assert_eq!(desk.take_fresh().len(), 2, "it is held back");
    talk.close(10);
    assert_eq!((desk.take_fresh().len(), desk.finish().records), (1, 3));

    let (desk, mut talk) = begun(of_one_vm());
    contradicts(&mut talk);
    let mut talk = Talk::begin(Arc::clone(&desk), talk.break_off(), 11);
    assert_eq!((desk.take_fresh().len(), desk.finish().unwritten), (2, 0), "the guest still has it");
    talk.hear(12, line(1, 1, "elsewhere").as_bytes());
    talk.tick(7 * SECOND_NS);
    assert_eq!((desk.take_fresh().len(), desk.finish().records), (1, 3));
}

#[test]
fn nothing_is_told_while_records_are_held_back() {
    let (desk, mut talk) = begun(of_one_vm());
    hear(&mut talk, 1, &[0, 1]);
    for file in desk.take_unsynced() {
        desk.synced(&file, Ok(true));
    }
    talk.hear(SECOND_NS, line(1, 1, "elsewhere").as_bytes());
    talk.out().clear();
    talk.tick(2 * SECOND_NS);
    assert!(talk.out().is_empty(), "{}", String::from_utf8_lossy(talk.out()));
}

#[test]
fn nothing_is_told_of_how_far_records_came_that_the_kernel_did_not_take() {
    let (desk, mut talk) = begun(Desk::of_one_vm(RecordsFile::new(
        "/dev/full".into(),
        Limits { reserve_bytes: 0, ..Limits::ALL },
    )));
    hear(&mut talk, 1, &[0, 1]);
    talk.out().clear();
    assert!(desk.progress(SessionId(1), 0, 2).is_none());
    talk.tick(2 * SECOND_NS);
    assert!(talk.out().is_empty(), "{}", String::from_utf8_lossy(talk.out()));
    assert_eq!(desk.take_fault().unwrap().kind(), io::ErrorKind::StorageFull);
}

#[test]
fn a_hole_that_does_not_fill_is_given_up_and_what_follows_it_acknowledged() {
    let (desk, mut talk) = begun(of_one_vm());
    hear(&mut talk, 1, &[0, 5]);
    for second in 1..=5 {
        for file in desk.take_unsynced() {
            desk.synced(&file, Ok(true));
        }
        talk.out().clear();
        talk.tick(second * SECOND_NS);
    }
    let said = String::from_utf8_lossy(talk.out()).into_owned();
    assert!(said.contains("\"type\":\"ack\"") && said.contains("\"seq\":5"), "{said}");
}

#[test]
fn who_asks_more_than_a_vm_takes_is_told_so() {
    let (_desk, mut talk) = begun(of_one_vm());
    talk.ask(&vec![b' '; OUT_LIMIT_BYTES], None);
    let (to, mut answered) = tokio::sync::oneshot::channel();
    talk.ask(&vec![b' '; OUT_LIMIT_BYTES], Some(ReplyTo { id: 5, to }));
    assert_eq!(answered.try_recv().unwrap().unwrap_err(), "the VM takes no commands at present");
}
