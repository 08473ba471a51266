//! How many of the visits that are taken for post-copy faults were delayed by something else: as many as took as long of
//! visits to pages that were there for sure, because they had been written since the mark.

use crate::plan::{Checked, PatternSpec};

/// Visits of one run that wrote.
#[derive(Debug, Clone, Copy)]
pub struct Visits {
    /// Before the mark.
    pub earlier: f64,
    /// From the mark to the switch.
    pub before: f64,
    /// In the post-copy stage.
    pub stage: f64,
    /// From the switch to the end of the run.
    pub all: f64,
}

/// How many of the first visits in the stage will have taken long for another reason, when `delayed` of the others did from the
/// switch to the end. None where the pattern does not say how many were first ones, or there are fewer others to go by.
pub fn expected(plan: &Checked, visits: Visits, delayed: usize) -> Option<f64> {
    let first = |since_mark: f64| first_visits(plan, visits.earlier, since_mark);
    let before = first(visits.before)?;
    let (in_stage, in_all) =
        (first(visits.before + visits.stage)? - before, first(visits.before + visits.all)? - before);
    let others = visits.all - in_all;
    (others > 0.0 && others >= in_stage).then(|| delayed as f64 / others * in_stage)
}

/// How many different pages so many `visits` come to, on average, after `earlier` ones.
fn first_visits(plan: &Checked, earlier: f64, visits: f64) -> Option<f64> {
    let pages = plan.pages().0 as f64;
    match plan.pattern {
        _ if !plan.regions.is_empty() || pages < 1.0 => None,
        PatternSpec::Random => Some(-pages * (-visits / pages).exp_m1()),
        PatternSpec::Sequential => Some(visits.min(pages)),
        PatternSpec::Shuffle => {
            // The rest of the lap comes to no page twice; the next one comes to those of the rest again.
            let rest = pages - earlier % pages;
            let next = (visits - rest).clamp(0.0, pages);
            Some(visits.min(rest) + next * (1.0 - rest / pages))
        }
        PatternSpec::Zipf(_) | PatternSpec::Hotspot(_) | PatternSpec::Stride(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{self, MemoryAmount, Plan};
    use crate::units::ByteSize;

    fn plan(pattern: &str) -> Checked {
        let machine = plan::Machine { available_bytes: 8 << 30, cpus: 1, stock: plan::Stock::default() };
        let memory = MemoryAmount::Bytes(ByteSize::mib(128));
        let plan = Plan { memory, pattern: pattern.parse().unwrap(), ..Plan::default() };
        plan::check(&plan, &machine).unwrap()
    }

    #[test]
    fn as_many_first_visits_are_delayed_as_others_of_the_same_number() {
        // 32 768 pages, each visited by the end: 67 232 visits come again, one in a thousand of them late.
        let visits = Visits { earlier: 0.0, before: 0.0, stage: 16_384.0, all: 100_000.0 };
        assert!((expected(&plan("sequential"), visits, 67).unwrap() - 16.4).abs() < 0.1);
        assert_eq!(expected(&plan("sequential"), visits, 0), Some(0.0));
        // Half the visits at random come to 12 893 pages, and what comes before the switch is no first visit after it.
        let found = expected(&plan("random"), visits, 70).unwrap();
        assert!((found - 70.0 * 12_893.0 / (100_000.0 - 31_218.0)).abs() < 0.1, "{found}");
        let less = expected(&plan("random"), Visits { before: 32_768.0, ..visits }, 70).unwrap();
        assert!(less < 0.4 * found, "{less} {found}");
    }

    #[test]
    fn a_shuffle_comes_to_pages_again_from_its_next_lap_on() {
        let first = |earlier, visits| first_visits(&plan("shuffle"), earlier, visits).unwrap();
        assert!((first(0.0, 20_000.0) - 20_000.0).abs() < 1e-6);
        assert!((first(0.0, 50_000.0) - 32_768.0).abs() < 1e-6, "all in one lap");
        // A quarter of a lap is left, then three quarters of the next lap's pages are new.
        let earlier = 5.0 * 32_768.0 + 24_576.0;
        assert!((first(earlier, 8_192.0) - 8_192.0).abs() < 1e-6);
        assert!((first(earlier, 12_288.0) - (8_192.0 + 3_072.0)).abs() < 1e-6);
        assert!((first(earlier, 1e6) - 32_768.0).abs() < 1e-6);
    }

    #[test]
    fn with_too_few_visits_to_go_by_and_with_other_patterns_nothing_is_said() {
        let few = Visits { earlier: 0.0, before: 0.0, stage: 16_384.0, all: 33_000.0 };
        assert_eq!(expected(&plan("sequential"), few, 1), None);
        assert_eq!(
            expected(&plan("sequential"), Visits { earlier: 0.0, before: 0.0, stage: 0.0, all: 0.0 }, 0),
            None
        );
        let many = Visits { all: 1e6, ..few };
        for pattern in ["zipf:0.99", "hotspot:10%/90%", "stride:16"] {
            assert_eq!(expected(&plan(pattern), many, 1), None, "{pattern}");
        }
    }
}
