//! What pages hold beyond their stamp, and what a visit makes of it.

use super::{Fault, WORD_BYTES};
use crate::units::{Share, UnitError, serde_as_text};
use std::{fmt, str::FromStr};

/// What pages hold beyond their stamp. Text: `random`, `zero`, `fill:BYTE`, `compress:PERCENT`, `delta:BYTES`, `same`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ContentSpec {
    /// Random bytes.
    #[default]
    Random,
    /// Zeros.
    Zero,
    /// One byte over and over. Written in decimal, or in hexadecimal after `0x`.
    Fill(u8),
    /// Bytes of which compression saves so many percent, 1 to [`ContentSpec::MOST_SAVED_PERCENT`].
    Compress(u8),
    /// Random bytes, of which a visit changes so many, 1 to [`ContentSpec::MOST_CHANGED_BYTES`], scattered over the page.
    Delta(u16),
    /// Random bytes that stay: a visit stores what is there already.
    Same,
}

impl ContentSpec {
    /// The most that compression can save: the rest is stamp, and what compression itself takes.
    pub const MOST_SAVED_PERCENT: u8 = 95;
    /// A page without its stamp of 40 bytes.
    pub const MOST_CHANGED_BYTES: u16 = 4056;

    /// What does not go together with it, and the remedy, when a visit writes `write_bytes`.
    pub fn fault(self, write_bytes: u64) -> Option<Fault> {
        let is_at_odds = matches!(self, Self::Delta(_)) && write_bytes != WORD_BYTES;
        is_at_odds.then(|| Fault {
            what: format!(
                "--content {self} says what a visit changes, and --write {write_bytes} says otherwise"
            ),
            remedy: "leave --write out, or use --content random".into(),
        })
    }
}

/// Why `dedup` of the pages cannot be copies where each page has a stamp of its own, and the remedy.
pub fn dedup_fault(dedup: Share, verify: bool) -> Option<Fault> {
    (verify && dedup.millionths() > 0).then(|| Fault {
        what: format!("--dedup {dedup} asks for pages that hold the same bytes, and every stamp differs"),
        remedy: "add --verify off, or leave --dedup out".into(),
    })
}

impl FromStr for ContentSpec {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse(text).ok_or_else(|| {
            UnitError::new(
                text,
                "a content",
                "random, zero, fill:BYTE (0 to 255 or 0x00 to 0xff), compress:PERCENT (1 to 95), \
                 delta:BYTES (1 to 4056) or same",
                "compress:50",
            )
        })
    }
}

fn parse(text: &str) -> Option<ContentSpec> {
    match text {
        "random" => return Some(ContentSpec::Random),
        "zero" => return Some(ContentSpec::Zero),
        "same" => return Some(ContentSpec::Same),
        _ => {}
    }
    let (name, number) = text.split_once(':')?;
    let number = match (name, number.strip_prefix("0x")) {
        ("fill", Some(digits)) if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
            u16::from_str_radix(digits, 16).ok()?
        }
        _ if number.bytes().all(|digit| digit.is_ascii_digit()) => number.parse().ok()?,
        _ => return None,
    };
    let byte = u8::try_from(number);
    match name {
        "fill" => Some(ContentSpec::Fill(byte.ok()?)),
        "compress" => {
            let percent = byte.ok().filter(|percent| (1..=ContentSpec::MOST_SAVED_PERCENT).contains(percent));
            Some(ContentSpec::Compress(percent?))
        }
        "delta" => {
            (1..=ContentSpec::MOST_CHANGED_BYTES).contains(&number).then_some(ContentSpec::Delta(number))
        }
        _ => None,
    }
}

impl fmt::Display for ContentSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, number) = match self {
            Self::Random => return out.write_str("random"),
            Self::Zero => return out.write_str("zero"),
            Self::Same => return out.write_str("same"),
            Self::Fill(byte) => ("fill", u16::from(*byte)),
            Self::Compress(percent) => ("compress", u16::from(*percent)),
            Self::Delta(bytes) => ("delta", *bytes),
        };
        write!(out, "{name}:{number}")
    }
}

serde_as_text!(ContentSpec);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_byte_is_written_in_decimal_or_in_hexadecimal() {
        for (text, byte) in [("fill:0", 0), ("fill:255", 255), ("fill:0xff", 255), ("fill:0x0A", 10)] {
            assert_eq!(text.parse(), Ok(ContentSpec::Fill(byte)), "{text}");
        }
    }

    #[test]
    fn what_is_no_content_is_answered_with_the_grammar() {
        for text in [
            "",
            "ones",
            "fill",
            "fill:",
            "fill:256",
            "fill:0x",
            "fill:0x100",
            "fill:-1",
            "compress:0",
            "compress:96",
            "compress:0x10",
            "compress:+5",
            "delta:0",
            "delta:4057",
            "delta:99999",
            "zero:1",
            "Random",
        ] {
            let message = text.parse::<ContentSpec>().unwrap_err().to_string();
            assert!(
                message.contains(&format!("'{text}'")) && message.contains("compress:PERCENT"),
                "{message}"
            );
        }
    }

    #[test]
    fn what_contradicts_it_is_named_with_the_way_out() {
        let said = |fault: Option<Fault>| fault.map(|fault| format!("{}: {}", fault.what, fault.remedy));
        let message = said(ContentSpec::Delta(16).fault(4096)).unwrap();
        assert!(message.contains("delta:16") && message.contains("leave --write out"), "{message}");
        assert_eq!(said(ContentSpec::Delta(16).fault(8)), None);
        assert_eq!(said(ContentSpec::Compress(50).fault(4096)), None);
        let half: Share = "50%".parse().unwrap();
        assert!(said(dedup_fault(half, true)).unwrap().contains("--verify off"));
        assert_eq!((said(dedup_fault(half, false)), said(dedup_fault(Share::default(), true))), (None, None));
    }

    fn contents() -> impl Strategy<Value = ContentSpec> {
        prop_oneof![
            Just(ContentSpec::Random),
            Just(ContentSpec::Zero),
            Just(ContentSpec::Same),
            any::<u8>().prop_map(ContentSpec::Fill),
            (1..=ContentSpec::MOST_SAVED_PERCENT).prop_map(ContentSpec::Compress),
            (1..=ContentSpec::MOST_CHANGED_BYTES).prop_map(ContentSpec::Delta),
        ]
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_back(content in contents()) {
            prop_assert_eq!(content.to_string().parse(), Ok(content));
        }

        #[test]
        fn no_text_panics(text in "((fill|compress|delta):)?.{0,40}") {
            let _ = text.parse::<ContentSpec>();
        }
    }
}
