//! What is kept, what is told apart, and what a later collector finds.

use super::*;
use crate::record::{Arrival, Body, Gap, GapClass, GapFeatures, Record, SessionId};
use crate::wire::{Line, encode_record};
use std::fs::OpenOptions;
use std::io::Write;

fn line(seq: u64, text: &str) -> Vec<u8> {
    format!(r#"{{"type":"phase","session":"0000000000000001","seq":{seq},"mono_ns":5,"phase":"{text}","later":1}}"#)
        .into_bytes()
}

fn heard(line: &[u8]) -> Heard {
    Heard::of(&Line::Whole(line), 7).unwrap()
}

fn take(store: &mut Store, seq: u64) -> bool {
    store.take(&heard(&line(seq, "run")), Side::Source, false).seen.is_new()
}

fn fit(store: &Store, seq: u64, text: &str) -> Fit {
    store.fit(seq, heard(&line(seq, text)).print)
}

fn open(dir: &Path, limit_bytes: u64) -> Store {
    Store::open(dir, Limits { file_bytes: limit_bytes, reserve_bytes: 0, ..Limits::ALL }).unwrap()
}

fn about(dir: &Path) -> Value {
    serde_json::from_slice(&fs::read(dir.join(SESSION_FILE)).unwrap()).unwrap()
}

#[test]
fn records_are_kept_as_they_came_with_their_stamps() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path(), 1 << 20);
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
    let mut store = open(dir.path(), 1 << 20);
    for seq in [3, 4, 6] {
        take(&mut store, seq);
    }
    store.flush().unwrap();
    let path = dir.path().join(RECORDS_FILE);
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"host_ns\":1,\"si").unwrap();

    let mut store = open(dir.path(), 1 << 20);
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
    let mut store = open(dir.path(), 1 << 20);
    for seq in [0, 1, 3] {
        take(&mut store, seq);
    }
    for _ in 0..2 {
        assert_eq!((fit(&store, 1, "run"), fit(&store, 1, "walk")), (Fit::Same, Fit::Other));
        assert_eq!((fit(&store, 2, "run"), fit(&store, 4, "run")), (Fit::New, Fit::New));
        assert_eq!([1, 2].map(|seq| store.stamp_ns(seq)), [Some(5), None]);
        store.flush().unwrap();
        store = open(dir.path(), 1 << 20);
    }
}

#[test]
fn what_was_said_is_remembered_of_the_latest_and_an_older_number_is_another_s() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path(), 1 << 30);
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
    let mut store = open(dir.path(), 1 << 20);
    take(&mut store, 0);
    take(&mut store, 1);
    let written = store.take_unsynced().unwrap().unwrap();
    take(&mut store, 2);
    assert_eq!((written.end, store.safe_end(), store.whole_end()), (2, 0, 3));
    store.synced(&written, true);
    assert_eq!(store.safe_end(), 2, "what came during the sync waits for the next");
    assert_eq!(store.take_unsynced().unwrap().unwrap().end, 3);
    assert_eq!(store.take_unsynced().unwrap(), None, "nothing new");
}

#[test]
fn a_session_beyond_its_limit_is_counted_and_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path(), 1000);
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
    let mut store = open(dir.path(), 1000);
    store.about().insert("parent".into(), "00c0ffee00c0ffee".into());
    store.write_about().unwrap();
    let mut store = open(dir.path(), 1000);
    store.conclude().unwrap();
    assert_eq!(about(dir.path())["parent"], "00c0ffee00c0ffee");
}

#[test]
fn what_the_disk_did_not_take_is_never_safe_whatever_it_takes_later() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("later").join(RECORDS_FILE);
    let mut store = Store::within(Arc::new(Mutex::new(RecordsFile::new(path, Limits::ALL))));
    let mut seq = 0;
    let refused = loop {
        let taken = store.take(&heard(&line(seq, "run")), Side::Source, false);
        if taken.fault.is_some() {
            break seq;
        }
        seq += 1;
    };
    assert!(store.take_unsynced().is_err());
    fs::create_dir(dir.path().join("later")).unwrap();
    assert!(take(&mut store, seq + 1));
    let written = store.take_unsynced().unwrap().unwrap();
    store.synced(&written, true);
    assert_eq!((written.end, store.safe_end(), store.unkept()), (seq + 2, refused, 1));
}

/// Has the disk take what is there; whether it is there.
fn sync(store: &mut Store) -> bool {
    let Some(written) = store.take_unsynced().unwrap() else { return true };
    let is_there = written.mark.is_none_or(|mark| mark.sync(&written.path).unwrap());
    store.synced(&written, is_there);
    is_there
}

/// What somebody does to a file.
type Spoil = fn(&Path);

#[test]
fn what_somebody_took_from_the_file_is_missing_until_it_comes_again_and_never_safe() {
    let removed = |path: &Path| fs::remove_dir_all(path.parent().unwrap()).unwrap();
    let replaced = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        let draft = path.with_extension("draft");
        fs::write(&draft, text.lines().next().unwrap().to_owned() + "\n").unwrap();
        fs::rename(draft, path).unwrap();
    };
    let cut = |path: &Path| {
        let half = fs::metadata(path).unwrap().len() / 2;
        OpenOptions::new().write(true).open(path).unwrap().set_len(half).unwrap();
    };
    for (spoil, left) in [(removed as Spoil, 0), (replaced as Spoil, 1), (cut as Spoil, 3)] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("life").join(RECORDS_FILE);
        let mut store = open(path.parent().unwrap(), 1 << 20);
        (0..4).for_each(|seq| assert!(take(&mut store, seq)));
        assert!(sync(&mut store));
        assert_eq!(store.safe_end(), 4);
        (4..6).for_each(|seq| assert!(take(&mut store, seq)));
        // The file is spoilt while the disk takes it.
        let written = store.take_unsynced().unwrap().unwrap();
        spoil(&path);
        assert!(!written.mark.unwrap().sync(&written.path).unwrap());
        store.synced(&written, false);
        assert_eq!(store.safe_end(), 4);
        assert!(sync(&mut store), "what is there now counts");
        assert_eq!((store.safe_end(), store.whole_end(), store.span()), (left, left, Some((0, 6))));
        assert_eq!((store.take_gone(), store.take_gone(), store.gone()), (6 - left, 0, 6 - left));
        // What was acknowledged does not come again; the guest says from where on it has the rest.
        store.give_up(4);
        (4..8).for_each(|seq| assert!(take(&mut store, seq)));
        store.synced(&written, true);
        assert!(store.safe_end() <= 4, "an earlier file's sync is none of this one");
        assert!(sync(&mut store));
        let found = store.found();
        assert_eq!((store.safe_end(), found.records, found.holes), (8, left + 4, 4 - left));
        let lines = fs::read_to_string(&path).unwrap();
        assert_eq!(lines.lines().count() as u64, left + 4);
    }
}

#[test]
fn a_file_of_lives_that_is_gone_is_a_fault_and_nothing_is_safe_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(RECORDS_FILE);
    let mut store = Store::within(Arc::new(Mutex::new(RecordsFile::new(path.clone(), Limits::ALL))));
    take(&mut store, 0);
    assert!(sync(&mut store));
    fs::remove_file(&path).unwrap();
    take(&mut store, 1);
    let error = store.take_unsynced().unwrap_err().to_string();
    assert!(error.contains("records.ndjson was removed, replaced or cut"), "{error}");
    assert!(!path.exists(), "no half of a run");
}

#[test]
fn what_the_guest_said_it_lost_is_known_to_a_later_collector() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path(), 1 << 20);
    for (seq, fields) in [
        (0, r#""type":"sweep","sweeps":1,"pages":9,"corrupt_pages":3000"#),
        (1, r#""type":"corruption","page":7,"kind":"stale","expected":"","found":"""#),
    ] {
        let line = format!(r#"{{"session":"0000000000000001","seq":{seq},"mono_ns":5,{fields}}}"#);
        store.take(&heard(line.as_bytes()), Side::Source, false);
    }
    store.flush().unwrap();
    for store in [store, open(dir.path(), 1 << 20)] {
        assert_eq!((store.losses().corrupt_pages(), store.losses().named()), (Some(3000), 1));
    }
}

#[test]
fn lives_that_share_a_file_stand_in_it_behind_each_other_and_a_single_gap_gives_way() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { line_bytes: 1000, file_bytes: 4000, reserve_bytes: 2000, ..Limits::ALL };
    let file = Arc::new(Mutex::new(RecordsFile::new(dir.path().join(RECORDS_FILE), limits)));
    let mut lives = [Store::within(Arc::clone(&file)), Store::within(Arc::clone(&file))];
    let features = GapFeatures::default();
    let gap = Gap { cpu: 0, start_ns: 1, len_ns: 2, class: GapClass::Unknown, features };
    for seq in 0..40 {
        let record = Record { session: SessionId(1), seq, mono_ns: 5, body: Body::Gap(gap.clone()) };
        let taken = lives[0].take(&heard(encode_record(&record).trim_ascii_end()), Side::Source, false);
        assert!(taken.seen.is_new() && taken.fault.is_none());
    }
    for seq in 0..40 {
        assert!(take(&mut lives[1], seq));
    }
    for life in &mut lives {
        life.conclude().unwrap();
    }
    let text = fs::read_to_string(dir.path().join(RECORDS_FILE)).unwrap();
    let arrivals: Vec<Arrival> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let gaps = arrivals.iter().take_while(|arrival| matches!(arrival.record.body, Body::Gap(_))).count();
    let gap_bytes: usize = text.split_inclusive('\n').take(gaps).map(str::len).sum();
    assert!((1500..=2000).contains(&gap_bytes) && (3700..=4000).contains(&text.len()), "{gap_bytes}: {text}");
    let unkept = |life: &Store| usize::try_from(life.unkept()).unwrap();
    assert_eq!((unkept(&lives[0]), unkept(&lives[1])), (40 - gaps, 40 - (arrivals.len() - gaps)));
}
