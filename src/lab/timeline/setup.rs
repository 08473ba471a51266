//! What it takes to begin a migration: from QEMU's `setup` to its `active`.
//!
//! QEMU then makes its dirty bitmaps and switches logging on, and holds the lock that vCPUs need as well: the larger the
//! memory the longer. The guest cannot know; the host can.

use super::{
    axis::Axis,
    axis::canaries,
    guest::Guest,
    offsets::{OFFSET_REACH_NS, smallest_offset_and_error},
    span::{Span, nanos},
    stamps::Stamps,
};
use crate::{
    lab::rundir::RunData,
    record::{MilestoneName, QemuBody, Side},
};
use serde::Serialize;

/// How far from it records still tell how the clocks stand, in seconds.
const REACH_S: f64 = OFFSET_REACH_NS as f64 / 1e9;

/// The beginning of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Setup {
    /// From QEMU's `setup` to its `active`, by its own stamps; from the order on for as long as its `setup-time` says
    /// where it told no events.
    #[serde(flatten)]
    pub span: Span,
    /// How long it was by QEMU's `setup-time`, which is told in whole ms.
    pub qemu_setup_ns: Option<u64>,
    /// The longest gap of a vCPU that lies for the most part in it; 0 where canaries saw none, null where it cannot be told.
    pub longest_gap_ns: Option<u64>,
    /// Why it cannot be told.
    pub reason: Option<&'static str>,
}

/// The set-up of this run; none where QEMU did not tell of one that ended.
pub fn setup(data: &RunData, axis: &Axis, guest: &Guest<'_>) -> Option<Setup> {
    let qemu_setup_ns = setup_time_ns(data);
    let ordered_s = axis.host_s(data.run.when(MilestoneName::Migrate)?);
    let said = qemu_setup_ns.map(|ns| Span::new(ordered_s, ordered_s + ns as f64 / 1e9));
    let span = span_of_events(data, axis).or(said)?;
    let watched = canaries(data).and(guest.canaries).filter(|_| !guest.gaps_dropped);
    let reason = if watched.is_none() {
        Some("no canary watched, or gap records are missing")
    } else {
        (!is_placed(data, axis, span))
            .then_some("the guest's records came too late around it to say which gap it was")
    };
    let is_in = |gap: &Span| gap.overlap_s(&span) >= gap.length_s() / 2.0;
    let lengths = guest.gaps.iter().filter(|gap| is_in(&gap.span)).map(|gap| nanos(gap.span.length_s()));
    let longest_ns = lengths.max().unwrap_or(0);
    let longest_gap_ns = reason.is_none().then_some(longest_ns);
    Some(Setup { span, qemu_setup_ns, longest_gap_ns, reason })
}

/// Whether guest stamps around `span` are placed well enough to tell what lies in it: within 5 ms or a tenth of it.
fn is_placed(data: &RunData, axis: &Axis, span: Span) -> bool {
    let near = Span::new(span.start_s - REACH_S, span.end_s + REACH_S);
    let arrivals = data
        .records
        .stamps
        .iter()
        .filter(|arrival| arrival.side == Side::Source && near.contains(axis.host_s(arrival.host_ns)));
    let off_s = smallest_offset_and_error(arrivals).map(|(_, error_ns)| error_ns as f64 / 1e9);
    off_s.is_some_and(|off_s| off_s <= (span.length_s() / 10.0).max(0.005))
}

/// QEMU's `setup-time`, from the last answer that has it.
fn setup_time_ns(data: &RunData) -> Option<u64> {
    let last = data.run.source.as_ref().and_then(|sample| sample.setup_time_ms);
    let told = || {
        data.qemu.iter().rev().find_map(|line| match &line.body {
            QemuBody::Sample(sample) if line.side == Side::Source => sample.setup_time_ms,
            _ => None,
        })
    };
    last.or_else(told).filter(|ms| *ms > 0).map(|ms| ms.saturating_mul(1_000_000))
}

/// From the source's first `setup` to the first other status after it, which must be `active`.
fn span_of_events(data: &RunData, axis: &Axis) -> Option<Span> {
    let stamps = Stamps::of(data);
    let mut told = data.qemu.iter().filter(|line| line.side == Side::Source).filter_map(|line| {
        let QemuBody::Event { event, data, .. } = &line.body else { return None };
        let status = data.get("status")?.as_str()?;
        (event == "MIGRATION").then(|| (status, axis.host_s(stamps.moment_ns(line))))
    });
    let (_, start_s) = told.find(|(status, _)| *status == "setup")?;
    let (status, end_s) = told.find(|(status, _)| *status != "setup")?;
    (status == "active").then(|| Span::new(start_s, end_s))
}
