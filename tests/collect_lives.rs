//! Guests that went back to an earlier state, as a collector's sockets show them.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use sully::record::{Arrival, Body, Command as Told, Phase, Record, Reply, SessionId};
use sully::wire::{decode_command, encode_record};

const SESSION: SessionId = SessionId(7);

fn collector(dir: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sully-lab"));
    command.arg("collect").arg(dir.join("?.sock")).arg("--out").arg(dir.join("out"));
    command.args(["--duration", "2m"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Ends a collector: its exit code, and what it said.
fn end(mut collecting: Child) -> (Option<i32>, String) {
    kill(Pid::from_raw(i32::try_from(collecting.id()).unwrap()), Signal::SIGINT).unwrap();
    let mut said = String::new();
    collecting.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (collecting.wait().unwrap().code(), said)
}

/// A guest of an earlier version: it knows nothing of `otherwise`.
struct Guest {
    stream: UnixStream,
    heard: BufReader<UnixStream>,
    life: &'static str,
    next: u64,
}

impl Guest {
    fn accepted(listener: &UnixListener, life: &'static str, next: u64) -> Self {
        let (stream, _) = listener.accept().unwrap();
        let heard = BufReader::new(stream.try_clone().unwrap());
        Self { stream, heard, life, next }
    }

    fn says_up_to(&mut self, end: u64) {
        for seq in self.next..end {
            self.record(seq, Body::Phase(Phase { phase: self.life.into() }));
        }
        self.next = end;
    }

    fn record(&mut self, seq: u64, body: Body) {
        self.stream.write_all(&encode_record(&Record { session: SESSION, seq, mono_ns: seq, body })).unwrap();
    }

    /// What the collector tells it next, `is_it` or an attach to a number that it never sent, which it refuses.
    fn hears(&mut self, is_it: impl Fn(&Told) -> bool) -> Told {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.heard.read_line(&mut line).unwrap() > 0, "the collector hung up");
            let Ok(command) = decode_command(line.trim_end().as_bytes()) else { continue };
            if let Told::Ack { seq, .. } = command {
                assert!(seq < self.next, "{seq} was never sent on this connection");
            }
            if let Told::Attach { id, after: Some(after), .. } = command
                && after >= self.next
            {
                let error = Some(format!("after = {after} cannot be"));
                self.record(
                    self.next,
                    Body::Reply(Reply { to: id, ok: false, error, from: None, status: None }),
                );
                self.next += 1;
            }
            if is_it(&command) {
                return command;
            }
        }
    }
}

/// The numbers of the records of a directory that say `life`, and its `session.json`.
fn kept(dir: &Path, name: &str, life: &str) -> (Vec<u64>, serde_json::Value) {
    let text = std::fs::read_to_string(dir.join("out").join(name).join("records.ndjson")).unwrap();
    let arrivals = text.lines().map(|line| serde_json::from_str::<Arrival>(line).unwrap());
    let seqs = arrivals.filter_map(|arrival| match arrival.record.body {
        Body::Phase(phase) if phase.phase == life => Some(arrival.record.seq),
        Body::Phase(phase) => panic!("{name} holds a record of the {} life", phase.phase),
        _ => None,
    });
    let seqs = seqs.collect();
    let about = std::fs::read(dir.join("out").join(name).join("session.json")).unwrap();
    (seqs, serde_json::from_slice(&about).unwrap())
}

fn listener(dir: &Path, name: &str) -> (UnixListener, PathBuf) {
    let path = dir.join(name);
    (UnixListener::bind(&path).unwrap(), path)
}

#[test]
fn a_second_life_on_a_new_connection_is_kept_apart_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, _) = listener(dir.path(), "1.sock");
    let collecting = collector(dir.path());
    let mut first = Guest::accepted(&listener, "first", 0);
    first.says_up_to(21);
    first.hears(|command| matches!(command, Told::Ack { seq: 20, .. }));
    drop(first);
    let mut second = Guest::accepted(&listener, "second", 5);
    second.says_up_to(26);
    // Its answer is a record, too.
    second.hears(|command| matches!(command, Told::Ack { seq: 26.., .. }));
    let (code, said) = end(collecting);
    assert_eq!(code, Some(0), "all of it is kept: {said}");
    assert!(said.contains("went back to an earlier state") && said.contains("0000000000000007-2"), "{said}");

    let (seqs, about) = kept(dir.path(), "0000000000000007", "first");
    assert_eq!(seqs, (0..21).collect::<Vec<_>>());
    assert!(about["parent"].is_null() && about["stream"]["replayed"] == 0, "{about}");
    let (seqs, about) = kept(dir.path(), "0000000000000007-2", "second");
    assert_eq!(seqs, (5..26).collect::<Vec<_>>());
    assert_eq!((&about["parent"], &about["parent_seq"]), (&"0000000000000007".into(), &5.into()), "{about}");
    assert!(about["reason"].as_str().unwrap().contains("earlier state"), "{about}");

    // A later collector knows both, and goes on with the one that speaks.
    let collecting = collector(dir.path());
    let mut second = Guest::accepted(&listener, "second", 20);
    second.says_up_to(26);
    second.next = 27;
    second.says_up_to(31);
    second.hears(|command| matches!(command, Told::Ack { seq: 30, .. }));
    let (code, said) = end(collecting);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(kept(dir.path(), "0000000000000007", "first").0.len(), 21);
    assert_eq!(kept(dir.path(), "0000000000000007-2", "second").0, (5..26).chain(27..31).collect::<Vec<_>>());
}

#[test]
fn a_second_life_on_an_open_connection_is_kept_apart() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, _) = listener(dir.path(), "1.sock");
    let collecting = collector(dir.path());
    let mut guest = Guest::accepted(&listener, "first", 0);
    guest.says_up_to(21);
    guest.hears(|command| matches!(command, Told::Ack { seq: 20, .. }));
    // What was not sent when the state was saved is the same in both lives, and comes again.
    guest.next = 15;
    guest.says_up_to(18);
    guest.life = "second";
    guest.says_up_to(40);
    guest.hears(|command| matches!(command, Told::Ack { seq: 40.., .. }));
    // And once more to the same state.
    (guest.next, guest.life) = (15, "first");
    guest.says_up_to(18);
    guest.life = "third";
    guest.says_up_to(60);
    guest.hears(|command| matches!(command, Told::Ack { seq: 60.., .. }));
    let (code, said) = end(collecting);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(kept(dir.path(), "0000000000000007", "first").0, (0..21).collect::<Vec<_>>());
    for (name, life, end) in [("0000000000000007-2", "second", 40), ("0000000000000007-3", "third", 60)] {
        let (seqs, about) = kept(dir.path(), name, life);
        assert_eq!(seqs, (18..end).collect::<Vec<_>>());
        // Both come from the first: of the second the third has nothing.
        assert_eq!((&about["parent"], &about["parent_seq"]), (&"0000000000000007".into(), &18.into()));
    }
}

#[test]
fn two_clones_at_once_are_two_and_a_name_that_means_both_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let listeners = ["1.sock", "2.sock"].map(|name| listener(dir.path(), name));
    let collecting = collector(dir.path());
    let mut clones = [0, 1].map(|index| Guest::accepted(&listeners[index].0, ["one", "other"][index], 0));
    clones[0].says_up_to(10);
    clones[0].hears(|command| matches!(command, Told::Ack { seq: 9, .. }));
    clones[1].says_up_to(12);
    clones[0].says_up_to(14);
    clones[1].hears(|command| matches!(command, Told::Ack { seq: 12.., .. }));
    let ctl = |target: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sully-lab"));
        let output =
            command.arg("ctl").arg(dir.path().join("out").join(target)).arg("ping").output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = ctl("0000000000000007");
    let both = ["0000000000000007 (", "0000000000000007-2 (", "1.sock", "2.sock"];
    assert!(code == Some(1) && both.iter().all(|name| said.contains(name)), "{said}");
    let (code, said) = end(collecting);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(kept(dir.path(), "0000000000000007", "one").0, (0..14).collect::<Vec<_>>());
    assert_eq!(kept(dir.path(), "0000000000000007-2", "other").0, (0..12).collect::<Vec<_>>());
}

#[test]
fn a_guest_that_claims_another_s_session_is_filed_apart() {
    let dir = tempfile::tempdir().unwrap();
    let listeners = ["1.sock", "2.sock"].map(|name| listener(dir.path(), name));
    let collecting = collector(dir.path());
    let mut honest = Guest::accepted(&listeners[0].0, "honest", 0);
    let mut other = Guest::accepted(&listeners[1].0, "other", 1000);
    honest.says_up_to(10);
    honest.hears(|command| matches!(command, Told::Ack { seq: 9, .. }));
    // No number of these is there yet; but the other socket goes on speaking.
    other.says_up_to(1003);
    for end in 11..40 {
        honest.says_up_to(end);
        honest.stream.flush().unwrap();
        wait();
    }
    other.hears(|command| matches!(command, Told::Ack { seq: 1002.., .. }));
    let (_, said) = end(collecting);
    assert_eq!(kept(dir.path(), "0000000000000007", "honest").0, (0..39).collect::<Vec<_>>(), "{said}");
    assert_eq!(kept(dir.path(), "0000000000000007-2", "other").0, [1000, 1001, 1002], "{said}");
}

#[expect(clippy::disallowed_methods, reason = "a guest that speaks ten times a second takes real time")]
fn wait() {
    std::thread::sleep(std::time::Duration::from_millis(100));
}

#[test]
fn a_file_as_large_as_it_may_be_is_a_full_disk_and_the_session_is_written_down() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, path) = listener(dir.path(), "1.sock");
    let mut command = Command::new("prlimit");
    command.args(["--fsize=5000", env!("CARGO_BIN_EXE_sully-lab"), "collect"]).arg(path).arg("--out");
    command
        .arg(dir.path().join("out"))
        .args(["--duration", "1m"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut collecting = command.spawn().unwrap();
    let mut guest = Guest::accepted(&listener, "long", 0);
    guest.says_up_to(200);
    let mut said = String::new();
    collecting.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(collecting.wait().unwrap().code(), Some(1), "{said}");
    assert!(said.contains("records cannot be written below") && said.contains("File too large"), "{said}");
    let (seqs, about) = kept(dir.path(), "0000000000000007", "long");
    assert!(seqs.len() > 20 && about["unkept"] == 200 - seqs.len() as u64, "{} kept: {about}", seqs.len());
}

#[test]
fn a_file_that_is_removed_while_it_is_written_is_said_and_nothing_else_is_acknowledged_away() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, _) = listener(dir.path(), "1.sock");
    let collecting = collector(dir.path());
    let mut guest = Guest::accepted(&listener, "one", 0);
    guest.says_up_to(10);
    guest.hears(|command| matches!(command, Told::Ack { seq: 9, .. }));
    std::fs::remove_dir_all(dir.path().join("out").join("0000000000000007")).unwrap();
    guest.says_up_to(12);
    let told = guest.hears(|command| matches!(command, Told::Attach { .. } | Told::Ack { seq: 10.., .. }));
    assert!(matches!(told, Told::Attach { after: None, .. }), "what is gone is asked for: {told:?}");
    // What was acknowledged it no longer has.
    guest.next = 10;
    guest.says_up_to(12);
    guest.record(12, Body::Reply(Reply { to: None, ok: true, error: None, from: Some(10), status: None }));
    guest.next = 13;
    guest.hears(|command| matches!(command, Told::Ack { seq: 12, .. }));
    let (code, said) = end(collecting);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("was removed, replaced or cut") && said.contains("10 are missing"), "{said}");
    let (seqs, about) = kept(dir.path(), "0000000000000007", "one");
    assert_eq!((seqs, &about["stream"]["holes"]), (vec![10, 11], &10.into()));
}

#[test]
fn a_vm_that_ended_is_told_from_one_that_never_was() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, path) = listener(dir.path(), "1.sock");
    let collecting = collector(dir.path());
    drop(listener.accept().unwrap());
    drop(listener);
    std::fs::remove_file(path).unwrap();
    wait();
    let (code, said) = end(collecting);
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.contains("matched one socket, which is gone") && !said.contains("no such socket yet"),
        "{said}"
    );
    assert!(said.contains("its VM ended before a guest program spoke"), "{said}");
}

#[test]
fn a_vm_that_only_boots_is_not_said_to_be_held_by_another_client() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, _) = listener(dir.path(), "1.sock");
    let mut collecting = collector(dir.path());
    let _accepted = listener.accept().unwrap();
    let mut heard = BufReader::new(collecting.stderr.take().unwrap()).lines();
    let said = heard.find(|line| line.as_ref().unwrap().contains("connected, and")).unwrap().unwrap();
    assert!(said.contains("the VM may still boot") && !said.contains("another client"), "{said}");
    collecting.kill().unwrap();
    collecting.wait().unwrap();
}

#[test]
fn what_is_of_no_use_is_said_and_is_no_success() {
    let dir = tempfile::tempdir().unwrap();
    let run = |socket: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sully-lab"));
        command.args(["collect", socket, "--out"]).arg(dir.path().join("out")).args(more);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = run("/etc/passwd", &["-q"]);
    assert!(code == Some(2) && said.contains("'/etc/passwd' is no socket"), "{said}");
    let pattern = format!("{}/nothing*.sock", dir.path().display());
    let (code, said) = run(&pattern, &["--duration", "1s"]);
    assert!(code == Some(3) && said.contains(&format!("'{pattern}' matches no socket yet")), "{said}");
    let (_listener, held) = listener(dir.path(), "held.sock");
    let (code, said) = run(held.to_str().unwrap(), &["--duration", "7s"]);
    assert!(
        code == Some(3) && said.contains("another client may hold it") && said.contains("no record was"),
        "{said}"
    );
}
