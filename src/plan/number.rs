//! Plain numbers of a plan, each with what it is and the form it takes.
//!
//! They are plain values and no types: each type of a flag costs the guest program 1.5 KB.

use super::region::MOST_SHARE;
use crate::units::{UnitError, whole};

/// What is no number at all is refused here; what is out of range, by the check of the plan.
const MOST: u64 = u32::MAX as u64;

/// Where sequence and content start from.
///
/// # Errors
/// When the text is no whole number of 64 bits.
pub fn seed(text: &str) -> Result<u64, UnitError> {
    whole(text, u64::MAX, ["a seed", "a whole number from 0 to 2^64 - 1", "7"])
}

/// How many writers.
///
/// # Errors
/// When the text is no whole number.
pub fn threads(text: &str) -> Result<u64, UnitError> {
    whole(text, MOST, ["a number of writers", "a whole number from 1 to 1024", "2"])
}

/// How many times faster than its schedule a writer catches up.
///
/// # Errors
/// When the text is no whole number.
pub fn catch_up(text: &str) -> Result<u64, UnitError> {
    whole(text, MOST, ["a factor", "a whole number from 1 to 100", "4"])
}

/// A region's part of the rate.
///
/// # Errors
/// When the text is no whole number, or larger than a share can be.
pub fn share(text: &str) -> Result<u64, UnitError> {
    whole(
        text,
        u64::from(MOST_SHARE),
        [
            "a share of the rate",
            "a whole number from 0 to 1000000, counted beside the other regions' shares",
            "3",
        ],
    )
}

/// Something that is so or not.
///
/// # Errors
/// When the text is neither `true` nor `false`.
pub fn truth(text: &str) -> Result<bool, UnitError> {
    text.parse().map_err(|_| UnitError::new(text, "a switch", "true or false", "true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_repeated_with_what_it_should_be() {
        for (read, example) in [
            (seed as fn(&str) -> Result<u64, UnitError>, "0 to 2^64 - 1, for example 7"),
            (threads, "1 to 1024, for example 2"),
            (catch_up, "1 to 100, for example 4"),
            (share, "0 to 1000000"),
        ] {
            for text in ["", "abc", "-15", "1.5", "99999999999999999999999"] {
                let message = read(text).unwrap_err().to_string();
                assert!(message.contains(&format!("'{text}'")) && message.contains(example), "{message}");
            }
            assert_eq!(read(" 15 "), Ok(15));
        }
        assert!(truth("perhaps").unwrap_err().to_string().contains("'perhaps'"));
        assert_eq!((truth("true"), truth("false")), (Ok(true), Ok(false)));
    }
}
