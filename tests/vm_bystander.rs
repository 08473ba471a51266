//! The innocent bystander in a real guest: what vCPU 0 does is told of vCPU 0, and of the region that is on it.
//!
//! It needs the built image and program, as `tests/vm.rs` does.
#![cfg(feature = "host")]

mod parts;

use serde_json::Value;
use std::process::{Command, Stdio};

#[test]
fn what_dirties_and_what_computes_are_told_apart_by_region_and_by_vcpu() {
    let test = "what_dirties_and_what_computes_are_told_apart_by_region_and_by_vcpu";
    let (program, image) = match parts::lab_and_image() {
        Ok(both) => both,
        Err(why) => return eprintln!("SKIPPED: {test}: {why}"),
    };
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("runs");
    let output = Command::new(&program)
        .args(["run", "bystander/post-copy", "--accel", "tcg", "--quiet", "--image"])
        .arg(image)
        .arg("--out")
        .arg(&out)
        .args(["--scale", "1/2", "--set", "load.baseline=3s"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("vCPU 1, which dirtied nothing, lost"), "{said}");

    let run = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path());
    let run = run.into_iter().find(|path| path.is_dir()).unwrap();
    let records = std::fs::read_to_string(run.join("records.ndjson")).unwrap();
    let records: Vec<Value> = records.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let intervals: Vec<&Value> = records.iter().filter(|record| record["type"] == "interval").collect();
    for interval in &intervals {
        let regions = &interval["regions"];
        assert_eq!((&regions[0]["name"], &regions[1]["name"]), (&"dirties".into(), &"computes".into()));
        assert_eq!((&regions[0]["writes"], &regions[1]["writes"]), (&interval["writes"], &Value::Null));
        assert!(regions[0]["units"].is_null() && regions[1]["units"].is_u64(), "{interval}");
    }
    let sum = |region: usize, of: &str| -> u64 {
        intervals.iter().filter_map(|interval| interval["regions"][region][of].as_u64()).sum()
    };
    // 200 units a second beside thousands of pages.
    let (units, offered) = (sum(1, "units"), sum(1, "offered"));
    assert!(units * 10 > offered * 9 && sum(0, "writes") > 10 * units, "{units} of {offered}");

    let analysis: Value = serde_json::from_slice(&std::fs::read(run.join("analysis.json")).unwrap()).unwrap();
    let stages = analysis["stages"].as_array().unwrap();
    let stage = |name: &str| stages.iter().find(|stage| stage["name"] == name).unwrap();
    let share = |cpu: usize| {
        let own = &stage("postcopy")["cpus"][cpu];
        assert_eq!(own["cpu"], cpu);
        1.0 - own["running_s"].as_f64().unwrap() / own["wall_s"].as_f64().unwrap()
    };
    assert!(share(0) > share(1), "vCPU 0 waits for pages: {}", stage("postcopy"));
    // As long as no page has to be waited for.
    let p50 = |region: usize| stage("baseline")["regions"][region]["service_ns"]["p50"].as_u64();
    assert!(p50(0) < p50(1), "a visit of a page is shorter than a unit: {}", stage("baseline"));
}
