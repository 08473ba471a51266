//! The host's two clocks; every stamp the lab takes comes from here.

use crate::record::ClockPair;
use nix::time::{ClockId, clock_gettime};

/// Host CLOCK_MONOTONIC in ns: the time axis of a run directory.
pub fn mono_ns() -> u64 {
    read(ClockId::CLOCK_MONOTONIC)
}

/// Both clocks at (nearly) one moment.
pub fn pair() -> ClockPair {
    ClockPair { mono_ns: mono_ns(), real_ns: read(ClockId::CLOCK_REALTIME) }
}

/// Linux always has both clocks; a clock that cannot be read counts as 0.
fn read(clock: ClockId) -> u64 {
    clock_gettime(clock)
        .ok()
        .and_then(|now| u64::try_from(now.tv_sec() * 1_000_000_000 + now.tv_nsec()).ok())
        .unwrap_or(0)
}
