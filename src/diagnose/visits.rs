//! What the writers' visits tell of a gap: whether a store hung in it, of which page, and what chance would have it.

use super::evidence::{Evidence, HostEventKind, LongVisit};
use super::pause::Pause;
use crate::record::Gap;

/// Gaps are periodic in what was dirtied when its amounts between them vary by less than this share of their mean, in
/// percent.
const DIRTY_LIMIT_VARIATION_PERCENT: u128 = 20;
/// It takes so many gaps to say so.
const DIRTY_LIMIT_GAPS: usize = 5;
/// It takes so many gaps to tell chance from cause.
const ODDS_GAPS: u64 = 20;

/// The long visit on the same vCPU that a gap falls into.
pub fn around<'a>(pause: &Pause, visits: &'a [LongVisit]) -> Option<&'a LongVisit> {
    visits.iter().find(|visit| visit.cpu == pause.cpu && as_pause(visit).overlap_percent(pause) >= 80)
}

/// How long writers waited for pages of the host while their vCPUs ran other tasks, in ns: long visits that ended after
/// `from_ns` and at or before `until_ns`, during which the canary of the vCPU was in time.
///
/// Such a wait ends with a callback of the hypervisor, of which there are hardly any otherwise. Where there were fewer
/// than one for two of them, something else made them long: 0.
pub fn waits_alone_ns(gaps: &[Gap], from_ns: u64, until_ns: u64, evidence: &Evidence<'_>) -> u64 {
    let callbacks = evidence.counted.map_or(0, |counted| counted.callbacks);
    if callbacks == 0 {
        return 0;
    }
    let is_alone = |visit: &&LongVisit| {
        let end_ns = visit.start_ns.saturating_add(visit.len_ns);
        let met = |gap: &Gap| {
            gap.cpu == visit.cpu
                && gap.start_ns < end_ns
                && gap.start_ns.saturating_add(gap.len_ns) > visit.start_ns
        };
        end_ns > from_ns && end_ns <= until_ns && !gaps.iter().any(met)
    };
    let (count, sum_ns) = evidence
        .visits
        .iter()
        .filter(is_alone)
        .fold((0u64, 0u64), |(count, sum_ns), visit| (count + 1, sum_ns.saturating_add(visit.len_ns)));
    if callbacks.saturating_mul(2) >= count { sum_ns } else { 0 }
}

fn as_pause(visit: &LongVisit) -> Pause {
    Pause { cpu: visit.cpu, start_ns: visit.start_ns, len_ns: visit.len_ns }
}

/// Whether the page of a visit was still on the source: post-copy was under way, and the last visit was before it.
pub(super) fn was_missing(visit: &LongVisit, evidence: &Evidence<'_>) -> bool {
    let mut began_ns = None;
    for event in
        evidence.host.iter().filter(|event| event.at_ns <= visit.start_ns.saturating_add(visit.len_ns))
    {
        match event.kind {
            HostEventKind::PostcopyBegins => began_ns = Some(event.at_ns),
            HostEventKind::PostcopyEnds if event.at_ns < visit.start_ns => began_ns = None,
            _ => {}
        }
    }
    began_ns.zip(visit.last_visited_ns).is_some_and(|(began_ns, last_ns)| last_ns < began_ns)
}

/// Whether long visits come after equal amounts of dirtied pages: what a limit on dirtying does, and time does not.
pub(super) fn are_periodic_in_writes(visits: &[LongVisit]) -> bool {
    // No writer dirties so much between two gaps that the bound would matter; sums of squares stay in range.
    let amount = |pair: &[LongVisit]| pair[1].writes.saturating_sub(pair[0].writes).min(1 << 40);
    let amounts: Vec<u128> = visits.windows(2).map(|pair| u128::from(amount(pair))).collect();
    let count = amounts.len() as u128;
    let sum: u128 = amounts.iter().sum();
    if visits.len() < DIRTY_LIMIT_GAPS || sum == 0 {
        return false;
    }
    // Variance over mean squared, times n squared in both, so that nothing is divided.
    let squares: u128 = amounts.iter().map(|amount| amount * amount).sum();
    let variance = (count * squares).saturating_sub(sum * sum);
    variance * 10_000 < sum * sum * DIRTY_LIMIT_VARIATION_PERCENT * DIRTY_LIMIT_VARIATION_PERCENT
}

/// Whether gaps fall into visits more often than chance would have it: `in_visits` of `gaps` did, and a writer is in a
/// visit for `busy_permille` of the time. None with fewer than 20 gaps, or where writers are always in one.
///
/// For a guest of one vCPU this stands in for comparing vCPUs: what comes from a store needs a store; a throttle, a
/// pause or a busy host does not. The bound is one in a thousand, by the binomial distribution.
pub fn falls_into_visits(gaps: u64, in_visits: u64, busy_permille: u64) -> Option<bool> {
    if !(ODDS_GAPS..=10_000).contains(&gaps) || busy_permille > 900 {
        return None;
    }
    // From the least likely count down would begin with numbers too small for a float: the ratio of neighbours does not.
    let busy = busy_permille.max(1) as f64 / 1000.0;
    let odds = busy / (1.0 - busy);
    let (mut term, mut below, mut all) = (1.0f64, 0.0f64, 0.0f64);
    for count in 0..=gaps {
        below += if count < in_visits { term } else { 0.0 };
        all += term;
        term *= (gaps - count) as f64 / (count + 1) as f64 * odds;
        if all > 1e250 {
            (term, below, all) = (term / 1e250, below / 1e250, all / 1e250);
        }
    }
    Some((all - below) / all < 0.001)
}
