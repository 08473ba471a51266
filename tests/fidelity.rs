//! What the guest program says of injected faults, held against the injection itself: no hypervisor is needed.
//!
//! Each test prints its figures in rows that `make fidelity` gathers into a table. That is where demands are judged:
//! here, on a machine that others use too, only what no noise explains fails. `SULLY_FIDELITY=long` asks for the long
//! forms, `SULLY_TEST_GUEST` names another guest program than this build's. What needs VMs is in `tests/vm_fidelity.rs`.
// The guest program is the same with and without the host's side: once is enough.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "fidelity/classes.rs"]
mod classes;
#[path = "fidelity/group.rs"]
mod group;
#[path = "fidelity/guest.rs"]
mod guest;
#[path = "fidelity/late.rs"]
mod late;
#[path = "fidelity/late_pages.rs"]
mod late_pages;
#[path = "fidelity/pause.rs"]
mod pause;
#[path = "fidelity/say.rs"]
mod say;
#[path = "fidelity/stops.rs"]
mod stops;
#[path = "fidelity/throttle.rs"]
mod throttle;

use guest::{Guest, Report};
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::path::Path;
use stops::{Stop, stop};

/// One injection at a time, in whatever process: two would disturb each other.
fn alone() -> Flock<File> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fidelity.lock");
    Flock::lock(File::create(path).unwrap(), FlockArg::LockExclusive).map_err(|(_, error)| error).unwrap()
}

/// A guest that runs for `run_s`, stopped as planned; the stops as they were done.
fn stopped(run_s: u64, plan: Vec<(u64, u64)>) -> (Report, Vec<Stop>) {
    let guest = Guest::start(&format!("-r 2000p/s -t 2 -i 200ms -d {run_s}s"));
    let stops = stop(guest.pid(), plan);
    (guest.end(), stops)
}
