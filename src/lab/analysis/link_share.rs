//! How near a load that is tied to the link came to its share of what the migration sent.

use crate::{
    lab::{
        rundir::RunData,
        timeline::{Axis, Guest, SampleAt, Span},
    },
    units::PAGE_BYTES,
};
use serde::Serialize;

/// Samples that lie further apart are not of one stretch.
const APART_S: f64 = 1.0;

/// The share that was asked for, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LinkShare {
    /// What `load.rate` asks for, percent.
    pub asked_percent: f64,
    /// The guest's distinct pages in percent of what the migration sent in the same time, before the switch; null where it cannot be
    /// told.
    pub achieved_percent: Option<f64>,
    /// Why it cannot.
    pub reason: Option<String>,
}

/// That of a run whose load was tied to the link; none for any other.
pub fn link_share(
    data: &RunData,
    guest: &Guest<'_>,
    axis: &Axis,
    precopy: Option<Span>,
) -> Option<LinkShare> {
    let rate = data.run.scenario.pointer("/load/rate")?.as_str()?;
    let asked_percent: f64 = rate.strip_suffix("link")?.trim_end().strip_suffix('%')?.parse().ok()?;
    if !asked_percent.is_finite() {
        return None;
    }
    let (achieved_percent, reason) = match achieved(data, guest, axis, precopy) {
        Ok(percent) => (Some(percent), None),
        Err(reason) => (None, Some(reason.to_owned())),
    };
    Some(LinkShare { asked_percent, achieved_percent, reason })
}

fn achieved(
    data: &RunData,
    guest: &Guest<'_>,
    axis: &Axis,
    precopy: Option<Span>,
) -> Result<f64, &'static str> {
    let precopy = precopy.ok_or("no migration was started")?;
    if guest.lacks_intervals(precopy) {
        return Err("intervals are missing");
    }
    let samples = crate::lab::timeline::samples(data, axis);
    let (mut pages, mut bytes) = (0.0, 0.0);
    for pair in samples.windows(2) {
        let Some((span, sent)) = stretch(&pair[0], &pair[1], precopy) else { continue };
        let mut distinct = 0.0;
        for at in &guest.intervals {
            let share = at.span.overlap_s(&span) / at.span.length_s().max(1e-9);
            if share > 0.0 {
                distinct +=
                    at.interval.pages_unique.ok_or("the guest counted no distinct pages")? as f64 * share;
            }
        }
        pages += distinct;
        bytes += sent;
    }
    if bytes > 0.0 {
        Ok(pages * PAGE_BYTES as f64 / bytes * 100.0)
    } else {
        Err("QEMU told of nothing that was sent")
    }
}

/// The time between two answers and what was sent in it, where that says something of the link: not while one page in ten or more was zero.
fn stretch(one: &SampleAt<'_>, other: &SampleAt<'_>, precopy: Span) -> Option<(Span, f64)> {
    let (before, after) = (one.sample.ram.as_ref()?, other.sample.ram.as_ref()?);
    let grown = |from: Option<u64>, to: Option<u64>| to?.checked_sub(from?);
    let sent = grown(before.transferred_bytes, after.transferred_bytes)?;
    let zero = grown(before.duplicate_pages, after.duplicate_pages).unwrap_or(0);
    let normal = grown(before.normal_pages, after.normal_pages).unwrap_or(0);
    let span = Span::new(one.at_s, other.at_s);
    let is_inside = precopy.contains(span.start_s) && precopy.contains(span.end_s);
    (is_inside && span.length_s() <= APART_S && zero.saturating_mul(10) <= normal)
        .then_some((span, sent as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::timeline::{PhaseName, Timeline, fixture::Story};
    use crate::record::Body;

    /// What a guest that dirties 10 MiB/s under a migration of 30 MiB/s is told to have come to.
    fn told(rate: &str, counts: bool) -> Option<LinkShare> {
        let mut data = Story::precopy().run_data();
        data.run.scenario = serde_json::json!({ "load": { "rate": rate } });
        for arrival in &mut data.arrivals {
            if let Body::Interval(interval) = &mut arrival.record.body {
                interval.pages_unique = counts.then_some(interval.writes);
            }
        }
        let data = data.data();
        let timeline = Timeline::of(&data);
        let precopy = timeline.phase(PhaseName::Precopy).map(|phase| phase.figures.span);
        link_share(&data, &Guest::of(&data, &timeline.axis), &timeline.axis, precopy)
    }

    #[test]
    fn the_share_is_that_of_distinct_pages_in_what_was_sent_and_absent_with_a_reason() {
        let share = told("35%link", true).unwrap();
        assert_eq!((share.asked_percent, share.reason), (35.0, None));
        let achieved = share.achieved_percent.unwrap();
        assert!((achieved - 100.0 / 3.0).abs() < 1.0, "{achieved}");
        let uncounted = told("35%link", false).unwrap();
        assert_eq!(uncounted.achieved_percent, None);
        assert_eq!(uncounted.reason.as_deref(), Some("the guest counted no distinct pages"));
        for none in ["10M/s", "nan%link", "1e999%link"] {
            assert_eq!(told(none, true), None, "{none}");
        }
    }
}
