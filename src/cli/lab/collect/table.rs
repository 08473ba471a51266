//! What a collector shows: a living table on a terminal, a plain line for each event elsewhere.

use crate::lab::collect::many::View;
use crate::lab::hostclock;
use crate::units::{ByteSize, PAGE_BYTES};
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
                bar.set_message(table(views, hostclock::mono_ns()));
                bar.tick();
            }
            Out::Plain => news.iter().for_each(|text| eprintln!("{text}")),
        }
    }

    /// Shows how it ended.
    pub fn finish(&self, views: &[View]) {
        let table = table(views, hostclock::mono_ns());
        match &self.out {
            Out::Silent => {}
            Out::Terminal(bar) => bar.finish_with_message(table),
            Out::Plain => eprintln!("{table}"),
        }
    }
}

/// One line for each VM; what is not known is a dash.
fn table(views: &[View], now_ns: u64) -> String {
    let mut lines = vec![format!(
        "{:<24} {:<16} {:>9} {:>11} {:>9} {:>8} {:>9} {:>7} {:>8} {:>5}",
        "VM", "session", "phase", "dirties", "p99", "throttle", "blackout", "corrupt", "records", "lost"
    )];
    for view in views.iter().take(ROWS_LIMIT) {
        lines.push(row(view, now_ns));
    }
    if views.len() > ROWS_LIMIT {
        lines.push(format!("and {} more", views.len() - ROWS_LIMIT));
    }
    lines.join("\n")
}

fn row(view: &View, now_ns: u64) -> String {
    let dash = || "-".to_owned();
    let name = if view.hostname.is_empty() { tail(&view.socket) } else { view.hostname.clone() };
    let silent_s = view.seen_ns.map_or(0, |seen_ns| now_ns.saturating_sub(seen_ns) / 1_000_000_000);
    let state = match (view.ended, view.connected, silent_s) {
        (Some(_), _, _) => "ended".to_owned(),
        (None, false, _) => "closed".to_owned(),
        (None, true, 0..=4) => view.phase.clone(),
        (None, true, silent_s) => format!("{silent_s}s mute"),
    };
    format!(
        "{:<24} {:<16} {:>9} {:>11} {:>9} {:>8} {:>9} {:>7} {:>8} {:>5}",
        shortened(&name, 24),
        view.session.map_or_else(dash, |session| session.to_string()),
        shortened(&state, 9),
        view.pages_per_s.map_or_else(dash, |pages| {
            format!("{}/s", ByteSize(pages.saturating_mul(PAGE_BYTES)).human())
        }),
        view.service_p99_ns.map_or_else(dash, time),
        view.throttle_percent.map_or_else(dash, |percent| format!("{percent:.0} %")),
        time(view.blackout_ns),
        view.corruptions,
        view.stream.records,
        view.stream.holes,
    )
}

fn time(ns: u64) -> String {
    match ns {
        0..10_000 => format!("{ns} ns"),
        10_000..10_000_000 => format!("{} us", ns / 1_000),
        _ => format!("{} ms", ns / 1_000_000),
    }
}

/// The last part of a path.
fn tail(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

fn shortened(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::SessionId;

    #[test]
    fn a_row_shows_what_is_known_and_dashes_for_the_rest() {
        let mut view = View::new("/run/vms/a.sock");
        assert!(row(&view, 0).starts_with("a.sock ") && row(&view, 0).contains(" closed "));
        view.connected = true;
        view.session = Some(SessionId(0xabc));
        view.phase = "run".into();
        view.seen_ns = Some(0);
        view.pages_per_s = Some(256);
        view.service_p99_ns = Some(2_000);
        let shown = row(&view, 1_000_000_000);
        assert!(shown.contains("0000000000000abc") && shown.contains("1.0 MiB/s"), "{shown}");
        assert!(shown.contains("2000 ns") && shown.contains(" run ") && shown.contains(" - "), "{shown}");
        assert!(row(&view, 9_000_000_000).contains("9s mute"));
    }

    #[test]
    fn a_table_of_many_vms_stays_on_the_screen() {
        let views: Vec<View> = (0..500).map(|number| View::new(&format!("{number}.sock"))).collect();
        let table = table(&views, 0);
        assert!(table.lines().count() == ROWS_LIMIT + 2 && table.ends_with("and 460 more"));
    }
}
