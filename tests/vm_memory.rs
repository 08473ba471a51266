//! A small guest whose memory is dirtied nearly whole, in regions of a plan file that comes with its image.
//!
//! It needs the built image and program, as `tests/vm.rs` does. `SULLY_TEST_MEMORY_SECONDS` has it run longer.
#![cfg(feature = "host")]

mod parts;

use serde_json::Value;
use std::process::{Command, Stdio};

/// What a kernel says when it ends a program for want of memory.
const OUT_OF_MEMORY: [&str; 3] = ["Out of memory", "oom-kill", "invoked oom-killer"];

const PLAN: &str = r#"
[[region]]
name = "hot"
memory = "5%"
share = 3

[[region]]
name = "cold"
memory = "70%"
pattern = "random"
content = "compress:50"
"#;

#[test]
fn three_quarters_of_a_small_guest_are_dirtied_in_two_regions_and_nobody_is_killed() {
    let test = "three_quarters_of_a_small_guest_are_dirtied_in_two_regions_and_nobody_is_killed";
    let (program, image) = match parts::lab_and_image() {
        Ok(both) => both,
        Err(why) => return eprintln!("SKIPPED: {test}: {why}"),
    };
    let dir = tempfile::tempdir().unwrap();
    let (plan, out) = (dir.path().join("plan.toml"), dir.path().join("runs"));
    std::fs::write(&plan, PLAN).unwrap();
    let seconds = std::env::var("SULLY_TEST_MEMORY_SECONDS").unwrap_or_else(|_| "5".into());
    let output = Command::new(program)
        .args(["run", "smoke/precopy", "--accel", "tcg", "--quiet", "--image"])
        .arg(image)
        .arg("--out")
        .arg(&out)
        .args(["--set", "vm.memory=512M", "--set", "load.rate=4M/s", "--set", "migration.bandwidth=200M/s"])
        .args(["--set", &format!("load.baseline={seconds}s")])
        .args(["--set", &format!("load.plan={}", plan.display())])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let directory = std::fs::read_dir(&out).unwrap().next().unwrap().unwrap().path();
    for console in ["console-source.log", "console-destination.log"] {
        let words = String::from_utf8_lossy(&std::fs::read(directory.join(console)).unwrap()).into_owned();
        assert!(OUT_OF_MEMORY.iter().all(|word| !words.contains(word)), "{console}: {words}");
    }
    let records = std::fs::read_to_string(directory.join("records.ndjson")).unwrap();
    let records: Vec<Value> = records.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let hello = &records[0];
    let names: Vec<&Value> =
        hello["plan"]["regions"].as_array().unwrap().iter().map(|region| &region["name"]).collect();
    assert_eq!(names, ["hot", "cold"]);
    let share = 100 * hello["memory"]["resident_bytes"].as_u64().unwrap()
        / hello["mem_total_bytes"].as_u64().unwrap();
    assert!((55..=75).contains(&share), "{share} % of all memory, which is more than what is available");
    let end = records.last().unwrap();
    assert_eq!((&end["type"], &end["reason"]), (&Value::from("end"), &Value::from("stop")), "{end}");
}
