//! When the collector of a run loses its connections on purpose: at random moments, as often as the scenario says.

use crate::units::Nanos;
use std::hash::{BuildHasher, RandomState};

/// The longest time from one restart to the next.
const LONGEST: Nanos = Nanos::from_secs(3);

/// The moments that are still to come.
#[derive(Debug)]
pub struct Restarts {
    left: u32,
    next_ns: Option<u64>,
}

impl Restarts {
    /// So many of them.
    pub const fn new(count: u32) -> Self {
        Self { left: count, next_ns: None }
    }

    /// Whether one is due now. The first time somebody asks, the first moment is chosen.
    pub fn is_due(&mut self, now_ns: u64) -> bool {
        if self.left == 0 {
            return false;
        }
        let is_due = self.next_ns.is_some_and(|next_ns| now_ns >= next_ns);
        if is_due {
            self.left -= 1;
        }
        if is_due || self.next_ns.is_none() {
            // The standard library's hash keys are random per process, so these moments differ from run to run.
            let random = RandomState::new().hash_one(now_ns);
            self.next_ns = Some(now_ns.saturating_add(random % LONGEST.0));
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_as_asked_for_each_within_three_seconds_of_the_last() {
        let mut restarts = Restarts::new(4);
        let due: Vec<u64> = (0..20_000u64).filter(|ms| restarts.is_due(ms * 1_000_000)).collect();
        assert_eq!(due.len(), 4);
        assert!(due[0] <= 3_001 && due.windows(2).all(|pair| pair[1] - pair[0] <= 3_001), "{due:?}");
        assert!(!Restarts::new(0).is_due(u64::MAX));
    }
}
