//! The files that are made of runs: what goes where, and when it is made anew.

use super::{
    hlog::{COMMENT, hlog},
    html::html,
    json::{analysis_json, comparison_json},
    junit::{JunitSuite, junit},
    markdown::markdown,
};
use crate::{
    files::{open_regular, replace},
    lab::{
        rundir::{
            ANALYSIS_FILE, COMPARISON_FILE, COMPARISON_TEXT_FILE, HLOG_FILE, QEMU_FILE, RECORDS_FILE,
            RUN_FILE,
        },
        view::RunView,
    },
};
use anyhow::Context;
use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::FileTypeExt as _,
    path::Path,
    time::SystemTime,
};

/// What the files of a run are made from.
const INPUTS: [&str; 3] = [RUN_FILE, RECORDS_FILE, QEMU_FILE];

/// Brings `analysis.json` and `latency.hlog` in the run's directory up to date. The same run gives the same files.
///
/// # Errors
/// When one cannot be written; the other is.
pub fn write_derived(run: &RunView, dir: &Path) -> anyhow::Result<()> {
    let analysis = write_analysis(run, &dir.join(ANALYSIS_FILE));
    let path = dir.join(HLOG_FILE);
    let log = if is_current(dir, &path, COMMENT) {
        Ok(())
    } else {
        replace(&path, |file| hlog(run, file))
            .with_context(|| format!("cannot write the histograms to '{}'", path.display()))
    };
    analysis.and(log)
}

/// Writes the page of these runs, and beside it what several say together.
///
/// # Errors
/// When it cannot be written.
pub fn write_pages(runs: &[RunView], page: &Path) -> anyhow::Result<()> {
    write_file(page, html(runs)?.as_bytes())
        .with_context(|| format!("cannot write the report to '{}'", page.display()))?;
    if runs.len() > 1 {
        let files = [(COMPARISON_FILE, comparison_json(runs)?), (COMPARISON_TEXT_FILE, markdown(runs))];
        for (name, text) in files {
            let path = page.with_file_name(name);
            write_file(&path, text.as_bytes())
                .with_context(|| format!("cannot write the comparison to '{}'", path.display()))?;
        }
    }
    Ok(())
}

/// Writes what became of runs as JUnit XML.
///
/// # Errors
/// When it cannot be written.
pub fn write_junit(suites: &[JunitSuite], path: &Path) -> anyhow::Result<()> {
    write_file(path, junit(suites).as_bytes())
        .with_context(|| format!("cannot write --junit '{}'", path.display()))
}

/// Every analysis is worked out anew from the run, so a file that says anything else is an old one.
fn write_analysis(run: &RunView, path: &Path) -> anyhow::Result<()> {
    let text = analysis_json(run)?;
    let mut found = Vec::new();
    let is_read = open_regular(path).and_then(|mut file| file.read_to_end(&mut found)).is_ok();
    if is_read && found == text.as_bytes() {
        return Ok(());
    }
    write_file(path, text.as_bytes())
        .with_context(|| format!("cannot write the analysis to '{}'", path.display()))
}

/// Writes a file whole or not at all, in the place of one that was there. A device, or what a link like /dev/stdout leads to, is
/// written to; a FIFO would be waited for.
fn write_file(path: &Path, text: &[u8]) -> io::Result<()> {
    let found = fs::symlink_metadata(path).map(|found| found.file_type()).ok();
    let leads_elsewhere = || fs::metadata(path).is_ok_and(|target| !target.is_file());
    match found {
        Some(found) if found.is_char_device() || found.is_symlink() && leads_elsewhere() => {
            fs::write(path, text)
        }
        Some(found) if !found.is_file() && !found.is_symlink() => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"))
        }
        _ => replace(path, |file| file.write_all(text)),
    }
}

/// Whether the file at `path` has been made since the last change of what it is made from, in the form that begins with `form`.
fn is_current(dir: &Path, path: &Path, form: &str) -> bool {
    let changed = |path: &Path| fs::metadata(path).and_then(|found| found.modified()).ok();
    let since = INPUTS.iter().filter_map(|name| changed(&dir.join(name))).max();
    let is_later = |made: SystemTime| since.is_none_or(|since| made >= since);
    let mut head = Vec::new();
    let is_read = open_regular(path).and_then(|file| file.take(4096).read_to_end(&mut head)).is_ok();
    is_read && changed(path).is_some_and(is_later) && String::from_utf8_lossy(&head).contains(form)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::{
        rundir::RunData,
        timeline::fixture::{Story, write_dir},
    };
    use std::{fs::File, path::PathBuf, time::Duration};

    fn view(dir: &Path) -> RunView {
        RunView::new(RunData::read(dir).unwrap())
    }

    /// A run's directory with what is made of it, the file of this name in it, and what the file holds.
    fn derived(name: &str) -> (tempfile::TempDir, PathBuf, String) {
        let dir = tempfile::tempdir().unwrap();
        write_dir(&Story::precopy().run_data(), dir.path());
        let path = dir.path().join(name);
        write_derived(&view(dir.path()), dir.path()).unwrap();
        let first = fs::read_to_string(&path).unwrap();
        (dir, path, first)
    }

    #[test]
    fn what_stands_in_a_files_place_is_not_waited_for_and_no_link_leads_out_of_the_run() {
        let (dir, path, first) = derived(ANALYSIS_FILE);
        let outside = tempfile::NamedTempFile::new().unwrap();
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(outside.path(), &path).unwrap();
        write_derived(&view(dir.path()), dir.path()).unwrap();
        assert_eq!(
            (fs::read_to_string(&path).unwrap(), fs::read(outside.path()).unwrap()),
            (first, Vec::new())
        );
        fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let refused = format!("{:#}", write_derived(&view(dir.path()), dir.path()).unwrap_err());
        assert!(refused.contains("analysis.json") && refused.contains("no regular file"), "{refused}");
    }

    #[test]
    fn an_analysis_of_another_version_or_of_other_records_is_made_anew() {
        let (dir, path, first) = derived(ANALYSIS_FILE);
        for stale in ["{\"schema\":0}", ""] {
            fs::write(&path, stale).unwrap();
            write_derived(&view(dir.path()), dir.path()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), first);
        }
        write_dir(&Story::auto_converge().run_data(), dir.path());
        write_derived(&view(dir.path()), dir.path()).unwrap();
        let renewed = fs::read_to_string(&path).unwrap();
        assert!(renewed != first && renewed == analysis_json(&view(dir.path())).unwrap());
    }

    #[test]
    fn a_histogram_log_is_made_anew_where_its_form_is_old_or_the_records_are_newer() {
        let (dir, path, first) = derived(HLOG_FILE);
        let kept = first.clone() + "# this is still here\n";
        fs::write(&path, &kept).unwrap();
        write_derived(&view(dir.path()), dir.path()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), kept, "it was current");
        fs::write(&path, kept.replace("as in the report", "as it was")).unwrap();
        write_derived(&view(dir.path()), dir.path()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), first, "an old form");
        fs::write(&path, &kept).unwrap();
        let records = File::options().append(true).open(dir.path().join(RECORDS_FILE)).unwrap();
        let made = fs::metadata(&path).unwrap().modified().unwrap();
        records.set_modified(made + Duration::from_secs(5)).unwrap();
        write_derived(&view(dir.path()), dir.path()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), first, "newer records");
        let drafts = fs::read_dir(dir.path()).unwrap();
        assert!(drafts.flatten().all(|entry| !entry.file_name().to_string_lossy().ends_with(".draft")));
    }
}
