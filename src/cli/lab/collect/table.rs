//! What a collector shows: a living table on a terminal, a plain line for each event elsewhere.

use crate::cli::say::say;
use crate::lab::collect::View;
use crate::lab::hostclock;
use crate::units::{ByteSize, PAGE_BYTES};
use console::Term;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr};

/// The most VMs the table shows.
const ROWS_LIMIT: usize = 40;

/// What is shown.
pub struct Live {
    out: Out,
}

enum Out {
    Silent,
    Terminal(ProgressBar),
    Plain,
}

impl Live {
    /// A table, plain lines where standard error is no terminal, or nothing.
    pub fn new(quiet: bool) -> Self {
        let out = match (quiet, stderr().is_terminal()) {
            (true, _) => Out::Silent,
            (false, true) => {
                let bar = ProgressBar::new_spinner();
                Out::Terminal(match ProgressStyle::with_template("{msg}") {
                    Ok(style) => bar.with_style(style),
                    Err(_) => bar,
                })
            }
            (false, false) => Out::Plain,
        };
        Self { out }
    }

    /// Shows how it stands, and what happened.
    pub fn show(&mut self, views: &[View], news: &[String]) {
        match &self.out {
            Out::Silent => {}
            Out::Terminal(bar) => {
                bar.set_message(table(views, hostclock::mono_ns(), columns_of_terminal()));
                bar.tick();
            }
            Out::Plain => news.iter().for_each(say),
        }
    }

    /// Shows how it ended.
    pub fn finish(&self, views: &[View]) {
        let table = |width| table(views, hostclock::mono_ns(), width);
        match &self.out {
            Out::Silent => {}
            Out::Terminal(bar) => bar.finish_with_message(table(columns_of_terminal())),
            Out::Plain => say(table(usize::MAX - 1)),
        }
    }
}

/// How wide the terminal is.
fn columns_of_terminal() -> usize {
    Term::stderr().size_checked().map_or(usize::MAX - 1, |(_, columns)| columns.into())
}

/// A column: its name, its width, and how little it matters where there is no room for all.
type Column = (&'static str, usize, u32);

const COLUMNS: [Column; 11] = [
    ("VM", 24, 0),
    ("session", 18, 10),
    ("phase", 9, 1),
    ("dirties", 11, 2),
    ("service p99", 11, 5),
    ("throttle", 8, 6),
    ("silence", 9, 4),
    ("corrupt", 7, 7),
    ("records", 8, 8),
    ("lost", 5, 3),
    ("given up", 8, 9),
];

/// The columns that fit into `width`, by how much they matter, in their order.
fn columns(width: usize) -> Vec<usize> {
    let mut by_weight: Vec<usize> = (0..COLUMNS.len()).collect();
    by_weight.sort_by_key(|column| COLUMNS[*column].2);
    let mut left = width + 1;
    let mut fitting: Vec<usize> = by_weight
        .into_iter()
        .map_while(|column| {
            left = left.checked_sub(COLUMNS[column].1 + 1)?;
            Some(column)
        })
        .collect();
    fitting.sort_unstable();
    fitting
}

/// Cells in their columns: the first two to the left.
fn line(cells: &[String; COLUMNS.len()], columns: &[usize]) -> String {
    let set = |column: &usize| {
        let (cell, width) = (&cells[*column], COLUMNS[*column].1);
        if *column < 2 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
    };
    columns.iter().map(set).collect::<Vec<_>>().join(" ")
}

/// One line for each VM; what is not known is a dash. Silence is the longest time between two heartbeats beyond their
/// period, as they arrived; lost are records that did not arrive, given up those that the guest had no room for.
fn table(views: &[View], now_ns: u64, width: usize) -> String {
    let columns = columns(width);
    let mut lines = vec![line(&COLUMNS.map(|(name, ..)| name.to_owned()), &columns)];
    for view in views.iter().take(ROWS_LIMIT) {
        lines.push(line(&row(view, now_ns), &columns));
    }
    if views.len() > ROWS_LIMIT {
        lines.push(format!("and {} more", views.len() - ROWS_LIMIT));
    }
    lines.join("\n")
}

/// The VM's name, and what the guest calls itself, which alone tells no VM from another.
fn row(view: &View, now_ns: u64) -> [String; COLUMNS.len()] {
    let dash = || "-".to_owned();
    let name = format!("{} {}", view.name_of_vm(), view.hostname);
    let silent_s = view.seen_ns.map_or(0, |seen_ns| now_ns.saturating_sub(seen_ns) / 1_000_000_000);
    let state = match (view.ended, view.connected, silent_s) {
        (Some(_), _, _) => "ended".to_owned(),
        (None, false, _) => "closed".to_owned(),
        (None, true, 0..=4) => view.phase.clone(),
        (None, true, silent_s) => format!("{silent_s}s mute"),
    };
    [
        shortened(name.trim_end(), 24),
        if view.life.is_empty() { dash() } else { view.life.clone() },
        shortened(&state, 9),
        view.pages_per_s
            .map_or_else(dash, |pages| format!("{}/s", ByteSize(pages.saturating_mul(PAGE_BYTES)).human())),
        view.service_p99_ns.map_or_else(dash, time),
        view.throttle_percent.map_or_else(dash, |percent| format!("{percent:.0} %")),
        view.silence_ns.map_or_else(dash, time),
        view.losses.corrupt_pages().map_or_else(dash, |pages| pages.to_string()),
        view.session.map_or_else(dash, |_| view.stream.records.to_string()),
        view.session.map_or_else(dash, |_| view.stream.holes.to_string()),
        view.losses.records_given_up().map_or_else(dash, |records| records.to_string()),
    ]
}

fn time(ns: u64) -> String {
    match ns {
        0..10_000 => format!("{ns} ns"),
        10_000..10_000_000 => format!("{} us", ns / 1_000),
        _ => format!("{} ms", ns / 1_000_000),
    }
}

fn shortened(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Body, SessionId, SweepEnd};

    #[test]
    fn a_row_shows_what_is_known_and_dashes_for_the_rest() {
        let mut view = View::new("/run/vms/a.sock");
        let all: Vec<usize> = (0..COLUMNS.len()).collect();
        let row = |view: &View, now_ns| line(&row(view, now_ns), &all);
        assert!(row(&view, 0).starts_with("a.sock ") && row(&view, 0).contains(" closed "));
        let unknown: Vec<String> = row(&view, 0).split_whitespace().skip(3).map(str::to_owned).collect();
        assert_eq!(unknown, ["-"; 8], "nothing was heard, so nothing is zero");
        view.connected = true;
        (view.session, view.life) = (Some(SessionId(0xabc)), "0000000000000abc".into());
        view.losses.on(&Body::Sweep(SweepEnd { sweeps: 1, pages: 1, corrupt_pages: Some(0) }));
        view.silence_ns = Some(0);
        view.phase = "run".into();
        view.seen_ns = Some(0);
        view.pages_per_s = Some(256);
        view.service_p99_ns = Some(2_000);
        let shown = row(&view, 1_000_000_000);
        assert!(shown.contains("0000000000000abc") && shown.contains("1.0 MiB/s"), "{shown}");
        assert!(shown.contains("2000 ns") && shown.contains(" run ") && shown.contains(" - "), "{shown}");
        assert!(
            shown.split_whitespace().rev().skip(1).take(3).all(|figure| figure == "0"),
            "zero is zero: {shown}"
        );
        assert!(row(&view, 9_000_000_000).contains("9s mute"));
    }

    #[test]
    fn where_there_is_no_room_for_all_columns_those_that_matter_least_are_left_out_whole() {
        let view = View::new("a.sock");
        for width in [40, 80, 100, 130, 200] {
            let shown = table(std::slice::from_ref(&view), 0, width);
            assert!(shown.lines().all(|line| line.chars().count() <= width), "{width}: {shown}");
        }
        let head = |width| table(&[], 0, width).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(head(80), "VM phase dirties service p99 silence lost");
        assert_eq!(
            head(128),
            "VM session phase dirties service p99 throttle silence corrupt records lost given up"
        );
    }

    #[test]
    fn two_guests_of_one_image_are_told_apart() {
        let views = ["/run/a.sock", "/run/b.sock"].map(|socket| {
            let mut view = View::new(socket);
            view.hostname = "guest".into();
            view
        });
        let table = table(&views, 0, 200);
        assert!(table.contains("a.sock guest") && table.contains("b.sock guest"), "{table}");
        let mut labelled = views[0].clone();
        labelled.labels.insert("name".into(), "web-1".into());
        for (view, name) in [(&views[0], "a.sock guest "), (&labelled, "web-1 guest ")] {
            let shown = self::table(std::slice::from_ref(view), 0, 200);
            assert!(shown.lines().nth(1).is_some_and(|row| row.starts_with(name)), "{shown}");
        }
    }

    #[test]
    fn a_table_of_many_vms_stays_on_the_screen() {
        let views: Vec<View> = (0..500).map(|number| View::new(&format!("{number}.sock"))).collect();
        let table = table(&views, 0, 200);
        assert!(table.lines().count() == ROWS_LIMIT + 2 && table.ends_with("and 460 more"));
    }
}
