//! The table on the terminal, for runs without a report target: one line an interval.

use crate::record::{End, GapSummary, Interval};
use crate::units::{ByteSize, Nanos, PAGE_BYTES, figure};
use std::fmt::Write as _;

/// How many lines stand between two headings.
const HEADING_EVERY: u64 = 20;
const SECOND_NS: u64 = 1_000_000_000;

/// Turns intervals into lines.
#[derive(Debug, Default)]
pub struct Table {
    lines: u64,
    began_ns: Option<u64>,
}

impl Table {
    /// The text of one interval, headed where a heading is due.
    pub fn interval(&mut self, interval: &Interval) -> String {
        let began_ns = *self.began_ns.get_or_insert(interval.start_ns);
        let mut text = String::new();
        if self.lines.is_multiple_of(HEADING_EVERY) {
            text.push_str(HEADING);
        }
        self.lines += 1;
        let seconds = figure(interval.end_ns.saturating_sub(began_ns), SECOND_NS, 1);
        let _ = writeln!(
            text,
            "{seconds:>8}  {:<8} {:>9} {:>9}  {:>8} {:>8} {:>8}  {:>8} {:>8}  {:>8}",
            interval.phase,
            interval.target_pages_per_s.map_or_else(|| "max".into(), |pages| mib_per_s(pages, SECOND_NS)),
            mib_per_s(interval.writes, interval.end_ns.saturating_sub(interval.start_ns)),
            span(interval.service_ns.p50),
            span(interval.service_ns.p99),
            span(interval.service_ns.max),
            span(interval.response_ns.p99),
            span(interval.response_ns.max),
            interval.gaps.as_ref().map_or_else(|| "-".into(), longest),
        );
        text
    }

    /// The closing lines.
    pub fn end(end: &End) -> String {
        let totals = &end.totals;
        let mut text = format!(
            "\n{} pages ({}) dirtied in {}: {} MiB/s",
            totals.writes,
            ByteSize(totals.writes.saturating_mul(PAGE_BYTES)).human(),
            Nanos(totals.elapsed_ns).human(),
            mib_per_s(totals.writes, totals.elapsed_ns),
        );
        if totals.reads > 0 {
            let _ = write!(text, "; {} visits only read", totals.reads);
        }
        if let (Some(counts), Some(swept)) = (totals.corruptions, totals.pages_swept) {
            let found = if counts.sum() > 0 { counts.to_string() } else { "none".into() };
            let _ = write!(text, "; corrupt pages: {found} ({swept} swept)");
        }
        if let Some(backlog) = totals.backlog.filter(|backlog| *backlog > 0) {
            let _ = write!(text, "; {backlog} visits were left undone");
        }
        if let Some(missed) = totals.missed.filter(|missed| *missed > 0) {
            let _ = write!(text, "; {missed} visits were given up");
        }
        let _ = writeln!(
            text,
            "\nservice p50 {}, p99 {}, max {}; response p50 {}, p99 {}, max {}",
            span(end.service_ns.p50),
            span(end.service_ns.p99),
            span(end.service_ns.max),
            span(end.response_ns.p50),
            span(end.response_ns.p99),
            span(end.response_ns.max),
        );
        text
    }
}

const HEADING: &str = concat!(
    "                      dirty rate (MiB/s)             service             response     longest\n",
    "    time  phase        asked  achieved       p50      p99      max       p99      max       gap\n",
);

/// The longest gap; where there is none, that there is none above what a canary counts as one.
fn longest(gaps: &GapSummary) -> String {
    match gaps.count {
        0 => format!("<{}", Nanos(gaps.threshold_ns).human()),
        _ => Nanos(gaps.max_ns).human(),
    }
}

/// The rate at which `pages` were written in `span_ns`.
fn mib_per_s(pages: u64, span_ns: u64) -> String {
    let bytes = u128::from(pages) * u128::from(PAGE_BYTES);
    let bytes_per_s = bytes * u128::from(SECOND_NS) / u128::from(span_ns.max(1));
    figure(u64::try_from(bytes_per_s).unwrap_or(u64::MAX), 1 << 20, 1)
}

fn span(span_ns: Option<u64>) -> String {
    span_ns.map_or_else(|| "-".into(), |span_ns| Nanos(span_ns).human())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Latency;

    fn interval() -> Interval {
        let latency = Latency {
            count: 10,
            p50: Some(900),
            p90: Some(1000),
            p99: Some(2_310_000),
            ..Latency::default()
        };
        Interval {
            phase: "baseline".into(),
            start_ns: 5_000_000_000,
            end_ns: 6_000_000_000,
            writes: 25_600,
            pages_unique: Some(25_600),
            offered: Some(25_600),
            missed: Some(0),
            backlog: Some(0),
            target_pages_per_s: Some(25_600),
            service_ns: latency,
            response_ns: latency,
            gaps: Some(GapSummary {
                count: 1,
                total_ns: 10_000_000,
                max_ns: 10_000_000,
                threshold_ns: 100_000,
            }),
            ..Interval::default()
        }
    }

    #[test]
    fn columns_stand_under_their_headings() {
        let text = Table::default().interval(&interval());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        let (heading, row) = (lines[1], lines[2]);
        for (name, value) in [("asked", "100.0"), ("max", "-"), ("gap", "10.0 ms")] {
            let end = |line: &str, word: &str| line.find(word).map(|start| start + word.chars().count());
            assert!(end(heading, name).is_some() && row.contains(value), "{name}\n{text}");
        }
        let ends = |line: &str| line.chars().count();
        assert_eq!(ends(heading), ends(row), "{text}");
    }

    #[test]
    fn no_gap_is_told_from_gaps_that_nobody_looked_for() {
        let last = |gaps| {
            let text = Table::default().interval(&Interval { gaps, ..interval() });
            text.trim_end().rsplit("  ").next().unwrap().trim().to_owned()
        };
        let none = GapSummary { count: 0, total_ns: 0, max_ns: 0, threshold_ns: 100_000 };
        assert_eq!((last(Some(none)), last(None)), ("<100 µs".into(), "-".into()));
    }

    #[test]
    fn a_page_now_and_then_is_no_rate_of_zero() {
        let slow = Interval { writes: 1, target_pages_per_s: Some(1), ..interval() };
        assert_eq!(Table::default().interval(&slow).matches("0.0039").count(), 2);
        let idle = Interval { writes: 0, target_pages_per_s: Some(0), ..interval() };
        assert_eq!(Table::default().interval(&idle).matches(" 0.0 ").count(), 2);
    }

    #[test]
    fn a_heading_comes_back_every_twenty_lines() {
        let mut table = Table::default();
        let headed = (0..41).filter(|_| table.interval(&interval()).contains("phase")).count();
        assert_eq!(headed, 3);
    }
}
