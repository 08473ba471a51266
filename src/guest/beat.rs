//! Something that is due on a fixed grid of times.

/// A grid of times: due once per step, however late one looks.
#[derive(Debug, Clone, Copy)]
pub struct Beat {
    next_ns: u64,
    period_ns: u64,
}

impl Beat {
    /// A grid that begins one period after `start_ns`.
    pub fn starting(start_ns: u64, period_ns: u64) -> Self {
        let period_ns = period_ns.max(1);
        Self { next_ns: start_ns.saturating_add(period_ns), period_ns }
    }

    /// When it is due next.
    pub const fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// Whether it is due now; several missed steps count as one, and the grid stays where it was.
    pub fn is_due(&mut self, now_ns: u64) -> bool {
        if now_ns < self.next_ns {
            return false;
        }
        let steps = (now_ns - self.next_ns) / self.period_ns + 1;
        self.next_ns = self.next_ns.saturating_add(steps.saturating_mul(self.period_ns));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_is_due_once_a_step_and_keeps_its_grid() {
        let mut beat = Beat::starting(1000, 100);
        assert!(!beat.is_due(1099));
        assert!(beat.is_due(1100) && !beat.is_due(1100));
        assert!(beat.is_due(1455), "late");
        assert_eq!(beat.next_ns(), 1500, "back on the grid");
    }
}
