//! One visit of a writer that took too long.

use serde::{Deserialize, Serialize};

/// A visit that waited for its page for 100 us or longer, after the host's last mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct Stall {
    /// The CPU its writer runs on.
    pub cpu: u32,
    /// When the wait began, guest CLOCK_MONOTONIC.
    pub start_ns: u64,
    /// How long it took.
    pub len_ns: u64,
    /// The page's position in the whole region, from 0.
    pub page: u64,
    /// Visits that wrote the page between the last mark and this one; 65 535 stands for that many or more.
    pub earlier: u64,
}

impl Stall {
    /// When the wait ended, guest CLOCK_MONOTONIC (saturating: a guest may say anything).
    pub const fn end_ns(&self) -> u64 {
        self.start_ns.saturating_add(self.len_ns)
    }
}
