//! The moments at which everything of ours on a CPU wakes together.

/// From one beat to the next. No small multiple of it is a whole number of ms, as the stops of a throttle often are.
pub const BEAT_NS: u64 = 987_000;
/// How much later than those of the CPU before a CPU's beats begin: the golden section of a beat, so that those of any
/// number of CPUs are spread over it. Two vCPUs that wake at once are in each other's way on their host.
const CPU_APART_NS: u64 = 610_000;

/// The beats of one CPU, by CLOCK_MONOTONIC: canaries wake at them, and writers with several visits to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beats {
    /// When the first one begins.
    phase_ns: u64,
}

impl Beats {
    /// Those of a CPU, by its number.
    pub const fn of(cpu: u32) -> Self {
        Self { phase_ns: cpu as u64 * CPU_APART_NS % BEAT_NS }
    }

    /// When the beat that `at_ns` lies in began, of beats that are `beat_ns` long; 0 where it is before the first.
    pub const fn began_ns(self, at_ns: u64, beat_ns: u64) -> u64 {
        match at_ns.checked_sub(self.phase_ns) {
            Some(since_ns) => at_ns - since_ns % beat_ns,
            None => 0,
        }
    }

    /// When the first beat after `now_ns` begins, of beats that are `beat_ns` long.
    pub const fn next_of_ns(self, now_ns: u64, beat_ns: u64) -> u64 {
        match now_ns.checked_sub(self.phase_ns) {
            Some(since_ns) => now_ns.saturating_add(beat_ns - since_ns % beat_ns),
            None => self.phase_ns,
        }
    }

    /// When the first beat after `now_ns` begins.
    pub const fn next_ns(self, now_ns: u64) -> u64 {
        self.next_of_ns(now_ns, BEAT_NS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_beat_begins_where_the_one_before_ends_and_always_at_the_same_moments(
            cpu in 0u32..4096, now_ns in BEAT_NS..1 << 60
        ) {
            let beats = Beats::of(cpu);
            let (began_ns, next_ns) = (beats.began_ns(now_ns, BEAT_NS), beats.next_ns(now_ns));
            prop_assert!(began_ns <= now_ns && now_ns < next_ns);
            prop_assert_eq!(next_ns - began_ns, BEAT_NS);
            prop_assert_eq!(beats.began_ns(next_ns, BEAT_NS), next_ns);
            prop_assert_eq!(next_ns % BEAT_NS, Beats::of(cpu).phase_ns);
        }
    }

    #[test]
    fn the_beats_of_two_and_of_four_cpus_are_apart() {
        let phases = [0, 1, 2, 3].map(|cpu| Beats::of(cpu).phase_ns);
        assert_eq!(phases, [0, 610_000, 233_000, 843_000]);
    }
}
