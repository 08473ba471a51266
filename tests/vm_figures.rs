//! Figures of real migrations: the stall at the start, the blackout of a guest with too many writers, and loads that are not
//! constant.
//!
//! It needs the built image and program, which `make test` provides through `SULLY_TEST_IMAGE` and `SULLY_TEST_LAB`; without
//! them a test skips aloud. `SULLY_FIDELITY=long` measures more.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod parts;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How often a machine that is busy with other work may be asked again.
const TRIES: usize = 3;

/// The program and the image, or a skip that is heard.
fn lab_and_image(test: &str) -> Option<(PathBuf, PathBuf)> {
    parts::lab_and_image().inspect_err(|why| eprintln!("SKIPPED: {test}: {why}")).ok()
}

fn is_long() -> bool {
    std::env::var("SULLY_FIDELITY").is_ok_and(|form| form == "long")
}

/// What a run left behind.
struct Ran {
    analysis: Value,
    figures: Value,
    events: Vec<Value>,
    said: String,
}

/// One `smoke/precopy` with these settings, which must pass; on a busy machine the load may take several tries to be steady.
fn run(lab: &(PathBuf, PathBuf), settings: &[String]) -> Ran {
    let mut tries = (0..TRIES).map(|_| try_once(lab, settings));
    let said =
        match tries.find(|tried| tried.as_ref().err().is_none_or(|said| !said.contains("never steady"))) {
            Some(Ok(ran)) => return ran,
            Some(Err(said)) => said,
            None => format!("the load was never steady in {TRIES} tries"),
        };
    panic!("{settings:?}: {said}");
}

/// What a run left behind, or what it said when it did not pass.
fn try_once((program, image): &(PathBuf, PathBuf), settings: &[String]) -> Result<Ran, String> {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("runs");
    let mut command = Command::new(program);
    command.args(["run", "smoke/precopy", "--accel", "tcg", "--quiet", "--image"]).arg(image);
    command.arg("--out").arg(&out).stdin(Stdio::null());
    for setting in settings {
        command.args(["--set", setting]);
    }
    let output = command.output().unwrap();
    let said =
        (String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr)).into_owned();
    if !output.status.success() {
        return Err(said);
    }
    let directory = std::fs::read_dir(&out).unwrap().next().unwrap().unwrap().path();
    let report = Command::new(program).arg("report").arg("--json").arg(&directory).output().unwrap();
    assert!(report.status.success(), "{}", String::from_utf8_lossy(&report.stderr));
    let figures: Value = serde_json::from_slice(&report.stdout).unwrap();
    Ok(Ran {
        analysis: json(&directory.join("analysis.json")),
        figures: figures[0].clone(),
        events: lines(&directory.join("qemu.ndjson")),
        said,
    })
}

fn json(file: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// QEMU's `setup` to its `active` on the source, by its own stamps, in ms.
fn setup_ms(events: &[Value]) -> f64 {
    let at = |status: &str| {
        let told = events.iter().find(|line| {
            line["side"] == "source" && line["event"] == "MIGRATION" && line["data"]["status"] == status
        });
        told.unwrap_or_else(|| panic!("QEMU told of no {status}"))["qemu_real_us"].as_f64().unwrap()
    };
    (at("active") - at("setup")) / 1e3
}

#[test]
fn the_stall_at_the_start_of_a_migration_is_of_class_setup_and_as_long_as_qemu_took() {
    let test = "the_stall_at_the_start_of_a_migration_is_of_class_setup_and_as_long_as_qemu_took";
    let Some(lab) = lab_and_image(test) else { return };
    let sizes: &[&str] = if is_long() { &["128M", "512M", "2G"] } else { &["128M", "512M"] };
    for size in sizes {
        let mut seen = Vec::new();
        let is_met = (0..TRIES).any(|_| {
            // A light load: the guest's own work at that moment shall not matter.
            let ran = run(&lab, &[format!("vm.memory={size}"), "load.rate=4M/s".into()]);
            let took_ms = setup_ms(&ran.events);
            let gaps = ran.analysis["longest"].as_array().unwrap().iter();
            let of_setup = gaps.filter(|gap| gap["class"] == "setup");
            let length_ms =
                |gap: &Value| (gap["end_s"].as_f64().unwrap() - gap["start_s"].as_f64().unwrap()) * 1e3;
            let gap_ms = of_setup.map(length_ms).fold(0.0, f64::max);
            let told = &ran.analysis["setup"];
            let told_ms = (told["end_s"].as_f64().unwrap() - told["start_s"].as_f64().unwrap()) * 1e3;
            assert!((told_ms - took_ms).abs() < 1.0, "{size}: told {told_ms} ms, QEMU's stamps {took_ms} ms");
            assert_eq!(told, &ran.figures["setup"], "the report's figure is the analysis'");
            assert!(ran.said.contains("to set it up"), "{}", ran.said);
            seen.push((took_ms, gap_ms));
            (gap_ms - took_ms).abs() <= (0.1 * took_ms).max(5.0)
        });
        eprintln!("V21 {size}: QEMU's setup to active and the longest gap of class setup, ms: {seen:?}");
        assert!(is_met, "{size}: {seen:?}");
    }
}

#[test]
fn the_blackout_of_a_guest_with_too_many_writers_is_right_or_said_not_to_be_told() {
    let test = "the_blackout_of_a_guest_with_too_many_writers_is_right_or_said_not_to_be_told";
    let Some(lab) = lab_and_image(test) else { return };
    for threads in [1, 16, 64] {
        let ran = run(&lab, &[format!("load.threads={threads}"), "vm.cpus=1".into()]);
        let blackout = &ran.figures["blackout"];
        let seen_ms = blackout["stop_to_resume_ns"].as_f64().unwrap() / 1e6;
        eprintln!("V22 {threads} writers: {blackout}");
        match blackout["estimate_ns"].as_f64().map(|ns| ns / 1e6) {
            Some(found_ms) => {
                let is_near = (found_ms - seen_ms).abs() <= 5.0;
                assert!(is_near || blackout["disagreement"].is_string(), "{threads} writers: {blackout}");
            }
            None => assert!(blackout["reason"].is_string(), "{threads} writers: {blackout}"),
        }
    }
}

/// Phases that rise, pause and fall, through the migration and after it.
const PHASES: &str = r#"
[[phase]]
name = "rise"
duration = "8s"
ramp = "1M/s..6M/s"

[[phase]]
name = "bursts"
duration = "4s"
rate = "3M/s"
pace = "burst:100ms/300ms"

[[phase]]
name = "end"
rate = "2M/s"
pace = "poisson"
reads = "25%"
"#;

/// What stands against the demand in this run; none where nothing does.
fn fault(ran: &Ran) -> Option<String> {
    let stage = |name: &str| {
        let stages = ran.analysis["stages"].as_array().unwrap();
        stages.iter().find(|stage| stage["name"] == name).unwrap_or(&Value::Null).clone()
    };
    let share =
        |stage: &Value| Some(stage["lost"]["full_stop_s"].as_f64()? / stage["lost"]["covered_s"].as_f64()?);
    let away = |stage: &Value| {
        let time = &stage["time"];
        Some(1.0 - time["running_s"].as_f64()? / time["wall_s"].as_f64()?)
    };
    let after = stage("after");
    // Nothing of QEMU's goes on any more: what the vCPU is away for now, the machine takes.
    if away(&after).is_none_or(|away| away > 0.05) {
        return Some(format!("too busy: the vCPU was away for {:?} after it", away(&after)));
    }
    match share(&after) {
        None => return Some(format!("after it: {}", after["lost_reason"])),
        Some(share) if share > 0.01 => return Some(format!("after it {share} of the work was lost")),
        Some(_) => {}
    }
    if ran.analysis["settling"]["after_s"].is_null() {
        return Some(format!("not settled: {}", ran.analysis["settling"]["reason"]));
    }
    // What QEMU does to the guest is a loss: in a burst five times that of the mean.
    let precopy = stage("precopy");
    let away = away(&precopy).unwrap_or(1.0);
    match share(&precopy) {
        None => Some(format!("pre-copy: {}", precopy["lost_reason"])),
        Some(share) if share > 0.02 + 5.0 * away => {
            Some(format!("in pre-copy {share} of the work was lost, the vCPU was away for {away}"))
        }
        Some(_) => None,
    }
}

#[test]
fn loads_that_are_not_constant_lose_nothing_by_being_so_and_settle() {
    let test = "loads_that_are_not_constant_lose_nothing_by_being_so_and_settle";
    let Some(lab) = lab_and_image(test) else { return };
    let dir = tempfile::tempdir().unwrap();
    let plan = dir.path().join("phases.toml");
    std::fs::write(&plan, PHASES).unwrap();
    let planned = format!("load.plan={}", plan.display());
    // The phases have arrivals at random and reads as well; by themselves these are for the long form.
    let loads: [&[&str]; 4] = [
        &["load.pace=burst:200ms/800ms"],
        &[&planned, "load.baseline=2s", "migration.settle=10s"],
        &["load.pace=poisson"],
        &["load.reads=25%"],
    ];
    for load in &loads[..if is_long() { 4 } else { 2 }] {
        let mut settings: Vec<String> = load.iter().map(|setting| (*setting).to_owned()).collect();
        settings.push("load.rate=2M/s".into());
        let mut faults = Vec::new();
        let is_met = (0..TRIES).any(|_| {
            let found = fault(&run(&lab, &settings));
            faults.extend(found.clone());
            found.is_none()
        });
        eprintln!("V24 {load:?}: {faults:?}");
        let is_busy =
            faults.iter().all(|fault| fault.contains("baseline itself") || fault.starts_with("too busy"));
        if !is_met && is_busy {
            eprintln!("SKIPPED: {test} with {load:?}: this machine is too busy for a baseline");
            continue;
        }
        assert!(is_met, "{load:?}: {faults:?}");
    }
}
