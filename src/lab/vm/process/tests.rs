//! Real QEMU processes, begun and ended in every way; skipped aloud where there is no QEMU.

use super::*;
use crate::{
    lab::vm::{
        HostOptions, Sockets, console,
        made_kernel::{self, Files, Guest},
    },
    record::{Accelerator, Side},
};
use serde_json::json;
use std::fs;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

struct Bench {
    config: VmConfig,
    files: Files,
    sockets: Sockets,
}

/// A guest ready to start; `None`, and said, without QEMU.
fn bench(guest: &Guest) -> Option<Bench> {
    let qemu = made_kernel::qemu()?;
    let (files, sockets) = (made_kernel::write(guest), Sockets::create().unwrap());
    let config = VmConfig {
        qemu,
        accelerator: Accelerator::Tcg,
        memory_bytes: 32 << 20,
        cpus: 1,
        kernel: files.kernel(),
        initramfs: files.initramfs(),
        kernel_arguments: String::new(),
        qemu_arguments: Vec::new(),
        guest_arguments: "run".into(),
        side: Side::Source,
        incoming: false,
        sockets: sockets.path().to_owned(),
        console_log: files.directory().join("console.log"),
        host_options: HostOptions::default(),
    };
    Some(Bench { config, files, sockets })
}

/// Whether the process is there and alive; a zombie is not.
fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn is_there(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn a_vm_starts_answers_and_quits_without_a_trace() {
    let Some(bench) = bench(&Guest::Silent) else { return };
    let mut vm = Qemu::start(&bench.config).await.unwrap();
    let status = vm.qmp().execute("query-status", Value::Null).await.unwrap();
    assert_eq!(status["status"], "running");
    assert!(vm.qmp().version_triple() >= (2, 0, 0), "{}", vm.qmp().version());
    assert!(vm.port_socket().exists());
    let mut events = vm.take_events().unwrap();
    assert!(vm.take_events().is_none());
    let (qmp, pid) = (vm.qmp().clone(), vm.pid());
    assert!(runs(pid) && !vm.has_exited());

    let exit = vm.shut_down(PATIENCE).await.unwrap();
    assert_eq!((exit.code, exit.signal), (Some(0), None), "{exit}");
    assert!(!is_there(pid));
    let mut names = Vec::new();
    while let Some(event) = events.recv().await {
        names.push(event.name);
    }
    assert!(names.iter().any(|name| name == "SHUTDOWN"), "{names:?}");
    assert_eq!(qmp.execute("query-status", Value::Null).await, Err(crate::lab::qmp::QmpError::Closed));
}

#[tokio::test]
async fn commands_in_flight_together_each_get_their_own_answer() {
    let Some(bench) = bench(&Guest::Silent) else { return };
    let mut vm = Qemu::start(&bench.config).await.unwrap();
    let qmp = vm.qmp();
    let (machine, refused, wrong) = tokio::join!(
        qmp.execute("query-name", Value::Null),
        qmp.execute("no-such-command", Value::Null),
        qmp.execute("migrate-set-parameters", json!({ "max-bandwidth": "a lot" })),
    );
    assert_eq!(machine.unwrap()["name"], "sully-source");
    assert!(refused.unwrap_err().is_unknown_command());
    let wrong = wrong.unwrap_err();
    assert!(!wrong.is_unknown_command() && wrong.to_string().contains("max-bandwidth"), "{wrong}");

    let mut events = vm.take_events().unwrap();
    vm.qmp().execute("stop", Value::Null).await.unwrap();
    vm.qmp().execute("cont", Value::Null).await.unwrap();
    let (stop, resume) = (events.recv().await.unwrap(), events.recv().await.unwrap());
    assert_eq!((stop.name.as_str(), resume.name.as_str()), ("STOP", "RESUME"));
    assert!(stop.host_ns <= resume.host_ns && stop.qemu_real_us <= resume.qemu_real_us);
    vm.shut_down(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn the_two_sides_fit_each_other_a_guest_migrates_between_them() {
    let Some(bench) = bench(&Guest::Silent) else { return };
    let waiting = VmConfig { side: Side::Destination, incoming: true, ..bench.config.clone() };
    let source = Qemu::start(&bench.config).await.unwrap();
    let mut destination = Qemu::start(&waiting).await.unwrap();
    assert_ne!(source.port_socket(), destination.port_socket());
    let status = destination.qmp().execute("query-status", Value::Null).await.unwrap();
    assert_eq!(status["status"], "inmigrate");

    let uri = json!({ "uri": format!("unix:{}", bench.sockets.migration().display()) });
    destination.qmp().execute("migrate-incoming", uri.clone()).await.unwrap();
    source.qmp().execute("migrate", uri).await.unwrap();
    let migrated = time::timeout(PATIENCE, async {
        loop {
            let migration = source.qmp().execute("query-migrate", Value::Null).await.unwrap();
            match migration["status"].as_str() {
                Some("completed") => return,
                Some("failed" | "cancelled") => panic!("{migration}"),
                _ => time::sleep(Duration::from_millis(20)).await,
            }
        }
    });
    migrated.await.unwrap();
    let mut events = destination.take_events().unwrap();
    let resumed = time::timeout(PATIENCE, async {
        while let Some(event) = events.recv().await {
            if event.name == "RESUME" {
                return true;
            }
        }
        false
    });
    assert!(resumed.await.unwrap(), "the destination ended without running the guest");
    source.shut_down(PATIENCE).await.unwrap();
    destination.shut_down(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_vm_pauses_goes_on_and_lives_again_from_its_saved_state() {
    let Some(bench) = bench(&Guest::Silent) else { return };
    let status =
        async |vm: &Qemu| vm.qmp().execute("query-status", Value::Null).await.unwrap()["status"].take();
    let state = bench.files.directory().join("the VM's state");
    let vm = Qemu::start(&bench.config).await.unwrap();
    vm.pause().await.unwrap();
    assert_eq!(status(&vm).await, "paused");
    vm.resume().await.unwrap();
    assert_eq!(status(&vm).await, "running");
    vm.save(&state, PATIENCE).await.unwrap();
    assert_eq!(status(&vm).await, "postmigrate");
    vm.kill().await.unwrap();

    let waiting = VmConfig { incoming: true, ..bench.config.clone() };
    let vm = Qemu::start(&waiting).await.unwrap();
    vm.restore(&state, PATIENCE).await.unwrap();
    assert_eq!(status(&vm).await, "running", "as it was when it was saved");
    vm.kill().await.unwrap();
}

#[tokio::test]
async fn a_state_that_cannot_be_saved_says_where_and_why() {
    let Some(bench) = bench(&Guest::Silent) else { return };
    let vm = Qemu::start(&bench.config).await.unwrap();
    let nowhere = bench.files.directory().join("nowhere/state");
    let error = vm.save(&nowhere, PATIENCE).await.unwrap_err().to_string();
    assert!(
        error.starts_with("cannot save the state of the VM") && error.contains("nowhere/state"),
        "{error}"
    );
    vm.kill().await.unwrap();
}

#[tokio::test]
async fn a_guest_that_panics_ends_its_vm_and_leaves_its_words() {
    let text = "[ 1.0] Kernel panic - not syncing: made for a test\r\n[ 1.1] the last line\r\n";
    let Some(bench) = bench(&Guest::SaysAndResets(text)) else { return };
    let vm = Qemu::start(&bench.config).await.unwrap();
    let exit = time::timeout(PATIENCE, vm.wait()).await.unwrap();
    assert_eq!(exit.code, Some(0), "{exit}");
    assert!(vm.has_exited());
    let console = &bench.config.console_log;
    assert_eq!(console::tail(console, 1, 4096), ["[ 1.1] the last line"]);
    assert_eq!(console::find_panic(console).unwrap(), "Kernel panic - not syncing: made for a test");
    assert_eq!(vm.shut_down(PATIENCE).await.unwrap(), exit);
}

#[tokio::test]
async fn a_qemu_that_dies_at_once_is_reported_in_its_own_words() {
    let Some(mut bench) = bench(&Guest::Silent) else { return };
    bench.config.kernel = bench.files.directory().join("no-such-kernel");
    let error = Qemu::start(&bench.config).await.unwrap_err().to_string();
    assert!(error.starts_with("QEMU ended at once: exit code 1"), "{error}");
    assert!(error.contains("no-such-kernel"), "{error}");
}

#[tokio::test]
async fn a_missing_qemu_is_named() {
    let files = made_kernel::write(&Guest::Silent);
    let config = VmConfig {
        qemu: files.directory().join("qemu-nowhere"),
        accelerator: Accelerator::Tcg,
        memory_bytes: 32 << 20,
        cpus: 1,
        kernel: files.kernel(),
        initramfs: files.initramfs(),
        kernel_arguments: String::new(),
        qemu_arguments: Vec::new(),
        guest_arguments: String::new(),
        side: Side::Source,
        incoming: false,
        sockets: files.directory().to_owned(),
        console_log: files.directory().join("console.log"),
        host_options: HostOptions::default(),
    };
    let error = Qemu::start(&config).await.unwrap_err().to_string();
    assert!(error.contains("qemu-nowhere") && error.contains("apt-get install"), "{error}");
}

#[tokio::test]
async fn a_qemu_that_no_longer_listens_is_ended_all_the_same() {
    let Some(bench) = bench(&Guest::Silent) else { return };
    let vm = Qemu::start(&bench.config).await.unwrap();
    let pid = vm.pid();
    vm.process.signal(Signal::SIGSTOP);
    let exit = vm.shut_down(Duration::from_millis(200)).await.unwrap();
    assert_eq!(exit.signal, Some(9), "{exit}");
    assert!(!is_there(pid));
}

#[tokio::test]
async fn killed_from_outside_it_says_by_what() {
    let Some(bench) = bench(&Guest::Silent) else { return };
    let vm = Qemu::start(&bench.config).await.unwrap();
    vm.process.signal(Signal::SIGKILL);
    assert_eq!(vm.wait().await.signal, Some(9));
    assert_eq!(vm.shut_down(PATIENCE).await.unwrap().signal, Some(9));
}

#[tokio::test]
async fn under_a_kvm_that_may_not_work_a_kill_works() {
    let Some(mut bench) = bench(&Guest::Silent) else { return };
    bench.config.accelerator = Accelerator::Kvm;
    let vm = match Qemu::start(&bench.config).await {
        Ok(vm) => vm,
        Err(error) => return println!("SKIPPED: QEMU does not start with KVM here ({error})"),
    };
    let pid = vm.pid();
    assert_eq!(vm.kill().await.unwrap().signal, Some(9));
    assert!(!is_there(pid));
}

#[test]
fn no_qemu_outlives_the_thread_that_started_it() {
    let Some(bench) = bench(&Guest::Silent) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if runtime.block_on(tether()).is_none() {
        return println!("SKIPPED: no setpriv with --pdeathsig on this machine");
    }
    let config = bench.config.clone();
    // A lab that is killed drops nothing: neither does this one.
    let starter = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let vm = runtime.block_on(Qemu::start(&config)).unwrap();
        let pid = vm.pid();
        assert!(runs(pid));
        std::mem::forget((vm, runtime));
        pid
    });
    let pid = starter.join().unwrap();
    let gone = runtime.block_on(async {
        time::timeout(PATIENCE, async {
            while runs(pid) {
                time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    });
    assert!(gone.is_ok(), "process {pid} still runs");
}
