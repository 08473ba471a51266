//! When a migration is switched to post-copy.

use super::{Deed, When};
use crate::units::{Nanos, UnitError, serde_as_text};
use std::{fmt, str::FromStr};

/// The moment of the switch to post-copy. Text: `first-pass`, or a time after the start such as `5s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// Every page was sent once.
    FirstPass,
    /// So long after the migration began.
    After(Nanos),
}

impl Trigger {
    /// The step that it stands for.
    pub(super) fn as_step(self) -> When {
        let (pass, after) = match self {
            Self::FirstPass => (Some(2), None),
            Self::After(time) => (None, Some(time)),
        };
        When { pass, after, deed: Deed::PostCopy, ..When::default() }
    }
}

impl FromStr for Trigger {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text.trim() == "first-pass" {
            return Ok(Self::FirstPass);
        }
        text.parse().map(Self::After).map_err(|_| {
            UnitError::new(
                text,
                "a moment for post-copy",
                "first-pass or a time after the start",
                "first-pass or 5s",
            )
        })
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstPass => out.write_str("first-pass"),
            Self::After(time) => time.fmt(out),
        }
    }
}

serde_as_text!(Trigger);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_parse_and_print() {
        for text in ["first-pass", "1m30s"] {
            assert_eq!(text.parse::<Trigger>().unwrap().to_string(), text);
        }
        let message = "later".parse::<Trigger>().unwrap_err().to_string();
        assert!(message.contains("'later'") && message.contains("first-pass or 5s"), "{message}");
    }
}
