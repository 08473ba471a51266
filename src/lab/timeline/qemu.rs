//! What QEMU said, put on the time axis: samples, throttle levels, passes, dirty rate.

use super::{axis::Axis, span::Span};
use crate::{
    lab::rundir::RunData,
    record::{MigrationSample, QemuBody, Side},
};
use serde::Serialize;

/// One answer of the source to `query-migrate` on the time axis.
#[derive(Debug, Clone, Copy)]
pub struct SampleAt<'a> {
    /// When it was given.
    pub at_s: f64,
    /// What it says.
    pub sample: &'a MigrationSample,
}

/// The source's answers, in the order of time.
pub fn samples<'a>(data: &'a RunData, axis: &Axis) -> Vec<SampleAt<'a>> {
    let source = data.qemu.iter().filter(|line| line.side == Side::Source);
    let samples = source.filter_map(|line| match &line.body {
        QemuBody::Sample(sample) => Some(SampleAt { at_s: axis.host_s(line.host_ns), sample }),
        _ => None,
    });
    samples.collect()
}

/// QEMU's throttle percentage at each answer; none where it did not throttle.
pub fn throttle_levels(samples: &[SampleAt<'_>]) -> Vec<(f64, Option<u64>)> {
    let percent = |at: &SampleAt<'_>| at.sample.cpu_throttle_percent.filter(|percent| *percent > 0);
    samples.iter().map(|at| (at.at_s, percent(at))).collect()
}

/// The stretches throttled by one percentage, within `running`. The first one, without a percentage,
/// is the time before it began; where nothing was throttled there is none at all.
pub fn throttle_spans(levels: &[(f64, Option<u64>)], running: Span) -> Vec<(Option<u64>, Span)> {
    let Some((first_s, _)) = levels.iter().find(|(_, percent)| percent.is_some()) else {
        return Vec::new();
    };
    let mut spans = vec![(None, Span::new(running.start_s, *first_s))];
    for (index, (at_s, percent)) in levels.iter().enumerate() {
        let Some(level) = *percent else {
            continue;
        };
        let until_s = levels.get(index + 1).map_or(running.end_s, |(next_s, _)| *next_s);
        match spans.last_mut() {
            Some((Some(last), span)) if *last == level => span.end_s = until_s,
            _ => spans.push((Some(level), Span::new(*at_s, until_s))),
        }
    }
    let clipped = spans.into_iter().filter_map(|(level, span)| Some((level, span.common(&running)?)));
    clipped.collect()
}

/// From this version on, QEMU under auto-converge syncs its dirty bitmap after 5 s without a sync, in the middle of a pass.
const SYNCS_WITHIN_PASSES: [u32; 2] = [9, 2];
/// Syncs that lie no further apart than this, as samples see them, are those between passes.
const WITHIN_PASS_S: f64 = 4.8;

/// Why the syncs of the dirty bitmap do not say how many passes there were, where they do not.
pub fn why_no_passes(data: &RunData, passes: &[Pass]) -> Option<&'static str> {
    let migration = &data.run.scenario["migration"];
    let converges = migration["auto_converge"] == true || migration["capabilities"]["auto-converge"] == true;
    // The first pass sends all of the memory, and is never interrupted by a sync.
    let is_long = passes.iter().skip(1).any(|pass| pass.span.length_s() >= WITHIN_PASS_S);
    let parts = data.run.provenance.qemu_version.split(['.', ' ']);
    let version: Vec<u32> = parts.map_while(|part| part.parse().ok()).take(2).collect();
    // One that does not say its version may be any.
    let may_sync = version.is_empty() || version[..] >= SYNCS_WITHIN_PASSES[..];
    (converges && is_long && may_sync).then_some(
        "QEMU from 9.2 on syncs its dirty bitmap within a pass, too, when the pass takes longer than 5 s",
    )
}

/// One pass over the guest's dirty memory, or a part of one between two syncs of the dirty bitmap.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Pass {
    /// Counted from 1, as QEMU does (`dirty-sync-count`).
    pub number: u64,
    /// From the first answer that counted it to the first that counted the next.
    #[serde(flatten)]
    pub span: Span,
    /// Bytes still to send when it was first seen.
    pub remaining_bytes: Option<u64>,
    /// Bytes sent in it.
    pub sent_bytes: Option<u64>,
    /// Pages newly dirty per second, as QEMU last said in it.
    pub dirty_pages_per_s: Option<u64>,
}

/// The passes that samples saw. One that was shorter than the time between two samples may be missing.
pub fn passes(samples: &[SampleAt<'_>]) -> Vec<Pass> {
    let mut passes: Vec<Pass> = Vec::new();
    let mut sent_before = 0;
    for at in samples {
        let Some(ram) = &at.sample.ram else {
            continue;
        };
        let Some(number) = ram.dirty_sync_count.filter(|count| *count > 0) else {
            continue;
        };
        let sent = ram.transferred_bytes;
        if let Some(last) = passes.last_mut() {
            last.span.end_s = at.at_s;
            last.sent_bytes = sent.map(|sent| sent.saturating_sub(sent_before));
        }
        if passes.last().is_none_or(|last| last.number < number) {
            sent_before = if passes.is_empty() { 0 } else { sent.unwrap_or(sent_before) };
            passes.push(Pass {
                number,
                span: Span::new(at.at_s, at.at_s),
                remaining_bytes: ram.remaining_bytes,
                sent_bytes: None,
                dirty_pages_per_s: None,
            });
        }
        if let Some(last) = passes.last_mut() {
            last.dirty_pages_per_s =
                ram.dirty_pages_per_s.filter(|rate| *rate > 0).or(last.dirty_pages_per_s);
        }
    }
    passes
}

/// The dirty rate as QEMU counts it: pages newly dirty per second, over the samples that say one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DirtyRate {
    /// Half of the samples said at most this.
    pub median_pages_per_s: u64,
    /// The most any of them said.
    pub highest_pages_per_s: u64,
}

/// The dirty rate over all samples; none where QEMU said none.
pub fn dirty_rate(samples: &[SampleAt<'_>]) -> Option<DirtyRate> {
    let said = samples.iter().filter_map(|at| at.sample.ram.as_ref()?.dirty_pages_per_s);
    let mut rates: Vec<u64> = said.filter(|rate| *rate > 0).collect();
    rates.sort_unstable();
    let highest_pages_per_s = *rates.last()?;
    Some(DirtyRate { median_pages_per_s: rates[(rates.len() - 1) / 2], highest_pages_per_s })
}
