//! A stretch of the time axis, in seconds since the migration began.

use serde::Serialize;

/// From `start_s` up to `end_s`, seconds since the migration began; negative before it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Span {
    /// Its start.
    pub start_s: f64,
    /// Its end; never before the start.
    pub end_s: f64,
}

impl Span {
    /// From `start_s` to `end_s`; empty where the end lies before the start.
    pub fn new(start_s: f64, end_s: f64) -> Self {
        Self { start_s, end_s: end_s.max(start_s) }
    }

    /// How long it is, in seconds.
    pub fn length_s(&self) -> f64 {
        self.end_s - self.start_s
    }

    /// Its middle.
    pub fn middle_s(&self) -> f64 {
        f64::midpoint(self.start_s, self.end_s)
    }

    /// Whether the moment lies in it; its end belongs to the next one.
    pub fn contains(&self, moment_s: f64) -> bool {
        self.start_s <= moment_s && moment_s < self.end_s
    }

    /// What both have in common; none where they only touch.
    pub fn common(&self, other: &Self) -> Option<Self> {
        let common = Self { start_s: self.start_s.max(other.start_s), end_s: self.end_s.min(other.end_s) };
        (common.start_s < common.end_s).then_some(common)
    }

    /// The time both have in common, in seconds.
    pub fn overlap_s(&self, other: &Self) -> f64 {
        self.common(other).map_or(0.0, |common| common.length_s())
    }

    /// How much of it `others` cover, in seconds; they do not overlap each other.
    pub fn covered_s(&self, others: &[Self]) -> f64 {
        others.iter().map(|other| other.overlap_s(self)).sum()
    }
}

/// Seconds as whole nanoseconds, as the records count them; negative ones are 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates")]
pub fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9).round().max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_that_touch_have_nothing_in_common() {
        let first = Span::new(0.0, 2.0);
        assert_eq!(first.common(&Span::new(2.0, 3.0)), None);
        assert!((first.overlap_s(&Span::new(1.5, 3.0)) - 0.5).abs() < 1e-12);
        assert!(first.contains(0.0) && !first.contains(2.0));
    }

    #[test]
    fn an_end_before_the_start_makes_an_empty_span() {
        assert_eq!(nanos(Span::new(3.0, 1.0).length_s()), 0);
        assert_eq!(nanos(-1.0), 0);
    }
}
