//! The progress of a run: one living line on a terminal, a plain line for each step elsewhere.

use crate::cli::say::say;
use crate::lab::run::Status;
use crate::units::{ByteSize, PAGE_BYTES};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr};

/// Shows how a run stands.
pub struct Progress {
    title: String,
    out: Out,
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
        let out = match (quiet, stderr().is_terminal()) {
            (true, _) => Out::Silent,
            (false, true) => Out::Terminal(bar(title)),
            (false, false) => Out::Plain,
        };
        Self { title: title.to_owned(), out, last: ("", None) }
    }

    /// Shows a status.
    pub fn show(&mut self, status: &Status) {
        match &self.out {
            Out::Silent => {}
            Out::Terminal(bar) => {
                bar.set_message(line(status));
                bar.tick();
            }
            Out::Plain => {
                let throttle = status.sample.as_ref().and_then(|sample| sample.cpu_throttle_percent);
                let now = (status.step, throttle);
                if now != self.last {
                    self.last = now;
                    say(format_args!("{}: {}", self.title, line(status)));
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

fn bar(title: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {prefix:.bold} [{elapsed}] {wide_msg}");
    let bar = ProgressBar::new_spinner().with_prefix(title.to_owned());
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A status in one line; what is not known is left out.
fn line(status: &Status) -> String {
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
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{MigrationSample, RamSample};

    #[test]
    fn a_line_says_what_is_known_and_nothing_else() {
        assert_eq!(line(&Status::step("booting the guest")), "booting the guest");
        let ram =
            RamSample { dirty_sync_count: Some(3), remaining_bytes: Some(41 << 20), ..RamSample::default() };
        let sample = MigrationSample {
            status: Some("active".into()),
            cpu_throttle_percent: Some(50),
            ram: Some(ram),
            ..MigrationSample::default()
        };
        let status = Status { step: "migrating", achieved_pages_per_s: Some(15_360), sample: Some(sample) };
        assert_eq!(
            line(&status),
            "migrating, guest dirties 60.0 MiB/s, sync 3, 41.0 MiB left, throttled 50 %"
        );
    }
}
