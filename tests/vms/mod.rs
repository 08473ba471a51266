//! Two real VMs, started as a user's would be and not by `sully-lab run`, and what tests tell them.
//!
//! They need the built image and program, which `make test` provides through `SULLY_TEST_IMAGE` and `SULLY_TEST_LAB`; without
//! them a test skips aloud.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use sully::lab::hostclock;
use sully::lab::vm::{HostOptions, Qemu, Sockets, VmConfig, locate};
use sully::record::{Accelerator, Side};

pub const SECOND_NS: u64 = 1_000_000_000;
/// QEMU before 9.0 loses dirty pages of emulated guests whose RAM is whole words of its bitmap.
const RAM_BYTES: u64 = (256 << 20) + (8 << 10);

/// The program and the image, or a skip that is heard.
pub fn lab_and_image(test: &str) -> Option<(PathBuf, PathBuf)> {
    super::parts::lab_and_image().inspect_err(|why| eprintln!("SKIPPED: {test}: {why}")).ok()
}

/// Runs a test that waits for VMs.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test);
}

/// What a VM is given beside the image.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    /// For its kernel.
    pub kernel: &'a str,
    /// For sully.
    pub guest: &'a str,
}

/// One emulated vCPU with the image; the destination waits for a migration.
pub fn config(image: &Path, words: Words<'_>, sockets: &Sockets, log: &Path, side: Side) -> VmConfig {
    VmConfig {
        qemu: locate::find(None).unwrap(),
        accelerator: Accelerator::Tcg,
        memory_bytes: RAM_BYTES,
        cpus: 1,
        kernel: image.join("vmlinuz"),
        initramfs: image.join("initramfs"),
        kernel_arguments: words.kernel.into(),
        qemu_arguments: Vec::new(),
        guest_arguments: words.guest.into(),
        side,
        incoming: side == Side::Destination,
        sockets: sockets.path().to_owned(),
        console_log: log.join(format!("{side:?}.log")),
        host_options: HostOptions::default(),
    }
}

/// Starts it.
pub async fn boot(image: &Path, words: Words<'_>, sockets: &Sockets, log: &Path, side: Side) -> Qemu {
    Qemu::start(&config(image, words, sockets, log, side)).await.unwrap()
}

/// Gives QEMU a command, which must not fail.
pub async fn tell(vm: &Qemu, command: &str, arguments: Value) {
    vm.qmp().execute(command, arguments).await.unwrap();
}

/// Waits until `query-migrate` says one of `wanted`; hands back which.
pub async fn status(vm: &Qemu, wanted: &[&str]) -> String {
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
