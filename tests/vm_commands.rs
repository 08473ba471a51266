//! Every command of the wire while a real VM moves by post-copy, through a collector that follows it: before, in pre-copy, while
//! pages are still on their way, and after. The VMs are started here and not by `sully-lab run`: as a user's would be.
//!
//! Needs what `tests/vm.rs` needs.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod parts;
mod vms;

use serde_json::json;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use sully::lab::hostclock;
use sully::lab::vm::Sockets;
use sully::record::Side;
use vms::{SECOND_NS, Words, boot, lab_and_image, run, status, tell};

/// A load of 50 MiB/s over 64 MiB, and a channel of 3 MB/s: pre-copy does not end, and post-copy takes half a minute at least.
const GUEST: &str = "run -m 64M -r 50M/s -t 1 --baseline 0s --report virtio";
const CHANNEL_BYTES_PER_S: u64 = 3_000_000;
/// So many of the commands must be answered while pages are on their way, or the test is none of post-copy.
const ANSWERED_ON_THE_WAY: usize = 3;
/// `stop` comes last of all.
const COMMANDS: [&str; 9] = [
    "ping",
    "status",
    "dirty pages=1",
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

/// What `sully-lab ctl` says of one command, through the collector's directory.
fn command(program: &Path, collected: &Path, words: &str) -> (Option<i32>, String) {
    let mut ctl = Command::new(program);
    let output = ctl.arg("ctl").arg(collected).args(words.split(' ')).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn is_answered(program: &Path, collected: &Path, stage: &str, words: &str) {
    let begin_ns = hostclock::mono_ns();
    let (code, said) = command(program, collected, words);
    assert_eq!(code, Some(0), "{stage}, {words}: {said}");
    println!("{stage}, {words}: {} ms", (hostclock::mono_ns() - begin_ns) / 1_000_000);
}

fn all_are_answered(program: &Path, collected: &Path, stage: &str) {
    for words in COMMANDS {
        is_answered(program, collected, stage, words);
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

#[test]
fn every_command_is_answered_before_during_and_after_a_post_copy() {
    let test = "every_command_is_answered_before_during_and_after_a_post_copy";
    let Some((program, image)) = lab_and_image(test) else { return };
    run(async {
        let (sockets, out) = (Sockets::create().unwrap(), tempfile::tempdir().unwrap());
        let words = Words { kernel: "", guest: GUEST };
        let source = boot(&image, words, &sockets, out.path(), Side::Source).await;
        let destination = boot(&image, words, &sockets, out.path(), Side::Destination).await;
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
        let mut on_the_way = 0;
        for words in COMMANDS {
            is_answered(&program, &collected, "post-copy", words);
            let then = status(&source, &["postcopy-active", "completed"]).await;
            on_the_way += usize::from(then == "postcopy-active");
        }
        println!("{on_the_way} of {} were answered while pages were on their way", COMMANDS.len());
        assert!(on_the_way >= ANSWERED_ON_THE_WAY, "post-copy was over after {on_the_way} commands");
        status(&source, &["completed"]).await;
        all_are_answered(&program, &collected, "after");
        assert_eq!(command(&program, &collected, "stop").0, Some(0));
        source.kill().await.unwrap();
        destination.kill().await.unwrap();
    });
}
