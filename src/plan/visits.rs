//! How many visits a rate of writes takes when some visits only read, and whether rate, pattern and reads go together.

use super::{Fault, Hotspot, PatternSpec};
use crate::units::{Rate, Share};

/// So many of every so many visits only read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VisitMix {
    /// How many only read; at most as many as there are visits.
    pub reads: u64,
    /// Of how many visits; at least 1. With a rate, the visits of a second.
    pub visits: u64,
}

impl VisitMix {
    /// A rate counts visits that write, so visits that only read come on top of it: as many as make the visits of a
    /// second a whole number. The writes of a second are then exactly the rate, and the share of reads is the one
    /// asked for as nearly as whole visits a second allow.
    pub fn new(rate: Rate, reads: Share) -> Self {
        let (whole, reads) = (u64::from(Share::WHOLE), u64::from(reads.millionths()));
        match rate {
            Rate::Max | Rate::PagesPerSecond(0) => Self { reads, visits: whole },
            Rate::PagesPerSecond(writes) => {
                let writing = (whole - reads).max(1);
                // Both factors may be as large as 1e9 and 1e6, together far below 2^64.
                let visits = (writes.saturating_mul(whole).saturating_add(writing / 2)) / writing;
                Self { reads: visits - writes, visits }
            }
        }
    }
}

/// The rate of all visits when `reads` of them only read and those that write come at `rate`.
pub fn visit_rate(rate: Rate, reads: Share) -> Rate {
    match rate {
        Rate::Max | Rate::PagesPerSecond(0) => rate,
        Rate::PagesPerSecond(_) => Rate::PagesPerSecond(VisitMix::new(rate, reads).visits),
    }
}

/// What does not go together in a load: every fault, each with its remedy.
pub fn at_odds(rate: Rate, pattern: PatternSpec, reads: Share) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let (PatternSpec::Hotspot(hotspot), Rate::Max) = (pattern, rate)
        && hotspot.drift_pages_per_s > 0
    {
        let resting = Hotspot { drift_pages_per_s: 0, ..hotspot };
        faults.push(Fault {
            what: format!(
                "--pattern {pattern} drifts from visit to visit at a pace that --rate max does not tell"
            ),
            remedy: format!(
                "give a rate, for example --rate 100M/s, or let the hot set stay: --pattern hotspot:{resting}"
            ),
        });
    }
    let visits = visit_rate(rate, reads).pages_per_s().unwrap_or(0);
    if reads.millionths() == Share::WHOLE && rate.pages_per_s() > Some(0) {
        faults.push(Fault {
            what: format!("--reads {reads} leaves no visit that writes, and --rate {rate} asks for some"),
            remedy: "use --rate max to read only, or fewer reads, for example --reads 50%".into(),
        });
    } else if visits > Rate::LIMIT_PAGES_PER_S {
        faults.push(Fault {
            what: format!("--rate {rate} with --reads {reads} takes {visits} visits a second, and the most is 1000000000"),
            remedy: "ask for a lower --rate or for fewer --reads".into(),
        });
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn share(text: &str) -> Share {
        text.parse().unwrap()
    }

    fn faults(rate: &str, pattern: &str, reads: &str) -> Vec<String> {
        let faults = at_odds(rate.parse().unwrap(), pattern.parse().unwrap(), share(reads));
        faults.into_iter().map(|fault| format!("{}: {}", fault.what, fault.remedy)).collect()
    }

    #[test]
    fn reads_come_on_top_of_the_rate() {
        let rate = Rate::PagesPerSecond(25_600);
        assert_eq!(VisitMix::new(rate, share("75%")), VisitMix { reads: 76_800, visits: 102_400 });
        assert_eq!(VisitMix::new(rate, share("0%")), VisitMix { reads: 0, visits: 25_600 });
        assert_eq!(VisitMix::new(Rate::Max, share("10%")), VisitMix { reads: 100_000, visits: 1_000_000 });
        assert_eq!(visit_rate(rate, share("75%")), Rate::PagesPerSecond(102_400));
        assert_eq!(visit_rate(Rate::PagesPerSecond(0), share("75%")), Rate::PagesPerSecond(0));
        assert_eq!(visit_rate(Rate::Max, share("75%")), Rate::Max);
    }

    #[test]
    fn what_goes_together_has_no_fault() {
        for (rate, pattern, reads) in [
            ("100M/s", "hotspot:10%/90%/100p/s", "99%"),
            ("0", "hotspot:10%/90%/100p/s", "100%"),
            ("max", "hotspot:10%/90%", "100%"),
            ("1000000000p/s", "zipf:0.99", "0%"),
        ] {
            assert_eq!(faults(rate, pattern, reads), [""; 0], "{rate} {pattern} {reads}");
        }
    }

    #[test]
    fn what_does_not_is_named_with_its_values_and_the_way_out() {
        for (rate, pattern, reads, named, way_out) in [
            ("max", "hotspot:10%/90%/100p/s", "0%", "hotspot:10%/90%/100p/s", "--pattern hotspot:10%/90%"),
            ("100M/s", "shuffle", "100%", "--reads 100%", "--rate max"),
            ("1000000000p/s", "shuffle", "50%", "2000000000 visits", "lower --rate"),
        ] {
            let faults = faults(rate, pattern, reads);
            assert!(
                faults.len() == 1 && faults[0].contains(named) && faults[0].contains(way_out),
                "{faults:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn the_writes_of_a_second_are_the_rate_and_the_reads_their_share(
            rate in 1..=Rate::LIMIT_PAGES_PER_S, millionths in 0u32..1_000_000
        ) {
            let mix = VisitMix::new(Rate::PagesPerSecond(rate), Share::from_millionths(millionths));
            prop_assert_eq!(mix.visits - mix.reads, rate);
            // The visits of a second are the nearest whole number: half a visit off at most.
            let exact = f64::from(millionths) / 1e6;
            let off = mix.reads as f64 - mix.visits as f64 * exact;
            prop_assert!(off.abs() <= 0.5 + 1e-6 * mix.visits as f64 * f64::EPSILON, "{off}");
        }
    }
}
