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
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| part.bytes().all(|digit| digit.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || !(1..=3).contains(&decimals.len()) {
            return Err(NoTheta);
        }
        let whole: u32 = whole.parse().map_err(|_| NoTheta)?;
        let scale = [100, 10, 1][decimals.len() - 1];
        let decimals: u32 = decimals.parse().map_err(|_| NoTheta)?;
        Self::from_thousandths(whole.saturating_mul(1000).saturating_add(decimals * scale)).ok_or(NoTheta)
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
