//! The dirty-log tax: after each sync of the dirty bitmap the first write into a page costs the hypervisor something anew.
//!
//! It is a few us at most, so it shows as a shift within the quickest visits, from 0.5 to 5 us under KVM, and not in a
//! quantile. What takes longer is something else and is left out.

use crate::{
    histogram::Counts,
    lab::timeline::{Histograms, Pass, Span},
};
use serde::Serialize;

/// The band in which the tax shows, in ns.
const BAND_NS: std::ops::Range<u64> = 500..5_000;
/// A pass with fewer visits says nothing.
const VISITS: u64 = 1000;

/// What the dirty log cost in one pass.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tax {
    /// The pass, as QEMU counts.
    pub pass: u64,
    /// When it was.
    #[serde(flatten)]
    pub span: Span,
    /// Visits of at most 5 us in intervals that begin in it.
    pub visits: u64,
    /// The share of them from 0.5 us on, 0 to 1.
    pub band_share: Option<f64>,
    /// How much larger that is than in the baseline.
    pub band_shift: Option<f64>,
    /// How much longer they took on the mean than in the baseline, in ns.
    pub mean_shift_ns: Option<f64>,
    /// Why there is no shift.
    pub reason: Option<String>,
}

/// Quick visits: how many, how many of them in the band, and how long they took together.
#[derive(Debug, Clone, Copy, Default)]
struct Quick {
    visits: u64,
    in_band: u64,
    total_ns: f64,
}

impl Quick {
    fn of(counts: &Counts) -> Self {
        let mut quick = Self::default();
        for (value_ns, count) in counts.occupied().filter(|(value_ns, _)| *value_ns < BAND_NS.end) {
            quick.visits = quick.visits.saturating_add(count);
            quick.total_ns += value_ns as f64 * count as f64;
            if BAND_NS.contains(&value_ns) {
                quick.in_band = quick.in_band.saturating_add(count);
            }
        }
        quick
    }

    /// The share in the band, and the mean; none with too few visits.
    fn figures(&self) -> Option<(f64, f64)> {
        let visits = self.visits as f64;
        (self.visits >= VISITS).then(|| (self.in_band as f64 / visits, self.total_ns / visits))
    }
}

/// The tax of each pass against the baseline, which the run has or has not; `unsaid` says why not, for a pass.
pub fn tax(
    passes: &[Pass],
    histograms: &Histograms,
    has_baseline: bool,
    unsaid: impl Fn(Span) -> Option<String>,
) -> Vec<Tax> {
    let usual = Quick::of(&histograms.before).figures().filter(|_| has_baseline);
    let one = |(pass, counts): (&Pass, &Counts)| {
        let quick = Quick::of(counts);
        let figures = quick.figures();
        let unsaid = unsaid(pass.span);
        let both = figures.zip(usual).filter(|_| unsaid.is_none());
        let reason = match (unsaid, figures, usual) {
            (Some(reason), ..) => Some(reason),
            (None, None, _) => Some(format!("{} visits of at most 5 us, {VISITS} are needed", quick.visits)),
            (None, _, None) => Some("the baseline has too few visits of at most 5 us".into()),
            _ => None,
        };
        Tax {
            pass: pass.number,
            span: pass.span,
            visits: quick.visits,
            band_share: figures.map(|(share, _)| share),
            band_shift: both.map(|(own, usual)| own.0 - usual.0),
            mean_shift_ns: both.map(|(own, usual)| own.1 - usual.1),
            reason,
        }
    };
    passes.iter().zip(&histograms.passes).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The histogram of an interval in which so many visits took 300 ns, 2 us and 1 ms.
    fn interval(quick: u64, taxed: u64, slow: u64) -> Counts {
        let mut counts = Counts::default();
        counts.record_n(300, quick);
        counts.record_n(2_000, taxed);
        counts.record_n(1_000_000, slow);
        counts
    }

    fn pass(number: u64, start_s: f64, end_s: f64) -> Pass {
        let span = Span::new(start_s, end_s);
        Pass { number, span, remaining_bytes: None, sent_bytes: None, dirty_pages_per_s: None }
    }

    /// The taxes of passes of which each has one of these intervals, after two of the baseline.
    fn taxes(own: &[Counts], unsaid: Option<&str>) -> Vec<Tax> {
        let mut before = own[0].clone();
        before.add(&own[1]);
        let histograms = Histograms { passes: own[2..].to_vec(), before, ..Histograms::default() };
        let unsaid = |_| unsaid.map(str::to_owned);
        tax(&[pass(1, 2.0, 3.0), pass(2, 3.0, 4.0)], &histograms, true, unsaid)
    }

    #[test]
    fn a_tenth_of_the_visits_that_cost_1700_ns_more_is_a_shift_of_a_tenth_and_170_ns() {
        let own = [
            interval(10_000, 0, 5),
            interval(10_000, 0, 0),
            interval(9_000, 1_000, 900),
            interval(500, 1, 9),
        ];
        let found = taxes(&own, None);
        assert_eq!((found[0].visits, found[0].pass), (10_000, 1));
        assert!((found[0].band_shift.unwrap() - 0.1).abs() < 1e-9, "{found:?}");
        assert!((found[0].mean_shift_ns.unwrap() - 170.0).abs() < 170.0 * 0.02, "{found:?}");
        assert!(
            found[1].mean_shift_ns.is_none() && found[1].reason.as_ref().unwrap().contains("501"),
            "{found:?}"
        );
    }

    #[test]
    fn against_a_baseline_that_changes_nothing_is_said() {
        let own = [interval(10_000, 0, 0), interval(10_000, 0, 0), interval(10_000, 9, 0)];
        let found = taxes(&own, Some("the halves disagree"));
        assert_eq!((found[0].band_shift, found[0].reason.as_deref()), (None, Some("the halves disagree")));
        assert!(found[0].band_share.is_some());
    }
}
