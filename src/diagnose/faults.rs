//! Post-copy faults: visits that waited too long for pages that had not been written since the mark at the switch.

use super::features::classify;
use crate::record::{Gap, GapClass, Stall};
use std::collections::BTreeMap;

/// A canary that wakes every millisecond sees what lasts as long as this, ns.
const SEEN_NS: u64 = 2_000_000;

/// The waits for pages, in ns each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Faults {
    /// The vCPU stood still.
    pub waits_ns: Vec<u64>,
    /// The canary of the vCPU was in time: the writer slept while the vCPU ran something else. That is an asynchronous
    /// page fault where the hypervisor sent callbacks, and else the guest's own scheduler.
    pub alone_ns: Vec<u64>,
}

/// The faults among `stalls` that begin from `start_ns` up to `end_ns`.
///
/// A gap of the same vCPU fills at least half of a wait for which the vCPU stood still. Where the canary's counters explain
/// that gap the guest made the wait long, and it is no fault; but the run delay of a `realtime` one explains nothing then. A wait that is too short for a canary is taken for one.
pub fn faults(stalls: &[Stall], gaps: &[Gap], realtime: bool, (start_ns, end_ns): (u64, u64)) -> Faults {
    let mut away: BTreeMap<u32, Vec<(u64, u64, bool)>> = BTreeMap::new();
    for gap in gaps {
        let explained = match classify(gap.len_ns, &gap.features) {
            GapClass::Unknown => false,
            GapClass::GuestSched => !realtime,
            _ => true,
        };
        let span = (gap.start_ns, gap.end_ns(), explained);
        away.entry(gap.cpu).or_default().push(span);
    }
    for own in away.values_mut() {
        own.sort_unstable();
    }
    let mut faults = Faults::default();
    for stall in
        stalls.iter().filter(|stall| stall.earlier == 0 && (start_ns..end_ns).contains(&stall.start_ns))
    {
        let own = away.get(&stall.cpu).map_or(&[][..], Vec::as_slice);
        let (gone_ns, explained_ns) = overlap_ns(stall, own);
        let half_ns = stall.len_ns.div_ceil(2);
        if explained_ns >= half_ns {
            continue;
        }
        let stood_still = gone_ns >= half_ns || stall.len_ns < SEEN_NS;
        let waits = if stood_still { &mut faults.waits_ns } else { &mut faults.alone_ns };
        waits.push(stall.len_ns);
    }
    faults
}

/// How much of the wait gaps of its vCPU fill, and how much those do that the guest explains.
fn overlap_ns(stall: &Stall, away: &[(u64, u64, bool)]) -> (u64, u64) {
    let end_ns = stall.end_ns();
    // Gaps of one vCPU follow each other: their ends are in order, too, but for what a guest makes up.
    let first = away.partition_point(|(_, end, _)| *end <= stall.start_ns);
    let near = away[first..].iter().take_while(|(start, _, _)| *start < end_ns);
    near.fold((0u64, 0u64), |(gone, explained), (start, end, by_guest)| {
        let both = (*end).min(end_ns).saturating_sub((*start).max(stall.start_ns));
        (gone.saturating_add(both), explained.saturating_add(if *by_guest { both } else { 0 }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::GapFeatures;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    fn stall(start_ms: u64, len_ms: u64, earlier: u64) -> Stall {
        Stall { cpu: 0, start_ns: start_ms * MS, len_ns: len_ms * MS, page: start_ms, earlier }
    }

    fn gap(start_ms: u64, len_ms: u64) -> Gap {
        let features = GapFeatures::default();
        Gap { cpu: 0, start_ns: start_ms * MS, len_ns: len_ms * MS, class: GapClass::Unknown, features }
    }

    #[test]
    fn a_known_stream_of_faults_gives_their_number_and_their_sum() {
        let waits: Vec<u64> = (0..100).map(|index| 3 + index % 40).collect();
        let stalls: Vec<Stall> = waits.iter().zip(0..).map(|(len, at)| stall(at * 60, *len, 0)).collect();
        let gaps: Vec<Gap> = stalls.iter().map(|one| gap(one.start_ns / MS, one.len_ns / MS)).collect();
        let found = faults(&stalls, &gaps, false, (0, 6_000 * MS));
        assert_eq!(found.waits_ns.len(), 100);
        assert_eq!(found.waits_ns.iter().sum::<u64>(), waits.iter().sum::<u64>() * MS);
        assert!(found.alone_ns.is_empty());
        assert_eq!(faults(&stalls, &gaps, false, (0, 3_000 * MS)).waits_ns.len(), 50);
    }

    #[test]
    fn two_waits_in_one_gap_are_two_and_a_page_that_was_there_is_none() {
        let stalls = [stall(100, 10, 0), stall(110, 20, 0), stall(130, 10, 1)];
        let found = faults(&stalls, &[gap(100, 40)], false, (0, 1_000 * MS));
        assert_eq!(found.waits_ns, [10 * MS, 20 * MS]);
    }

    #[test]
    fn a_writer_that_slept_while_its_vcpu_ran_is_told_apart_and_one_in_the_run_queue_is_none() {
        let stalls = [stall(100, 10, 0)];
        assert_eq!(faults(&stalls, &[], false, (0, 1_000 * MS)).alone_ns, [10 * MS]);
        assert_eq!(faults(&[stall(100, 1, 0)], &[], false, (0, 1_000 * MS)).waits_ns, [MS]);
        let mut queued = gap(99, 12);
        queued.features.run_delay_ns = Some(12 * MS);
        assert_eq!(faults(&stalls, &[queued.clone()], false, (0, 1_000 * MS)), Faults::default());
        assert_eq!(faults(&stalls, &[queued], true, (0, 1_000 * MS)).waits_ns, [10 * MS]);
    }

    proptest! {
        #[test]
        fn no_stall_counts_twice(
            visits in prop::collection::vec((any::<u64>(), any::<u64>(), 0u64..2), 0..20),
            away in prop::collection::vec((any::<u64>(), any::<u64>()), 0..20),
        ) {
            let stalls: Vec<Stall> = visits
                .into_iter()
                .map(|(start_ns, len_ns, earlier)| Stall { start_ns, len_ns, ..stall(0, 0, earlier) })
                .collect();
            let gaps: Vec<Gap> =
                away.into_iter().map(|(start_ns, len_ns)| Gap { start_ns, len_ns, ..gap(0, 0) }).collect();
            let found = faults(&stalls, &gaps, false, (0, u64::MAX));
            prop_assert!(found.waits_ns.len() + found.alone_ns.len() <= stalls.len());
        }
    }
}
