//! The progress of a run: one living line on a terminal, a plain line for each step elsewhere.

use crate::cli::{say::say, width::width};
use crate::lab::run::Status;
use crate::units::{ByteSize, PAGE_BYTES};
use console::Term;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr};

/// What stands beside title and status: the spinner, the time in brackets, and spaces.
const BESIDE: usize = 12;
/// A usual status is that long.
const USUAL: usize = 60;

/// Shows how a run stands.
pub struct Progress {
    title: String,
    out: Out,
    /// How long a status may be on a terminal.
    room: usize,
    /// The last thing that was worth a plain line.
    last: (&'static str, Option<u64>),
}

enum Out {
    Silent,
    Terminal(ProgressBar),
    Plain,
}

impl Progress {
    /// The progress of the run called `title`.
    pub fn new(title: &str, quiet: bool) -> Self {
        let (template, room) = layout(title, width(&Term::stderr()));
        let out = match (quiet, stderr().is_terminal()) {
            (true, _) => Out::Silent,
            (false, true) => Out::Terminal(bar(title, template)),
            (false, false) => Out::Plain,
        };
        Self { title: title.to_owned(), out, room, last: ("", None) }
    }

    /// The same in lines, whatever it is shown on: something else is shown between them.
    pub fn in_lines(title: &str, quiet: bool) -> Self {
        let out = if quiet { Out::Silent } else { Out::Plain };
        Self { title: title.to_owned(), out, room: usize::MAX, last: ("", None) }
    }

    /// Shows a status.
    pub fn show(&mut self, status: &Status) {
        match &self.out {
            Out::Silent => {}
            Out::Terminal(bar) => {
                bar.set_message(line(status, self.room));
                bar.tick();
            }
            Out::Plain => {
                let throttle = status.sample.as_ref().and_then(|sample| sample.cpu_throttle_percent);
                let now = (status.step, throttle);
                if now != self.last {
                    self.last = now;
                    say(format_args!("{}: {}", self.title, line(status, usize::MAX)));
                }
            }
        }
    }

    /// Shows how it ended, in a word.
    pub fn finish(&self, outcome: &'static str) {
        match &self.out {
            Out::Silent => {}
            Out::Terminal(bar) => bar.finish_with_message(outcome),
            Out::Plain => say(format_args!("{}: {outcome}", self.title)),
        }
    }
}

/// The form of the line, and how long a status may be in it. Beside a long title it has a line of its own.
fn layout(title: &str, width: usize) -> (&'static str, usize) {
    let room = width.saturating_sub(title.chars().count() + BESIDE);
    if room >= USUAL {
        ("{spinner} {prefix:.bold} [{elapsed}] {msg}", room)
    } else {
        ("{spinner} {prefix:.bold} [{elapsed}]\n  {msg}", width - 3)
    }
}

fn bar(title: &str, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    let bar = ProgressBar::new_spinner().with_prefix(title.to_owned());
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A status in one line; what is not known is left out, and so is what finds no room in `room` characters.
fn line(status: &Status, room: usize) -> String {
    let mut parts = vec![status.step.to_owned()];
    let rate = |pages: u64| format!("{}/s", ByteSize(pages.saturating_mul(PAGE_BYTES)).human());
    parts.extend(status.achieved_pages_per_s.map(|pages| format!("guest dirties {}", rate(pages))));
    if let Some(sample) = &status.sample {
        let ram = sample.ram.as_ref();
        parts.extend(ram.and_then(|ram| ram.dirty_sync_count).map(|syncs| format!("sync {syncs}")));
        parts.extend(
            ram.and_then(|ram| ram.remaining_bytes).map(|bytes| format!("{} left", ByteSize(bytes).human())),
        );
        parts.extend(sample.cpu_throttle_percent.map(|percent| format!("throttled {percent} %")));
        parts.extend(sample.status.as_deref().filter(|status| *status != "active").map(str::to_owned));
    }
    let mut line = String::new();
    for part in parts {
        let with = if line.is_empty() { part } else { format!("{line}, {part}") };
        if !line.is_empty() && with.chars().count() > room {
            break;
        }
        line = with;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{MigrationSample, RamSample};

    #[test]
    fn a_status_has_room_on_a_terminal_of_80_whatever_the_title() {
        let (beside, room) = layout("x", 80);
        assert!(!beside.contains('\n') && room == 80 - 1 - BESIDE, "{room}");
        for title in ["smoke/auto-converge (12/20)", &"x".repeat(100)] {
            let (below, room) = layout(title, 80);
            assert!(below.contains('\n') && room == 77, "{room}");
        }
    }

    #[test]
    fn a_line_says_what_is_known_and_nothing_else() {
        assert_eq!(line(&Status::step("booting the guest"), 5), "booting the guest");
        let ram =
            RamSample { dirty_sync_count: Some(3), remaining_bytes: Some(41 << 20), ..RamSample::default() };
        let sample = MigrationSample {
            status: Some("active".into()),
            cpu_throttle_percent: Some(50),
            ram: Some(ram),
            ..MigrationSample::default()
        };
        let status = Status { step: "migrating", achieved_pages_per_s: Some(15_360), sample: Some(sample) };
        let whole = "migrating, guest dirties 60.0 MiB/s, sync 3, 41.0 MiB left, throttled 50 %";
        assert_eq!(line(&status, whole.len()), whole);
        assert_eq!(
            line(&status, whole.len() - 1),
            "migrating, guest dirties 60.0 MiB/s, sync 3, 41.0 MiB left"
        );
    }
}
