//! What a meter of QEMU's said, beside what the guest counted in the same time.

use super::vm::Window;
use serde::Serialize;

/// Pages of 4 KiB in a MiB.
pub const PAGES_PER_MIB: f64 = 256.0;

/// A meter of QEMU's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Meter {
    /// `calc-dirty-rate`: some pages are hashed twice.
    #[serde(rename = "page-sampling")]
    PageSampling,
    /// `calc-dirty-rate` by the dirty bitmap.
    #[serde(rename = "dirty-bitmap")]
    DirtyBitmap,
    /// `calc-dirty-rate` by KVM's dirty ring.
    #[serde(rename = "dirty-ring")]
    DirtyRing,
    /// `dirty-pages-rate` of `query-migrate`.
    #[serde(rename = "dirty-pages-rate")]
    DirtyPagesRate,
}

impl Meter {
    /// All of them, as they are listed.
    pub const ALL: [Self; 4] = [Self::PageSampling, Self::DirtyBitmap, Self::DirtyRing, Self::DirtyPagesRate];

    /// By QEMU's own word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PageSampling => "page-sampling",
            Self::DirtyBitmap => "dirty-bitmap",
            Self::DirtyRing => "dirty-ring",
            Self::DirtyPagesRate => "dirty-pages-rate",
        }
    }
}

/// When a meter was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Moment {
    /// Without a migration.
    Before,
    /// While one goes on.
    During,
}

impl Moment {
    /// In a word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::During => "during",
        }
    }
}

/// What a meter said of a load, and what the guest counted in the same time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reading {
    /// Which meter.
    pub meter: Meter,
    /// When.
    pub moment: Moment,
    /// Different pages that the guest wrote in that time, a second.
    pub guest_pages_per_s: Option<f64>,
    /// What the meter said.
    pub meter_pages_per_s: Option<f64>,
    /// By how much the meter is off, percent of the guest's count.
    pub error_percent: Option<f64>,
    /// Why a figure is absent.
    pub reason: Option<String>,
}

impl Reading {
    /// Of what QEMU said, while the guest counted.
    pub fn of(meter: Meter, moment: Moment, said: Result<(f64, Window), String>) -> Self {
        match said {
            Ok((said, window)) => {
                let guest = window.pages_per_s();
                Self {
                    meter,
                    moment,
                    guest_pages_per_s: Some(guest),
                    meter_pages_per_s: Some(said),
                    error_percent: (guest > 0.0).then(|| 100.0 * (said / guest - 1.0)),
                    reason: (guest <= 0.0).then(|| "the guest wrote nothing".into()),
                }
            }
            Err(reason) => Self {
                meter,
                moment,
                guest_pages_per_s: None,
                meter_pages_per_s: None,
                error_percent: None,
                reason: Some(reason),
            },
        }
    }
}
