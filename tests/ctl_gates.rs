//! Gates of `sully-lab ctl` before a real guest program: on its own socket, and through a collector.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod chardev;

use chardev::Chardev;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use sully::lab::hostclock;

/// A program that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn started(command: &mut Command) -> Running {
    Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// A guest program of one writer that reports to `port`.
fn guest(port: &Chardev, flags: &str) -> Running {
    let words = format!("run -m 8M -t 1 -i 100ms {flags} --report unix:{}", port.guest.display());
    started(Command::new(env!("CARGO_BIN_EXE_sully")).args(words.split(' ')))
}

fn collector(port: &Chardev, out: &Path) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sully-lab"));
    started(command.arg("collect").arg(&port.host).arg("--out").arg(out).args(["--duration", "2m"]))
}

/// The exit code of a gate, and what it said.
fn gate(target: &Path, words: &str) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sully-lab"));
    let Output { status, stdout, stderr } =
        command.arg("ctl").arg(target).args(words.split(' ')).output().unwrap();
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

/// The same, once the guest has spoken to its collector.
fn gate_of_collector(out: &Path, words: &str) -> (Option<i32>, String) {
    let begin_ns = hostclock::mono_ns();
    while gate(out, "ping").0 != Some(0) {
        assert!(hostclock::mono_ns() - begin_ns < 30_000_000_000, "the guest does not speak");
        std::thread::yield_now();
    }
    gate(out, words)
}

#[test]
fn a_steady_load_and_whole_pages_open_the_gates_of_a_socket() {
    let dir = tempfile::tempdir().unwrap();
    let port = Chardev::start(dir.path());
    let _guest = guest(&port, "-r 4M/s --baseline 0s");
    let (code, said) = gate(&port.host, "wait-steady --within 20% --for 2s --timeout 50s");
    assert!(code == Some(0) && said.starts_with("steady for 2s: "), "{code:?} {said}");
    assert_eq!(
        gate(&port.host, "verify --timeout 40s"),
        (Some(0), "every page was looked at, none is corrupt\n".into())
    );
    let (code, said) = gate(&port.host, "wait-done --timeout 1s");
    assert!(code == Some(3) && said.contains("had not ended within 1s"), "{said}");
}

#[test]
fn a_gate_that_stays_closed_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let port = Chardev::start(dir.path());
    let _guest = guest(&port, "-r 4M/s --verify off --baseline 5m");
    let (code, said) = gate(&port.host, "wait-steady --timeout 1s");
    assert!(code == Some(3) && said.contains("not steady within 1s: the baseline is not over"), "{said}");
    let (code, said) = gate(&port.host, "verify");
    assert!(code == Some(3), "{said}");
    for (words, part) in [
        ("wait-steady --within much", "'much'"),
        ("wait-steady --for 5", "'5'"),
        ("verify now", "'now'"),
        ("wait-stedy", "wait-stedy"),
    ] {
        let (code, said) = gate(&port.host, words);
        assert!(matches!(code, Some(2 | 3)) && said.contains(part), "{words}: {code:?} {said}");
    }
    let (code, said) = gate(&port.host, "wait-steady --help");
    assert!(code == Some(0) && said.contains("--within"), "{said}");
}

#[test]
fn the_end_of_a_guest_is_waited_for_on_its_socket_and_through_a_collector() {
    let dir = tempfile::tempdir().unwrap();
    let port = Chardev::start(dir.path());
    let _guest = guest(&port, "-r 4M/s --baseline 0s -d 3s");
    assert_eq!(gate(&port.host, "wait-done --timeout 40s"), (Some(0), "ended: duration\n".into()));
    let dir = tempfile::tempdir().unwrap();
    let (port, out) = (Chardev::start(dir.path()), dir.path().join("out"));
    let _guest = guest(&port, "-r 4M/s --baseline 0s -d 6s");
    let _collector = collector(&port, &out);
    assert_eq!(gate_of_collector(&out, "wait-done --timeout 40s"), (Some(0), "ended: duration\n".into()));
    assert_eq!(gate(&out, "wait-done --timeout 40s").0, Some(0), "and afterwards");
    let (code, said) = gate(&out.join("nobody"), "wait-done");
    assert!(code == Some(1) && said.contains("'nobody'"), "{code:?} {said}");
}
