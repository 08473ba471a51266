//! The curves of a run: one point per guest interval, one per answer of QEMU.

use super::{guest::Guest, qemu::SampleAt, span::Span};
use serde::Serialize;

/// One interval of the guest.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GuestPoint {
    /// When it was.
    #[serde(flatten)]
    pub span: Span,
    /// Page visits a second that were asked for; none for `max`.
    pub asked_pages_per_s: Option<u64>,
    /// Page visits a second that wrote, by the host's clock.
    pub achieved_pages_per_s: Option<f64>,
    /// 99 % of the visits took at most this long from their actual start.
    pub service_p99_ns: Option<u64>,
    /// 99 % of the visits took at most this long from their intended start.
    pub response_p99_ns: Option<u64>,
    /// Share of vCPU time that was lost to gaps, 0 to 1.
    pub gap_share: Option<f64>,
}

/// One answer of the source QEMU.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QemuPoint {
    /// When it was given.
    pub at_s: f64,
    /// Auto-converge's percentage, while it throttles.
    pub throttle_percent: Option<u64>,
    /// Bytes still to send.
    pub remaining_bytes: Option<u64>,
    /// Pages newly dirty per second.
    pub dirty_pages_per_s: Option<u64>,
}

/// One point per interval.
pub fn guest_points(guest: &Guest<'_>) -> Vec<GuestPoint> {
    let shares = guest.gap_share_per_interval();
    let points = guest.intervals.iter().enumerate().map(|(index, at)| GuestPoint {
        span: at.span,
        asked_pages_per_s: at.interval.target_pages_per_s,
        achieved_pages_per_s: (at.span.length_s() > 0.0)
            .then(|| at.interval.writes as f64 / at.span.length_s()),
        service_p99_ns: at.interval.service_p99_ns,
        response_p99_ns: at.interval.response_p99_ns,
        gap_share: shares.get(index).copied(),
    });
    points.collect()
}

/// One point per answer.
pub fn qemu_points(samples: &[SampleAt<'_>]) -> Vec<QemuPoint> {
    let points = samples.iter().map(|at| {
        let ram = at.sample.ram.as_ref();
        QemuPoint {
            at_s: at.at_s,
            throttle_percent: at.sample.cpu_throttle_percent,
            remaining_bytes: ram.and_then(|ram| ram.remaining_bytes),
            dirty_pages_per_s: ram.and_then(|ram| ram.dirty_pages_per_s),
        }
    });
    points.collect()
}
