//! What pages hold beyond their stamp, by name.

use super::{Fault, WORD_BYTES};
use crate::units::{PAGE_BYTES, Share, UnitError, serde_as_text};
use std::{fmt, str::FromStr};

/// What pages hold and visits write. Text: `random`, `zero`, `fill:0x5a`, `compress:50`, `delta:64`, `same`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ContentSpec {
    /// Random bytes: nothing makes them smaller.
    #[default]
    Random,
    /// Zeros, which visits write again: dirty pages that are sent as zero pages.
    Zero,
    /// One byte, which visits write again.
    Fill(u8),
    /// So many percent of a page are saved by compression, 0 to 99; pages differ from each other.
    Compress(u8),
    /// Random bytes of which each visit changes so many, scattered over the page; 1 to [`ContentSpec::DELTA_LIMIT`].
    Delta(u16),
    /// Random bytes, which visits write again: dirty pages without a new value.
    Same,
}

const ALL: &str = "random, zero, fill:BYTE, compress:PERCENT, delta:BYTES or same";
const FILL: &str = "fill:BYTE, BYTE from 0 to 255 or 0x00 to 0xff";
const COMPRESS: &str = "compress:PERCENT, the share that compression saves, from 0 to 99";
const DELTA: &str = "delta:BYTES, BYTES from 1 to 2048";

impl ContentSpec {
    /// The most bytes that a visit changes: half of a page.
    pub const DELTA_LIMIT: u16 = 2048;

    /// Whether what a visit writes beyond the stamp is measured by `--write`.
    const fn is_measured(self) -> bool {
        !matches!(self, Self::Delta(_))
    }

    /// What does not go together with it: every fault, each with its remedy.
    pub fn faults(self, write_bytes: u64, verify: bool) -> Vec<Fault> {
        let mut faults = Vec::new();
        if self == Self::Same && verify {
            faults.push(Fault {
                what: "--content same changes no value, and a page stamp is a new value at each visit".into(),
                remedy: "give up the stamps: --verify off".into(),
            });
        }
        if !self.is_measured() && write_bytes != WORD_BYTES {
            faults.push(Fault {
                what: format!(
                    "--content {self} says how much a visit changes, and --write {write_bytes} does too"
                ),
                remedy: "leave --write out, or use --content random".into(),
            });
        }
        faults
    }
}

/// Whether pages may share their bytes with others.
pub fn dedup_faults(dedup: Share, verify: bool) -> Option<Fault> {
    (dedup.millionths() > 0 && verify).then(|| Fault {
        what: format!("--dedup {dedup} asks for pages that are alike, and page stamps make each its own"),
        remedy: "give up the stamps: --verify off".into(),
    })
}

impl FromStr for ContentSpec {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let error = |grammar, example| UnitError::new(text, "a content", grammar, example);
        match text.split_once(':') {
            None => match text {
                "random" => Ok(Self::Random),
                "zero" => Ok(Self::Zero),
                "same" => Ok(Self::Same),
                _ => Err(error(ALL, "random")),
            },
            Some(("fill", value)) => byte(value).map(Self::Fill).ok_or_else(|| error(FILL, "fill:0x5a")),
            Some(("compress", value)) => {
                let percent = number(value).filter(|percent| *percent <= 99);
                let percent = percent.and_then(|percent| u8::try_from(percent).ok());
                percent.map(Self::Compress).ok_or_else(|| error(COMPRESS, "compress:50"))
            }
            Some(("delta", value)) => {
                let bytes = number(value).filter(|bytes| (1..=Self::DELTA_LIMIT).contains(bytes));
                bytes.map(Self::Delta).ok_or_else(|| error(DELTA, "delta:64"))
            }
            Some(_) => Err(error(ALL, "compress:50")),
        }
    }
}

/// A number in digits alone.
fn number(text: &str) -> Option<u16> {
    text.bytes().all(|digit| digit.is_ascii_digit()).then(|| text.parse().ok())?
}

fn byte(text: &str) -> Option<u8> {
    let value = match text.strip_prefix("0x") {
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
            u16::from_str_radix(digits, 16).ok()
        }
        Some(_) => None,
        None => number(text),
    };
    u8::try_from(value?).ok()
}

impl fmt::Display for ContentSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random => out.write_str("random"),
            Self::Zero => out.write_str("zero"),
            Self::Same => out.write_str("same"),
            Self::Fill(byte) => write!(out, "fill:{byte}"),
            Self::Compress(percent) => write!(out, "compress:{percent}"),
            Self::Delta(bytes) => write!(out, "delta:{bytes}"),
        }
    }
}

serde_as_text!(ContentSpec);

const _: () = assert!(ContentSpec::DELTA_LIMIT as u64 * 2 <= PAGE_BYTES, "deltas are scattered");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_content_is_answered_with_what_is() {
        for (text, said) in [
            ("", "delta:BYTES"),
            ("zeros", "random, zero"),
            ("fill:256", "0x00 to 0xff"),
            ("fill:0x", "0x00 to 0xff"),
            ("fill:0x+1", "0x00 to 0xff"),
            ("compress:100", "from 0 to 99"),
            ("compress:50%", "from 0 to 99"),
            ("delta:0", "1 to 2048"),
            ("delta:2049", "1 to 2048"),
            ("delta:+5", "1 to 2048"),
        ] {
            let message = text.parse::<ContentSpec>().unwrap_err().to_string();
            assert!(message.contains(&format!("'{text}'")) && message.contains(said), "{message}");
        }
        assert_eq!("fill:0x5A".parse(), Ok(ContentSpec::Fill(90)));
    }

    #[test]
    fn what_does_not_go_together_is_said_with_the_way_out() {
        let said = |faults: Vec<Fault>| {
            faults.into_iter().map(|fault| fault.what + &fault.remedy).collect::<String>()
        };
        assert_eq!(ContentSpec::Same.faults(4096, false), []);
        assert_eq!(ContentSpec::Zero.faults(4096, true), []);
        assert!(said(ContentSpec::Same.faults(8, true)).contains("--verify off"));
        assert!(said(ContentSpec::Delta(9).faults(64, true)).contains("leave --write out"));
        let half = "50%".parse().unwrap();
        assert!(said(dedup_faults(half, true).into_iter().collect()).contains("--verify off"));
        assert_eq!((dedup_faults(half, false), dedup_faults(Share::default(), true)), (None, None));
    }

    fn any_content() -> impl Strategy<Value = ContentSpec> {
        prop_oneof![
            prop::sample::select(vec![ContentSpec::Random, ContentSpec::Zero, ContentSpec::Same]),
            any::<u8>().prop_map(ContentSpec::Fill),
            (0u8..=99).prop_map(ContentSpec::Compress),
            (1..=ContentSpec::DELTA_LIMIT).prop_map(ContentSpec::Delta),
        ]
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_back(spec in any_content()) {
            prop_assert_eq!(spec.to_string().parse(), Ok(spec));
        }

        #[test]
        fn no_text_panics(text in "(fill:|compress:|delta:|)[0-9x.%-]{0,20}|.{0,40}") {
            let _ = text.parse::<ContentSpec>();
        }
    }
}
