//! The waiting for pages after a switch to post-copy, by QEMU's count and the guest's.

use super::{axis, figures::Figures};
use crate::lab::rundir::RunData;
use crate::record::{MigrationSample, MilestoneName};
use serde::Serialize;

/// The waiting for pages after a switch to post-copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Postcopy {
    /// QEMU: the time all vCPUs waited at once.
    pub qemu_blocktime_ns: Option<u64>,
    /// QEMU: the time each vCPU waited.
    pub qemu_vcpu_blocktime_ns: Option<Vec<u64>>,
    /// QEMU: pages the destination asked for.
    pub requests: Option<u64>,
    /// QEMU: how long a page that was asked for took, on average (from 10.1 on).
    pub qemu_latency_ns: Option<u64>,
    /// QEMU: how many pages took from 2^N to 2^(N+1) us, N from 0 (from 10.1 on).
    pub qemu_latency_dist: Option<Vec<u64>>,
    /// The guest: total gap time in the stage, sum over vCPUs.
    pub guest_stall_ns: Option<u64>,
    /// The guest: the longest of them.
    pub guest_longest_stall_ns: Option<u64>,
}

/// The waiting for pages, the guest's in `stage`; none where it never came to post-copy.
pub fn postcopy(data: &RunData, stage: Option<&Figures>) -> Option<Postcopy> {
    axis::after_migrate(data, MilestoneName::PostcopyStart)?;
    let ns = |ms: u64| ms.saturating_mul(1_000_000);
    let gaps = stage.and_then(|stage| stage.gaps);
    let (source, destination) = (data.run.source.as_ref(), data.run.destination.as_ref());
    let requests = |sample: &MigrationSample| sample.ram.as_ref()?.postcopy_requests;
    let dist = destination.and_then(|sample| sample.postcopy_latency_dist.clone());
    Some(Postcopy {
        qemu_blocktime_ns: destination.and_then(|sample| sample.postcopy_blocktime_ms).map(ns),
        qemu_vcpu_blocktime_ns: destination
            .and_then(|sample| sample.postcopy_vcpu_blocktime_ms.as_ref())
            .map(|vcpus| vcpus.iter().copied().map(ns).collect()),
        requests: source.and_then(requests).or_else(|| destination.and_then(requests)),
        qemu_latency_ns: destination.and_then(|sample| sample.postcopy_latency_ns),
        qemu_latency_dist: dist,
        guest_stall_ns: gaps.map(|gaps| gaps.total_ns),
        guest_longest_stall_ns: gaps.map(|gaps| gaps.longest_ns),
    })
}

#[cfg(test)]
mod tests {
    use crate::lab::timeline::fixture::Story;

    #[test]
    fn what_qemu_tells_of_its_pages_is_there() {
        let mut data = Story::post_copy().run_data();
        assert_eq!(data.timeline().postcopy.unwrap().qemu_latency_dist, None, "a QEMU that does not tell");
        let last = data.run.destination.as_mut().unwrap();
        (last.postcopy_latency_ns, last.postcopy_latency_dist) = (Some(200_000), Some(vec![0, 0, 7]));
        let told = data.timeline().postcopy.unwrap();
        assert_eq!((told.qemu_latency_ns, told.qemu_latency_dist), (Some(200_000), Some(vec![0, 0, 7])));
    }
}
