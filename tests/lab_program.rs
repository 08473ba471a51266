//! The host program's command line as a user types it wrongly: no VM is started.
#![cfg(feature = "host")]

use assert_cmd::Command;
use std::time::Duration;

fn lab(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sully-lab"));
    command.args(arguments.split_whitespace()).timeout(Duration::from_secs(30));
    command
}

#[test]
fn wrong_inputs_are_repeated_and_answered_with_the_way_out() {
    let here = env!("CARGO_MANIFEST_DIR");
    for (arguments, repeated, way_out) in [
        ("run smoke/postcopy", "'smoke/postcopy'", "smoke/post-copy"),
        ("run nothing.toml", "'nothing.toml'", "sully-lab scenarios"),
        ("run smoke/precopy --set load.rat=5M/s", "load.rat=5M/s", "load.rate"),
        ("run smoke/precopy --set load.rate=fast", "'fast'", "100M/s"),
        ("run smoke/precopy --set load", "--set load", "load.rate=80M/s"),
        ("run smoke/precopy --set vm.cpus=0", "vm.cpus", "1"),
        ("run smoke/precopy --accel hvf", "'hvf'", "auto, kvm or tcg"),
        ("run smoke/precopy --repeat 0", "'0'", "1..=10000"),
        ("run smoke/precopy --image /nowhere", "/nowhere", "sully-lab image -o /nowhere"),
        ("scenarios smoke/pre", "'smoke/pre'", "smoke/precopy"),
        ("report /nowhere", "'/nowhere'", "sully-lab run"),
        ("report", "DIR", "--help"),
        ("image -o /nonexistent/x --kernel Cargo.toml --guest Cargo.toml", "'Cargo.toml'", "cargo guest"),
        ("collect / --out /tmp/x", "'/'", "*.sock"),
        ("collect /run/[ --out /tmp/x", "'/run/['", "/run/vms/*.sock"),
        ("collect x --out target/x --prometheus here", "'here'", "--prometheus"),
        ("ctl /nowhere mark", "mark", "mark the backup begins"),
        ("ctl /nowhere set fast", "'fast'", "rate=200M/s"),
        ("ctl /nowhere", "COMMAND", "--help"),
        ("frobnicate", "'frobnicate'", "--help"),
    ] {
        let output = lab(arguments).current_dir(here).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}:\n{message}");
        assert!(message.contains(repeated) && message.contains(way_out), "{arguments}:\n{message}");
        assert!(output.stdout.is_empty(), "{arguments} printed to standard output");
    }
}

#[test]
fn every_command_explains_itself() {
    for command in ["", "image", "run", "scenarios", "report", "collect", "ctl"] {
        let output = lab(&format!("{command} --help")).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("Usage: sully-lab"), "{command}: {text}");
    }
}

#[test]
fn a_printed_scenario_is_a_scenario_file() {
    let printed = lab("scenarios smoke/auto-converge").output().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mine.toml");
    std::fs::write(&file, &printed.stdout).unwrap();
    let output = lab(&format!("run {} --image /nowhere", file.display())).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.contains("no guest image in /nowhere"),
        "the file was read, the image was missed: {message}"
    );
}
