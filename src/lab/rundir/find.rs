//! From what somebody names to run directories: a directory of runs stands for them, and files of the tool's own are passed
//! over.

use super::{
    ANALYSIS_FILE, COMPARISON_FILE, COMPARISON_TEXT_FILE, DESTINATION_CONSOLE_FILE, HLOG_FILE, Limits,
    QEMU_FILE, RECORDS_FILE, REPORT_FILE, RUN_FILE, ReadError, SESSION_FILE, SOURCE_CONSOLE_FILE,
    session::is_session,
};
use std::{
    collections::BTreeSet,
    fs::DirEntry,
    path::{Path, PathBuf},
};

/// Files that `runs/*` and `runs/NAME/*` give besides.
const OWN_FILES: [&str; 9] = [
    ANALYSIS_FILE,
    COMPARISON_FILE,
    COMPARISON_TEXT_FILE,
    REPORT_FILE,
    RECORDS_FILE,
    QEMU_FILE,
    HLOG_FILE,
    SOURCE_CONSOLE_FILE,
    DESTINATION_CONSOLE_FILE,
];
/// The run directories that were meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoundRuns {
    /// Each once, in the order they were named, those of one directory by name.
    pub dirs: Vec<PathBuf>,
    /// Runs below a directory that have no `run.json`, and are no collected sessions: they still go on, or were killed.
    pub unfinished: Vec<PathBuf>,
    /// The same directories without symbolic links, so that each is taken once.
    known: BTreeSet<PathBuf>,
    looked_into: usize,
}

/// The run directories that `named` stands for.
///
/// # Errors
/// A path that is no run directory, has none in it, and is no file of the tool's own; one with too much below it; or nothing is left.
pub fn find_runs(named: &[PathBuf]) -> Result<FoundRuns, ReadError> {
    find_within(Limits::DIRECTORIES, named)
}

/// The same where at most so many directories are looked into.
fn find_within(most: usize, named: &[PathBuf]) -> Result<FoundRuns, ReadError> {
    let mut found = FoundRuns::default();
    for path in named {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match path.parent() {
            Some(dir) if [RUN_FILE, SESSION_FILE].contains(&name) && path.is_file() => {
                found.add(dir.to_owned());
            }
            _ if OWN_FILES.contains(&name) && path.is_file() => {}
            _ => {
                let before = found.dirs.len();
                found.descend(path, Limits::DEPTH, most);
                if found.looked_into > most {
                    return Err(ReadError::TooMuch {
                        dir: path.clone(),
                        directories: most,
                        runs: found.dirs.len(),
                    });
                }
                if found.dirs.len() == before && !found.holds_runs_of(path) {
                    return Err(ReadError::not_a_run(path));
                }
            }
        }
    }
    match (found.dirs.is_empty(), named.first()) {
        (true, Some(first)) => Err(ReadError::not_a_run(first)),
        _ => Ok(found),
    }
}

impl FoundRuns {
    fn descend(&mut self, path: &Path, depth: u32, most: usize) {
        self.looked_into += 1;
        if self.looked_into > most {
            return;
        }
        let has_records = path.join(RECORDS_FILE).is_file();
        if path.join(RUN_FILE).is_file() || has_records && is_session(path) {
            return self.add(path.to_owned());
        }
        if has_records {
            return self.unfinished.push(path.to_owned());
        }
        let entries = (depth > 0).then(|| path.read_dir().ok()).flatten();
        let mut inside: Vec<PathBuf> =
            entries.into_iter().flatten().flatten().filter_map(|entry| directory(&entry)).collect();
        inside.sort();
        for path in &inside {
            self.descend(path, depth - 1, most);
        }
    }

    fn add(&mut self, dir: PathBuf) {
        // A run in the directory one stands in is named by its file alone.
        let dir = if dir.as_os_str().is_empty() { PathBuf::from(".") } else { dir };
        if self.known.insert(dir.canonicalize().unwrap_or_else(|_| dir.clone())) {
            self.dirs.push(dir);
        }
    }

    /// Whether something below `path` was found, be it by another name or without an end.
    fn holds_runs_of(&self, path: &Path) -> bool {
        let Ok(path) = path.canonicalize() else { return false };
        let below = |dir: &PathBuf| dir.canonicalize().is_ok_and(|dir| dir.starts_with(&path) && dir != path);
        self.known.iter().any(|dir| dir.starts_with(&path)) || self.unfinished.iter().any(below)
    }
}

/// The path of an entry that is a directory, or a symbolic link to one.
fn directory(entry: &DirEntry) -> Option<PathBuf> {
    let (kind, path) = (entry.file_type().ok()?, entry.path());
    (kind.is_dir() || kind.is_symlink() && path.is_dir()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A directory with these files, each empty.
    fn tree(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        dir
    }

    fn found(dir: &Path, named: &[&str]) -> Vec<String> {
        let named: Vec<PathBuf> = named.iter().map(|name| dir.join(name)).collect();
        let found = find_runs(&named).unwrap();
        found.dirs.iter().map(|path| path.strip_prefix(dir).unwrap().display().to_string()).collect()
    }

    const DEMO: [&str; 6] = [
        "demo/b-001/run.json",
        "demo/a-001/run.json",
        "demo/a-001/records.ndjson",
        "demo/comparison.json",
        "demo/report.html",
        "c-001/run.json",
    ];

    #[test]
    fn a_directory_of_runs_stands_for_them_by_name_and_each_run_is_taken_once() {
        let dir = tree(&DEMO);
        assert_eq!(found(dir.path(), &["demo"]), ["demo/a-001", "demo/b-001"]);
        assert_eq!(
            found(dir.path(), &["c-001", "demo", "demo/a-001"]),
            ["c-001", "demo/a-001", "demo/b-001"]
        );
        assert_eq!(found(dir.path(), &["demo", "demo"]), ["demo/a-001", "demo/b-001"]);
    }

    #[test]
    fn the_tools_own_files_beside_runs_are_passed_over() {
        let dir = tree(&DEMO);
        let all = ["demo/a-001", "demo/b-001", "demo/comparison.json", "demo/report.html"];
        assert_eq!(found(dir.path(), &all), ["demo/a-001", "demo/b-001"]);
        assert_eq!(found(dir.path(), &["c-001/run.json"]), ["c-001"]);
        assert!(find_runs(&[dir.path().join("demo/report.html")]).is_err(), "nothing is left");
    }

    #[test]
    fn a_run_without_an_end_among_others_is_named_and_alone_is_refused() {
        let dir = tree(&["x/a-001/run.json", "x/a-002/records.ndjson"]);
        let of = |name: &str| find_runs(&[dir.path().join(name)]);
        assert_eq!(of("x").unwrap().unfinished, [dir.path().join("x/a-002")]);
        assert!(of("x/a-002").is_err());
    }

    #[test]
    fn sessions_that_were_collected_are_runs_and_so_are_those_that_still_go_on() {
        let dir = tree(&[
            "out/00c0ffee00c0ffee/session.json",
            "out/00c0ffee00c0ffee/records.ndjson",
            "out/00c0ffee00c0ffee-2/records.ndjson",
            "out/0badcafe0badcafe/session.json",
            "out/notes/records.ndjson",
        ]);
        assert_eq!(found(dir.path(), &["out"]), ["out/00c0ffee00c0ffee", "out/00c0ffee00c0ffee-2"]);
        assert_eq!(found(dir.path(), &["out/00c0ffee00c0ffee/session.json"]), ["out/00c0ffee00c0ffee"]);
        let unfinished = find_runs(&[dir.path().join("out")]).unwrap().unfinished;
        assert_eq!(unfinished, [dir.path().join("out/notes")]);
    }

    #[test]
    fn a_directory_with_too_much_below_it_is_left_and_one_that_is_too_deep_is_named() {
        let dir = tree(&["a/run.json", "b/c/run.json", "d/e/f/g/h/run.json"]);
        let message = find_within(5, &[dir.path().into()]).unwrap_err().to_string();
        for said in
            ["5 directories were looked into, up to 4 levels down", "2 runs were found", "nearer to the runs"]
        {
            assert!(message.contains(said), "{said}: {message}");
        }
        assert_eq!(found(dir.path(), &["", "d/e"]), ["a", "b/c", "d/e/f/g/h"]);
        let too_deep = find_runs(&[dir.path().join("d/..")]).unwrap();
        assert_eq!(too_deep.dirs.len(), 2);
        let message = find_runs(&[tree(&["d/e/f/g/h/run.json"]).path().into()]).unwrap_err().to_string();
        assert!(message.contains("at most 4 levels down"), "{message}");
    }

    #[test]
    fn what_is_no_run_is_refused_though_others_are_there() {
        let dir = tree(&["a-001/run.json", "notes/text", "x.txt"]);
        for wrong in ["notes", "x.txt", "missing"] {
            let named = [dir.path().join("a-001"), dir.path().join(wrong)];
            let message = find_runs(&named).unwrap_err().to_string();
            assert!(message.contains(wrong), "{message}");
        }
    }
}
