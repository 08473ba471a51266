//! Whether vCPUs were away together or one alone.

use super::pause::{Pause, Sight};

/// How far two starts (or ends) of one absence may lie apart: 1 ms, or 5 % of its length.
const SKEW_FLOOR_NS: u64 = 1_000_000;

/// The share of all canaries that were away together with `pause`, itself among them, in percent; none where there is
/// but one canary, since nothing can be told then.
///
/// Another canary was away together with it when it has a pause that overlaps by 80 % of the shorter and began or ended
/// at about the same time.
pub fn together_percent(pause: &Pause, pauses: &[Pause], sight: &Sight) -> Option<u64> {
    if sight.canaries < 2 {
        return None;
    }
    let mut cpus: Vec<u32> = vec![pause.cpu];
    for other in pauses.iter().filter(|other| is_together(pause, other)) {
        if !cpus.contains(&other.cpu) {
            cpus.push(other.cpu);
        }
    }
    Some(cpus.len() as u64 * 100 / sight.canaries as u64)
}

/// From this share on, in percent, pauses are one event that hit all vCPUs.
pub const COMMON_PERCENT: u64 = 90;

fn is_together(pause: &Pause, other: &Pause) -> bool {
    let skew_ns = SKEW_FLOOR_NS.max(pause.len_ns.min(other.len_ns) / 20);
    let starts = pause.start_ns.abs_diff(other.start_ns) <= skew_ns;
    let ends = pause.end_ns().abs_diff(other.end_ns()) <= skew_ns;
    other.cpu != pause.cpu && (starts || ends) && pause.overlap_percent(other) >= 80
}
