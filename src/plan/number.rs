//! Plain values of a plan, each with what it is and the form it takes.

use crate::units::{UnitError, whole};
use std::str::FromStr;

/// The largest share: with every region at it, the rate of each is still exact in 64 bits.
pub(super) const MOST_SHARE: u32 = 1_000_000;
/// The most units of work that a region computes in a second.
const MOST_UNITS: u32 = 1_000_000;

fn bounded(text: &str, most: u32, words: [&'static str; 3]) -> Result<u32, UnitError> {
    let number = whole(text, u64::from(most), words)?;
    Ok(u32::try_from(number).unwrap_or(most))
}

/// What is no number at all is refused here; what is out of range, by the check of the plan.
fn small(text: &str, words: [&'static str; 3]) -> Result<u32, UnitError> {
    bounded(text, u32::MAX, words)
}

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
pub fn threads(text: &str) -> Result<Option<u32>, UnitError> {
    small(text, ["a number of writers", "a whole number from 1 to 1024", "2"]).map(Some)
}

/// How many times faster than its schedule a writer catches up.
///
/// # Errors
/// When the text is no whole number.
pub fn catch_up(text: &str) -> Result<u32, UnitError> {
    small(text, ["a factor", "a whole number from 1 to 100", "4"])
}

/// A region's part of the rate.
///
/// # Errors
/// When the text is no whole number, or larger than a share can be.
pub fn share(text: &str) -> Result<u32, UnitError> {
    let words = [
        "a share of the rate",
        "a whole number from 0 to 1000000, counted beside the other regions' shares",
        "3",
    ];
    bounded(text, MOST_SHARE, words)
}

/// Units of work that a region computes in a second.
///
/// # Errors
/// When the text is no whole number, or more than can be asked for.
pub fn compute(text: &str) -> Result<u32, UnitError> {
    let words = ["a rate of computing", "a whole number of units a second, 1 to 1000000", "500"];
    bounded(text, MOST_UNITS, words).and_then(|units| match units {
        0 => Err(UnitError::new(text, words[0], words[1], words[2])),
        units => Ok(units),
    })
}

/// Something that is so or not.
///
/// # Errors
/// When the text is neither `true` nor `false`.
pub fn truth(text: &str) -> Result<bool, UnitError> {
    text.parse().map_err(|_| UnitError::new(text, "a switch", "true or false", "true"))
}

/// The contrary of something that is so or not.
///
/// # Errors
/// When the text is neither `true` nor `false`.
pub fn untruth(text: &str) -> Result<bool, UnitError> {
    truth(text).map(|so| !so)
}

/// What may be left out, and is not.
///
/// # Errors
/// When the text is no such value.
pub fn given<T: FromStr<Err = UnitError>>(text: &str) -> Result<Option<T>, UnitError> {
    text.parse().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Nanos;

    #[test]
    fn what_is_no_number_is_repeated_with_what_it_should_be() {
        for (read, example) in [
            ((|text| seed(text)) as fn(&str) -> Result<u64, UnitError>, "0 to 2^64 - 1, for example 7"),
            (|text| threads(text).map(|count| count.unwrap_or(0).into()), "1 to 1024, for example 2"),
            (|text| catch_up(text).map(u64::from), "1 to 100, for example 4"),
            (|text| share(text).map(u64::from), "0 to 1000000"),
        ] {
            for text in ["", "abc", "-15", "1.5", "99999999999999999999999"] {
                let message = read(text).unwrap_err().to_string();
                assert!(message.contains(&format!("'{text}'")) && message.contains(example), "{message}");
            }
            assert_eq!(read(" 15 "), Ok(15));
        }
        assert!(share("1000001").is_err() && share("1000000") == Ok(MOST_SHARE));
        assert!(truth("perhaps").unwrap_err().to_string().contains("'perhaps'"));
        assert_eq!((truth("true"), untruth("true")), (Ok(true), Ok(false)));
        assert_eq!(given("1s"), Ok(Some(Nanos::from_secs(1))));
    }
}
