//! When to try again: at once, then less and less often.

use crate::units::Nanos;

/// The first wait and the longest.
const FIRST: Nanos = Nanos::from_ms(20);
const LONGEST: Nanos = Nanos::from_secs(1);

/// When to try again what failed.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    next_ns: u64,
    wait_ns: u64,
}

impl Backoff {
    /// Whether to try now; if so, the next try waits twice as long as the last.
    pub(super) fn is_due(&mut self, now_ns: u64) -> bool {
        if now_ns < self.next_ns {
            return false;
        }
        self.wait_ns = (self.wait_ns * 2).clamp(FIRST.0, LONGEST.0);
        self.next_ns = now_ns.saturating_add(self.wait_ns);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_become_rarer_up_to_once_a_second() {
        let mut backoff = Backoff::default();
        let tries: Vec<u64> = (0..4_000u64).filter(|ms| backoff.is_due(ms * 1_000_000)).collect();
        assert_eq!(tries, [0, 20, 60, 140, 300, 620, 1260, 2260, 3260]);
    }
}
