//! What must be true of a figure of the report: `downtime_ms < 300`.

use crate::units::{UnitError, serde_as_text};
use std::{fmt, str::FromStr};

/// A figure, and what it is compared with. Text: `FIGURE < NUMBER`.
#[derive(Debug, Clone, PartialEq)]
pub struct Demand {
    /// The figure, by its name or by its path in the JSON report.
    pub figure: String,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub limit: f64,
}

impl Eq for Demand {}

/// How a figure is compared with its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `<=`
    AtMost,
    /// `>=`
    AtLeast,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `>`
    More,
}

impl Comparison {
    /// Each with its sign; the longer signs first, since the shorter begin them.
    const SIGNS: [(Self, &'static str); 6] = [
        (Self::AtMost, "<="),
        (Self::AtLeast, ">="),
        (Self::Equal, "=="),
        (Self::NotEqual, "!="),
        (Self::Less, "<"),
        (Self::More, ">"),
    ];

    /// Whether a figure of `value` is what was demanded.
    pub fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::AtMost => value <= limit,
            Self::AtLeast => value >= limit,
            #[expect(clippy::float_cmp, reason = "equality was asked for")]
            Self::Equal => value == limit,
            #[expect(clippy::float_cmp, reason = "equality was asked for")]
            Self::NotEqual => value != limit,
            Self::Less => value < limit,
            Self::More => value > limit,
        }
    }

    fn sign(self) -> &'static str {
        Self::SIGNS.iter().find(|(one, _)| *one == self).map_or("", |(_, sign)| sign)
    }
}

impl FromStr for Demand {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let read = Comparison::SIGNS.iter().find_map(|(comparison, sign)| {
            let (figure, limit) = text.split_once(sign)?;
            let limit = limit.trim().parse().ok().filter(|limit: &f64| limit.is_finite());
            Some((figure.trim(), *comparison, limit?))
        });
        let is_path = |figure: &str| {
            let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
            !figure.is_empty() && figure.bytes().all(good)
        };
        match read {
            Some((figure, comparison, limit)) if is_path(figure) => {
                Ok(Self { figure: figure.to_owned(), comparison, limit })
            }
            _ => Err(UnitError::new(
                text,
                "a demand on a figure",
                "<figure> followed by <, <=, >, >=, == or != and a number",
                "downtime_ms < 300",
            )),
        }
    }
}

impl fmt::Display for Demand {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {} {}", self.figure, self.comparison.sign(), self.limit)
    }
}

serde_as_text!(Demand);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_comparison_prints_as_it_parses_and_holds_where_it_should() {
        let held = |text: &str, value: f64| {
            let demand: Demand = text.parse().unwrap();
            assert_eq!(demand.to_string(), text);
            demand.comparison.holds(value, demand.limit)
        };
        for (text, below, equal, above) in [
            ("a_ms < 3", true, false, false),
            ("a.b-c.p99 <= 3", true, true, false),
            ("a > 3", false, false, true),
            ("a >= 3", false, true, true),
            ("a == 3", false, true, false),
            ("a != 3", true, false, true),
        ] {
            assert_eq!((held(text, 2.5), held(text, 3.0), held(text, 3.5)), (below, equal, above), "{text}");
        }
        assert_eq!("x<1.5".parse::<Demand>().unwrap().to_string(), "x < 1.5");
    }

    #[test]
    fn what_is_no_demand_is_refused_with_an_example() {
        for text in ["", "downtime", "downtime_ms = 3", "< 3", "a b < 3", "a < fast", "a < inf", "a < 3 < 4"]
        {
            let said = text.parse::<Demand>().unwrap_err().to_string();
            assert!(said.contains(&format!("'{text}'")) && said.contains("downtime_ms < 300"), "{said}");
        }
    }
}
