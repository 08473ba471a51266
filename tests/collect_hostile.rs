//! A guest that means harm, and the collector it is connected to.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod hostile;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use sully::record::{Arrival, Body, MarkNote, Phase, Record, SessionId};
use sully::wire::encode_record;

/// How much a flood sends, in bytes: many times what a collector may remember.
const FLOOD_BYTES: usize = 64 << 20;

/// The session of the guest beside it.
const GOOD: u64 = 999;

fn record(session: u64, seq: u64, body: Body) -> Vec<u8> {
    encode_record(&Record { session: SessionId(session), seq, mono_ns: u64::MAX, body })
}

fn mark(text: &str) -> Body {
    Body::Mark(MarkNote { text: text.into() })
}

fn phase() -> Body {
    Body::Phase(Phase { phase: "\u{1b}[2J</script>../../etc".into() })
}

/// A `hello` whose names try to be more than names.
fn hello(session: u64, seq: u64) -> Vec<u8> {
    let golden = include_str!("golden/v1/records.ndjson").lines().next().unwrap();
    let mut record: serde_json::Value = serde_json::from_str(golden).unwrap();
    assert_eq!(record["type"], "hello");
    record["session"] = SessionId(session).to_string().into();
    record["seq"] = seq.into();
    record["hostname"] = "\u{1b}]0;owned\u{7}../../../tmp/x\n".into();
    let mut line = serde_json::to_vec(&record).unwrap();
    line.push(b'\n');
    line
}

/// A record in the host's name, twice over, and one with an endless depth in a field that nobody knows.
fn forged() -> [Vec<u8>; 2] {
    let line = |seq: u64, more: &str| {
        let envelope =
            format!(r#""type":"mark","session":"{}","seq":{seq},"mono_ns":1,"text":"x""#, SessionId(1));
        format!("{{{more},{envelope}}}\n").into_bytes()
    };
    let depth = format!(r#""deep":{}{}"#, "[".repeat(100_000), "]".repeat(100_000));
    [line(1, r#""host_ns":1,"side":"evil","\u0068ost_ns":2,"kept":3"#), line(2, &depth)]
}

/// Everything at once, then a flood, as fast as the socket takes it and until `served`. The guest's end may be full at
/// any time: it waits then.
fn attack(guest: &mut UnixStream, served: &AtomicBool) {
    guest.write_all(&hello(1, 0)).unwrap();
    for line in forged() {
        guest.write_all(&line).unwrap();
    }
    guest.write_all(&vec![b'x'; 4 << 20]).unwrap();
    guest.write_all(b"\n").unwrap();
    guest.write_all(&[b"{\"type\":".as_slice(), &[b'['; 10_000], b"\n"].concat()).unwrap();
    guest.write_all(&[0, 159, 146, 150, b'\n', b'\n', b'{', b'}', b'\n']).unwrap();
    guest
        .write_all(br#"{"type":"phase","session":"../../../etc/pw","seq":1,"mono_ns":1,"phase":"x"}"#)
        .unwrap();
    guest.write_all(b"\n{\"seq\":1e999,\"session\":\"0000000000000001\"}\n").unwrap();
    for seq in [u64::MAX, 0, u64::MAX - 1, 5, 5, 3, 1 << 63] {
        guest.write_all(&record(1, seq, phase())).unwrap();
    }
    // Records in every way, their texts harm and their numbers as large as they can be.
    for (seq, mut record) in (2001_u64..).zip(hostile::records(hostile::HARM)) {
        (record["session"], record["seq"]) = (SessionId(1).to_string().into(), seq.into());
        guest.write_all(&[serde_json::to_vec(&record).unwrap().as_slice(), b"\n"].concat()).unwrap();
    }
    for session in 2..200 {
        guest.write_all(&record(session, 0, mark("who am I?"))).unwrap();
    }
    let chunk: Vec<u8> = (6..1006).flat_map(|seq| record(1, seq, mark("flood"))).collect();
    let mut sent = 0;
    while sent < FLOOD_BYTES || !served.load(Ordering::Relaxed) {
        guest.write_all(&chunk).unwrap();
        sent += chunk.len();
    }
    guest.write_all(&hello(1, 2000)).unwrap();
}

/// A guest that means no harm says two things; whether the collector acknowledges them.
fn is_served(guest: &UnixStream) -> bool {
    let mut said = hello(GOOD, 0);
    said.extend(record(GOOD, 1, mark("here too")));
    guest.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    (&*guest).write_all(&said).unwrap();
    let mut heard = BufReader::new(guest).lines();
    heard.any(|line| line.unwrap_or_default().contains(r#""type":"ack""#))
}

/// The most memory a process had, in KiB.
fn peak_kib(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_guest_that_means_harm_gets_no_memory_no_path_and_no_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, out) = (dir.path().join("vm.sock"), dir.path().join("out"));
    let beside = dir.path().join("good.sock");
    let (listener, good) = (UnixListener::bind(&socket).unwrap(), UnixListener::bind(&beside).unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_sully-lab"));
    command.arg("collect").arg(&socket).arg(&beside).arg("--out").arg(&out).args([
        "--duration",
        "5m",
        "--limit",
        "1M",
    ]);
    let mut collecting = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut guest, _) = listener.accept().unwrap();
    let (good, _) = good.accept().unwrap();
    let served = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| {
            let is_served = is_served(&good);
            served.store(true, Ordering::Relaxed);
            is_served
        });
        attack(&mut guest, &served);
        assert!(serving.join().unwrap(), "a flood on one socket starves no other");
    });
    let peak = peak_kib(&collecting);
    guest.shutdown(std::net::Shutdown::Write).unwrap();
    // When the collector has read to the end it hangs up, and tries anew.
    guest.read_to_end(&mut Vec::new()).unwrap();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(collecting.id()).unwrap()),
        nix::sys::signal::Signal::SIGINT,
    )
    .unwrap();
    let mut said = String::new();
    collecting.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(collecting.wait().unwrap().code(), Some(3), "the stream was not whole:\n{said}");

    assert!(peak < 100 << 10, "{peak} KiB");
    assert!(said.chars().all(|letter| letter == '\n' || !letter.is_control()), "{said:?}");
    assert!(said.contains("]0;owned../../"), "the name is shown, harmless: {said}");
    let made: Vec<String> = std::fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(made.len(), 64 + 1, "so many sessions may one socket bring, and the other brought one");
    let is_ours = |name: &String| {
        let (session, number) = name.split_once('-').unwrap_or((name, "2"));
        session.parse::<SessionId>().is_ok() && number.parse::<u32>().is_ok()
    };
    assert!(made.iter().all(is_ours), "{made:?}");
    let kept = std::fs::read_to_string(out.join(SessionId(1).to_string()).join("records.ndjson")).unwrap();
    assert!((1..=1 << 20).contains(&kept.len()), "{} bytes", kept.len());
    assert!(kept.contains(r#""kept":3"#), "what is only unknown is kept");
    for line in kept.lines() {
        let arrival: Arrival = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(arrival.host_ns > 2 && line.matches("host_ns").count() == 1, "{line}");
    }
}
