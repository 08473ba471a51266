//! A guest that goes to another machine: a network namespace with an sshd of its own, to which `sully-lab run --dest` has nothing but ssh.
//!
//! Needs root, sshd, ip, and what `tests/vm.rs` needs; without them the tests skip aloud.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "the test waits for programs")]

mod parts;

use serde_json::Value;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const HERE: &str = "10.213.7.1";
const THERE: &str = "10.213.7.2";
/// How long a run may take, until it is ended.
const RUN_LIMIT_S: &str = "150";
/// How long things may take to be there, or gone.
const LIMIT: Duration = Duration::from_secs(40);

/// A machine of the test's own, joined by a pair of veth; gone with it.
struct Machine {
    namespace: String,
    sshd: Option<Child>,
    directory: tempfile::TempDir,
}

impl Machine {
    /// Makes it.
    ///
    /// # Errors
    /// Why this machine cannot: the reason for a skip.
    fn start() -> Result<Self, String> {
        if fs::metadata("/proc/self").unwrap().uid() != 0 {
            return Err("a network namespace needs root".into());
        }
        for (program, package) in [
            ("/usr/sbin/sshd", "openssh-server"),
            ("/usr/bin/ssh", "openssh-client"),
            ("/usr/bin/ssh-keygen", "openssh-client"),
        ] {
            if !Path::new(program).exists() {
                return Err(format!("{program} is not installed (make test asks for {package})"));
            }
        }
        let directory = tempfile::tempdir_in("/tmp").unwrap();
        let namespace = format!("sully{}", std::process::id());
        let mut machine = Self { namespace, sshd: None, directory };
        machine.network()?;
        machine.listen();
        Ok(machine)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn network(&self) -> Result<(), String> {
        let (there, [one, other]) = (&self.namespace, self.ends());
        for words in [
            format!("netns add {there}"),
            format!("link add {one} type veth peer name {other} netns {there}"),
            format!("addr add {HERE}/30 dev {one}"),
            format!("link set {one} up"),
            format!("-n {there} addr add {THERE}/30 dev {other}"),
            format!("-n {there} link set {other} up"),
            format!("-n {there} link set lo up"),
        ] {
            let done = Command::new("ip").args(words.split(' ')).stderr(Stdio::null()).status();
            if !done.is_ok_and(|status| status.success()) {
                return Err(format!("'ip {words}' is not allowed here"));
            }
        }
        Ok(())
    }

    /// The names of the two ends of its cable.
    fn ends(&self) -> [String; 2] {
        ["a", "b"].map(|end| format!("{}{end}", self.namespace))
    }

    fn listen(&mut self) {
        for key in ["host", "key"] {
            let mut command = Command::new("ssh-keygen");
            command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(self.path(key));
            assert!(command.status().unwrap().success());
        }
        let here = self.directory.path().display();
        let config = format!(
            "HostKey {here}/host\nAuthorizedKeysFile {here}/key.pub\nPidFile none\nStrictModes no\nPermitRootLogin yes\n\
             PasswordAuthentication no\nUsePAM no\n"
        );
        fs::write(self.path("sshd_config"), config).unwrap();
        fs::create_dir_all("/run/sshd").unwrap();
        let config = format!(
            "IdentityFile {here}/key\nUserKnownHostsFile {here}/known\nStrictHostKeyChecking accept-new\n"
        );
        fs::write(self.path("config"), config).unwrap();
        fs::create_dir(self.path("bin")).unwrap();
        let client = self.path("bin/ssh");
        fs::write(&client, format!("#!/bin/sh\nexec /usr/bin/ssh -F {here}/config \"$@\"\n")).unwrap();
        fs::set_permissions(&client, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, "/usr/sbin/sshd", "-D", "-f"]);
        command.arg(self.path("sshd_config")).arg("-E").arg(self.path("sshd.log"));
        self.sshd = Some(command.stdin(Stdio::null()).spawn().unwrap());
        let begun = Instant::now();
        while !self.ssh("true").success() {
            let log = || fs::read_to_string(self.path("sshd.log")).unwrap_or_default();
            assert!(begun.elapsed() < LIMIT, "{}", log());
            sleep(Duration::from_millis(200));
        }
    }

    fn ssh(&self, command: &str) -> std::process::ExitStatus {
        let mut client = Command::new(self.path("bin/ssh"));
        client.args(["-o", "BatchMode=yes", "-l", "root", "--", THERE, command]);
        client.stdin(Stdio::null()).stderr(Stdio::null()).status().unwrap()
    }

    /// `sully-lab run smoke/precopy`, small, with this machine's ssh.
    fn lab(&self, lab: &Path, image: &Path, more: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        command.env("PATH", path).args([RUN_LIMIT_S]).arg(lab);
        command.args(["run", "smoke/precopy", "--accel", "tcg", "--quiet", "--image"]).arg(image);
        command.args(["--dest", &format!("ssh://root@{THERE}"), "--out"]).arg(self.path("out"));
        command.args(["--set", "load.memory=16M", "--set", "load.baseline=2s", "--set", "load.rate=2M/s"]);
        command.args(more).stdin(Stdio::null());
        command
    }

    /// The processes in its network, but for sshd's own.
    fn processes(&self) -> Vec<String> {
        let listed = Command::new("ip").args(["netns", "pids", &self.namespace]).output().unwrap();
        let pids = String::from_utf8_lossy(&listed.stdout).into_owned();
        let names = pids
            .split_whitespace()
            .map(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default());
        names
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty() && !name.starts_with("sshd"))
            .collect()
    }

    /// Waits until nothing of a run is left there.
    fn is_empty_again(&self, before: &[PathBuf]) {
        let begun = Instant::now();
        loop {
            let (processes, left) = (self.processes(), directories());
            let left: Vec<_> = left.iter().filter(|name| !before.contains(name)).collect();
            if processes.is_empty() && left.is_empty() {
                return;
            }
            assert!(begun.elapsed() < LIMIT, "{processes:?} {left:?}");
            sleep(Duration::from_millis(200));
        }
    }

    /// The only run there was.
    fn run(&self) -> Value {
        let mut runs = fs::read_dir(self.path("out")).unwrap();
        let text = fs::read_to_string(runs.next().unwrap().unwrap().path().join("run.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(mut sshd) = self.sshd.take() {
            let _ = sshd.kill();
            let _ = sshd.wait();
        }
        let [end, _] = self.ends();
        for words in [format!("link del {end}"), format!("netns del {}", self.namespace)] {
            let _ = Command::new("ip").args(words.split(' ')).stderr(Stdio::null()).status();
        }
    }
}

/// Directories of keepers: both machines share one `/tmp`, and a keeper's name is longer than that of sockets.
fn directories() -> Vec<PathBuf> {
    let entries = fs::read_dir("/tmp").unwrap().filter_map(Result::ok).map(|entry| entry.path());
    entries
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .is_some_and(|name| name.starts_with("sully-") && name.len() == 14)
        })
        .collect()
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn a_guest_goes_to_another_machine_and_leaves_nothing_there() {
    let test = "a_guest_goes_to_another_machine_and_leaves_nothing_there";
    let found = parts::lab_and_image().map_err(str::to_owned);
    let (machine, lab, image) = match found.and_then(|(lab, image)| Ok((Machine::start()?, lab, image))) {
        Ok(all) => all,
        Err(why) => return eprintln!("SKIPPED: {test}: {why}"),
    };
    let before = directories();
    a_qemu_that_is_missing_there_is_said(&machine, &lab, &image);
    let output = machine.lab(&lab, &image, &[]).output().unwrap();
    machine.is_empty_again(&before);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let run = machine.run();
    let stream = &run["stream"];
    assert!(stream["records"].as_u64() > Some(100), "{stream}");
    assert!(
        ["holes", "doubles", "torn", "dropped_by_guest"].iter().all(|fault| stream[fault] == 0),
        "{stream}"
    );
    assert!(
        run["milestones"].as_array().unwrap().iter().any(|milestone| milestone["name"] == "completed"),
        "{run}"
    );
    let notes = &run["provenance"]["notes"];
    assert!(!notes.to_string().contains("did not power off"), "{notes}");
    let other = &run["provenance"]["other_machine"];
    assert!(other["stream"].as_str().unwrap().starts_with(&format!("tcp:{THERE}:")), "{other}");
    // Both machines have one clock here: what was asked for over ssh has to find it.
    let of = |value: &Value, key: &str| i128::from(value[key].as_u64().unwrap());
    let (theirs, ours) = (&other["clock"], &run["clock"]);
    let ahead_ns =
        (of(theirs, "real_ns") - of(theirs, "mono_ns")) - (of(ours, "real_ns") - of(ours, "mono_ns"));
    assert!(ahead_ns.abs() <= of(theirs, "error_ns") + 1_000_000, "{ahead_ns} ns: {other}");
    println!("another machine: its clock {ahead_ns} ns from ours: {other}");
    a_connection_that_is_lost_ends_the_run(&machine, &lab, &image, &before);
}

/// The message has the machine, the name, and the way out.
fn a_qemu_that_is_missing_there_is_said(machine: &Machine, lab: &Path, image: &Path) {
    // The lab finds this one on its own PATH, which is not sshd's.
    std::os::unix::fs::symlink("/usr/bin/qemu-system-x86_64", machine.path("bin/qemu-here")).unwrap();
    let output = machine.lab(lab, image, &["--qemu", "qemu-here"]).output().unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(&format!("QEMU not found on ssh://root@{THERE}: 'qemu-here'")), "{said}");
}

/// The master's end, in the middle: a result, soon, and nothing left.
fn a_connection_that_is_lost_ends_the_run(machine: &Machine, lab: &Path, image: &Path, before: &[PathBuf]) {
    fs::remove_dir_all(machine.path("out")).unwrap();
    let mut command = machine.lab(lab, image, &["--set", "load.baseline=20s"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while fs::read_dir(machine.path("out")).map_or(0, Iterator::count) == 0 || machine.processes().len() < 3 {
        assert!(begun.elapsed() < LIMIT, "{:?}", machine.processes());
        sleep(Duration::from_millis(100));
    }
    sleep(Duration::from_secs(3));
    let masters = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let path = entry.ok()?.path();
        let line = fs::read_to_string(path.join("cmdline")).ok()?;
        let is_ours = line.starts_with("/usr/bin/ssh\0")
            && line.contains("\0-M\0")
            && line.contains(&machine.path("config").display().to_string());
        is_ours.then(|| path.file_name()?.to_str()?.parse::<i32>().ok()).flatten()
    });
    let masters: Vec<i32> = masters.collect();
    assert_eq!(masters.len(), 1);
    let master = nix::unistd::Pid::from_raw(masters[0]);
    nix::sys::signal::kill(master, nix::sys::signal::Signal::SIGKILL).unwrap();
    let cut = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert!(cut.elapsed() < LIMIT, "{:?}", cut.elapsed());
    machine.is_empty_again(before);
    assert_ne!(output.status.code(), Some(0), "{}", said(&output));
    let reasons = machine.run()["verdict"]["reasons"].to_string();
    assert!(reasons.contains(&format!("the connection to ssh://root@{THERE} was lost")), "{reasons}");
}
