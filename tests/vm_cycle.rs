//! Real VMs that are saved and restored: every page right, every session whole, and two guests of one file told apart.
//!
//! Needs what `tests/vm.rs` needs.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod parts;

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs a scenario, which must pass; the report's figures.
fn figures(test: &str, arguments: &str) -> Option<Value> {
    let (program, image) =
        parts::lab_and_image().inspect_err(|why| eprintln!("SKIPPED: {test}: {why}")).ok()?;
    let out = tempfile::tempdir().unwrap();
    let mut run = Command::new(&program);
    run.arg("run").args(arguments.split_whitespace()).args(["--accel", "tcg", "--quiet"]);
    run.arg("--image").arg(image).arg("--out").arg(out.path()).stdin(Stdio::null());
    let output = run.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    let dir =
        std::fs::read_dir(out.path()).unwrap().flatten().map(|entry| entry.path()).find(|path| path.is_dir());
    Some(report(&program, &dir.unwrap()))
}

fn report(program: &Path, dir: &Path) -> Value {
    let output = Command::new(program).args(["report", "--json"]).arg(dir).output().unwrap();
    serde_json::from_slice::<Value>(&output.stdout).unwrap()[0].take()
}

fn is_sound(figures: &Value) {
    assert_eq!(figures["contradictions"], Value::Array(Vec::new()), "{}", figures["contradictions"]);
    for fault in ["holes", "doubles", "torn", "unknown", "dropped_by_guest"] {
        assert_eq!(figures["stream"][fault], 0, "{}", figures["stream"]);
    }
}

fn are_right(pages: &Value) {
    assert!(pages["corrupt"] == 0 && pages["looked_at"] == pages["of"] && pages["of"] == 4096, "{pages}");
}

#[test]
fn a_guest_that_is_saved_and_restored_pays_in_time_and_never_in_pages() {
    let test = "a_guest_that_is_saved_and_restored_pays_in_time_and_never_in_pages";
    let Some(figures) = figures(test, "cycle/plain") else { return };
    is_sound(&figures);
    let cycles = figures["cycles"].as_array().unwrap();
    assert_eq!(cycles.len(), 2);
    for cycle in cycles {
        are_right(&cycle["pages"]);
        assert_eq!(cycle["dirtied_pages"], 2048, "{cycle}");
        for figure in ["save_ns", "restore_ns", "file_bytes"] {
            assert!(cycle[figure].as_u64().is_some_and(|value| value > 1_000_000), "{figure}: {cycle}");
        }
        let first = cycle["first_touch"]["count"].as_u64().unwrap();
        assert!((2048..=4096).contains(&first) && cycle["paid"].is_string(), "{cycle}");
    }
}

#[test]
fn a_busy_guest_is_saved_in_the_midst_and_loses_no_page() {
    let test = "a_busy_guest_is_saved_in_the_midst_and_loses_no_page";
    // A load.rate, and no cycle.dirty: it runs until it is stopped.
    let dir = tempfile::tempdir().unwrap();
    let scenario = dir.path().join("busy.toml");
    let busy = "[vm]\nmemory = \"160M\"\n[load]\nmemory = \"16M\"\nrate = \"20M/s\"\nbaseline = \"1s\"\n\
                [migration]\nsettle = \"1s\"\n[cycle]\ncycles = 3\n";
    std::fs::write(&scenario, busy).unwrap();
    let Some(figures) = figures(test, &scenario.display().to_string()) else { return };
    is_sound(&figures);
    let cycles = figures["cycles"].as_array().unwrap();
    assert_eq!(cycles.len(), 3);
    for cycle in cycles {
        are_right(&cycle["pages"]);
        assert!(cycle["first_touch"].is_null() && cycle["first_touch_reason"].is_string(), "{cycle}");
    }
}

#[test]
fn two_guests_of_one_file_are_two_sessions_and_every_page_of_both_is_right() {
    let test = "two_guests_of_one_file_are_two_sessions_and_every_page_of_both_is_right";
    let Some(figures) = figures(test, "cycle/fork") else { return };
    is_sound(&figures);
    let cycle = &figures["cycles"][0];
    are_right(&cycle["pages"]);
    are_right(&cycle["fork"]["pages"]);
    assert!(cycle["fork"]["is_apart"] == true && cycle["fork"]["restore_ns"].as_u64() > Some(0), "{cycle}");
}
