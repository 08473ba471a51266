//! The curves of a run as the page's script reads them, and how they are embedded so that no text can break out.

use crate::{
    lab::timeline::{GuestPoint, QemuPoint, Timeline},
    units::PAGE_BYTES,
};
use serde::Serialize;

/// The most points of one curve: more than a screen can show, and few enough for a page of hours to stay small.
const POINTS_LIMIT: usize = 4000;

/// Which curves a chart shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChartKind {
    /// What was asked for and done.
    Rate,
    /// What visits took.
    Latency,
    /// Throttle and gaps.
    Lost,
    /// What QEMU says of memory.
    Copying,
}

/// All curves of one run. Every list of a group is as long as its `at_s`; null where nothing was measured.
#[derive(Debug, Serialize)]
pub struct Curves {
    phases: Vec<Band>,
    guest: GuestCurves,
    qemu: QemuCurves,
}

/// A stage as a band behind the curves.
#[derive(Debug, Serialize)]
struct Band {
    name: &'static str,
    start_s: f64,
    end_s: f64,
}

#[derive(Debug, Serialize)]
struct GuestCurves {
    at_s: Vec<f64>,
    asked_mib_per_s: Vec<Option<f64>>,
    done_mib_per_s: Vec<Option<f64>>,
    service_p99_ns: Vec<Option<f64>>,
    response_p99_ns: Vec<Option<f64>>,
    gap_percent: Vec<Option<f64>>,
}

#[derive(Debug, Serialize)]
struct QemuCurves {
    at_s: Vec<f64>,
    throttle_percent: Vec<Option<f64>>,
    remaining_mib: Vec<Option<f64>>,
    dirty_mib_per_s: Vec<Option<f64>>,
}

impl Curves {
    /// The curves of a run.
    pub fn of(timeline: &Timeline) -> Self {
        let band = |phase: &crate::lab::timeline::Phase| Band {
            name: phase.name.title(),
            start_s: to_ms(phase.figures.span.start_s),
            end_s: to_ms(phase.figures.span.end_s),
        };
        Self {
            phases: timeline.phases.iter().map(band).collect(),
            guest: guest(&timeline.guest),
            qemu: qemu(&timeline.qemu),
        }
    }

    /// Whether there is anything to draw of that kind.
    pub fn has(&self, kind: ChartKind) -> bool {
        let (guest, qemu) = (&self.guest, &self.qemu);
        let curves = match kind {
            ChartKind::Rate => [&guest.asked_mib_per_s, &guest.done_mib_per_s],
            ChartKind::Latency => [&guest.service_p99_ns, &guest.response_p99_ns],
            ChartKind::Lost => [&guest.gap_percent, &qemu.throttle_percent],
            ChartKind::Copying => [&qemu.remaining_mib, &qemu.dirty_mib_per_s],
        };
        curves.into_iter().flatten().any(Option::is_some)
    }
}

fn guest(points: &[GuestPoint]) -> GuestCurves {
    let mean = |of: fn(&GuestPoint) -> Option<f64>| thinned(points, of, mean);
    let highest = |of: fn(&GuestPoint) -> Option<f64>| thinned(points, of, highest);
    GuestCurves {
        at_s: thinned_times(points, |point| point.span.middle_s()),
        asked_mib_per_s: mean(|point| Some(mib(point.asked_pages_per_s? as f64 * PAGE_BYTES as f64))),
        done_mib_per_s: mean(|point| Some(mib(point.achieved_pages_per_s? * PAGE_BYTES as f64))),
        service_p99_ns: highest(|point| Some(point.service_p99_ns? as f64)),
        response_p99_ns: highest(|point| Some(point.response_p99_ns? as f64)),
        gap_percent: mean(|point| Some(point.gap_share? * 100.0)),
    }
}

fn qemu(points: &[QemuPoint]) -> QemuCurves {
    let mean = |of: fn(&QemuPoint) -> Option<f64>| thinned(points, of, mean);
    let highest = |of: fn(&QemuPoint) -> Option<f64>| thinned(points, of, highest);
    QemuCurves {
        at_s: thinned_times(points, |point| point.at_s),
        throttle_percent: highest(|point| Some(point.throttle_percent? as f64)),
        remaining_mib: mean(|point| Some(mib(point.remaining_bytes? as f64))),
        dirty_mib_per_s: highest(|point| Some(mib(point.dirty_pages_per_s? as f64 * PAGE_BYTES as f64))),
    }
}

/// One value per point, or, where there are too many, one per group of points that follow each other.
fn thinned<P>(points: &[P], of: fn(&P) -> Option<f64>, join: fn(&[f64]) -> Option<f64>) -> Vec<Option<f64>> {
    let value = |few: &[P]| join(&few.iter().filter_map(of).collect::<Vec<f64>>()).map(to_digits);
    points.chunks(group(points)).map(value).collect()
}

/// The moments of the same groups.
fn thinned_times<P>(points: &[P], of: fn(&P) -> f64) -> Vec<f64> {
    let middle = |few: &[P]| to_ms(few.iter().map(of).sum::<f64>() / few.len() as f64);
    points.chunks(group(points)).map(middle).collect()
}

/// How many points are told as one.
fn group<P>(points: &[P]) -> usize {
    points.len().div_ceil(POINTS_LIMIT).max(1)
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn highest(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(f64::max)
}

fn mib(bytes: f64) -> f64 {
    bytes / 1_048_576.0
}

/// A moment to a ms: finer than any screen, and half the page's size.
fn to_ms(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// A value to four digits, however small it is.
fn to_digits(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// JSON for a `<script>` element: no character in it can end the element or a line of the script.
pub fn embedded(json: &str) -> String {
    const UNSAFE: [(char, &str); 5] = [
        ('<', "\\u003c"),
        ('>', "\\u003e"),
        ('&', "\\u0026"),
        ('\u{2028}', "\\u2028"),
        ('\u{2029}', "\\u2029"),
    ];
    UNSAFE.iter().fold(json.to_owned(), |safe, (letter, escape)| safe.replace(*letter, escape))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::timeline::fixture::Story;

    #[test]
    fn no_text_can_break_out_of_its_element() {
        let hostile = "</script><!-- & \u{2028}\u{2029}";
        let safe = embedded(&serde_json::to_string(hostile).unwrap());
        assert!(!safe.contains(['<', '>', '&', '\u{2028}', '\u{2029}']), "{safe}");
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), hostile);
    }

    #[test]
    fn a_small_value_is_none_of_zero() {
        let kept = [0.000_039_062_5, 1_234_567.0, 0.0].map(|value| to_digits(value).to_string());
        assert_eq!(kept, ["0.00003906", "1235000", "0"]);
    }

    #[test]
    fn a_run_of_hours_is_thinned_but_keeps_its_peaks() {
        let mut timeline = Story::precopy().run_data().timeline();
        let point = timeline.guest[0].clone();
        timeline.guest = vec![point; 50_000];
        timeline.guest[12_345].response_p99_ns = Some(7_000_000_000);
        let curves = Curves::of(&timeline);
        assert!(curves.guest.at_s.len() <= POINTS_LIMIT);
        assert!(curves.guest.response_p99_ns.contains(&Some(7e9)));
        assert_eq!(curves.guest.gap_percent.len(), curves.guest.at_s.len());
    }
}
