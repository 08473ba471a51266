//! What one cycle of a run was: the guest saved into a file and restored from it, and what it found then.

use super::{Latency, SessionId};
use serde::{Deserialize, Serialize};

/// One cycle: the guest stopped, saved into a file, restored from it into another QEMU, and what it had of that. What was not
/// measured is null.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CycleFigures {
    /// Which, from 1.
    pub number: u32,
    /// When it began, host CLOCK_MONOTONIC.
    pub began_ns: u64,
    /// The different pages that the guest dirtied before it was stopped, and then held still; null where the load ran until then.
    pub dirtied_pages: Option<u64>,
    /// From the order to save until QEMU said that all was in the file.
    pub save_ns: Option<u64>,
    /// The file's length.
    pub file_bytes: Option<u64>,
    /// What of it takes room on the disk: a file may have holes.
    pub stored_bytes: Option<u64>,
    /// From the order to restore until QEMU said that all was there; the start of that QEMU is not in it.
    pub restore_ns: Option<u64>,
    /// The guest's first visit of each page after it ran again.
    pub first_touch: Option<Latency>,
    /// Why that is null, or what it lacks for a p99.
    pub first_touch_reason: Option<String>,
    /// When the cost of the restore was paid.
    pub paid: Option<Paid>,
    /// Why that is null.
    pub paid_reason: Option<String>,
    /// From the guest's going on to the beginning of the first second whose p99 response is at most 10 % above the baseline's.
    pub recover_ns: Option<u64>,
    /// Why that is null.
    pub recover_reason: Option<String>,
    /// What the guest found when it looked at every page.
    pub pages: Option<PageVerdict>,
    /// The other guest that was restored from the same file; null where there was none.
    pub fork: Option<ForkFigures>,
}

/// When the cost of a restore was paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Paid {
    /// Before the guest went on: its first visits took no longer than others.
    Eager,
    /// By the guest, as it came to its pages.
    Lazy,
}

/// What a guest found when it looked at every page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageVerdict {
    /// Pages that it looked at.
    pub looked_at: u64,
    /// Pages that there are.
    pub of: u64,
    /// Corrupt ones found since it was saved.
    pub corrupt: u64,
}

/// A second guest from one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkFigures {
    /// From the order to restore until QEMU said that all was there.
    pub restore_ns: u64,
    /// The session that its records are kept under; the first guest's where the two were not told apart.
    pub session: SessionId,
    /// Whether it is another than the first guest's.
    pub is_apart: bool,
    /// What it found when it looked at every page; null where it did not come to that.
    pub pages: Option<PageVerdict>,
}

impl PageVerdict {
    /// Whether every page was looked at and held what was last written there.
    pub const fn is_right(&self) -> bool {
        self.corrupt == 0 && self.looked_at >= self.of
    }
}
