//! After a switch to post-copy: the guest's waits beside QEMU's count of them.

use super::verdicts::Judged;
use crate::{
    diagnose::faults,
    lab::{
        rundir::{IntervalFigures, RunData},
        timeline::{Axis, Postcopy, Span, nanos},
    },
    record::{GapClass, Side},
};
use serde::Serialize;

/// Figures of guest and QEMU that differ by more than this share of QEMU's disagree.
const APART: f64 = 0.1;

/// The guest's waits in the post-copy stage beside what QEMU counted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Waits {
    /// Gaps in the stage, all vCPUs; null where records of gaps are missing.
    pub guest_count: Option<u64>,
    /// The median of their lengths.
    pub guest_p50_ns: Option<u64>,
    /// Their sum.
    pub guest_stall_ns: Option<u64>,
    /// The sum of those whose class is `postcopy_fault`.
    pub guest_fault_ns: Option<u64>,
    /// Faults by the history of their pages; null where it was not told.
    pub faults: Option<Faults>,
    /// Why there are none.
    pub faults_reason: Option<String>,
    /// QEMU's vCPU blocktime, sum over vCPUs.
    pub qemu_vcpu_blocktime_ns: Option<u64>,
    /// Pages the destination asked for, in all of the guest's memory.
    pub qemu_requests: Option<u64>,
    /// The guest's faults by length: the n-th number counts those of 2^n to 2^(n+1) us, shorter ones with the first; null without
    /// faults that were told.
    pub guest_dist: Option<Vec<u64>>,
    /// QEMU's count in the same buckets, of all memory; null before 10.1.
    pub qemu_dist: Option<Vec<u64>>,
    /// What of them does not fit within 10 %, in sentences. QEMU's requests are of all memory, so fewer faults do.
    pub disagreements: Vec<String>,
}

/// Visits that waited for a page which had not been written since the switch was ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// How many.
    pub count: u64,
    /// Their sum.
    pub total_ns: u64,
    /// Half of them took at most this long; null where there are none.
    pub p50_ns: Option<u64>,
    /// 99 % of them.
    pub p99_ns: Option<u64>,
    /// The longest.
    pub max_ns: Option<u64>,
    /// Those of them during which the vCPU ran something else (asynchronous page faults), and their sum.
    pub async_count: u64,
    /// Their sum.
    pub async_ns: u64,
    /// Visits that wrote between the mark and the stop at most: so many faults may have been taken for none.
    pub unsure_count: u64,
}

/// The waits in `stage`. `fault_s` is the time of class `postcopy_fault` in it.
pub fn waits(
    (data, axis): (&RunData, &Axis),
    postcopy: &Postcopy,
    stage: Option<Span>,
    judged: &Judged,
    fault_s: Option<f64>,
) -> Waits {
    let inside = |span: &Span| stage.is_some_and(|stage| stage.contains(span.start_s));
    let spans = judged.gaps.iter().filter_map(|gap| {
        let span = axis.guest_span(gap.start_ns, gap.end_ns())?;
        inside(&span).then(|| nanos(span.length_s()))
    });
    let mut lengths: Vec<u64> = spans.collect();
    lengths.sort_unstable();
    let vcpus = postcopy.qemu_vcpu_blocktime_ns.as_ref();
    let found = if data.lacks_gaps() {
        Err("gap records are missing".into())
    } else {
        counted(data, axis, stage, judged)
    };
    let faults_reason = found.as_ref().err().cloned();
    let (told, guest_dist) = found.ok().unzip();
    let mut waits = Waits {
        guest_count: (!data.lacks_gaps()).then_some(lengths.len() as u64),
        guest_p50_ns: quantile(&lengths, 0.5),
        guest_stall_ns: postcopy.guest_stall_ns.filter(|_| stage.is_some()),
        guest_fault_ns: fault_s.map(nanos),
        faults: told,
        faults_reason,
        qemu_vcpu_blocktime_ns: vcpus
            .map(|vcpus| vcpus.iter().fold(0u64, |sum, one| sum.saturating_add(*one))),
        qemu_requests: postcopy.requests,
        guest_dist,
        qemu_dist: postcopy.qemu_latency_dist.clone(),
        disagreements: Vec::new(),
    };
    let apart = |guest: u64, qemu: u64| (guest as f64 - qemu as f64).abs() > APART * qemu as f64;
    if let (Some(guest), Some(qemu)) =
        (waits.guest_fault_ns.or(waits.guest_stall_ns), waits.qemu_vcpu_blocktime_ns)
        && apart(guest, qemu)
    {
        waits
            .disagreements
            .push("the guest's stalls and QEMU's vCPU blocktime differ by more than 10 %".into());
    }
    let more = |count: u64, requests: u64| count > requests && apart(count, requests);
    match (&waits.faults, waits.qemu_requests) {
        // Fewer are as they should be: near half of the requests are for the kernel's pages.
        (Some(told), Some(requests)) if more(told.count, requests) => waits.disagreements.push(
            "the guest's faults are over 10 % more than the pages QEMU asked for in all memory".into(),
        ),
        (None, Some(requests)) if waits.guest_count.is_some_and(|count| apart(count, requests)) => waits.disagreements.push(
            "the guest's gaps and the pages QEMU asked for differ by more than 10 % (QEMU's are of all memory)"
                .into(),
        ),
        _ => {}
    }
    waits
}

/// The faults by the history of their pages, or why they cannot be told.
fn counted(
    data: &RunData,
    axis: &Axis,
    stage: Option<Span>,
    judged: &Judged,
) -> Result<(Faults, Vec<u64>), String> {
    let Some((start_ns, end_ns)) = stage.and_then(|stage| {
        let at = |at_s| axis.guest_ns(at_s, Side::Destination);
        at(stage.start_s).zip(at(stage.end_s))
    }) else {
        return Err("there is no post-copy stage".into());
    };
    let earlier = data.records.marks_ns.iter().filter(|mark_ns| **mark_ns <= start_ns);
    let Some(mark_ns) = earlier.copied().max() else {
        return Err("the guest took no mark before the switch".into());
    };
    if !data.records.hellos().any(|hello| hello.plan.verify && hello.plan.latency) {
        return Err("pages without stamps, or visits that are not timed, have no history".into());
    }
    let found = faults(&judged.stalls, &judged.gaps, judged.realtime, (start_ns, end_ns));
    let has_callbacks = in_intervals(data, (start_ns, end_ns), |interval| interval.callbacks) > 0.0;
    let alone = if has_callbacks { found.alone_ns } else { Vec::new() };
    let mut all: Vec<u64> = found.waits_ns.iter().chain(&alone).copied().collect();
    all.sort_unstable();
    let before = in_intervals(data, (mark_ns, start_ns), |interval| Some(interval.writes));
    let sum = |lengths: &[u64]| lengths.iter().fold(0u64, |sum, one| sum.saturating_add(*one));
    let faults = Faults {
        count: all.len() as u64,
        total_ns: sum(&all),
        p50_ns: quantile(&all, 0.5),
        p99_ns: quantile(&all, 0.99),
        max_ns: all.last().copied(),
        async_count: alone.len() as u64,
        async_ns: sum(&alone),
        unsure_count: whole(before),
    };
    Ok((faults, buckets(&all)))
}

/// Counts lengths by powers of two of a microsecond, as QEMU does; the last bucket is the last that has any.
fn buckets(lengths_ns: &[u64]) -> Vec<u64> {
    let mut counts = Vec::new();
    for length_ns in lengths_ns {
        let bucket = (length_ns / 1000).max(1).ilog2() as usize;
        if counts.len() <= bucket {
            counts.resize(bucket + 1, 0);
        }
        counts[bucket] += 1;
    }
    counts
}

/// What intervals count between `start_ns` and `end_ns`, each by the part of it that lies there.
fn in_intervals(
    data: &RunData,
    (start_ns, end_ns): (u64, u64),
    of: fn(&IntervalFigures) -> Option<u64>,
) -> f64 {
    let parts = data.records.intervals.iter().filter_map(|interval| {
        let both_ns = interval.end_ns.min(end_ns).saturating_sub(interval.start_ns.max(start_ns));
        let length_ns = interval.end_ns.saturating_sub(interval.start_ns).max(1);
        Some(of(interval)? as f64 * both_ns as f64 / length_ns as f64)
    });
    parts.sum()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates")]
fn whole(count: f64) -> u64 {
    count.round().max(0.0) as u64
}

/// The value at or below which the share `quantile` of the sorted values lies; none where there is none.
fn quantile(sorted: &[u64], quantile: f64) -> Option<u64> {
    let last = sorted.len().checked_sub(1)?;
    let rank = whole((quantile * sorted.len() as f64).ceil());
    sorted.get(usize::try_from(rank.saturating_sub(1)).ok()?.min(last)).copied()
}

/// The time of waiting for pages, in seconds over all vCPUs.
pub fn fault_s(time: &super::TimeByClass) -> f64 {
    time.of(GapClass::PostcopyFault)
}

#[cfg(test)]
mod tests {
    use super::buckets;

    #[test]
    fn lengths_are_counted_by_powers_of_two_of_a_microsecond() {
        assert_eq!(buckets(&[]), [0; 0]);
        assert_eq!(buckets(&[200, 1999, 2000, 3999, 4000, 300_000]), [2, 2, 1, 0, 0, 0, 0, 0, 1]);
    }
}
