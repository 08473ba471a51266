//! `sully-lab report`: one run explained, or several compared.

use crate::cli::{
    print::{print, print_with},
    say::say,
    width::width,
};
use crate::lab::{
    report::{JunitSuite, csv, json, markdown, text, write_derived, write_junit, write_pages},
    rundir::{OWN_FILES, REPORT_FILE, ReadError, RunData, find_runs},
    view::RunView,
    wrong::given,
};
use crate::units::harmless;
use console::Term;
use std::path::{Path, PathBuf};

/// One run explained, or several compared.
#[derive(Debug, Clone, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct ReportArgs {
    /// Run directories, as `sully-lab run` wrote them, sessions' directories of `sully-lab collect`, or directories of such
    #[arg(required = true, value_name = "DIR")]
    pub dirs: Vec<PathBuf>,
    /// Where the page goes [default: report.html in DIR, or beside several]
    #[arg(short = 'o', long = "output", value_name = "FILE.html", conflicts_with_all = ["text", "markdown", "json", "csv"])]
    pub output: Option<PathBuf>,
    /// Print the text only, write no page
    #[arg(long, conflicts_with_all = ["json", "csv"])]
    pub text: bool,
    /// Print the comparison of several runs, or the report on one, as Markdown only, write no page
    #[arg(long, conflicts_with_all = ["text", "json", "csv"])]
    pub markdown: bool,
    /// Print the figures as JSON only, write no page
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// Print the guest's intervals as CSV only, a row each (docs/WIRE.md has the columns), write no page
    #[arg(long)]
    pub csv: bool,
    /// Write what became of the runs as JUnit XML besides, for the tests of a CI
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// Prints the report, and writes the page unless only text, JSON or CSV was asked for.
///
/// # Errors
/// When a directory holds no run, a file in it cannot be read, or a page cannot be written: the text of the runs that can
/// be read is printed all the same.
pub fn run(args: &ReportArgs) -> anyhow::Result<()> {
    let found = find_runs(&args.dirs)?;
    if let Some(output) = &args.output {
        given(is_no_file_of_a_run(output))?;
    }
    for dir in &found.unfinished {
        say(format_args!("left out: {} has no run.json: it still runs, or was killed", dir.display()));
    }
    let ReadableRuns { dirs, runs, unread } = ReadableRuns::read(found.dirs)?;
    if let Some(path) = &args.junit {
        let readable = runs.iter().map(|run| JunitSuite::of(run, &[]));
        let unread = unread.iter().map(|error| JunitSuite::failed("unread", error.to_string()));
        write_junit(&readable.chain(unread).collect::<Vec<_>>(), path)?;
    }
    let unread = unread.map_or(Ok(()), |error| Err(error.into()));
    match args {
        ReportArgs { csv: true, .. } => print_with(|out| csv(&runs, out))?,
        ReportArgs { json: true, .. } => print(&json(&runs)?)?,
        ReportArgs { markdown: true, .. } => print(&markdown(&runs))?,
        _ => print(&text(&runs, width(&Term::stdout())))?,
    }
    if args.json || args.text || args.csv || args.markdown {
        return unread;
    }
    let page = args.output.clone().unwrap_or_else(|| page_path(&dirs));
    let derived = dirs.iter().zip(&runs).map(|(dir, run)| write_derived(run, dir));
    let derived = derived.fold(Ok(()), anyhow::Result::and);
    write_pages(&runs, &page)?;
    print(&same_with_charts(&page))?;
    // A page that goes elsewhere is what is left to do about a run directory that one may not write.
    if args.output.is_none() {
        derived?;
    }
    unread
}

/// The page must not go where a run's own files are: they would be lost.
fn is_no_file_of_a_run(output: &Path) -> anyhow::Result<()> {
    let is_own = output.file_name().is_some_and(|name| OWN_FILES.iter().any(|own| name == *own));
    anyhow::ensure!(
        !is_own,
        "'{}' is the name of a file of the run itself: name another, such as page.html",
        output.display()
    );
    Ok(())
}

/// What is said below the text.
pub fn same_with_charts(page: &Path) -> String {
    format!("\nThe same with charts: {}\n", harmless(&page.display().to_string()))
}

/// What can be read of several runs: one that cannot does not keep the others from their page.
#[derive(Debug)]
struct ReadableRuns {
    /// The directories of those that can.
    dirs: Vec<PathBuf>,
    /// What is in them.
    runs: Vec<RunView>,
    /// What kept the first of the others out.
    unread: Option<ReadError>,
}

impl ReadableRuns {
    /// Reads them. None at all is an error.
    fn read(all: Vec<PathBuf>) -> Result<Self, ReadError> {
        let mut found = Self { dirs: Vec::new(), runs: Vec::new(), unread: None };
        for dir in all {
            match RunData::read(&dir) {
                Ok(data) => {
                    found.dirs.push(dir);
                    found.runs.push(RunView::new(data));
                }
                Err(error) if found.unread.is_none() => found.unread = Some(error),
                Err(error) => say(format_args!("left out: {error}")),
            }
        }
        match found.unread {
            Some(error) if found.runs.is_empty() => Err(error),
            _ => Ok(found),
        }
    }
}

/// Where the page goes by default: into the only run directory, or into the one that all of several lie in, or beside the
/// first.
pub fn page_path(dirs: &[PathBuf]) -> PathBuf {
    match dirs {
        [only] => only.join(REPORT_FILE),
        [first, ..] => common(dirs).unwrap_or_else(|| beside(first)).join(REPORT_FILE),
        [] => PathBuf::from(REPORT_FILE),
    }
}

/// The nearest directory above all of `dirs`, where their names show one.
fn common(dirs: &[PathBuf]) -> Option<PathBuf> {
    let mut parents = dirs.iter().map(|dir| beside(dir));
    let first = parents.next()?;
    let rest: Vec<PathBuf> = parents.collect();
    let above = |path: &&Path| rest.iter().all(|other| other.starts_with(path));
    first.ancestors().find(above).filter(|path| !path.as_os_str().is_empty()).map(Path::to_path_buf)
}

/// The directory `dir` lies in, also for `.` and `..`.
fn beside(dir: &Path) -> PathBuf {
    match dir.parent() {
        Some(parent) if dir.file_name().is_some() && parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) if dir.file_name().is_some() => parent.to_path_buf(),
        _ => dir.join(".."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::{
        rundir::{ANALYSIS_FILE, COMPARISON_FILE, COMPARISON_TEXT_FILE},
        timeline::fixture::{Story, write_dir},
    };
    use clap::{Args, FromArgMatches};

    fn parsed(arguments: &[&str]) -> Result<ReportArgs, clap::Error> {
        let command = ReportArgs::augment_args(clap::Command::new("report"));
        let matches = command.try_get_matches_from(["report"].iter().chain(arguments))?;
        ReportArgs::from_arg_matches(&matches)
    }

    #[test]
    fn the_page_and_the_analysis_of_a_run_are_written_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        write_dir(&Story::precopy().run_data(), dir.path());
        let (place, page) = (dir.path().to_str().unwrap(), dir.path().join(REPORT_FILE));
        for only in ["--text", "--markdown", "--json", "--csv"] {
            run(&parsed(&[place, only]).unwrap()).unwrap();
            assert!(!page.exists());
        }
        run(&parsed(&[place]).unwrap()).unwrap();
        assert!(page.exists());
        let analysis = std::fs::read_to_string(dir.path().join(ANALYSIS_FILE)).unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(&analysis).is_ok_and(|found| found["schema"] == 1));
    }

    #[test]
    fn no_page_goes_over_the_files_of_a_run() {
        let dir = tempfile::tempdir().unwrap();
        write_dir(&Story::precopy().run_data(), dir.path());
        let place = dir.path().to_str().unwrap();
        for own in OWN_FILES {
            let page = dir.path().join(own);
            let before = std::fs::read(&page).ok();
            let error = run(&parsed(&[place, "-o", page.to_str().unwrap()]).unwrap()).unwrap_err();
            assert!(
                error.is::<crate::lab::wrong::WrongInput>() && error.to_string().contains(own),
                "{error}"
            );
            assert_eq!(std::fs::read(&page).ok(), before);
        }
    }

    #[test]
    fn what_is_no_regular_file_is_not_waited_for() {
        for own in ["records.ndjson", "qemu.ndjson", "console-source.log"] {
            let dir = tempfile::tempdir().unwrap();
            write_dir(&Story::precopy().run_data(), dir.path());
            let _ = std::fs::remove_file(dir.path().join(own));
            nix::unistd::mkfifo(&dir.path().join(own), nix::sys::stat::Mode::S_IRWXU).unwrap();
            let error = run(&parsed(&[dir.path().to_str().unwrap(), "--text"]).unwrap()).unwrap_err();
            assert!(format!("{error:#}").contains("no regular file"), "{own}: {error:#}");
        }
    }

    #[test]
    fn several_runs_are_compared_in_a_file_beside_their_page() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            write_dir(&Story::precopy().run_data(), &dir.path().join("demo").join(name));
        }
        run(&parsed(&[dir.path().to_str().unwrap()]).unwrap()).unwrap();
        let text = std::fs::read_to_string(dir.path().join("demo").join(COMPARISON_FILE)).unwrap();
        let shown = std::fs::read_to_string(dir.path().join("demo").join(COMPARISON_TEXT_FILE)).unwrap();
        assert!(shown.starts_with("# 2 runs compared\n"), "{shown}");
        let found: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&found["schema"], &found["groups"][0]["runs"]), (&1.into(), &2.into()));
    }

    #[test]
    fn a_run_that_cannot_be_read_does_not_keep_the_others_from_their_page() {
        let dir = tempfile::tempdir().unwrap();
        let places = ["a", "b", "c"].map(|name| dir.path().join(name));
        for place in &places {
            write_dir(&Story::precopy().run_data(), place);
        }
        std::fs::write(places[1].join("records.ndjson"), "no record\n").unwrap();
        let error =
            run(&parsed(&places.each_ref().map(|place| place.to_str().unwrap())).unwrap()).unwrap_err();
        assert!(error.to_string().contains("b/records.ndjson', line 1"), "{error}");
        assert!(dir.path().join(REPORT_FILE).exists() && places[2].join(ANALYSIS_FILE).exists());
        let read = ReadableRuns::read(places.to_vec()).unwrap();
        assert_eq!(read.dirs, [places[0].clone(), places[2].clone()]);
        // None at all is an error at once.
        assert!(run(&parsed(&[places[1].to_str().unwrap()]).unwrap()).is_err());
    }

    #[test]
    fn contradicting_wishes_are_refused() {
        for wrong in [
            &["a", "--text", "--json"][..],
            &["a", "--markdown", "--text"],
            &["a", "--csv", "--json"],
            &["a", "--text", "-o", "x.html"],
            &[],
        ] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_page_of_one_run_lies_in_it_and_of_several_beside_the_first() {
        let path = |dirs: &[&str]| page_path(&dirs.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(path(&["runs/a"]), Path::new("runs/a/report.html"));
        assert_eq!(path(&["runs/a", "runs/b"]), Path::new("runs/report.html"));
        assert_eq!(path(&["a/", "b"]), Path::new("./report.html"));
        assert_eq!(path(&["..", "b"]), Path::new("../../report.html"));
        assert_eq!(path(&["runs/demo/a", "runs/b"]), Path::new("runs/report.html"));
        assert_eq!(path(&["/x/a", "b"]), Path::new("/x/report.html"));
    }

    #[test]
    fn a_directory_without_a_run_is_answered_with_what_a_run_directory_is() {
        let message = format!("{:#}", run(&parsed(&["/nowhere"]).unwrap()).unwrap_err());
        assert!(message.contains("'/nowhere'") && message.contains("sully-lab run"), "{message}");
    }
}
