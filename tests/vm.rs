//! Real VMs, real migrations: what `sully-lab run` does with the built-in scenarios, and with things that break.
//!
//! They need the built image and program, which `make test` provides through `SULLY_TEST_IMAGE` (a directory) and
//! `SULLY_TEST_LAB` (the program); without them each test skips aloud.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod parts;

use nix::sys::signal::Signal;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use sully::lab::hostclock;

/// The program and the image, or a skip that is heard.
fn lab_and_image(test: &str) -> Option<(PathBuf, PathBuf)> {
    parts::lab_and_image().inspect_err(|why| eprintln!("SKIPPED: {test}: {why}")).ok()
}

fn lab(program: &Path, image: &Path, out: &Path, arguments: &str) -> Command {
    let mut command = Command::new(program);
    command.arg("run").args(arguments.split_whitespace()).args(["--accel", "tcg"]);
    command.arg("--image").arg(image).arg("--out").arg(out).stdin(Stdio::null());
    command
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The only run directory below `out`.
fn run_directory(out: &Path) -> PathBuf {
    let entries = std::fs::read_dir(out).unwrap().flatten().map(|entry| entry.path());
    let directories: Vec<PathBuf> = entries.filter(|path| path.join("run.json").exists()).collect();
    assert_eq!(directories.len(), 1, "{directories:?}");
    directories.into_iter().next().unwrap()
}

fn run_json(directory: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(directory.join("run.json")).unwrap()).unwrap()
}

fn assert_sound_stream(run: &Value) {
    for fault in ["holes", "doubles", "torn", "unknown"] {
        assert_eq!(run["stream"][fault], 0, "{fault}: {}", run["stream"]);
    }
    assert!(run["stream"]["records"].as_u64().unwrap() > 50);
}

/// Runs a built-in scenario, which must pass, and hands back its directory.
fn passes(test: &str, scenario: &str) -> Option<(tempfile::TempDir, PathBuf, Value)> {
    let (program, image) = lab_and_image(test)?;
    let out = tempfile::tempdir().unwrap();
    let output = lab(&program, &image, out.path(), scenario).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let directory = run_directory(out.path());
    let run = run_json(&directory);
    assert_eq!(run["verdict"]["outcome"], "passed", "{}", run["verdict"]);
    assert_sound_stream(&run);
    for file in ["records.ndjson", "qemu.ndjson", "latency.hlog", "console-source.log", "report.html"] {
        assert!(directory.join(file).metadata().unwrap().len() > 0, "{file} is empty");
    }
    Some((out, directory, run))
}

#[test]
fn a_guest_under_auto_converge_feels_the_throttle_that_qemu_reports() {
    let test = "a_guest_under_auto_converge_feels_the_throttle_that_qemu_reports";
    let Some((_out, directory, _run)) = passes(test, "smoke/auto-converge") else { return };
    let figures = figures(&directory);
    let levels = figures["throttle"].as_array().unwrap();
    let lasting = levels.iter().filter_map(|level| {
        let length_s = level["end_s"].as_f64()? - level["start_s"].as_f64()?;
        let lasted = length_s >= 1.5;
        lasted.then_some((level["percent"].as_f64()?, 100.0 * level["gaps"]["share"].as_f64()?))
    });
    let lasting: Vec<(f64, f64)> = lasting.collect();
    assert!(lasting.len() >= 2 && lasting.iter().any(|(qemu, _)| *qemu >= 50.0), "{lasting:?} of {levels:?}");
    // A busy host adds gaps of its own, so the guest may lose more than QEMU takes, but not less.
    assert!(
        lasting.iter().all(|(qemu, guest)| *guest >= 0.85 * qemu),
        "QEMU's throttle, guest's loss: {lasting:?}"
    );
}

/// What the report says about a run, as JSON.
fn figures(directory: &Path) -> Value {
    let program = std::env::var_os("SULLY_TEST_LAB").unwrap();
    let output = Command::new(program).args(["report", "--json"]).arg(directory).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    serde_json::from_slice::<Value>(&output.stdout).unwrap()[0].take()
}

#[test]
fn a_guest_in_post_copy_stalls_while_qemu_counts_blocktime() {
    let test = "a_guest_in_post_copy_stalls_while_qemu_counts_blocktime";
    let Some((_out, directory, run)) = passes(test, "smoke/post-copy") else { return };
    assert_answers_on_both_sides(&directory);
    assert!(run["destination"]["postcopy_blocktime_ms"].as_u64().unwrap() > 0, "{}", run["destination"]);
    assert!(run["source"]["ram"]["postcopy_requests"].as_u64().unwrap() > 0, "{}", run["source"]);
    let analysis: Value =
        serde_json::from_slice(&std::fs::read(directory.join("analysis.json")).unwrap()).unwrap();
    let postcopy = &analysis["postcopy"];
    let figure = |name: &str| postcopy[name].as_f64().unwrap();
    let faults = postcopy["faults"]["count"].as_f64().unwrap_or_else(|| panic!("no history: {postcopy}"));
    let time = figure("guest_fault_ns") / figure("qemu_vcpu_blocktime_ns");
    let count = faults / figure("qemu_requests");
    println!(
        "post-copy: the guest's faults are {time:.2} of QEMU's vCPU blocktime in time (demand 0.90 to 1.10), {count:.2} of \
         its requests in number (of all memory, so less than 1): {postcopy}"
    );
    // A loaded machine adds gaps that are no faults, and blocktime counts whole ms; requests are for the kernel's pages, too.
    assert!((0.6..1.6).contains(&time), "time: {time} of {postcopy}");
    assert!(count <= 1.1, "number: {count} of {postcopy}");
}

#[test]
fn a_plain_pre_copy_migration_converges_and_loses_no_record() {
    let test = "a_plain_pre_copy_migration_converges_and_loses_no_record";
    let Some((_out, directory, _run)) = passes(test, "smoke/precopy") else { return };
    assert_answers_on_both_sides(&directory);
}

/// The guest answered pings before and after it moved, each within a second and a half.
fn assert_answers_on_both_sides(directory: &Path) {
    let text = std::fs::read_to_string(directory.join("records.ndjson")).unwrap();
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let trips: Vec<(String, u64)> = records
        .filter(|record| record["type"] == "reply" && record["to"].as_u64().is_some_and(|to| to > 1))
        .map(|record| {
            let stamp = |field: &str| record[field].as_u64().unwrap();
            (record["side"].as_str().unwrap().to_owned(), stamp("host_ns") - stamp("to"))
        })
        .collect();
    for side in ["source", "destination"] {
        assert!(trips.iter().any(|(on, ns)| on == side && *ns < 1_500_000_000), "{side}: {trips:?}");
    }
}

#[test]
fn a_collector_that_keeps_losing_its_connections_during_a_migration_loses_no_record() {
    let test = "a_collector_that_keeps_losing_its_connections_during_a_migration_loses_no_record";
    let Some((_out, _directory, run)) = passes(test, "smoke/precopy --set collect.restarts=5") else {
        return;
    };
    assert!(run["stream"]["replayed"].as_u64().unwrap() > 0, "{}", run["stream"]);
}

#[test]
fn a_guest_dirties_three_quarters_of_its_memory_and_is_not_ended_for_it() {
    let test = "a_guest_dirties_three_quarters_of_its_memory_and_is_not_ended_for_it";
    let Some((_out, directory, _run)) = passes(test, "smoke/precopy --set load.memory=75%") else { return };
    let console = std::fs::read_to_string(directory.join("console-source.log")).unwrap();
    assert!(!console.contains("Out of memory") && !console.contains("oom-kill"), "{console}");
}

/// Runs something that must end with exit code 3 within `limit_s`, and hands back all it said.
fn is_judged(program: &Path, image: &Path, arguments: &str, limit_s: u64) -> String {
    let out = tempfile::tempdir().unwrap();
    let began_ns = hostclock::mono_ns();
    let output = lab(program, image, out.path(), arguments).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    let seconds = (hostclock::mono_ns() - began_ns) / 1_000_000_000;
    assert!(seconds < limit_s, "took {seconds} s\n{said}");
    assert_eq!(run_json(&run_directory(out.path()))["verdict"]["outcome"], "judged");
    said
}

#[test]
fn a_guest_that_panics_ends_the_run_with_its_last_words() {
    let Some((program, image)) = lab_and_image("a_guest_that_panics_ends_the_run_with_its_last_words") else {
        return;
    };
    let broken = tempfile::tempdir().unwrap();
    std::fs::copy(image.join("vmlinuz"), broken.path().join("vmlinuz")).unwrap();
    std::fs::write(broken.path().join("initramfs"), b"").unwrap();
    let said = is_judged(&program, broken.path(), "smoke/precopy", 60);
    assert!(said.contains("Kernel panic"), "{said}");
}

#[test]
fn a_kernel_without_virtio_makes_no_image_and_what_is_missing_is_said() {
    let test = "a_kernel_without_virtio_makes_no_image_and_what_is_missing_is_said";
    let Some((program, image)) = lab_and_image(test) else { return };
    let bare = tempfile::tempdir().unwrap();
    let guest = Path::new(&program).parent().unwrap().join("../guest/sully");
    let built = Command::new(&program)
        .args(["image", "-o"])
        .arg(bare.path())
        .arg("--guest")
        .arg(guest)
        .arg("--kernel")
        .arg(image.join("vmlinuz"))
        .output()
        .unwrap();
    assert_eq!(built.status.code(), Some(2), "{}", text(&built));
    let said = text(&built);
    assert!(said.contains("virtio_pci") && said.contains("--modules"), "{said}");
    assert!(!bare.path().join("initramfs").exists(), "nothing half-done is left");
}

#[test]
fn a_destination_that_dies_ends_the_run_at_once() {
    let Some((program, image)) = lab_and_image("a_destination_that_dies_ends_the_run_at_once") else {
        return;
    };
    let out = tempfile::tempdir().unwrap();
    let mut command = lab(&program, &image, out.path(), "smoke/precopy --set migration.bandwidth=4M/s");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let killed = comes_to(&mut child, || is_migrating(out.path())) && kill_incoming_child_of(child.id());
    let output = child.wait_with_output().unwrap();
    assert!(killed, "the migration never began:\n{}", text(&output));
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(text(&output).contains("destination"), "{}", text(&output));
}

#[test]
fn a_run_interrupted_at_its_start_leaves_no_qemu_and_no_socket_behind() {
    // The QEMU that is asked beforehand whether it can do the migration ends before there is a run directory.
    leaves_nothing("a_run_interrupted_at_its_start_leaves_no_qemu_and_no_socket_behind", |out, child| {
        std::fs::read_dir(out).unwrap().next().is_some() && !qemus_of(child).is_empty()
    });
}

#[test]
fn a_run_interrupted_while_it_migrates_leaves_no_qemu_and_no_socket_behind() {
    leaves_nothing("a_run_interrupted_while_it_migrates_leaves_no_qemu_and_no_socket_behind", |out, _| {
        is_migrating(out)
    });
}

/// Interrupts a run when `moment` has come, and sees that nothing of it is left.
fn leaves_nothing(test: &str, moment: impl Fn(&Path, u32) -> bool) {
    let Some((program, image)) = lab_and_image(test) else { return };
    let (out, temporary) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut command = lab(&program, &image, out.path(), "smoke/precopy");
    command.env("TMPDIR", temporary.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let id = child.id();
    let came = comes_to(&mut child, || moment(out.path(), id));
    let qemus = qemus_of(id);
    signal(i32::try_from(id).unwrap(), Signal::SIGINT);
    let output = child.wait_with_output().unwrap();
    assert!(came && !qemus.is_empty(), "nothing to interrupt:\n{}", text(&output));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(qemus.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()), "{qemus:?} still run");
    let left: Vec<_> = std::fs::read_dir(temporary.path()).unwrap().flatten().collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    assert_eq!(run_json(&run_directory(out.path()))["verdict"]["outcome"], "interrupted");
}

#[test]
fn a_plan_goes_before_the_scenario_and_the_run_says_so() {
    let plan = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(plan.path(), "rate = \"6M/s\"\n").unwrap();
    let arguments = format!("smoke/precopy --set load.plan={}", plan.path().display());
    let test = "a_plan_goes_before_the_scenario_and_the_run_says_so";
    let Some((_out, directory, run)) = passes(test, &arguments) else { return };
    assert_eq!(run["scenario"]["load"]["rate"], "6M/s");
    let notes = run["provenance"]["notes"].to_string();
    assert!(notes.contains("the plan goes before the scenario: load.rate = 6M/s, not 8M/s"), "{notes}");
    let records = std::fs::read_to_string(directory.join("records.ndjson")).unwrap();
    let hello: Value = serde_json::from_str(records.lines().next().unwrap()).unwrap();
    assert_eq!(hello["plan"]["rate"], "6M/s", "{hello}");
}

#[test]
fn a_post_copy_that_is_cut_goes_on_over_a_new_link_and_loses_no_page() {
    let test = "a_post_copy_that_is_cut_goes_on_over_a_new_link_and_loses_no_page";
    let demand = "qemu/recover --set expect.figures=pages.corrupt==0";
    let Some((_out, _directory, run)) = passes(test, demand) else { return };
    let notes = run["provenance"]["notes"].to_string();
    assert!(notes.contains("link was cut") && notes.contains("go on over a new link"), "{notes}");
}

#[test]
fn what_qemu_alone_knows_reaches_it_and_a_guest_that_is_paused_gets_through() {
    let test = "what_qemu_alone_knows_reaches_it_and_a_guest_that_is_paused_gets_through";
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    let scenario = "name = \"paused\"\n[load]\nmemory = \"32M\"\nrate = \"60M/s\"\n[migration]\nbandwidth = \"40M/s\"\n\
        capabilities = { xbzrle = true }\nparameters = { xbzrle-cache-size = 67108864 }\n\
        [[migration.when]]\npass = 2\ndo = \"set\"\nparameters = { downtime-limit = 1 }\n\
        [[migration.when]]\npass = 2\ndo = \"pause\"\n\
        [expect]\nfigures = [\"pages.corrupt == 0\", \"setup_ms > 0\", \"passes >= 2\"]\n";
    std::fs::write(file.path(), scenario).unwrap();
    let Some((_out, directory, run)) = passes(test, &file.path().display().to_string()) else { return };
    let notes = run["provenance"]["notes"].to_string();
    assert!(notes.contains("the guest was paused") && notes.contains("told downtime-limit = 1"), "{notes}");
    let told = std::fs::read_to_string(directory.join("qemu.ndjson")).unwrap();
    assert!(told.contains("\"xbzrle-cache-size\":67108864") && told.contains("\"command\":\"cont\""));
}

#[test]
fn a_disk_that_fills_up_costs_files_and_not_the_report() {
    let test = "a_disk_that_fills_up_costs_files_and_not_the_report";
    let Some((program, image)) = lab_and_image(test) else { return };
    if std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) != 0 {
        eprintln!("SKIPPED: {test}: only root may mount the small disk it fills");
        return;
    }
    let out = tempfile::tempdir().unwrap();
    // A mount namespace of its own: the small disk is gone with the program.
    let script = "mount -t tmpfs -o size=1100k none \"$1\" && shift && exec \"$@\"";
    let inner =
        lab(&program, &image, out.path(), "smoke/precopy --set load.interval=20ms --set load.baseline=12s");
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(out.path())
        .arg(inner.get_program())
        .args(inner.get_args());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("Pre-copy: completed in") && said.contains("unfinished  "),
        "the text is printed: {said}"
    );
    let cause = said.lines().skip_while(|line| !line.starts_with("unfinished")).collect::<String>();
    assert_eq!(cause.matches("No space left on device").count(), 1, "{said}");
    assert!(!said.contains("StorageFull") && !said.contains("panicked"), "{said}");
}

/// Waits, at most a minute and a half, until something is so; false when the program ends before.
fn comes_to(child: &mut Child, is_so: impl Fn() -> bool) -> bool {
    (0..900).any(|_| {
        wait(Duration::from_millis(100));
        child.try_wait().unwrap().is_some() || is_so()
    }) && child.try_wait().unwrap().is_none()
}

/// Whether the run's qemu.ndjson shows an active migration.
fn is_migrating(out: &Path) -> bool {
    let qemu = std::fs::read_dir(out).unwrap().flatten().map(|entry| entry.path().join("qemu.ndjson"));
    qemu.filter_map(|path| std::fs::read_to_string(path).ok()).any(|text| text.contains("\"active\""))
}

/// Ends the child of `parent` that was started with `-incoming`.
fn kill_incoming_child_of(parent: u32) -> bool {
    let found = qemus_of(parent).into_iter().find(|pid| has_argument(*pid, "-incoming"));
    found.inspect(|pid| signal(*pid, Signal::SIGKILL)).is_some()
}

/// The VMs that `parent` started (and not a QEMU that is only asked for its version).
fn qemus_of(parent: u32) -> Vec<i32> {
    children_of(parent).into_iter().filter(|pid| has_argument(*pid, "-nodefaults")).collect()
}

fn has_argument(pid: i32, wanted: &str) -> bool {
    let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split('\0').any(|argument| argument == wanted)
}

fn signal(pid: i32, signal: Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
}

/// A test has no clock to move by hand when it watches other processes.
#[expect(clippy::disallowed_methods, reason = "watching real processes takes real time")]
fn wait(span: Duration) {
    std::thread::sleep(span);
}

fn children_of(parent: u32) -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse().ok()) == Some(parent)
    })
    .collect()
}
