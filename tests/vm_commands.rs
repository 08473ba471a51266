//! Every command of the wire while a real VM moves by post-copy, through a collector that follows it: before, in pre-copy, while
//! pages are still on their way, and after. The VMs are started here and not by `sully-lab run`: as a user's would be.
//!
//! Needs the built image and program, which `make test` provides through `SULLY_TEST_IMAGE` and `SULLY_TEST_LAB`; without
//! them it skips aloud.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use sully::lab::hostclock;
use sully::lab::vm::{Sockets, Vm, VmConfig, locate};
use sully::record::{Accelerator, Side};

const SECOND_NS: u64 = 1_000_000_000;
/// QEMU before 9.0 loses dirty pages of emulated guests whose RAM is whole words of its bitmap.
const RAM_BYTES: u64 = (256 << 20) + (8 << 10);
/// A load of 50 MiB/s over 64 MiB, and a channel of 3 MB/s: pre-copy does not end, and post-copy takes half a minute.
const GUEST: &str = "run -m 64M -r 50M/s -t 1 --baseline 0s --report virtio";
const CHANNEL_BYTES_PER_S: u64 = 3_000_000;
/// `stop` comes last of all.
const COMMANDS: [&str; 8] = [
    "ping",
    "status",
    "set rate=40M/s pattern=random",
    "pause",
    "resume",
    "mark somewhere on the way",
    "phase moving",
    "sweep",
];

/// A collector, ended with the test.
struct Collector(Child);

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn boot(image: &Path, sockets: &Sockets, log: &Path, side: Side) -> Vm {
    let config = VmConfig {
        qemu: locate::find(None).unwrap(),
        accelerator: Accelerator::Tcg,
        memory_bytes: RAM_BYTES,
        cpus: 1,
        kernel: image.join("vmlinuz"),
        initramfs: image.join("initramfs"),
        guest_arguments: GUEST.into(),
        side,
        incoming: side == Side::Destination,
        sockets: sockets.path().to_owned(),
        console_log: log.join(format!("{side:?}.log")),
    };
    Vm::start(&config).await.unwrap()
}

/// What `sully-lab ctl` says of one command, through the collector's directory.
fn command(program: &Path, collected: &Path, words: &str) -> (Option<i32>, String) {
    let mut ctl = Command::new(program);
    let output = ctl.arg("ctl").arg(collected).args(words.split(' ')).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn all_are_answered(program: &Path, collected: &Path, stage: &str) {
    for words in COMMANDS {
        let begin_ns = hostclock::mono_ns();
        let (code, said) = command(program, collected, words);
        assert_eq!(code, Some(0), "{stage}, {words}: {said}");
        println!("{stage}, {words}: {} ms", (hostclock::mono_ns() - begin_ns) / 1_000_000);
    }
    let (code, said) = command(program, collected, "set rate=much");
    assert_eq!(code, Some(3), "{stage}: {said}");
    assert!(said.contains("much"), "{stage}: {said}");
}

/// Waits until the guest answers, at most so long.
async fn answers(program: &Path, collected: &Path, limit_s: u64) {
    let begin_ns = hostclock::mono_ns();
    while command(program, collected, "ping").0 != Some(0) {
        assert!(hostclock::mono_ns() - begin_ns < limit_s * SECOND_NS, "the guest answers no ping");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("the first answer after {} ms", (hostclock::mono_ns() - begin_ns) / 1_000_000);
}

/// Waits until `query-migrate` says one of `wanted`; hands back which.
async fn status(vm: &Vm, wanted: &[&str]) -> String {
    let limit_ns = hostclock::mono_ns() + 60 * SECOND_NS;
    loop {
        let told = vm.qmp().execute("query-migrate", json!({})).await.unwrap();
        let now = told["status"].as_str().unwrap_or("none").to_owned();
        if wanted.contains(&now.as_str()) {
            return now;
        }
        assert!(now != "failed" && hostclock::mono_ns() < limit_ns, "waited for {wanted:?}: {told}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn tell(vm: &Vm, command: &str, arguments: Value) {
    vm.qmp().execute(command, arguments).await.unwrap();
}

#[test]
fn every_command_is_answered_before_during_and_after_a_post_copy() {
    let test = "every_command_is_answered_before_during_and_after_a_post_copy";
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.exists());
    let Some((program, image)) = variable("SULLY_TEST_LAB").zip(variable("SULLY_TEST_IMAGE")) else {
        return eprintln!("SKIPPED: {test}: set SULLY_TEST_LAB and SULLY_TEST_IMAGE (make test does)");
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (sockets, out) = (Sockets::create().unwrap(), tempfile::tempdir().unwrap());
        let (source, destination) = (
            boot(&image, &sockets, out.path(), Side::Source).await,
            boot(&image, &sockets, out.path(), Side::Destination).await,
        );
        let collected = out.path().join("collected");
        let mut collect = Command::new(&program);
        collect
            .arg("collect")
            .args([source.port_socket(), destination.port_socket()])
            .arg("--out")
            .arg(&collected);
        collect.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let _collector = Collector(collect.spawn().unwrap());
        answers(&program, &collected, 90).await;
        all_are_answered(&program, &collected, "before");
        let channel = format!("unix:{}", sockets.migration().display());
        let capabilities = json!({"capabilities": [{"capability": "postcopy-ram", "state": true}]});
        for vm in [&source, &destination] {
            tell(vm, "migrate-set-capabilities", capabilities.clone()).await;
        }
        let limits =
            json!({"max-bandwidth": CHANNEL_BYTES_PER_S, "max-postcopy-bandwidth": CHANNEL_BYTES_PER_S});
        tell(&source, "migrate-set-parameters", limits).await;
        tell(&destination, "migrate-incoming", json!({"uri": channel})).await;
        tell(&source, "migrate", json!({"uri": channel})).await;
        status(&source, &["active"]).await;
        all_are_answered(&program, &collected, "pre-copy");
        tell(&source, "migrate-start-postcopy", json!({})).await;
        status(&source, &["postcopy-active"]).await;
        // The guest waits for its own pages first.
        answers(&program, &collected, 30).await;
        all_are_answered(&program, &collected, "post-copy");
        let then = status(&source, &["postcopy-active", "completed"]).await;
        if then == "completed" {
            eprintln!(
                "SKIPPED: {test}: on this machine post-copy was over before the last command was answered"
            );
        }
        status(&source, &["completed"]).await;
        all_are_answered(&program, &collected, "after");
        assert_eq!(command(&program, &collected, "stop").0, Some(0));
        source.kill().await.unwrap();
        destination.kill().await.unwrap();
    });
}
