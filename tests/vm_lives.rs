//! Real VMs that go back to an earlier state, or begin anew, under one collector: each life is whole, apart, and said.
//!
//! Needs what `tests/vm.rs` needs.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod parts;
mod vms;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use sully::lab::hostclock;
use sully::lab::vm::{Qemu, Sockets, VmConfig};
use sully::record::Side;
use vms::{SECOND_NS, Words, boot, config, lab_and_image, run, status, tell};

const WORDS: Words<'static> =
    Words { kernel: "", guest: "run -m 16M -r 4M/s -t 1 --baseline 0s --interval 200ms --report virtio" };
/// So many intervals are a life of its own: 3 s.
const A_LIFE: usize = 15;
/// What came is written within this.
const WRITTEN_WITHIN: Duration = Duration::from_millis(1500);
/// A state goes into a file, or comes out of it, within this.
const STATE_LIMIT: Duration = Duration::from_mins(1);

/// One directory of the collector's: its records by their numbers, and `session.json`.
#[derive(Debug, Default)]
struct Life {
    records: BTreeMap<u64, Value>,
    about: Value,
}

impl Life {
    /// Reads a directory that may still be written to.
    fn read(dir: &Path) -> Self {
        let text = fs::read_to_string(dir.join("records.ndjson")).unwrap_or_default();
        let mut life = Self::default();
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let mut record: Value = serde_json::from_str(line).unwrap();
            // What the host says of a record, and its session's name, are no part of what it says.
            for of_host in ["host_ns", "side", "session"] {
                record.as_object_mut().unwrap().remove(of_host);
            }
            let seq = record["seq"].as_u64().unwrap();
            assert!(life.records.insert(seq, record).is_none(), "{}: {seq} twice", dir.display());
        }
        let about = fs::read(dir.join("session.json")).unwrap_or_default();
        life.about = serde_json::from_slice(&about).unwrap_or_default();
        life
    }

    fn begin(&self) -> u64 {
        self.records.first_key_value().map_or(0, |(seq, _)| *seq)
    }

    fn end(&self) -> u64 {
        self.records.last_key_value().map_or(0, |(seq, _)| *seq + 1)
    }

    /// Whether it has gone on for long since the record `seq`.
    fn lives_on(&self, seq: u64) -> bool {
        self.records.range(seq..).filter(|(_, record)| record["type"] == "interval").count() >= A_LIFE
    }

    /// Whether no number is missing, and the collector says so.
    fn is_whole(&self) -> bool {
        let stream = &self.about["stream"];
        self.records.len() as u64 == self.end() - self.begin()
            && ["holes", "doubles", "torn"].iter().all(|fault| stream[fault] == 0)
    }
}

/// A collector, ended with the test.
struct Collector {
    child: Child,
    program: PathBuf,
    out: PathBuf,
    said: PathBuf,
}

impl Collector {
    fn start(program: &Path, dir: &Path, sockets: &[&Sockets]) -> Self {
        let (out, said) = (dir.join("collected"), dir.join("said"));
        let log = File::create(&said).unwrap();
        let mut command = Command::new(program);
        command.arg("collect").arg("--out").arg(&out);
        command.args(sockets.iter().map(|sockets| sockets.path().join("source.port")));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self { child: command.spawn().unwrap(), program: program.to_owned(), out, said }
    }

    fn lives(&self) -> BTreeMap<String, Life> {
        let entries = fs::read_dir(&self.out).into_iter().flatten().map(|entry| entry.unwrap().path());
        let dirs = entries.filter(|path| path.is_dir());
        dirs.map(|dir| (dir.file_name().unwrap().to_str().unwrap().to_owned(), Life::read(&dir))).collect()
    }

    /// Waits until it is so; hands back the lives.
    async fn comes_to(
        &self,
        what: &str,
        is_so: impl Fn(&BTreeMap<String, Life>) -> bool,
    ) -> BTreeMap<String, Life> {
        let begin_ns = hostclock::mono_ns();
        loop {
            let lives = self.lives();
            if is_so(&lives) {
                println!("{what}: after {} ms", (hostclock::mono_ns() - begin_ns) / 1_000_000);
                return lives;
            }
            let kept: Vec<_> = lives.iter().map(|(name, life)| (name, life.records.len())).collect();
            let is_late = hostclock::mono_ns() - begin_ns > 90 * SECOND_NS;
            assert!(!is_late, "in vain: {what}: {kept:?}: {}", fs::read_to_string(&self.said).unwrap());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Gives the guest of a life a command.
    fn command(&self, name: &str, word: &str) {
        let output =
            Command::new(&self.program).arg("ctl").arg(self.out.join(name)).arg(word).output().unwrap();
        assert!(output.status.success(), "{word} to {name}: {output:?}");
    }

    /// Ends it, which must have kept everything: the lives, and what it said.
    fn end(mut self) -> (BTreeMap<String, Life>, String) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGINT).unwrap();
        let code = self.child.wait().unwrap().code();
        let said = fs::read_to_string(&self.said).unwrap();
        println!("{said}");
        assert_eq!(code, Some(0), "{said}");
        (self.lives(), said)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether there are so many lives, and each has gone on for long since the record `seq`.
fn live_on(count: usize, seq: u64) -> impl Fn(&BTreeMap<String, Life>) -> bool {
    move |lives| lives.len() == count && lives.values().all(|life| life.lives_on(seq))
}

/// Saves the state of a VM; how many records of it were kept by then.
async fn save(vm: &Qemu, collector: &Collector, state: &Path) -> u64 {
    vm.save(state, STATE_LIMIT).await.unwrap();
    tokio::time::sleep(WRITTEN_WITHIN).await;
    collector.lives().values().map(Life::end).max().unwrap()
}

/// A VM that goes on from a saved state.
async fn restore(image: &Path, sockets: &Sockets, dir: &Path, state: &Path) -> Qemu {
    let config = VmConfig { incoming: true, ..config(image, WORDS, sockets, dir, Side::Source) };
    let vm = Qemu::start(&config).await.unwrap();
    vm.restore(state, STATE_LIMIT).await.unwrap();
    vm
}

/// Of several lives with one beginning: all are whole, every other says where it came from, what is before is the first's,
/// and they say the same until they part at a number of at most `saved`.
fn are_lives_of_their_own(lives: &BTreeMap<String, Life>, said: &str, saved: u64) {
    let (branches, origins): (Vec<_>, Vec<_>) =
        lives.iter().partition(|(_, life)| life.about["parent"].is_string());
    let [(origin, parent)] = origins[..] else { panic!("{:?} came from nowhere", lives.keys()) };
    println!("saved before {saved}; {origin} {}..{}", parent.begin(), parent.end());
    assert!(parent.is_whole() && parent.begin() == 0 && parent.lives_on(saved), "{:?}", parent.about);
    for (name, branch) in branches {
        println!("{name} {}..{}", branch.begin(), branch.end());
        let about = &branch.about;
        assert!(branch.is_whole() && branch.lives_on(saved), "{about:?}");
        assert_eq!((&about["parent"], &about["parent_seq"]), (&json!(origin), &json!(branch.begin())));
        assert!(about["reason"].as_str().unwrap().contains("earlier state"), "{about:?}");
        assert_eq!(about["hostname"], parent.about["hostname"]);
        assert!(said.contains("went back to an earlier state") && said.contains(name), "{said}");
        assert!(branch.begin() <= saved, "what is before {} is not to be had", branch.begin());
        for (other, life) in lives.iter().filter(|(other, _)| *other != name) {
            part_for_good(branch, life, &format!("{name} and {other}"));
        }
    }
}

/// Two lives say the same at first, if anything, and then never again.
fn part_for_good(one: &Life, other: &Life, names: &str) {
    let both = one.records.iter().filter_map(|(seq, record)| Some((seq, record, other.records.get(seq)?)));
    let (same, different): (Vec<_>, Vec<_>) = both.partition(|(_, record, other)| record == other);
    assert!(different.len() >= A_LIFE, "{names}: {} records differ", different.len());
    let (last_same, first_different) = (same.last().map(|(seq, ..)| **seq), *different[0].0);
    assert!(last_same.is_none_or(|last| last < first_different), "{names}: {last_same:?} {first_different}");
}

#[test]
fn one_state_restored_a_second_time_is_a_second_life() {
    let Some((program, image)) = lab_and_image("one_state_restored_a_second_time_is_a_second_life") else {
        return;
    };
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (sockets, state) = (Sockets::create().unwrap(), dir.path().join("state"));
        let source = boot(&image, WORDS, &sockets, dir.path(), Side::Source).await;
        let collector = Collector::start(&program, dir.path(), &[&sockets]);
        collector.comes_to("the VM speaks", live_on(1, 0)).await;
        let saved = save(&source, &collector, &state).await;
        source.kill().await.unwrap();
        let first = restore(&image, &sockets, dir.path(), &state).await;
        collector.comes_to("it goes on", live_on(1, saved)).await;
        first.kill().await.unwrap();
        let second = restore(&image, &sockets, dir.path(), &state).await;
        let lives = collector.comes_to("and once more", live_on(2, saved)).await;
        let branch = lives.iter().find(|(_, life)| life.begin() > 0).unwrap().0;
        collector.command(branch, "stop");
        second.wait().await;
        let (lives, said) = collector.end();
        assert_eq!(lives[branch].records.last_key_value().unwrap().1["type"], "end");
        assert_eq!(lives.len(), 2, "{:?}", lives.keys());
        are_lives_of_their_own(&lives, &said, saved);
    });
}

#[test]
fn two_clones_at_once_are_two_lives() {
    let Some((program, image)) = lab_and_image("two_clones_at_once_are_two_lives") else { return };
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let sockets = [(); 3].map(|()| Sockets::create().unwrap());
        let state = dir.path().join("state");
        let source = boot(&image, WORDS, &sockets[0], dir.path(), Side::Source).await;
        let collector = Collector::start(&program, dir.path(), &sockets.each_ref());
        collector.comes_to("the VM speaks", live_on(1, 0)).await;
        source.pause().await.unwrap();
        let saved = save(&source, &collector, &state).await;
        source.kill().await.unwrap();
        let clones = [
            restore(&image, &sockets[1], dir.path(), &state).await,
            restore(&image, &sockets[2], dir.path(), &state).await,
        ];
        for clone in &clones {
            status(clone, &["completed"]).await;
            // It was stopped when it was saved.
            let state = clone.qmp().execute("query-status", Value::Null).await.unwrap();
            assert_eq!(state["running"], false, "{state}");
            clone.resume().await.unwrap();
        }
        let lives = collector.comes_to("both speak", live_on(2, saved)).await;
        for name in lives.keys() {
            collector.command(name, "stop");
        }
        for clone in clones {
            clone.wait().await;
        }
        let (lives, said) = collector.end();
        for life in lives.values() {
            assert_eq!(life.records.last_key_value().unwrap().1["type"], "end");
        }
        assert_eq!(lives.len(), 2, "{:?}", lives.keys());
        are_lives_of_their_own(&lives, &said, saved);
    });
}

#[test]
fn a_running_vm_that_loads_a_state_twice_is_three_lives() {
    let Some((program, image)) = lab_and_image("a_running_vm_that_loads_a_state_twice_is_three_lives") else {
        return;
    };
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let sockets = Sockets::create().unwrap();
        let vm = boot(&image, WORDS, &sockets, dir.path(), Side::Source).await;
        let collector = Collector::start(&program, dir.path(), &[&sockets]);
        give_a_disk(&vm, dir.path()).await;
        collector.comes_to("the VM speaks", live_on(1, 0)).await;
        // Saving stops it; that it had stopped before tells what it had said by then.
        vm.pause().await.unwrap();
        monitor(&vm, "savevm here").await;
        tokio::time::sleep(WRITTEN_WITHIN).await;
        let saved = collector.lives().values().map(Life::end).max().unwrap();
        vm.resume().await.unwrap();
        collector.comes_to("it goes on", live_on(1, saved)).await;
        for (count, what) in [(2, "and back"), (3, "and once more")] {
            monitor(&vm, "loadvm here").await;
            vm.resume().await.unwrap();
            collector.comes_to(what, live_on(count, saved)).await;
        }
        tell(&vm, "quit", Value::Null).await;
        vm.wait().await;
        let (lives, said) = collector.end();
        assert_eq!(lives.len(), 3, "{:?}", lives.keys());
        are_lives_of_their_own(&lives, &said, saved);
    });
}

/// A disk that holds states of the whole VM.
async fn give_a_disk(vm: &Qemu, dir: &Path) {
    let (path, bytes) = (dir.join("disk.qcow2"), 1_u64 << 20);
    File::create(&path).unwrap();
    let file = json!({"driver": "file", "node-name": "file", "filename": path});
    tell(vm, "blockdev-add", file).await;
    let options = json!({"driver": "qcow2", "file": "file", "size": bytes});
    tell(vm, "blockdev-create", json!({"job-id": "create", "options": options})).await;
    loop {
        let jobs = vm.qmp().execute("query-jobs", Value::Null).await.unwrap();
        assert!(jobs[0]["error"].is_null(), "{jobs}");
        if jobs[0]["status"] == "concluded" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tell(vm, "job-dismiss", json!({"id": "create"})).await;
    tell(vm, "blockdev-add", json!({"driver": "qcow2", "node-name": "disk", "file": "file"})).await;
}

/// Gives QEMU's monitor for people a command, which says nothing where all is well.
async fn monitor(vm: &Qemu, words: &str) {
    let begin_ns = hostclock::mono_ns();
    let arguments = json!({"command-line": words});
    let limit = Duration::from_mins(1);
    let said = vm.qmp().execute_within("human-monitor-command", arguments, limit).await.unwrap();
    assert_eq!(said, "", "{words}");
    println!("{words}: {} ms", (hostclock::mono_ns() - begin_ns) / 1_000_000);
}

#[test]
fn a_vm_that_is_reset_is_a_second_session_of_its_own_name() {
    let test = "a_vm_that_is_reset_is_a_second_session_of_its_own_name";
    let Some((program, image)) = lab_and_image(test) else { return };
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let sockets = Sockets::create().unwrap();
        let vm = boot(&image, WORDS, &sockets, dir.path(), Side::Source).await;
        tell(&vm, "set-action", json!({"reboot": "reset"})).await;
        let collector = Collector::start(&program, dir.path(), &[&sockets]);
        let lives = collector.comes_to("the VM speaks", live_on(1, 0)).await;
        let first = lives.keys().next().unwrap();
        tell(&vm, "system_reset", Value::Null).await;
        let lives = collector.comes_to("and anew", live_on(2, 0)).await;
        let second = lives.keys().find(|name| *name != first).unwrap();
        collector.command(second, "stop");
        vm.wait().await;
        let (lives, said) = collector.end();
        for life in lives.values() {
            let hello = &life.records[&0];
            assert_eq!((life.begin(), &hello["type"]), (0, &"hello".into()), "{said}");
            assert!(life.is_whole() && life.about["parent"].is_null(), "{:?}", life.about);
            assert!(hello["hostname"].as_str().is_some_and(|name| !name.is_empty()), "{hello}");
            assert_eq!(life.about["hostname"], hello["hostname"]);
        }
        let of = |name: &String, field: &str| lives[name].records[&0][field].clone();
        assert_ne!(of(first, "boot_id"), of(second, "boot_id"), "it booted once only");
    });
}
