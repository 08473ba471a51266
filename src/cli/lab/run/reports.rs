//! The reports of a command's runs: each run's own files as soon as it is over, the text and the comparison at the end.

use super::super::report::{page_path, same_with_charts};
use super::outcome::{badness, exit_code, word};
use crate::cli::{print::print, say::say, width::width};
use crate::{
    lab::{
        report::{JunitSuite, text, unmet, write_derived, write_junit, write_pages},
        run::RunResult,
        rundir::{RunData, rewrite_run},
        scenario::Demand,
        view::RunView,
    },
    record::{Outcome, Run},
};
use console::Term;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    slice,
};

/// The runs of one command that are over.
#[derive(Debug, Default)]
pub struct RunReports {
    dirs: Vec<PathBuf>,
    views: Vec<RunView>,
    /// The worst exit code so far.
    code: u8,
    /// What became of each for the tests of a CI.
    suites: Vec<JunitSuite>,
    /// One for each run, those that cannot be read included.
    conclusions: Vec<String>,
    /// The first thing that could not be read or written.
    fault: Option<anyhow::Error>,
}

impl RunReports {
    /// Takes in a run that is over, and writes its files: whatever becomes of the next run, this one is explained.
    /// `again` is the command that repeats it.
    pub fn add(&mut self, RunResult { dir, run }: RunResult, demands: &[Demand], again: &str) {
        let view = match RunData::of(&dir, run.clone()) {
            Ok(data) => {
                let (view, held) = held_to(demands, RunView::new(data), &dir);
                self.keep_fault(held);
                Some(view)
            }
            Err(error) => {
                if self.fault.is_some() {
                    say(format_args!("left out: {error}"));
                }
                self.keep_fault(Err(error.into()));
                None
            }
        };
        self.suites.push(match &view {
            Some(view) => JunitSuite::of(view, demands),
            None => JunitSuite::failed(&run.name, "its run directory cannot be read".into()),
        });
        let run = view.as_ref().map_or(&run, |view| &view.data().run);
        self.code = [self.code, exit_code(run.verdict.outcome)]
            .into_iter()
            .max_by_key(|code| badness(*code))
            .unwrap_or(self.code);
        self.conclusions.push(conclusion(&dir, run, again));
        if let Some(view) = view {
            let derived = write_derived(&view, &dir);
            let page = write_pages(slice::from_ref(&view), &page_path(slice::from_ref(&dir)));
            self.keep_fault(derived.and(page));
            self.dirs.push(dir);
            self.views.push(view);
        }
    }

    /// Writes what became of all runs as JUnit XML where somebody wants it, and explains them. The exit code of the worst.
    ///
    /// # Errors
    /// The first thing that could not be read or written.
    pub fn conclude(self, junit: Option<&Path>) -> anyhow::Result<ExitCode> {
        if let Some(path) = junit {
            write_junit(&self.suites, path)?;
        }
        let code = self.code;
        let explained = self.finish();
        // A run whose directory is not whole has said why: what else could not be written has the same cause.
        if code != 1 {
            explained?;
        }
        Ok(ExitCode::from(code))
    }

    /// Prints the text on all runs, writes the page that compares several, and says where the run directories are.
    ///
    /// # Errors
    /// The first thing that could not be read or written.
    fn finish(mut self) -> anyhow::Result<()> {
        if !self.views.is_empty() {
            print(&format!("\n{}", text(&self.views, width(&Term::stdout()))))?;
            let page = page_path(&self.dirs);
            let written = if self.views.len() > 1 { write_pages(&self.views, &page) } else { Ok(()) };
            if written.is_ok() && page.is_file() {
                print(&same_with_charts(&page))?;
            }
            self.keep_fault(written);
        }
        print(&format!("\n{}\n", self.conclusions.join("\n")))?;
        self.fault.map_or(Ok(()), Err)
    }

    fn keep_fault(&mut self, done: anyhow::Result<()>) {
        if let Err(fault) = done {
            self.fault.get_or_insert(fault);
        }
    }
}

/// What came of a command, where it could not be carried out written as JUnit XML as well: a CI that finds no file takes an old one.
pub fn told(junit: Option<&Path>, name: &str, done: anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    if let (Some(path), Err(error)) = (junit, &done) {
        // What keeps it from being written is no more of interest than what went wrong before.
        let _ = write_junit(&[JunitSuite::failed(name, format!("{error:#}"))], path);
    }
    done
}

/// Holds a run that was carried out to what its scenario demands of figures, and writes what that makes of its verdict.
fn held_to(demands: &[Demand], mut view: RunView, dir: &Path) -> (RunView, anyhow::Result<()>) {
    if !matches!(view.data().run.verdict.outcome, Outcome::Passed | Outcome::Judged) {
        return (view, Ok(()));
    }
    let held = unmet(&view, demands).map_err(anyhow::Error::from).and_then(|reasons| {
        if !reasons.is_empty() {
            view.judge(reasons);
            rewrite_run(dir, &view.data().run)?;
        }
        Ok(())
    });
    (view, held)
}

/// One run's end: its directory, its outcome, and on lines of their own each reason and how to repeat it.
fn conclusion(dir: &Path, run: &Run, again: &str) -> String {
    let mut text = format!("{:<11} {}", word(run.verdict.outcome), dir.display());
    for reason in &run.verdict.reasons {
        text.push_str("\n            ");
        text.push_str(reason);
    }
    if !again.is_empty() {
        text.push_str("\n            again: ");
        text.push_str(again);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::{
        analysis::COMPUTED,
        rundir::{ANALYSIS_FILE, COMPARISON_FILE, HLOG_FILE, RECORDS_FILE, REPORT_FILE},
        timeline::fixture::{Story, write_dir},
    };

    fn result(story: &Story, parent: &Path) -> RunResult {
        let data = story.run_data();
        let dir = parent.join(&data.dir_name);
        write_dir(&data, &dir);
        RunResult { dir, run: data.run }
    }

    #[test]
    fn three_scenarios_are_each_explained_as_they_end_and_each_analysis_is_computed_once() {
        let parent = tempfile::tempdir().unwrap();
        let mut reports = RunReports::default();
        let before = COMPUTED.get();
        for (story, count) in [Story::precopy(), Story::auto_converge(), Story::post_copy()].iter().zip(1..) {
            let over = result(story, parent.path());
            let dir = over.dir.clone();
            reports.add(over, &[], "");
            for file in [ANALYSIS_FILE, HLOG_FILE, REPORT_FILE] {
                assert!(dir.join(file).is_file(), "{file} of {}", story.name);
            }
            assert_eq!(COMPUTED.get() - before, count);
        }
        reports.finish().unwrap();
        assert_eq!(COMPUTED.get() - before, 3, "text, pages and comparison take what is there");
        assert!(parent.path().join(REPORT_FILE).is_file() && parent.path().join(COMPARISON_FILE).is_file());
    }

    #[test]
    fn a_run_that_cannot_be_read_or_explained_keeps_no_other_from_its_page() {
        let parent = tempfile::tempdir().unwrap();
        let mut reports = RunReports::default();
        let mut unread = result(&Story::precopy(), parent.path());
        std::fs::write(unread.dir.join(RECORDS_FILE), "no record\n").unwrap();
        unread.run.verdict.outcome = Outcome::Judged;
        reports.add(unread, &[], "");
        let other = result(&Story::post_copy(), parent.path());
        let dir = other.dir.clone();
        reports.add(other, &[], "");
        assert_eq!(reports.code, 3);
        let fault = reports.finish().unwrap_err();
        assert!(fault.to_string().contains("records.ndjson"), "{fault}");
        assert!(dir.join(REPORT_FILE).is_file());
    }

    #[test]
    fn a_figure_that_is_not_as_demanded_fails_the_run_in_its_file_as_well() {
        let parent = tempfile::tempdir().unwrap();
        let over = result(&Story::precopy(), parent.path());
        let dir = over.dir.clone();
        let mut reports = RunReports::default();
        reports.add(
            over,
            &["passes >= 1".parse().unwrap(), "downtime_ms < 1".parse().unwrap()],
            "sully-lab run --again x",
        );
        assert!(
            reports.conclusions[0].ends_with("\n            again: sully-lab run --again x"),
            "{reports:?}"
        );
        assert_eq!(reports.code, 3);
        assert!(reports.conclusions[0].contains("expect.figures demands downtime_ms < 1"), "{reports:?}");
        let written = RunData::read(&dir).unwrap().run.verdict;
        assert_eq!((written.outcome, written.reasons.len()), (Outcome::Judged, 1));
    }
}
