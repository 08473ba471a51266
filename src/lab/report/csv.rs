//! The intervals of runs as CSV: one row each, on the report's time axis.

use crate::{
    lab::{
        timeline::{Guest, IntervalAt, Timeline},
        view::RunView,
    },
    record::{Interval, Latency},
};
use std::io::{self, Write};

/// The columns, as docs/WIRE.md explains them. A cell is empty where nothing was measured.
const COLUMNS: [&str; 21] = [
    "run",
    "stage",
    "start_s",
    "end_s",
    "target_pages_per_s",
    "offered",
    "missed",
    "backlog",
    "writes",
    "reads",
    "service_p50_ns",
    "service_p99_ns",
    "service_max_ns",
    "response_p50_ns",
    "response_p99_ns",
    "response_max_ns",
    "gap_count",
    "gap_total_ns",
    "gap_max_ns",
    "steal_ms",
    "throttle_percent",
];

/// Writes a head and a row for each interval of these runs, in the order of time.
///
/// # Errors
/// When it cannot be written.
pub fn csv(runs: &[RunView], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", COLUMNS.join(","))?;
    for run in runs {
        let (data, timeline) = (run.data(), run.timeline());
        let name = quoted(&data.dir_name);
        let Some(mut lines) = data.records.interval_lines() else { continue };
        for at in &Guest::of(data, &timeline.axis).intervals {
            if let Some(interval) = lines.whole(at.interval) {
                writeln!(out, "{name},{},{}", stage(timeline, at), cells(at, &interval).join(","))?;
            }
        }
    }
    out.flush()
}

/// The stage in which the interval's middle lies.
fn stage(timeline: &Timeline, at: &IntervalAt<'_>) -> &'static str {
    let inside = timeline.phases.iter().find(|phase| phase.figures.span.contains(at.span.middle_s()));
    inside.map_or("", |phase| phase.name.title())
}

/// What follows run and stage.
fn cells(at: &IntervalAt<'_>, interval: &Interval) -> Vec<String> {
    let told = |figure: Option<u64>| figure.map_or_else(String::new, |figure| figure.to_string());
    let latency = |own: Latency| [own.p50, own.p99, own.max].map(told);
    let gaps = interval.gaps;
    let mut cells = vec![format!("{:.6}", at.span.start_s), format!("{:.6}", at.span.end_s)];
    let load = [interval.target_pages_per_s, interval.offered, interval.missed, interval.backlog];
    cells.extend(load.map(told));
    cells.extend([interval.writes, interval.reads].map(|count| count.to_string()));
    cells.extend(latency(interval.service_ns));
    cells.extend(latency(interval.response_ns));
    cells.extend(
        [gaps.map(|gaps| gaps.count), gaps.map(|gaps| gaps.total_ns), gaps.map(|gaps| gaps.max_ns)].map(told),
    );
    cells.extend([interval.steal_ms, interval.throttle.map(|throttle| throttle.percent)].map(told));
    cells
}

/// A text as one cell, whatever is in it.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::timeline::fixture::Story;

    #[test]
    fn every_interval_is_a_row_with_a_cell_for_each_column_and_what_was_not_measured_is_empty() {
        let mut data = Story::precopy().run_data();
        data.dir_name = "a,\"b\"".into();
        let (run, count) = (RunView::new(data.data()), data.data().records.intervals.len());
        let mut out = Vec::new();
        csv(&[run], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let rows: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.trim_start_matches("\"a,\"\"b\"\"\"").split(',').collect())
            .collect();
        assert_eq!((rows.len(), rows[0].len()), (count + 1, COLUMNS.len()));
        assert!(rows.iter().all(|row| row.len() == COLUMNS.len()));
        let column = |name: &str| COLUMNS.iter().position(|column| *column == name).unwrap();
        assert_eq!(rows[1][1], "baseline");
        assert_eq!(rows[1][column("throttle_percent")], "", "nobody found one");
        let writes: u64 = rows[1..].iter().map(|row| row[column("writes")].parse::<u64>().unwrap()).sum();
        assert_eq!(writes, data.data().records.intervals.iter().map(|own| own.writes).sum::<u64>());
        let stages: std::collections::BTreeSet<&str> = rows[1..].iter().map(|row| row[1]).collect();
        assert!(stages.contains("pre-copy") && stages.contains("after"), "{stages:?}");
    }
}
