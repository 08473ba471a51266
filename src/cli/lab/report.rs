//! `sully-lab report`: one run explained, or several compared.

use crate::lab::{
    analysis::Analysis,
    report::{comparison_json, json, text, write_html},
    rundir::{ANALYSIS_FILE, COMPARISON_FILE, REPORT_FILE, ReadError, RunData},
    timeline::Timeline,
};
use anyhow::Context;
use std::{
    io::Write,
    path::{Path, PathBuf},
};

/// One run explained, or several compared.
#[derive(Debug, Clone, clap::Args)]
pub struct ReportArgs {
    /// Run directories, as `sully-lab run` wrote them
    #[arg(required = true, value_name = "DIR")]
    pub dirs: Vec<PathBuf>,
    /// Where the page goes [default: report.html in DIR, or beside several]
    #[arg(short = 'o', long = "output", value_name = "FILE.html", conflicts_with_all = ["text", "json"])]
    pub output: Option<PathBuf>,
    /// Print the text only, write no page
    #[arg(long, conflicts_with = "json")]
    pub text: bool,
    /// Print the figures as JSON only, write no page
    #[arg(long)]
    pub json: bool,
}

/// Prints the report, and writes the page unless only text or JSON was asked for.
///
/// # Errors
/// When a directory holds no run, a file in it cannot be read, or the page cannot be written. The runs that can be read are
/// reported on before that is said.
pub fn run(args: &ReportArgs) -> anyhow::Result<()> {
    let (shown, unread) = made(args)?;
    match std::io::stdout().lock().write_all(shown.as_bytes()) {
        // Somebody read enough: `sully-lab report ... | head` is no failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        written => written.context("cannot print the report")?,
    }
    unread.map_or(Ok(()), |error| Err(error.into()))
}

/// What is to be printed, after the page was written where one is wanted, and what kept a run out of it.
fn made(args: &ReportArgs) -> anyhow::Result<(String, Option<ReadError>)> {
    if args.json || args.text {
        let Readable { runs, unread, .. } = Readable::of(&args.dirs)?;
        return Ok((if args.json { json(&runs)? } else { text(&runs) }, unread));
    }
    explain(&args.dirs, &args.output.clone().unwrap_or_else(|| page_path(&args.dirs)))
}

/// The report of `dirs` as text, after its page was written where it goes by default, and what kept a run out of it.
///
/// # Errors
/// When no directory holds a run that can be read, or the page cannot be written.
pub fn told(dirs: &[PathBuf]) -> anyhow::Result<(String, Option<ReadError>)> {
    explain(dirs, &page_path(dirs))
}

fn explain(dirs: &[PathBuf], page: &Path) -> anyhow::Result<(String, Option<ReadError>)> {
    let Readable { dirs, runs, unread } = Readable::of(dirs)?;
    for (dir, data) in dirs.iter().zip(&runs) {
        write_analysis(dir, data)?;
    }
    write_html(&runs, page)?;
    if runs.len() > 1 {
        let path = page.with_file_name(COMPARISON_FILE);
        let text = comparison_json(&runs)? + "\n";
        std::fs::write(&path, text)
            .with_context(|| format!("cannot write the comparison to '{}'", path.display()))?;
    }
    Ok((format!("{}\nThe same with charts: {}\n", text(&runs), page.display()), unread))
}

/// Writes `analysis.json` into a run directory that has none: the same run gives the same file.
fn write_analysis(dir: &Path, data: &RunData) -> anyhow::Result<()> {
    let path = dir.join(ANALYSIS_FILE);
    if path.exists() {
        return Ok(());
    }
    let analysis = Analysis::of(data, &Timeline::of(data));
    let text = serde_json::to_string_pretty(&analysis)? + "\n";
    std::fs::write(&path, text).with_context(|| format!("cannot write the analysis to '{}'", path.display()))
}

/// What can be read of several directories: one that cannot does not keep the others from their page.
struct Readable<'a> {
    dirs: Vec<&'a Path>,
    runs: Vec<RunData>,
    /// What kept the first of the others out.
    unread: Option<ReadError>,
}

impl<'a> Readable<'a> {
    fn of(dirs: &'a [PathBuf]) -> Result<Self, ReadError> {
        let mut found = Self { dirs: Vec::new(), runs: Vec::new(), unread: None };
        for dir in dirs {
            match RunData::read(dir) {
                Ok(data) => {
                    found.dirs.push(dir);
                    found.runs.push(data);
                }
                Err(error) if found.unread.is_none() => found.unread = Some(error),
                Err(error) => eprintln!("left out: {error}"),
            }
        }
        match found.unread {
            Some(error) if found.runs.is_empty() => Err(error),
            _ => Ok(found),
        }
    }
}

/// Where the page goes by default: into the only run directory, or beside the first of several.
pub fn page_path(dirs: &[PathBuf]) -> PathBuf {
    match dirs {
        [only] => only.join(REPORT_FILE),
        [first, ..] => beside(first).join(REPORT_FILE),
        [] => PathBuf::from(REPORT_FILE),
    }
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
    use crate::lab::timeline::fixture::{Story, write_dir};
    use clap::{Args, FromArgMatches};

    fn parsed(arguments: &[&str]) -> Result<ReportArgs, clap::Error> {
        let command = ReportArgs::augment_args(clap::Command::new("report"));
        let matches = command.try_get_matches_from(["report"].iter().chain(arguments))?;
        ReportArgs::from_arg_matches(&matches)
    }

    #[test]
    fn a_run_is_told_as_text_and_written_as_a_page_unless_only_one_of_them_is_wanted() {
        let dir = tempfile::tempdir().unwrap();
        write_dir(&Story::precopy().run_data(), dir.path());
        let (place, page) = (dir.path().to_str().unwrap(), dir.path().join(REPORT_FILE));
        let shown = |arguments: &[&str]| made(&parsed(arguments).unwrap()).unwrap().0;
        let told = shown(&[place, "--text"]);
        let figures = shown(&[place, "--json"]);
        assert!(told.starts_with("smoke/precopy\n") && figures.starts_with('[') && !page.exists());
        let both = shown(&[place]);
        assert!(both.starts_with(&told) && both.contains(page.to_str().unwrap()) && page.exists());
        let analysis = std::fs::read_to_string(dir.path().join(ANALYSIS_FILE)).unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(&analysis).is_ok_and(|found| found["schema"] == 1));
    }

    #[test]
    fn several_runs_are_compared_in_a_file_beside_their_page() {
        let dir = tempfile::tempdir().unwrap();
        let places = ["a", "b"].map(|name| dir.path().join(name));
        for place in &places {
            write_dir(&Story::precopy().run_data(), place);
        }
        made(&parsed(&places.each_ref().map(|place| place.to_str().unwrap())).unwrap()).unwrap();
        let text = std::fs::read_to_string(dir.path().join(COMPARISON_FILE)).unwrap();
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
        let (told, unread) =
            made(&parsed(&places.each_ref().map(|place| place.to_str().unwrap())).unwrap()).unwrap();
        assert_eq!(told.lines().filter(|line| *line == "smoke/precopy").count(), 2, "{told}");
        let error = unread.unwrap().to_string();
        assert!(error.contains("b/records.ndjson', line 1"), "{error}");
        assert!(dir.path().join(REPORT_FILE).exists() && places[2].join(ANALYSIS_FILE).exists());
        // None at all is an error at once.
        assert!(made(&parsed(&[places[1].to_str().unwrap()]).unwrap()).is_err());
    }

    #[test]
    fn contradicting_wishes_are_refused() {
        for wrong in [&["a", "--text", "--json"][..], &["a", "--text", "-o", "x.html"], &[]] {
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
    }

    #[test]
    fn a_directory_without_a_run_is_answered_with_what_a_run_directory_is() {
        let message = format!("{:#}", made(&parsed(&["/nowhere"]).unwrap()).unwrap_err());
        assert!(message.contains("'/nowhere'") && message.contains("sully-lab run"), "{message}");
    }
}
