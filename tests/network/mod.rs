//! The real programs on both ends of a network, and what lies between them.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// A token.
pub const TOKEN_LINE: &str = "0123456789abcdef";

/// Waits so long.
pub fn pause(span: Duration) {
    let (_keep, nothing) = mpsc::channel::<()>();
    let _ = nothing.recv_timeout(span);
}

/// Waits until something is so, at most 20 s.
pub fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..2000 {
        if is_so() {
            return;
        }
        pause(Duration::from_millis(10));
    }
    panic!("not within 20 s: {what}");
}

/// A port nobody uses at present.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Where a collector keeps what it hears, and other files of a test.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The directories of sessions.
    pub fn sessions(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("out")).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    }

    /// What is kept of records so far.
    pub fn bytes(&self) -> u64 {
        let files = self.sessions().into_iter().map(|dir| dir.join("records.ndjson"));
        files.filter_map(|file| fs::metadata(file).ok()).map(|file| file.len()).sum()
    }
}

/// A file that holds a token, for its owner alone.
pub fn token_file(place: &Place, token: &str) -> String {
    let path = place.path(&format!("token-{token}"));
    fs::write(&path, format!("{token}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

/// A program that runs.
struct Program(Child);

impl Program {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), signal).unwrap();
    }

    fn end(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.0.wait().unwrap().code(), said)
    }
}

/// A collector at work.
pub struct Collector(Program);

impl Collector {
    pub fn start(place: &Place, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sully-lab"));
        command.arg("collect").args(arguments).args(["--duration", "8m", "--quiet", "--out"]);
        Self(Program::start(command.arg(place.path("out"))))
    }

    pub fn id(&self) -> u32 {
        self.0.0.id()
    }

    /// Ends it as ^C does, once what came last is on the disk.
    pub fn end(self) -> (Option<i32>, String) {
        pause(Duration::from_millis(500));
        self.0.signal(Signal::SIGINT);
        self.0.end()
    }

    pub fn end_by_itself(self) -> (Option<i32>, String) {
        self.0.end()
    }

    /// Ends it as the kernel does for want of memory.
    pub fn kill(mut self) {
        self.0.signal(Signal::SIGKILL);
        self.0.0.wait().unwrap();
    }
}

/// A guest program at work.
pub struct Guest(Program);

impl Guest {
    pub fn start(plan: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sully"));
        command.args("run -m 4M -r 1M/s -t 1 -i 100ms --baseline 0s".split(' '));
        Self(Program::start(command.args(plan.split(' ')).args(arguments)))
    }

    pub fn end(self) -> (Option<i32>, String) {
        self.0.end()
    }

    /// Everything it had to say was taken. A busy machine may have coarse timers and do less than the load, and it says so.
    pub fn ends_well(self) {
        let (code, said) = self.end();
        assert!(matches!(code, Some(0 | 3)) && !said.contains("report target"), "{code:?} {said}");
    }
}

/// The most memory a process had, in KiB.
pub fn peak_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

/// What is written down about the only session.
pub fn session(place: &Place) -> Value {
    let sessions = place.sessions();
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    serde_json::from_slice(&fs::read(sessions[0].join("session.json")).unwrap()).unwrap()
}

/// The numbers of every session's records in the order they are kept, and the type of the last.
pub struct Kept(BTreeMap<PathBuf, Vec<(u64, String)>>);

/// What is kept.
pub fn kept(place: &Place) -> Kept {
    let records = |dir: &Path| {
        let text = fs::read_to_string(dir.join("records.ndjson")).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|line| (line["seq"].as_u64().unwrap(), line["type"].as_str().unwrap().to_owned())).collect()
    };
    Kept(place.sessions().into_iter().map(|dir| (dir.clone(), records(&dir))).collect())
}

impl Kept {
    /// Every session is there from its first record to its last, each record once. How many sessions there are.
    pub fn assert_whole(mut self) -> usize {
        for (session, records) in &mut self.0 {
            let came = records.clone();
            records.sort();
            let is_whole = records.iter().zip(0..).all(|((seq, _), number)| *seq == number);
            assert!(is_whole, "{}, as they came: {came:?}", session.display());
            assert_eq!(records.last().map(|(_, name)| name.as_str()), Some("end"), "{}", session.display());
        }
        assert!(!self.0.is_empty(), "no session");
        self.0.len()
    }
}

/// What stands between a guest and its collector, and can cut what is between them.
pub struct Proxy(Arc<Mutex<Vec<TcpStream>>>);

/// Connects who comes to `own` with `port`.
pub fn proxy(own: u16, port: u16) -> Proxy {
    let listener = TcpListener::bind(("127.0.0.1", own)).unwrap();
    let open = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&open);
    std::thread::spawn(move || {
        for guest in listener.incoming() {
            let guest = guest.unwrap();
            let Ok(host) = TcpStream::connect(("127.0.0.1", port)) else { continue };
            shared.lock().unwrap().extend([guest.try_clone().unwrap(), host.try_clone().unwrap()]);
            let ends = [(guest.try_clone().unwrap(), host.try_clone().unwrap()), (host, guest)];
            for (from, to) in ends {
                std::thread::spawn(move || copy(from, to));
            }
        }
    });
    Proxy(open)
}

impl Proxy {
    /// Cuts every connection.
    pub fn cut(&self) {
        self.0.lock().unwrap().drain(..).for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

/// Joins a host with a guest.
pub fn join(host: UnixStream, guest: TcpStream) {
    let (mut from_host, mut to_guest) = (host.try_clone().unwrap(), guest.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_host, &mut to_guest);
        let _ = to_guest.shutdown(Shutdown::Write);
    });
    let (mut from_guest, mut to_host) = (guest, host);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_guest, &mut to_host);
        let _ = to_host.flush();
        let _ = to_host.shutdown(Shutdown::Both);
    });
}
