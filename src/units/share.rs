//! Shares of a whole, written as percent.

use super::{UnitError, serde_as_text};
use std::{fmt, str::FromStr};

/// A share of a whole from 0 to 100 %, in steps of one millionth. Text: `75%`, `12.5%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Share {
    millionths: u32,
}

impl Share {
    /// A whole, in millionths.
    pub const WHOLE: u32 = 1_000_000;

    /// A share from millionths; more than a whole is a whole.
    pub fn from_millionths(millionths: u32) -> Self {
        Self { millionths: millionths.min(Self::WHOLE) }
    }

    /// The share in millionths, at most a whole.
    pub const fn millionths(self) -> u32 {
        self.millionths
    }

    /// This share of `whole`, rounded down.
    pub fn of(self, whole: u64) -> u64 {
        let part = u128::from(whole) * u128::from(self.millionths) / u128::from(Self::WHOLE);
        u64::try_from(part).unwrap_or(u64::MAX)
    }
}

impl FromStr for Share {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse(text.trim()).ok_or_else(|| {
            UnitError::new(text, "a share", "<number>% from 0% to 100%, at most four decimals", "75%")
        })
    }
}

fn parse(text: &str) -> Option<Share> {
    let number = text.strip_suffix('%')?;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let digits = |part: &str| part.bytes().all(|digit| digit.is_ascii_digit());
    if whole.is_empty() || decimals.len() > 4 || !digits(whole) || !digits(decimals) {
        return None;
    }
    let whole: u32 = whole.parse().ok().filter(|percent| *percent <= 100)?;
    let decimals: u32 = format!("{decimals:0<4}").parse().ok()?;
    let millionths = whole * 10_000 + decimals;
    (millionths <= Share::WHOLE).then_some(Share { millionths })
}

impl fmt::Display for Share {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, decimals) = (self.millionths / 10_000, self.millionths % 10_000);
        if decimals == 0 {
            return write!(out, "{whole}%");
        }
        let decimals = format!("{decimals:04}");
        write!(out, "{whole}.{}%", decimals.trim_end_matches('0'))
    }
}

serde_as_text!(Share);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_share_of_a_whole_rounds_down() {
        let share: Share = "75%".parse().unwrap();
        assert_eq!(share.of(1001), 750);
        assert_eq!("100%".parse::<Share>().unwrap().of(u64::MAX), u64::MAX);
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for text in ["75", "101%", "-1%", "%", "0.12345%", "half"] {
            assert!(text.parse::<Share>().unwrap_err().to_string().contains(text));
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_back(millionths in 0u32..=1_000_000) {
            let share = Share::from_millionths(millionths);
            prop_assert_eq!(share.to_string().parse(), Ok(share));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<Share>();
        }
    }
}
