//! Real VMs that things are done to: each ends in a clear result within seconds, and leaves nothing behind.
//!
//! `tests/vm.rs` has more of them: a destination that is killed, a disk that fills up, a post-copy that is cut and recovers, a
//! guest that panics as it boots, an interrupt. Needs what it needs.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod parts;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use sully::lab::hostclock;
use sully::lab::scenario::GUEST_ARGUMENTS;

/// A small guest, a link on which it takes some seconds to be through, and as little measuring as there can be; with more lines
/// about its VM, and about its migration and what follows.
fn scenario(vm: &str, migration: &str) -> String {
    format!(
        "name = \"fault\"\n[vm]\nmemory = \"192M\"\n{vm}[load]\nmemory = \"32M\"\nrate = \"8M/s\"\nthreads = 1\n\
         baseline = \"1s\"\ninterval = \"200ms\"\n[migration]\nbandwidth = \"12M/s\"\nsettle = \"2s\"\n{migration}"
    )
}

/// What the guest's kernel is told by the lab.
const KERNEL: &str = "console=ttyS0 quiet panic=-1 no_timer_check tsc=reliable";
/// Processes that take all they get of the host's CPUs: enough for a vCPU to be away, and for a guest still to boot.
const HOGS: usize = 6;
/// How long a run may take that something is done to, s.
const LIMIT_S: u64 = 120;

/// A run under way, and all that it may leave behind.
struct Faulty {
    program: PathBuf,
    child: Child,
    out: tempfile::TempDir,
    /// Where its sockets are.
    temporary: tempfile::TempDir,
    began_ns: u64,
    qemus: Vec<i32>,
}

impl Faulty {
    /// Starts a run of a [`scenario`]; nothing, aloud, where there is no image.
    fn start(test: &str, vm: &str, migration: &str) -> Option<Self> {
        let (program, image) =
            parts::lab_and_image().inspect_err(|why| eprintln!("SKIPPED: {test}: {why}")).ok()?;
        let (out, temporary) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = temporary.path().join("fault.toml");
        fs::write(&file, scenario(vm, migration)).unwrap();
        let mut command = Command::new(&program);
        command.arg("run").arg(&file).args(["--accel", "tcg", "--image"]).arg(image);
        command.arg("--out").arg(out.path()).env("TMPDIR", temporary.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (child, began_ns) = (command.spawn().unwrap(), hostclock::mono_ns());
        Some(Self { program, child, out, temporary, began_ns, qemus: Vec::new() })
    }

    /// Waits until a file of the run holds one of `words`.
    fn until(&mut self, file: &str, words: &[&str]) {
        let holds = |dir: &Path| {
            let text = fs::read_to_string(dir.join(file)).unwrap_or_default();
            words.iter().any(|word| text.contains(word))
        };
        while !self.dir().is_some_and(|dir| holds(&dir)) {
            assert!(self.child.try_wait().unwrap().is_none(), "it ended before {file} held {words:?}");
            assert!(self.seconds() < LIMIT_S, "{file} never held {words:?}");
            wait(Duration::from_millis(50));
        }
        self.qemus = qemus_of(self.child.id());
    }

    fn dir(&self) -> Option<PathBuf> {
        let entries = fs::read_dir(self.out.path()).ok()?.flatten().map(|entry| entry.path());
        entries.into_iter().find(|path| path.join("qemu.ndjson").exists())
    }

    /// The QEMU of a side.
    fn qemu(&self, incoming: bool) -> i32 {
        let found = self.qemus.iter().find(|pid| has_argument(**pid, "-incoming") == incoming);
        *found.expect("its QEMU runs")
    }

    fn seconds(&self) -> u64 {
        (hostclock::mono_ns() - self.began_ns) / 1_000_000_000
    }

    /// Waits for its end, which must leave no process, socket or file behind: what it said, and `run.json`.
    fn end(self, code: i32) -> Ended {
        let (began_ns, dir) = (hostclock::mono_ns(), self.dir());
        let output = self.child.wait_with_output().unwrap();
        let said = text(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        let seconds = (hostclock::mono_ns() - began_ns) / 1_000_000_000;
        assert!(self.qemus.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()), "{said}");
        let left = fs::read_dir(self.temporary.path()).unwrap().flatten().map(|entry| entry.file_name());
        let left: Vec<_> =
            left.filter(|name| name.to_str().is_none_or(|name| name.starts_with("sully"))).collect();
        assert!(left.is_empty(), "left behind: {left:?}");
        let dir = dir.expect("a run directory");
        let run = serde_json::from_slice(&fs::read(dir.join("run.json")).unwrap()).unwrap();
        let report = Command::new(self.program).args(["report", "--text"]).arg(dir).output().unwrap();
        Ended { said, run, report: text(&report), seconds, _out: self.out }
    }
}

/// What came of a run.
struct Ended {
    said: String,
    run: Value,
    report: String,
    /// From when its end was waited for.
    seconds: u64,
    _out: tempfile::TempDir,
}

impl Ended {
    /// The reasons of its verdict, which came soon after what was done.
    fn reasons(&self, limit_s: u64) -> String {
        assert!(self.seconds <= limit_s, "took {} s: {}", self.seconds, self.said);
        self.run["verdict"]["reasons"].to_string()
    }
}

#[test]
fn a_source_that_is_killed_ends_the_run_at_once_and_leaves_nothing() {
    let Some(mut run) =
        Faulty::start("a_source_that_is_killed_ends_the_run_at_once_and_leaves_nothing", "", "")
    else {
        return;
    };
    run.until("qemu.ndjson", &["\"active\""]);
    kill(Pid::from_raw(run.qemu(false)), Signal::SIGKILL).unwrap();
    let reasons = run.end(3).reasons(15);
    assert!(reasons.contains("the source QEMU ended in the middle: killed by SIGKILL"), "{reasons}");
}

#[test]
fn a_link_that_is_cut_in_pre_copy_fails_the_migration_and_the_guest_runs_on_at_the_source() {
    let test = "a_link_that_is_cut_in_pre_copy_fails_the_migration_and_the_guest_runs_on_at_the_source";
    let cut = "[[migration.when]]\nafter = \"1s\"\ndo = \"cut\"\n";
    let Some(mut run) = Faulty::start(test, "", cut) else { return };
    run.until("qemu.ndjson", &["\"yank\""]);
    let ended = run.end(3);
    let reasons = ended.reasons(30);
    // Before 9.1 a destination that loses its link ends, and may be heard first.
    assert!(reasons.contains("the migration failed: the ") && reasons.contains("QEMU "), "{reasons}");
    let notes = ended.run["provenance"]["notes"].to_string();
    assert!(notes.contains("1s were over, the link was cut"), "{notes}");
    let last = ended.run["milestones"].to_string();
    assert!(last.contains("\"end\"") && !last.contains("\"completed\""), "the guest ended in order: {last}");
}

#[test]
fn a_post_copy_that_is_cut_and_not_recovered_is_told_as_what_it_is() {
    let test = "a_post_copy_that_is_cut_and_not_recovered_is_told_as_what_it_is";
    let cut = "postcopy = true\n[[migration.when]]\nstatus = \"postcopy-active\"\ndo = \"cut\"\n";
    let Some(mut run) = Faulty::start(test, "", cut) else { return };
    run.until("qemu.ndjson", &["\"migrate-pause\""]);
    let reasons = run.end(3).reasons(30);
    assert!(
        reasons.contains("post-copy broke off") && reasons.contains("split between both sides"),
        "{reasons}"
    );
}

#[test]
fn a_guest_that_dies_in_the_middle_of_a_migration_ends_the_run_with_its_last_words() {
    let test = "a_guest_that_dies_in_the_middle_of_a_migration_ends_the_run_with_its_last_words";
    // A monitor of the test's own: both QEMUs listen at it, and the source comes last. Its NMI is what a hardware fault would be.
    let own = tempfile::tempdir().unwrap();
    let socket = own.path().join("own");
    let vm = format!(
        "qemu_args = [\"-append\", \"{KERNEL} unknown_nmi_panic -- {GUEST_ARGUMENTS}\", \"-qmp\", \
         \"unix:{},server=on,wait=off\"]\n",
        socket.display()
    );
    let Some(mut run) = Faulty::start(test, &vm, "") else { return };
    run.until("qemu.ndjson", &["\"active\""]);
    inject_nmi(&socket);
    let ended = run.end(3);
    let reasons = ended.reasons(40);
    assert!(reasons.contains("Kernel panic"), "{reasons}\n{}", ended.said);
}

/// Tells a QEMU to interrupt its guest as a hardware fault does.
fn inject_nmi(socket: &Path) {
    let mut stream = UnixStream::connect(socket).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap()).lines();
    answers.next().unwrap().unwrap();
    for command in ["qmp_capabilities", "inject-nmi"] {
        writeln!(stream, "{{\"execute\":\"{command}\"}}").unwrap();
        let answer = answers.by_ref().map(Result::unwrap).find(|line| !line.contains("\"event\"")).unwrap();
        assert!(answer.contains("return"), "{command}: {answer}");
    }
}

#[test]
fn a_guest_that_never_speaks_is_given_up_in_time_and_said_with_the_way_out() {
    let test = "a_guest_that_never_speaks_is_given_up_in_time_and_said_with_the_way_out";
    // The guest runs, and says what it measures to nobody.
    let mute = format!(
        "hello_within = \"15s\"\nqemu_args = [\"-append\", \"{KERNEL} -- run -m 16M --report file:/dev/null\"]\n"
    );
    let Some(mut run) = Faulty::start(test, &mute, "") else { return };
    run.until("console-source.log", &[""]);
    let ended = run.end(3);
    let reasons = ended.reasons(40);
    assert!(reasons.contains("the guest sent no record within vm.hello_within = 15s"), "{reasons}");
    assert!(ended.report.contains("sent no record within"), "{}", ended.report);
}

#[test]
fn a_collector_that_stands_still_for_seconds_loses_nothing_or_says_what() {
    let test = "a_collector_that_stands_still_for_seconds_loses_nothing_or_says_what";
    let Some(mut run) = Faulty::start(test, "", "") else { return };
    run.until("qemu.ndjson", &["\"active\""]);
    let lab = Pid::from_raw(i32::try_from(run.child.id()).unwrap());
    kill(lab, Signal::SIGSTOP).unwrap();
    wait(Duration::from_secs(5));
    kill(lab, Signal::SIGCONT).unwrap();
    let output = run.child.wait_with_output().unwrap();
    let dir = fs::read_dir(run.out.path()).unwrap().flatten().next().unwrap().path();
    let ran: Value = serde_json::from_slice(&fs::read(dir.join("run.json")).unwrap()).unwrap();
    let stream = &ran["stream"];
    for fault in ["holes", "doubles", "torn"] {
        assert_eq!(stream[fault], 0, "{fault}: {stream}");
    }
    let (dropped, reasons) =
        (stream["dropped_by_guest"].as_u64().unwrap(), ran["verdict"]["reasons"].to_string());
    println!("while nobody read for 5 s, the guest gave up {dropped} records");
    assert_eq!(dropped > 0, reasons.contains(&format!("the guest gave up {dropped} records")), "{reasons}");
    assert_eq!(output.status.code(), Some(if dropped > 0 { 3 } else { 0 }), "{}", text(&output));
}

#[test]
fn a_host_that_is_busy_is_named_by_the_report() {
    let Some(mut run) =
        Faulty::start("a_host_that_is_busy_is_named_by_the_report", "", "timeout = \"30s\"\n")
    else {
        return;
    };
    run.until("records.ndjson", &["\"hello\""]);
    let mut hogs: Vec<Child> =
        (0..HOGS).map(|_| Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap()).collect();
    let output = run.child.wait_with_output().unwrap();
    for hog in &mut hogs {
        let _ = (hog.kill(), hog.wait());
    }
    let dir = fs::read_dir(run.out.path()).unwrap().flatten().next().unwrap().path();
    let report = Command::new(run.program).args(["report", "--text"]).arg(dir).output().unwrap();
    // Lines end where the width does.
    let said = (text(&output) + &text(&report)).split_whitespace().collect::<Vec<_>>().join(" ");
    // Host time that nothing proves is said as such. A load that is never steady on it, or one that is and lost its time to it.
    let ways = ["The host was busy", "The host was most likely busy", "the host is busy: a quieter one"];
    assert!(ways.iter().any(|way| said.contains(way)), "{said}");
}

/// The VMs that `parent` started (and not a QEMU that is only asked for its version).
fn qemus_of(parent: u32) -> Vec<i32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_child = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse().ok()) == Some(parent)
    };
    pids.filter(|pid| is_child(pid) && has_argument(*pid, "-nodefaults")).collect()
}

fn has_argument(pid: i32, wanted: &str) -> bool {
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split('\0').any(|argument| argument == wanted)
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A test has no clock to move by hand when it watches other processes.
#[expect(clippy::disallowed_methods, reason = "watching real processes takes real time")]
fn wait(span: Duration) {
    std::thread::sleep(span);
}
