//! What a run's end means for whoever started it.

use crate::record::{End, EndReason, Totals};

/// The load counts as below its target when more than this share of what was offered is left undone, in percent...
const UNDONE_PERCENT: u64 = 5;
/// ...and when it would take longer than this to do it, so that a run that ends in a short stall is no failure.
const UNDONE_NS: u64 = 200_000_000;

/// The exit code of a run, and what is to be said about it.
pub(super) fn judge(end: &End) -> (u8, Option<String>) {
    let detail = end.detail.as_deref().unwrap_or_default();
    match end.reason {
        EndReason::ReportFailed => (1, Some(detail.to_owned())),
        EndReason::Failed | EndReason::Unknown => (1, Some(format!("the run failed: {detail}"))),
        EndReason::Duration | EndReason::Stop | EndReason::Signal => {
            match corrupt(&end.totals).or_else(|| undone(&end.totals)).or_else(|| given_up(end)) {
                Some(text) => (3, Some(text)),
                None => (0, None),
            }
        }
    }
}

/// What to say about pages that did not hold what had been written there.
fn corrupt(totals: &Totals) -> Option<String> {
    let counts = totals.corruptions.filter(|counts| counts.sum() > 0)?;
    Some(format!("pages were corrupt: {counts}; the corruption records name them"))
}

/// What to say about a load that stayed below its target.
fn undone(totals: &Totals) -> Option<String> {
    let (offered, undone) = (totals.offered?, totals.backlog?.saturating_add(totals.missed?));
    let behind_ns = u128::from(totals.elapsed_ns) * u128::from(undone) / u128::from(offered.max(1));
    let is_below = undone.saturating_mul(100) > offered.saturating_mul(UNDONE_PERCENT)
        && behind_ns > u128::from(UNDONE_NS);
    is_below.then(|| {
        format!(
            "the load stayed below its target: {undone} of {offered} visits were left undone; \
             ask for a lower --rate, or for more --threads"
        )
    })
}

/// What to say about records that a reader did not take in time.
fn given_up(end: &End) -> Option<String> {
    let records = Some(end.records_dropped).filter(|records| *records > 0)?;
    Some(format!(
        "{records} records (single gaps, heartbeats, answers) were given up because the reader was too slow; the intervals \
         have their sums. A reader that acknowledges, or a longer --interval, loses none"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Latency;

    #[test]
    fn only_a_load_that_is_far_and_long_behind_is_below_its_target() {
        let left = |elapsed_ns, offered, backlog| {
            undone(&Totals {
                elapsed_ns,
                offered: Some(offered),
                backlog: Some(backlog),
                missed: Some(backlog / 2),
                ..Totals::default()
            })
        };
        assert_eq!(left(10_000_000_000, 256_000, 2_000), None, "0.8 % behind");
        assert_eq!(left(1_000_000, 25, 25), None, "a run of a millisecond");
        assert!(left(10_000_000_000, 256_000, 20_000).unwrap().contains("30000 of 256000"));
    }

    #[test]
    fn records_that_were_given_up_are_lost_records() {
        let judged = |records_dropped| {
            judge(&End {
                reason: EndReason::Stop,
                detail: None,
                totals: Totals::default(),
                service_ns: Latency::default(),
                response_ns: Latency::default(),
                service_hist: String::new(),
                response_hist: String::new(),
                records_dropped,
            })
        };
        assert_eq!(judged(0), (0, None));
        let (code, said) = judged(7);
        assert!(code == 3 && said.is_some_and(|said| said.starts_with("7 records ")));
    }

    #[test]
    fn corrupt_pages_are_said_before_anything_else_and_none_of_them_is_no_fault() {
        use crate::record::CorruptionCounts;
        let totals = |torn| Totals {
            corruptions: Some(CorruptionCounts { torn, ..CorruptionCounts::default() }),
            ..Totals::default()
        };
        assert_eq!(corrupt(&totals(0)), None);
        assert!(corrupt(&totals(2)).unwrap().contains("2 torn"));
    }
}
