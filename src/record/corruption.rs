//! One page that did not hold what its writer had left there, and the counts of such pages.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One corrupt page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct Corruption {
    /// Its position in the whole region, from 0.
    pub page: u64,
    /// What is wrong with it.
    pub kind: CorruptionKind,
    /// What its stamp should have said, in words.
    pub expected: String,
    /// What its stamp said, in words.
    pub found: String,
}

/// What is wrong with a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CorruptionKind {
    /// It holds an older visit: later writes were lost.
    Stale,
    /// Its stamp is all zeros.
    Zeroed,
    /// It holds the stamp of another page or of another session.
    Foreign,
    /// Its stamp does not fit its own checksum.
    Torn,
    /// It holds a later visit than its writer remembers, or a later version's kind.
    #[serde(other)]
    Unknown,
}

impl CorruptionKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Stale, Self::Zeroed, Self::Foreign, Self::Torn, Self::Unknown];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::Zeroed => "zeroed",
            Self::Foreign => "foreign",
            Self::Torn => "torn",
            Self::Unknown => "unknown",
        }
    }
}

/// How many corrupt pages of each kind were found; a page that was corrupt twice counts twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct CorruptionCounts {
    /// Older visits.
    pub stale: u64,
    /// All zeros.
    pub zeroed: u64,
    /// Stamps of other pages or sessions.
    pub foreign: u64,
    /// Stamps that do not fit their checksum.
    pub torn: u64,
    /// Everything else.
    pub unknown: u64,
}

impl CorruptionCounts {
    /// The count of one kind.
    pub const fn of(&mut self, kind: CorruptionKind) -> &mut u64 {
        match kind {
            CorruptionKind::Stale => &mut self.stale,
            CorruptionKind::Zeroed => &mut self.zeroed,
            CorruptionKind::Foreign => &mut self.foreign,
            CorruptionKind::Torn => &mut self.torn,
            CorruptionKind::Unknown => &mut self.unknown,
        }
    }

    /// All kinds together.
    pub const fn sum(&self) -> u64 {
        let Self { stale, zeroed, foreign, torn, unknown } = *self;
        stale.saturating_add(zeroed).saturating_add(foreign).saturating_add(torn).saturating_add(unknown)
    }
}

/// As `3 stale, 1 torn`; kinds that did not occur are left out.
impl fmt::Display for CorruptionCounts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for kind in CorruptionKind::ALL {
            let count = *{ *self }.of(kind);
            if count > 0 {
                write!(out, "{separator}{count} {}", kind.name())?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_named_alike_in_words_and_on_the_wire() {
        for kind in CorruptionKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        let later: CorruptionKind = serde_json::from_str("\"haunted\"").unwrap();
        assert_eq!(later, CorruptionKind::Unknown);
    }

    #[test]
    fn counts_add_up_and_say_only_what_occurred() {
        let mut counts = CorruptionCounts::default();
        assert_eq!((counts.sum(), counts.to_string().as_str()), (0, ""));
        for (times, kind) in (1..).zip(CorruptionKind::ALL) {
            *counts.of(kind) = times;
        }
        assert_eq!(counts.sum(), 15);
        assert_eq!(
            CorruptionCounts { stale: 3, torn: 1, ..CorruptionCounts::default() }.to_string(),
            "3 stale, 1 torn"
        );
    }
}
