//! Dirty rates: how many pages a second are visited by a write.

use super::{ByteSize, PAGE_BYTES, UnitError, serde_as_text};
use std::{fmt, str::FromStr};

/// A dirty rate. Text: `100M/s` (MiB of 4 KiB pages a second), `25600p/s` (pages a second), `max`, `0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rate {
    /// So many page visits a second; 0 holds the memory and stays silent.
    PagesPerSecond(u64),
    /// As fast as the writers can.
    Max,
}

impl Rate {
    /// The largest rate that can be asked for by number: beyond it no machine of today writes pages.
    pub const LIMIT_PAGES_PER_S: u64 = 1_000_000_000;

    /// The pages a second asked for, or none for `max`.
    pub const fn pages_per_s(self) -> Option<u64> {
        match self {
            Self::PagesPerSecond(pages) => Some(pages),
            Self::Max => None,
        }
    }
}

impl FromStr for Rate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse(text.trim()).ok_or_else(|| {
            if text.trim().ends_with("link") {
                return UnitError::new(
                    text,
                    "a dirty rate by itself",
                    "a number, since a share of the link is held by sully-lab from outside, and only load.rate of a scenario \
                     takes it",
                    "100M/s",
                );
            }
            UnitError::new(
                text,
                "a dirty rate",
                "<number>[K|M|G]/s that makes whole pages of 4096 bytes, <number>p/s (at most 1000000000), max or 0",
                "100M/s or 25600p/s",
            )
        })
    }
}

fn parse(text: &str) -> Option<Rate> {
    if text == "max" {
        return Some(Rate::Max);
    }
    if text == "0" {
        return Some(Rate::PagesPerSecond(0));
    }
    let amount = text.strip_suffix("/s")?.trim_end();
    let pages = match amount.strip_suffix('p') {
        Some(pages) if pages.bytes().all(|digit| digit.is_ascii_digit()) => pages.parse().ok()?,
        Some(_) => return None,
        None => whole_pages(amount)?,
    };
    (pages <= Rate::LIMIT_PAGES_PER_S).then_some(Rate::PagesPerSecond(pages))
}

/// The pages in a size that carries a unit; `100/s` is refused, since pages and bytes would both be a fair guess.
fn whole_pages(amount: &str) -> Option<u64> {
    if !amount.ends_with(|last: char| last.is_ascii_alphabetic()) {
        return None;
    }
    let ByteSize(bytes) = amount.parse().ok()?;
    bytes.is_multiple_of(PAGE_BYTES).then_some(bytes / PAGE_BYTES)
}

impl fmt::Display for Rate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max => out.write_str("max"),
            Self::PagesPerSecond(0) => out.write_str("0"),
            Self::PagesPerSecond(pages) if pages.is_multiple_of(256) => {
                write!(out, "{}/s", ByteSize(pages * PAGE_BYTES))
            }
            Self::PagesPerSecond(pages) => write!(out, "{pages}p/s"),
        }
    }
}

serde_as_text!(Rate);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_spellings_mean_the_same_rate() {
        assert_eq!("100M/s".parse::<Rate>(), "25600p/s".parse());
        assert_eq!("1.5M/s".parse(), Ok(Rate::PagesPerSecond(384)));
        assert_eq!("max".parse(), Ok(Rate::Max));
        assert_eq!("0".parse(), Ok(Rate::PagesPerSecond(0)));
    }

    #[test]
    fn what_is_no_whole_page_or_no_rate_is_refused() {
        for text in ["100", "100M", "100/s", "1000B/s", "p/s", "-1p/s", "1.5p/s", "9999999999p/s", "fast"] {
            let message = text.parse::<Rate>().unwrap_err().to_string();
            assert!(message.contains(&format!("'{text}'")) && message.contains("25600p/s"), "{message}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_back(pages in 0..=Rate::LIMIT_PAGES_PER_S) {
            let rate = Rate::PagesPerSecond(pages);
            prop_assert_eq!(rate.to_string().parse(), Ok(rate));
        }

        #[test]
        fn no_text_panics(text in ".{0,80}") {
            let _ = text.parse::<Rate>();
        }
    }
}
