//! A real guest and QEMU's own meters: `sully-lab calibrate`, in its shortest form. Needs what `tests/vm.rs` needs.
#![cfg(feature = "host")]

mod parts;

use serde_json::Value;
use std::process::{Command, Stdio};

#[test]
fn qemus_meters_are_held_against_what_the_guest_counts_and_nothing_is_left() {
    let test = "qemus_meters_are_held_against_what_the_guest_counts_and_nothing_is_left";
    let (program, image) = match parts::lab_and_image() {
        Ok(both) => both,
        Err(why) => return eprintln!("SKIPPED: {test}: {why}"),
    };
    let (out, temporary) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut command = Command::new(program);
    command.args(["calibrate", "--quick", "--json", "--accel", "tcg", "--memory", "64M", "--rate", "8M/s"]);
    command.arg("--image").arg(image).arg("--out").arg(out.path()).env("TMPDIR", temporary.path());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let (said, printed) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert_eq!(output.status.code(), Some(0), "{said}{printed}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let readings = found["loads"][0]["readings"].as_array().unwrap();
    println!("{readings:#?}");
    let of = |meter: &str, moment: &str| {
        readings.iter().find(|reading| reading["meter"] == meter && reading["moment"] == moment).unwrap()
    };
    // A busy host holds a load up, which is counted all the same.
    for (meter, moment) in [("page-sampling", "before"), ("dirty-pages-rate", "during")] {
        let guest = of(meter, moment)["guest_pages_per_s"].as_f64().unwrap_or_else(|| panic!("{readings:?}"));
        assert!((1000.0..4000.0).contains(&guest), "{meter}: asked were 2048 p/s: {readings:?}");
    }
    let error = of("dirty-pages-rate", "during")["error_percent"].as_f64().unwrap();
    assert!(error.abs() < 40.0, "QEMU counts what was dirtied: {readings:?}");
    let ring = of("dirty-ring", "before");
    assert!(ring["error_percent"].is_null() && ring["reason"].as_str().unwrap().contains("KVM"), "{ring}");
    for file in ["calibration.json", "calibration.md", "calibration.svg"] {
        assert!(out.path().join(file).metadata().unwrap().len() > 200, "{file}");
    }
    let left: Vec<_> = std::fs::read_dir(temporary.path()).unwrap().flatten().collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}
