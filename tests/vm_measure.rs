//! `sully-lab measure` on real VMs that are not its own: somebody boots them, and a command migrates.
//!
//! Needs what `tests/vm.rs` needs.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod parts;
mod vms;

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use sully::lab::hostclock;
use sully::lab::vm::{Qemu, Sockets};
use sully::record::Side;
use tokio::process::Command;
use vms::{SECOND_NS, Words, boot, config, lab_and_image, run, status, tell};

const WORDS: Words<'static> =
    Words { kernel: "", guest: "run -m 32M -r 8M/s -t 1 --baseline 0s --interval 100ms --report virtio" };
/// What the command is: it asks for a migration, and ends when that is done.
const ASKS: &str = "touch asked; while [ ! -e done ]; do sleep 0.1; done; cat done";
const LIMIT: Duration = Duration::from_secs(90);

/// Two QEMUs that somebody else started, each with a second monitor.
struct Vms {
    source: Qemu,
    destination: Qemu,
    sockets: Sockets,
    dir: tempfile::TempDir,
}

impl Vms {
    async fn boot(image: &Path) -> Self {
        let (sockets, dir) = (Sockets::create().unwrap(), tempfile::tempdir().unwrap());
        let start = async |side, name: &str| {
            let mut config = config(image, WORDS, &sockets, dir.path(), side);
            let monitor = sockets.path().join(name).display().to_string();
            config.qemu_arguments = vec!["-qmp".into(), format!("unix:{monitor},server=on,wait=off")];
            Qemu::start(&config).await.unwrap()
        };
        let destination = start(Side::Destination, "there.qmp").await;
        let source = start(Side::Source, "here.qmp").await;
        Self { source, destination, sockets, dir }
    }

    fn socket(&self, name: &str) -> String {
        self.sockets.path().join(name).display().to_string()
    }

    /// Migrates as somebody does who knows nothing of sully.
    async fn migrate(&self) {
        let uri = format!("unix:{}", self.sockets.migration().display());
        let capabilities = json!({"capabilities": [{"capability": "auto-converge", "state": true}]});
        for vm in [&self.source, &self.destination] {
            tell(vm, "migrate-set-capabilities", capabilities.clone()).await;
        }
        tell(&self.destination, "migrate-incoming", json!({"uri": uri})).await;
        tell(&self.source, "migrate-set-parameters", json!({"max-bandwidth": 30 << 20})).await;
        tell(&self.source, "migrate", json!({"uri": uri})).await;
        status(&self.source, &["completed"]).await;
    }

    fn measure(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.arg("measure").args(["--out", "runs"]).args(arguments).current_dir(self.dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Waits until the command asks, migrates, and has it end.
    async fn migrate_when_asked(&self) {
        let limit_ns = hostclock::mono_ns() + 60 * SECOND_NS;
        while !self.path("asked").exists() {
            assert!(hostclock::mono_ns() < limit_ns, "the command was never run");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.migrate().await;
        fs::write(self.path("done"), "migrated\n").unwrap();
    }

    async fn end(self) {
        let (one, other) = tokio::join!(self.source.kill(), self.destination.kill());
        one.unwrap();
        other.unwrap();
    }
}

/// What a measurement left: its exit code, what it said, and the report's figures.
struct Told {
    code: Option<i32>,
    said: String,
    run: Value,
    figures: Value,
}

impl Told {
    async fn of(command: Command, vms: &Vms, program: &Path) -> Self {
        let mut command = command;
        let output = tokio::time::timeout(LIMIT, command.output()).await.unwrap().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let directory = vms.path("runs/measure-001");
        let run = fs::read(directory.join("run.json")).unwrap_or_default();
        let run: Value = serde_json::from_slice(&run).unwrap_or_default();
        let report = Command::new(program).args(["report", "--json"]).arg(&directory).output().await.unwrap();
        let mut figures: Value = serde_json::from_slice(&report.stdout).unwrap_or_default();
        let said = said.concat().split_whitespace().collect::<Vec<_>>().join(" ");
        let told = Self { code: output.status.code(), said, run, figures: figures[0].take() };
        println!("{}\n{}", told.said, told.run);
        told
    }

    fn stages(&self) -> Vec<&str> {
        let phases = self.figures["phases"].as_array().unwrap();
        phases.iter().map(|phase| phase["name"].as_str().unwrap()).collect()
    }

    fn is_sound(&self) {
        assert_eq!(self.code, Some(0), "{}", self.said);
        for fault in ["holes", "doubles", "torn"] {
            assert_eq!(self.run["stream"][fault], 0, "{}", self.run["stream"]);
        }
        let mut stages = self.stages();
        // A blackout that is too short for what the guest alone can tell is none, and says why.
        let is_told = self.figures["blackout"]["estimate_ns"].is_u64();
        assert!(is_told || self.figures["blackout"]["reason"].is_string(), "{}", self.figures["blackout"]);
        assert_eq!(stages.contains(&"blackout"), is_told, "{stages:?}");
        stages.retain(|name| *name != "blackout");
        assert_eq!(stages, ["baseline", "precopy", "after"], "{}", self.said);
        assert_eq!(self.run["measured"]["end"]["code"], 0);
        assert_eq!(self.run["measured"]["sockets"].as_array().unwrap().len(), 2);
        let pages = &self.run["measured"]["pages"];
        assert_eq!((&pages["corrupt"], &pages["looked_at"]), (&json!(0), &pages["of"]), "{pages}");
        assert_eq!(self.figures["corrupt_pages"], 0);
        assert!(self.said.contains("No page was lost"), "{}", self.said);
    }
}

#[test]
fn a_command_that_migrates_is_measured_by_the_guest_alone_or_with_qemus_word() {
    let test = "a_command_that_migrates_is_measured_by_the_guest_alone_or_with_qemus_word";
    let Some((program, image)) = lab_and_image(test) else { return };
    for with_qmp in [false, true] {
        run(async {
            let vms = Vms::boot(&image).await;
            let ports = vms.socket("*.port");
            let (here, there) = (vms.socket("here.qmp"), vms.socket("there.qmp"));
            let mut arguments = vec!["--guest", &ports, "--baseline", "4s"];
            if with_qmp {
                arguments.extend(["--qmp", &here, "--qmp", &there]);
            }
            arguments.extend(["--", "sh", "-c", ASKS]);
            let measuring = Told::of(vms.measure(&program, &arguments), &vms, &program);
            let (told, ()) = tokio::join!(measuring, vms.migrate_when_asked());
            told.is_sound();
            let said = fs::read_to_string(vms.path("runs/measure-001/command.log")).unwrap();
            assert_eq!(said, "migrated\n");
            let blackout = &told.figures["blackout"];
            assert_eq!(blackout["stop_to_resume_ns"].is_u64(), with_qmp, "{blackout}");
            assert_eq!(told.run["source"]["downtime_ms"].is_u64(), with_qmp, "{}", told.run["source"]);
            assert_eq!(
                told.run["measured"]["accelerator"],
                if with_qmp { json!("tcg") } else { Value::Null }
            );
            vms.end().await;
        });
    }
}

#[test]
fn a_guest_that_is_lost_a_socket_that_is_held_and_a_command_that_fails_are_each_said() {
    let test = "a_guest_that_is_lost_a_socket_that_is_held_and_a_command_that_fails_are_each_said";
    let Some((program, image)) = lab_and_image(test) else { return };
    run(async {
        let sockets = Sockets::create().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let vm = boot(&image, WORDS, &sockets, dir.path(), Side::Source).await;
        let port = vm.port_socket().display().to_string();
        let measure = async |arguments: &[&str]| {
            let begun_ns = hostclock::mono_ns();
            let mut command = Command::new(&program);
            command.args([
                "measure",
                "--out",
                "runs",
                "--guest",
                &port,
                "--baseline",
                "1s",
                "--settle",
                "2s",
            ]);
            command.args(arguments).current_dir(dir.path()).stdin(Stdio::null()).kill_on_drop(true);
            let output = tokio::time::timeout(LIMIT, command.output()).await.unwrap().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
            let took_s = (hostclock::mono_ns() - begun_ns) / SECOND_NS;
            println!("{arguments:?}: {:?} after {took_s} s\n{said}", output.status);
            (output.status.code(), said, took_s)
        };
        let (code, said, _) = measure(&["--", "sh", "-c", "echo no such host >&2; exit 4"]).await;
        assert_eq!(code, Some(3));
        assert!(said.contains("the command failed: exit code 4, and it said: no such host"), "{said}");
        assert!(said.contains("No page was lost"), "the guest's view with it: {said}");

        let held = tokio::net::UnixStream::connect(&port).await.unwrap();
        let (code, said, took_s) = measure(&["--", "true"]).await;
        assert!(code == Some(1) && took_s < 15, "{code:?}");
        assert!(said.contains("another client may hold it"), "{said}");
        drop(held);

        let kill = format!("sleep 1; kill -9 {}", vm.pid());
        let (code, said, took_s) = measure(&["--", "sh", "-c", &kill]).await;
        assert!(code == Some(3) && took_s < 30, "{code:?}");
        assert!(said.contains("the guest has been silent for 10s while settling"), "{said}");
        assert!(said.contains("its VM has ended") && said.contains("--guest names every socket"), "{said}");
        vm.kill().await.unwrap();
    });
}
