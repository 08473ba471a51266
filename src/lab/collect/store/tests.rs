//! What is kept, what is told apart, and what a later collector finds.

use super::*;
use crate::record::Arrival;

fn line(seq: u64, text: &str) -> Vec<u8> {
    format!(r#"{{"type":"phase","session":"0000000000000001","seq":{seq},"mono_ns":5,"phase":"{text}","later":1}}"#)
        .into_bytes()
}

fn take(store: &mut Store, seq: u64) -> bool {
    store.take(&line(seq, "run"), 7, Side::Source, seq, false).unwrap().seen.is_new()
}

fn fit(store: &Store, seq: u64, text: &str) -> Fit {
    store.fit(seq, print_of(&own_fields(&line(seq, text))))
}

fn about(dir: &Path) -> Value {
    serde_json::from_slice(&fs::read(dir.join(SESSION_FILE)).unwrap()).unwrap()
}

#[test]
fn records_are_kept_as_they_came_with_their_stamps() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), 1 << 20).unwrap();
    assert!(take(&mut store, 0));
    store.flush().unwrap();
    let text = fs::read_to_string(dir.path().join(RECORDS_FILE)).unwrap();
    let arrival: Arrival = serde_json::from_str(&text).unwrap();
    assert_eq!((arrival.host_ns, arrival.side, arrival.record.seq), (7, Side::Source, 0));
    assert!(text.contains("\"later\":1"), "what this version does not know is kept");
}

#[test]
fn a_collector_goes_on_behind_the_whole_lines_of_one_that_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), 1 << 20).unwrap();
    for seq in [3, 4, 6] {
        take(&mut store, seq);
    }
    store.flush().unwrap();
    let path = dir.path().join(RECORDS_FILE);
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"host_ns\":1,\"si").unwrap();

    let mut store = Store::open(dir.path(), 1 << 20).unwrap();
    assert_eq!((store.whole_end(), store.span(), store.found().records), (5, Some((3, 7)), 3));
    assert_eq!([4, 5, 6, 7].map(|seq| take(&mut store, seq)), [false, true, false, true]);
    store.flush().unwrap();
    let found = store.found();
    assert_eq!((found.records, found.holes, found.replayed, found.is_sound()), (5, 0, 2, true));
    let lines = fs::read_to_string(&path).unwrap();
    assert!(lines.lines().all(|line| serde_json::from_str::<Arrival>(line).is_ok()), "{lines}");
}

#[test]
fn the_same_number_with_other_words_is_another_record_before_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), 1 << 20).unwrap();
    for seq in [0, 1, 3] {
        take(&mut store, seq);
    }
    for _ in 0..2 {
        assert_eq!((fit(&store, 1, "run"), fit(&store, 1, "walk")), (Fit::Same, Fit::Other));
        assert_eq!((fit(&store, 2, "run"), fit(&store, 4, "run")), (Fit::New, Fit::New));
        store.flush().unwrap();
        store = Store::open(dir.path(), 1 << 20).unwrap();
    }
}

#[test]
fn what_was_said_is_remembered_of_the_latest_and_an_older_number_is_another_s() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), 1 << 30).unwrap();
    let count = PRINTS_LIMIT as u64 + 10;
    for seq in 0..count {
        take(&mut store, seq);
    }
    assert_eq!(store.prints.len(), PRINTS_LIMIT);
    assert_eq!(
        (fit(&store, 3, "run"), fit(&store, 20, "run"), fit(&store, count, "run")),
        (Fit::Other, Fit::Same, Fit::New)
    );
}

#[test]
fn nothing_is_safe_before_the_disk_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), 1 << 20).unwrap();
    take(&mut store, 0);
    take(&mut store, 1);
    let (_, end) = store.take_unsynced().unwrap().unwrap();
    take(&mut store, 2);
    assert_eq!((end, store.safe_end(), store.whole_end()), (2, 0, 3));
    store.synced(end);
    assert_eq!(store.safe_end(), 2, "what came during the sync waits for the next");
    assert_eq!(store.take_unsynced().unwrap().unwrap().1, 3);
    assert_eq!(store.take_unsynced().unwrap(), None, "nothing new");
}

#[test]
fn a_session_beyond_its_limit_is_counted_and_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), 1000).unwrap();
    for seq in 0..1000 {
        take(&mut store, seq);
    }
    store.conclude().unwrap();
    assert!(fs::metadata(dir.path().join(RECORDS_FILE)).unwrap().len() <= 1000);
    let about = about(dir.path());
    assert!(about["unkept"].as_u64().unwrap() > 900 && about["stream"]["records"] == 1000, "{about}");
}

#[test]
fn what_an_earlier_collector_found_out_is_not_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), 1000).unwrap();
    store.about().insert("parent".into(), "00c0ffee00c0ffee".into());
    store.write_about().unwrap();
    let mut store = Store::open(dir.path(), 1000).unwrap();
    store.conclude().unwrap();
    assert_eq!(about(dir.path())["parent"], "00c0ffee00c0ffee");
}
