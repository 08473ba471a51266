//! What the writers of each region counted.

use super::due::Due;
use crate::{
    plan::PlannedRegion,
    record::{Latency, REGION_HISTOGRAMS_BYTES, RegionInterval},
    tally::Latencies,
};

/// What the writers of one region have counted so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct RegionCounts {
    /// Visits that wrote, or units of work.
    pub(super) writes: u64,
    pub(super) reads: u64,
    /// Those due.
    pub(super) due: Due,
    pub(super) latencies: Latencies,
}

impl RegionCounts {
    /// What `region` did since `earlier`, by a clock that takes steps of `step_ns`. Histograms take what `room_bytes` leave.
    fn since(
        &self,
        earlier: &Self,
        region: &PlannedRegion,
        (is_scheduled, step_ns): (bool, u64),
        room_bytes: &mut usize,
    ) -> RegionInterval {
        let is_memory = region.compute.is_none();
        let is_scheduled = is_scheduled || !is_memory;
        let done = self.writes.saturating_sub(earlier.writes);
        let due = |count: fn(&Due) -> u64| count(&self.due).saturating_sub(count(&earlier.due));
        let service = self.latencies.service.since(&earlier.latencies.service);
        let response = self.latencies.response.since(&earlier.latencies.response);
        let packed = Some((service.pack(), response.pack()));
        let packed = packed.filter(|(service, response)| service.len() + response.len() <= *room_bytes);
        *room_bytes -= packed.as_ref().map_or(0, |(service, response)| service.len() + response.len());
        let (service_hist, response_hist) = packed.unzip();
        RegionInterval {
            name: region.name.clone(),
            writes: is_memory.then_some(done),
            reads: is_memory.then(|| self.reads.saturating_sub(earlier.reads)),
            units: (!is_memory).then_some(done),
            offered: is_scheduled.then(|| due(|due| due.offered)),
            missed: is_scheduled.then(|| due(|due| due.missed)),
            backlog: is_scheduled.then_some(self.due.backlog),
            service_ns: Latency::of(&service, step_ns),
            response_ns: Latency::of(&response, step_ns),
            service_hist,
            response_hist,
        }
    }
}

/// What each of `regions` did between two moments; `is_scheduled` says whether the load had a rate.
pub(super) fn since(
    regions: &[PlannedRegion],
    (now, then): (&[RegionCounts], &[RegionCounts]),
    (is_scheduled, step_ns): (bool, u64),
) -> Vec<RegionInterval> {
    let (none, mut room_bytes) = (RegionCounts::default(), REGION_HISTOGRAMS_BYTES);
    let then = then.iter().chain(std::iter::repeat(&none));
    let both = regions.iter().zip(now.iter().zip(then));
    both.map(|(region, (now, then))| now.since(then, region, (is_scheduled, step_ns), &mut room_bytes))
        .collect()
}
