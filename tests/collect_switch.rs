//! A guest that moves from one socket to the other while one collector attends both.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use sully::record::{Arrival, Body, Command as Told, Phase, Record, SessionId, Side};
use sully::wire::{decode_command, encode_record};

fn line(seq: u64) -> Vec<u8> {
    let body = Body::Phase(Phase { phase: "run".into() });
    encode_record(&Record { session: SessionId(7), seq, mono_ns: seq, body })
}

/// Reads what the collector tells the guest until `is_it`.
fn told(heard: &mut impl BufRead, is_it: impl Fn(&Told) -> bool) -> Told {
    let mut line = String::new();
    loop {
        line.clear();
        assert!(heard.read_line(&mut line).unwrap() > 0, "the collector hung up");
        match decode_command(line.trim_end().as_bytes()) {
            Ok(command) if is_it(&command) => return command,
            _ => {}
        }
    }
}

fn accept(listener: &UnixListener) -> (UnixStream, BufReader<UnixStream>) {
    let (stream, _) = listener.accept().unwrap();
    let heard = BufReader::new(stream.try_clone().unwrap());
    (stream, heard)
}

#[test]
fn a_line_that_straddles_the_switch_and_what_was_lost_on_the_way_are_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (dir.path().join("1.sock"), dir.path().join("2.sock"));
    let listeners = [&one, &other].map(|path| UnixListener::bind(path).unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_sully-lab"));
    command.arg("collect").arg(dir.path().join("?.sock")).arg("--out").arg(dir.path().join("out"));
    let mut collecting = command.args(["--duration", "2m", "--quiet"]).stdout(Stdio::null()).spawn().unwrap();
    let [(mut source, mut source_heard), (mut destination, mut destination_heard)] =
        listeners.each_ref().map(accept);

    for heard in [&mut source_heard, &mut destination_heard] {
        let attach = told(heard, |command| matches!(command, Told::Attach { .. }));
        assert_eq!(
            attach,
            Told::Attach { id: None, session: None, after: None, mono_ns: None, otherwise: None },
            "nothing is known yet"
        );
    }
    (0..10).for_each(|seq| source.write_all(&line(seq)).unwrap());
    told(&mut source_heard, |command| matches!(command, Told::Ack { seq: 9, .. }));
    // The switch tears a line in two, and record 11 goes down with the source.
    let torn = line(10);
    source.write_all(&torn[..20]).unwrap();
    destination.write_all(&torn[20..]).unwrap();
    (12..15).for_each(|seq| destination.write_all(&line(seq)).unwrap());
    let again = told(&mut destination_heard, |command| matches!(command, Told::Attach { .. }));
    assert!(matches!(again, Told::Attach { session: Some(SessionId(7)), after: Some(9), .. }), "{again:?}");
    (10..20).for_each(|seq| destination.write_all(&line(seq)).unwrap());
    told(&mut destination_heard, |command| matches!(command, Told::Ack { seq: 19, .. }));
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(collecting.id()).unwrap()),
        nix::sys::signal::Signal::SIGINT,
    )
    .unwrap();
    assert_eq!(collecting.wait().unwrap().code(), Some(0), "nothing is missing, double or torn");

    let session = dir.path().join("out").join(SessionId(7).to_string());
    let text = std::fs::read_to_string(session.join("records.ndjson")).unwrap();
    let arrivals: Vec<Arrival> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut seqs: Vec<u64> = arrivals.iter().map(|arrival| arrival.record.seq).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (0..20).collect::<Vec<_>>());
    for arrival in arrivals {
        let side = if arrival.record.seq < 10 { Side::Source } else { Side::Destination };
        assert_eq!(arrival.side, side, "record {}", arrival.record.seq);
    }
}

#[test]
fn a_program_that_begins_anew_on_its_socket_is_acknowledged_by_its_own_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("1.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sully-lab"));
    command.arg("collect").arg(&path).arg("--out").arg(dir.path().join("out"));
    let mut collecting = command.args(["--duration", "2m", "--quiet"]).stdout(Stdio::null()).spawn().unwrap();
    let (mut guest, mut heard) = accept(&listener);
    told(&mut heard, |command| matches!(command, Told::Attach { .. }));
    (0..10).for_each(|seq| guest.write_all(&line(seq)).unwrap());
    told(&mut heard, |command| matches!(command, Told::Ack { seq: 9, .. }));
    for seq in 0..3 {
        let body = Body::Phase(Phase { phase: "anew".into() });
        let record = Record { session: SessionId(8), seq, mono_ns: 100 + seq, body };
        guest.write_all(&encode_record(&record)).unwrap();
    }
    let next = told(&mut heard, |_| true);
    let ack = Told::Ack { id: None, session: Some(SessionId(8)), seq: 2, mono_ns: Some(102) };
    assert_eq!(next, ack, "nothing is missing of it, and it is told its own record's moment");
    collecting.kill().unwrap();
    collecting.wait().unwrap();
}
