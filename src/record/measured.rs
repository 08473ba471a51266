//! Who migrated the guest of a run that the lab only measured, as `run.json` tells it.

use super::{Accelerator, PageVerdict};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What somebody else did to the VM, and what could be had of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Measured {
    /// The command that was run once the load was steady, word by word; empty where nothing was run.
    pub command: Vec<String>,
    /// When it was started, host CLOCK_MONOTONIC.
    pub started_ns: Option<u64>,
    /// How it ended; null where it did not by itself.
    pub end: Option<CommandEnd>,
    /// The sockets that the guest was looked for on, as they were named.
    pub guests: Vec<String>,
    /// What was demanded of figures.
    pub expect: Vec<String>,
    /// The sockets that it spoke on, the first one first.
    pub sockets: Vec<String>,
    /// What QEMU was heard through; empty where only the guest speaks.
    pub monitors: Vec<String>,
    /// How the guest's CPUs are run, where QEMU or libvirt says it.
    pub accelerator: Option<Accelerator>,
    /// What the guest found when it looked at every page afterwards.
    pub pages: Option<PageVerdict>,
    /// Why that is null.
    pub pages_reason: Option<String>,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandEnd {
    /// When, host CLOCK_MONOTONIC.
    pub host_ns: u64,
    /// Its exit code, where it ended by itself.
    pub code: Option<i32>,
    /// The number of the signal that ended it, where one did.
    pub signal: Option<i32>,
}

impl CommandEnd {
    /// Whether it says of itself that all went well.
    pub const fn is_good(self) -> bool {
        matches!(self.code, Some(0))
    }
}

impl fmt::Display for CommandEnd {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(out, "exit code {code}"),
            (None, Some(number)) => write!(out, "killed by signal {number}"),
            (None, None) => out.write_str("ended in an unknown way"),
        }
    }
}
