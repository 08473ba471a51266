//! Report targets and backing files that somebody else has, that nobody reads, or that may grow no more.

use super::{end, failure, records, spawn, sully};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Output};
use std::time::Duration;
use sully::record::EndReason;

const RUN: &str = "run -m 8M -r 10M/s -t 1 -i 50ms --baseline 0s";

/// Waits until `path` has bytes, at most 20 s.
fn wait_for(path: &Path) {
    for _ in 0..2000 {
        if std::fs::metadata(path).is_ok_and(|found| found.len() > 0) {
            return;
        }
        wait(Duration::from_millis(10));
    }
    panic!("{} stays empty", path.display());
}

/// A pause between two looks.
fn wait(span: Duration) {
    let (_keep, nothing) = std::sync::mpsc::channel::<()>();
    let _ = nothing.recv_timeout(span);
}

fn said(mut child: Child) -> (Option<i32>, String) {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    (child.wait().unwrap().code(), text)
}

/// What comes of the guest program under `limit`; none, said aloud, where util-linux is missing.
fn limited(limit: &str, arguments: &str) -> Option<Output> {
    let program = env!("CARGO_BIN_EXE_sully");
    let run = Command::new("prlimit").arg(limit).arg(program).args(arguments.split_whitespace()).output();
    if run.is_err() {
        println!("SKIPPED: {limit}: there is no prlimit");
    }
    run.ok()
}

#[test]
fn a_second_run_leaves_the_first_ones_report_alone_and_says_who_writes_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("same.ndjson");
    let run = format!("{RUN} -d 3s --report file:{}", path.display());
    let first = spawn(&run);
    wait_for(&path);
    let pid = first.id();
    for command in [run.clone(), run.replacen("run", "check", 1)] {
        let output = sully(&command).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(matches!(output.status.code(), Some(1 | 2)), "{text}");
        assert!(text.contains(&format!("process {pid}")) && text.contains("end that one first"), "{text}");
    }
    assert_eq!(said(first), (Some(0), String::new()));
    assert_eq!(end(&records(&path)).reason, EndReason::Duration);
}

#[test]
fn a_second_run_leaves_the_first_ones_memory_alone_and_says_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let (region, path) = (dir.path().join("region"), dir.path().join("out"));
    let run = format!("{RUN} -d 3s --backing file:{}", region.display());
    let first = spawn(&format!("{run} --report file:{}", path.display()));
    wait_for(&path);
    let (code, text) = failure(&run);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&format!("process {}", first.id())) && text.contains("a new one"), "{text}");
    assert_eq!(said(first), (Some(0), String::new()));
    assert_eq!(end(&records(&path)).totals.corruptions.map(|counts| counts.sum()), Some(0));
}

#[test]
fn a_container_without_sys_is_not_told_that_there_are_no_ports() {
    let run = format!("{} {RUN} -d 1s --report virtio", env!("CARGO_BIN_EXE_sully"));
    let hidden = "mount -t tmpfs none /sys && exec ";
    let output = Command::new("unshare").args(["-m", "sh", "-c", &(hidden.to_owned() + &run)]).output();
    let Some(output) =
        output.ok().filter(|output| !String::from_utf8_lossy(&output.stderr).contains("denied"))
    else {
        return println!("SKIPPED: a hidden /sys: unshare -m is not allowed here");
    };
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("'org.sully.0' cannot be told") && text.contains("container"), "{text}");
    assert!(!text.contains("Give the VM one"), "{text}");
}

#[test]
fn one_file_named_twice_in_one_run_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let target = format!("--report file:{}", dir.path().join("out").display());
    let (code, text) = failure(&format!("{RUN} -d 1s {target} {target}"));
    assert!(code == Some(1) && text.contains("this run itself"), "{code:?} {text}");
}

#[test]
fn records_that_nobody_took_are_said_and_the_other_target_has_them_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let socket = format!("unix:{}", dir.path().join("nobody").display());
    let run = format!("{RUN} -d 300ms --report file:{} --report {socket}", path.display());
    let (code, text) = failure(&run);
    let all = records(&path).len();
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains(&format!("{socket} took 0 of ")) && text.contains("start the reader first"),
        "{text}"
    );
    assert!(all > 5, "{all}");
}

#[test]
fn a_report_that_may_grow_no_more_goes_the_way_of_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let (small, whole) = (dir.path().join("small"), dir.path().join("whole"));
    let targets = format!("--report file:{} --report unix:{}", small.display(), whole.display());
    let listener = std::os::unix::net::UnixListener::bind(&whole).unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        text
    });
    let Some(output) = limited("--fsize=5000", &format!("{RUN} -d 20s {targets}")) else { return };
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("small") && text.contains("File too large"), "{text}");
    let kept = records(&small).len();
    assert!(kept > 0, "the lines that fit stay, each whole");
    let heard = reader.join().unwrap();
    assert!(heard.lines().last().unwrap().contains("report_failed"), "{heard}");
}

#[test]
fn a_backing_file_that_may_not_be_so_large_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let region = dir.path().join("region");
    let file = format!("file:{}", region.display());
    // Shared memory is a file to the kernel as well.
    for (command, backing) in [("run", &*file), ("check", &file), ("run", "shared"), ("check", "shared")] {
        let run = format!("{command} -m 8M -d 1s --backing {backing}");
        let Some(output) = limited("--fsize=5000", &run) else { return };
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(matches!(output.status.code(), Some(1 | 2)), "{:?} {text}", output.status);
        assert!(text.contains("ulimit -f") && text.contains("lower --memory"), "{text}");
        assert!(!region.exists());
    }
}

#[test]
fn a_backing_file_that_is_cut_under_the_run_ends_it_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let (region, path) = (dir.path().join("region"), dir.path().join("out"));
    let backing = format!("--backing file:{} --report file:{}", region.display(), path.display());
    let child = spawn(&format!("{RUN} -d 50s {backing}"));
    wait_for(&path);
    std::fs::File::options().write(true).open(&region).unwrap().set_len(4096).unwrap();
    let (code, text) = said(child);
    assert!(code == Some(1) && text.contains("cut the file"), "{code:?} {text}");
}

#[test]
fn whoever_looks_on_sees_the_table_though_a_file_gets_the_records() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let run = format!("{} {RUN} -d 500ms --report file:{}", env!("CARGO_BIN_EXE_sully"), path.display());
    let Ok(output) = Command::new("script").args(["-qec", &run, "/dev/null"]).output() else {
        return println!("SKIPPED: the table on a terminal: there is no script(1)");
    };
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("achieved") && text.contains("dirtied in"), "{text}");
    assert_eq!(end(&records(&path)).reason, EndReason::Duration);
    let output = sully(&format!("{RUN} -d 300ms --report file:{}", path.display())).output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty(), "a pipe stays silent");
}
