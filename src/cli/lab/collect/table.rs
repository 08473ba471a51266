//! What a collector shows: a living table on a terminal, a plain line for each event elsewhere.

use crate::cli::say::say;
use crate::lab::collect::{View, called};
use crate::lab::hostclock;
use crate::units::{ByteSize, PAGE_BYTES};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::{IsTerminal, stderr},
    path::Path,
};

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
            Out::Plain => news.iter().for_each(say),
        }
    }

    /// Shows how it ended.
    pub fn finish(&self, views: &[View]) {
        let table = table(views, hostclock::mono_ns());
        match &self.out {
            Out::Silent => {}
            Out::Terminal(bar) => bar.finish_with_message(table),
            Out::Plain => say(table),
        }
    }
}

/// One line for each VM; what is not known is a dash. Silence is the longest time between two heartbeats beyond their
/// period, as they arrived; lost are records that did not arrive, given up those that the guest had no room for.
fn table(views: &[View], now_ns: u64) -> String {
    let mut lines = vec![format!(
        "{:<24} {:<18} {:>9} {:>11} {:>11} {:>8} {:>9} {:>7} {:>8} {:>5} {:>8}",
        "VM",
        "session",
        "phase",
        "dirties",
        "service p99",
        "throttle",
        "silence",
        "corrupt",
        "records",
        "lost",
        "given up"
    )];
    for view in views.iter().take(ROWS_LIMIT) {
        let is_alone = views.iter().filter(|other| other.hostname == view.hostname).count() == 1;
        lines.push(row(view, is_alone, now_ns));
    }
    if views.len() > ROWS_LIMIT {
        lines.push(format!("and {} more", views.len() - ROWS_LIMIT));
    }
    lines.join("\n")
}

/// The guest's name alone tells which VM it is where no other calls itself the same, as guests of one image do.
fn row(view: &View, is_alone: bool, now_ns: u64) -> String {
    let dash = || "-".to_owned();
    let name = match (view.hostname.is_empty(), is_alone) {
        (true, _) => called(Path::new(&view.socket)),
        (false, true) => view.hostname.clone(),
        (false, false) => format!("{} {}", called(Path::new(&view.socket)), view.hostname),
    };
    let silent_s = view.seen_ns.map_or(0, |seen_ns| now_ns.saturating_sub(seen_ns) / 1_000_000_000);
    let state = match (view.ended, view.connected, silent_s) {
        (Some(_), _, _) => "ended".to_owned(),
        (None, false, _) => "closed".to_owned(),
        (None, true, 0..=4) => view.phase.clone(),
        (None, true, silent_s) => format!("{silent_s}s mute"),
    };
    format!(
        "{:<24} {:<18} {:>9} {:>11} {:>11} {:>8} {:>9} {:>7} {:>8} {:>5} {:>8}",
        shortened(&name, 24),
        if view.life.is_empty() { "-" } else { &view.life },
        shortened(&state, 9),
        view.pages_per_s.map_or_else(dash, |pages| {
            format!("{}/s", ByteSize(pages.saturating_mul(PAGE_BYTES)).human())
        }),
        view.service_p99_ns.map_or_else(dash, time),
        view.throttle_percent.map_or_else(dash, |percent| format!("{percent:.0} %")),
        view.silence_ns.map_or_else(dash, time),
        view.losses.corrupt_pages().map_or_else(dash, |pages| pages.to_string()),
        view.session.map_or_else(dash, |_| view.stream.records.to_string()),
        view.session.map_or_else(dash, |_| view.stream.holes.to_string()),
        view.losses.records_given_up().map_or_else(dash, |records| records.to_string()),
    )
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
        let row = |view: &View, now_ns| row(view, true, now_ns);
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
    fn two_guests_of_one_image_are_told_apart() {
        let views = ["/run/a.sock", "/run/b.sock"].map(|socket| {
            let mut view = View::new(socket);
            view.hostname = "guest".into();
            view
        });
        let table = table(&views, 0);
        assert!(table.contains("a.sock guest") && table.contains("b.sock guest"), "{table}");
        assert!(self::table(&views[..1], 0).lines().nth(1).is_some_and(|row| row.starts_with("guest ")));
    }

    #[test]
    fn a_table_of_many_vms_stays_on_the_screen() {
        let views: Vec<View> = (0..500).map(|number| View::new(&format!("{number}.sock"))).collect();
        let table = table(&views, 0);
        assert!(table.lines().count() == ROWS_LIMIT + 2 && table.ends_with("and 460 more"));
    }
}
