//! How skewed a Zipf pattern is: a decimal in thousandths, so that no float is read or printed.

use std::{fmt, str::FromStr};

/// The exponent of Zipf's law: the page of rank k is visited in proportion to 1 / k^THETA.
///
/// In thousandths, from 0.001 to 10. Text: `0.99`, `1`, `1.25`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Theta {
    thousandths: u32,
}

impl Theta {
    /// The most skewed: nine hundred and ninety-nine of a thousand visits fall on the first page.
    const LIMIT: u32 = 10_000;

    /// An exponent of so many thousandths; none outside 0.001 to 10.
    pub fn from_thousandths(thousandths: u32) -> Option<Self> {
        (1..=Self::LIMIT).contains(&thousandths).then_some(Self { thousandths })
    }

    /// The exponent as a number.
    pub fn exponent(self) -> f64 {
        f64::from(self.thousandths) / 1000.0
    }
}

/// Not an exponent; [`super::PatternSpec`] says what one looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoTheta;

impl FromStr for Theta {
    type Err = NoTheta;

    fn from_str(text: &str) -> Result<Self, NoTheta> {
        // Digits are taken one by one: this stays small, and there are few of them.
        let (mut thousandths, mut whole, mut decimals, mut has_point) = (0, 0, 0, false);
        for byte in text.bytes() {
            match byte {
                b'.' if !has_point && whole > 0 => has_point = true,
                b'0'..=b'9' if thousandths <= Self::LIMIT && whole + decimals < 8 => {
                    thousandths = thousandths * 10 + u32::from(byte - b'0');
                    *(if has_point { &mut decimals } else { &mut whole }) += 1;
                }
                _ => return Err(NoTheta),
            }
        }
        if whole == 0 || decimals > 3 || has_point && decimals == 0 {
            return Err(NoTheta);
        }
        for _ in decimals..3 {
            thousandths *= 10;
        }
        Self::from_thousandths(thousandths).ok_or(NoTheta)
    }
}

impl fmt::Display for Theta {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, mut decimals) = (self.thousandths / 1000, self.thousandths % 1000);
        write!(out, "{whole}")?;
        let mut point = ".";
        while decimals > 0 {
            write!(out, "{point}{}", decimals / 100)?;
            decimals = decimals % 100 * 10;
            point = "";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimals_are_read_to_the_thousandth_and_printed_as_short_as_can_be() {
        for (text, thousandths, printed) in [
            ("0.99", 990, "0.99"),
            ("1", 1000, "1"),
            ("1.250", 1250, "1.25"),
            ("0.001", 1, "0.001"),
            ("10", 10_000, "10"),
        ] {
            let theta: Theta = text.parse().unwrap();
            assert_eq!(Some(theta), Theta::from_thousandths(thousandths));
            assert_eq!(theta.to_string(), printed);
        }
    }

    #[test]
    fn what_is_no_exponent_is_refused() {
        for text in
            ["", ".", "0", "0.0", "-1", "+1", "1.", ".5", "0.9999", "10.001", "1e3", "4294967296", "nan"]
        {
            assert_eq!(text.parse::<Theta>(), Err(NoTheta), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_back(thousandths in 1u32..=10_000) {
            let theta = Theta::from_thousandths(thousandths).unwrap();
            prop_assert_eq!(theta.to_string().parse(), Ok(theta));
        }
    }
}
