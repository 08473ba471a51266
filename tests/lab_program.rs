//! The host program's command line as a user types it wrongly: no VM is started.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use assert_cmd::Command;
use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

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
        ("run precopy", "'precopy'", "smoke/precopy"),
        ("run postcopy --set load.rate=1M/s", "'postcopy'", "smoke/post-copy"),
        ("run smoke/precopy --set migration.method=x", "'migration.method'", "migration.auto_converge"),
        ("run smoke/precopy --set vm.cpus=many", "vm.cpus=many", "1 to 255"),
        ("run smoke/precopy --set load.threads=-1", "load.threads=-1", "1 to 1024"),
        ("run smoke/precopy --set expect.outcome=fine", "expect.outcome=fine", "completed, failed or any"),
        ("run smoke/precopy --set load.interval=1h", "load.interval = 1h", "10s"),
        ("run smoke/precopy --set load.plan=/nowhere", "/nowhere", "name a plan file"),
        ("run nothing.toml", "'nothing.toml'", "sully-lab scenarios"),
        ("run smoke/precopy --set load.rat=5M/s", "load.rat=5M/s", "load.rate"),
        ("run smoke/precopy --set load.rate=fast", "'fast'", "100M/s"),
        ("run smoke/precopy --set load", "--set load", "load.rate=80M/s"),
        ("run smoke/precopy --set load=1", "--set load=1", "load.memory, load.pages"),
        ("run smoke/precopy --set vm.memory=2", "vm.memory = 2", "a number without a unit is bytes"),
        ("run smoke/precopy --set load.pattern=hotspot:100%/0%", "hotspot:100%/0%", "hotspot:10%/90%"),
        ("collect x --out target/x --prometheus 127.0.0.1", "'127.0.0.1'", "127.0.0.1:9469"),
        ("run smoke/precopy --set vm.cpus=0", "vm.cpus", "1"),
        ("run smoke/precopy --accel hvf", "'hvf'", "auto, kvm or tcg"),
        ("run smoke/precopy --repeat 0", "'0'", "1 to 10000"),
        ("run smoke/precopy --repeat often", "'often'", "1 to 10000"),
        ("run smoke/precopy --image /nowhere", "/nowhere", "sully-lab image -o /nowhere"),
        ("scenarios smoke/pre", "'smoke/pre'", "smoke/precopy"),
        ("report /nowhere", "'/nowhere'", "sully-lab run"),
        ("report src", "'src'", "sully-lab run"),
        ("report Cargo.toml", "'Cargo.toml'", "sully-lab run"),
        ("report", "DIR", "--help"),
        ("image -o /nonexistent/x --kernel Cargo.toml --guest Cargo.toml", "'Cargo.toml'", "cargo guest"),
        ("collect / --out /tmp/x", "'/'", "*.sock"),
        ("collect /run/[ --out /tmp/x", "'/run/['", "/run/vms/*.sock"),
        ("collect x --out target/x --prometheus here", "'here'", "--prometheus"),
        ("ctl /usr ping", "'/usr'", "sully-lab collect SOCKET... --out /usr"),
        ("ctl /nowhere ping", "'/nowhere'", "a running VM's socket"),
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
fn standard_error_that_takes_nothing_changes_no_exit_code() {
    for arguments in ["run smoke/nosuch", "report /nowhere", "ctl /nowhere ping", "collect / --out target/x"]
    {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sully-lab"));
        command.args(arguments.split_whitespace()).stdout(fs::File::create("/dev/null").unwrap());
        let status = command.stderr(fs::File::create("/dev/full").unwrap()).status().unwrap();
        let heard = lab(arguments).output().unwrap().status;
        assert_eq!(status.code(), heard.code(), "{arguments}: {status}");
        assert!(matches!(heard.code(), Some(1 | 2)), "{arguments}: {heard}");
    }
}

/// A directory with an image and a QEMU that no guest ever boots from.
fn made_up_host() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("target/image");
    fs::create_dir_all(&image).unwrap();
    fs::write(image.join("vmlinuz"), "").unwrap();
    fs::write(image.join("initramfs"), "").unwrap();
    let qemu = dir.path().join("qemu");
    fs::write(&qemu, "#!/bin/sh\necho QEMU emulator version 7.2.22\n").unwrap();
    fs::set_permissions(&qemu, fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

#[test]
fn what_is_named_and_cannot_be_used_is_found_before_a_vm_boots_and_is_the_command_lines_fault() {
    let dir = made_up_host();
    fs::write(dir.path().join("mine.toml"), "[load]\nmemory = 256\n").unwrap();
    for (arguments, repeated, way_out) in [
        ("--qemu /nonexistent", "/nonexistent", "--qemu PATH"),
        ("--qemu ./mine.toml", "./mine.toml", "--qemu PATH"),
        ("--qemu /bin/true", "/bin/true is no QEMU", "--qemu PATH"),
        ("--qemu ./qemu --set vm.memory=900G", "vm.memory = 900G", "--set vm.memory=256M"),
        ("--qemu ./qemu --out mine.toml/runs", "'mine.toml/runs'", "--out DIR"),
        ("--qemu ./qemu --image .", "./vmlinuz", "--image DIR"),
        ("mine.toml", "load.memory = 256", "a size or a share such as 64M or 75%"),
    ] {
        let output =
            lab(&format!("run smoke/precopy --accel tcg {arguments}")).current_dir(&dir).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}:\n{message}");
        assert!(message.contains(repeated) && message.contains(way_out), "{arguments}:\n{message}");
        let made = fs::read_dir(dir.path().join("runs")).map_or(0, Iterator::count);
        assert_eq!(made, 0, "{arguments}: a run directory was made");
    }
}

#[test]
fn the_image_that_make_image_builds_is_found_and_without_one_both_ways_to_it_are_said() {
    let (empty, dir) = (tempfile::tempdir().unwrap(), made_up_host());
    let said = |place: &tempfile::TempDir| {
        let output =
            lab("run smoke/post-copy --accel tcg --qemu /nonexistent").current_dir(place).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said(&dir).contains("QEMU not found"), "the image was found: {}", said(&dir));
    let message = said(&empty);
    for part in ["sully-image or target/image", "make image", "sully-lab image -o sully-image --kernel"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_reader_that_has_read_enough_is_no_failure_and_a_full_disk_is_one_with_its_cause_once() {
    for arguments in ["scenarios", "scenarios smoke/precopy", "--help"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sully-lab"));
        let output = command.args(arguments.split_whitespace()).stdout(writer).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && message.is_empty(), "{arguments}: {message}");
    }
    for arguments in ["scenarios", "scenarios smoke/precopy", "--help", "--version"] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sully-lab"));
        command.args(arguments.split_whitespace()).stdout(full).stderr(std::process::Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments}: {message}");
        assert_eq!(message.matches("No space left on device").count(), 1, "{arguments}: {message}");
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
fn help_fits_a_terminal_of_80_columns() {
    for command in
        ["", "image", "run", "scenarios", "converge", "calibrate", "report", "collect", "measure", "ctl"]
    {
        let output = lab(&format!("{command} --help")).env("COLUMNS", "80").output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        let wide: Vec<&str> = help.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(help.lines().count() > 5 && wide.is_empty(), "{command}: {wide:#?}");
    }
}

#[test]
fn a_printed_scenario_is_a_scenario_file() {
    let printed = lab("scenarios smoke/auto-converge").output().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mine.toml");
    fs::write(&file, &printed.stdout).unwrap();
    let output = lab(&format!("run {} --image /nowhere", file.display())).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.contains("no guest image in /nowhere"),
        "the file was read, the image was missed: {message}"
    );
}
