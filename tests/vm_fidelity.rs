//! What a guest in a real VM says of what QEMU does to it, held against QEMU's own word. The rest is in
//! `tests/fidelity.rs`.
//!
//! They need the built image and program, which `make test` and `make fidelity` provide through `SULLY_TEST_IMAGE` and
//! `SULLY_TEST_LAB`; without them each test skips aloud.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "fidelity/machine.rs"]
mod machine;
#[path = "fidelity/migrations.rs"]
mod migrations;
#[path = "fidelity/page_requests.rs"]
mod page_requests;
mod parts;
#[path = "fidelity/postcopy.rs"]
mod postcopy;
#[path = "fidelity/say.rs"]
mod say;
#[path = "fidelity/stopped.rs"]
mod stopped;
#[path = "fidelity/throttled.rs"]
mod throttled;

/// Runs a test that waits for VMs.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test);
}
