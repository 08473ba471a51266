//! Real VMs without a power switch end as every other does.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "waits for another program, which no Clock drives")]

mod machines;

use machines::Machine;
use std::path::PathBuf;

const MEMORY: [&str; 2] = ["-m", "262152K"];
const KERNEL: &str = "console=ttyS0 quiet panic=-1 cryptomgr.notests";

/// The image, or a skip that is heard.
fn image(test: &str) -> Option<PathBuf> {
    let image = std::env::var_os("SULLY_TEST_IMAGE").map(PathBuf::from).filter(|path| path.exists());
    if image.is_none() {
        eprintln!("SKIPPED: {test}: set SULLY_TEST_IMAGE (make test does)");
    }
    image
}

#[test]
fn a_machine_without_a_power_switch_ends_as_every_other_does() {
    let Some(image) = image("a_machine_without_a_power_switch_ends_as_every_other_does") else { return };
    let directory = tempfile::tempdir().unwrap();
    let microvm =
        ["-no-reboot", "-device", "virtio-serial-device", "-device", "virtserialport,name=org.sully.0"];
    // The first proves that a power-off is one: without -no-reboot a restart would begin anew.
    for (machine, kernel, restarts, more) in [
        ("pc", "", false, &[][..]),
        ("pc", "acpi=off", true, &["-no-reboot"]),
        ("microvm,acpi=off,pit=on,pic=on,rtc=on", "", true, &microvm),
    ] {
        let append = format!("{KERNEL} {kernel} -- check -m 16M");
        let words = [&MEMORY[..], &["-M", machine], more].concat();
        let console = Machine::start(&image, directory.path(), &append, &words).ends();
        let case = format!("{machine} {kernel}: {console}");
        assert!(console.contains("sully: done, exit code 0"), "{case}");
        // A microvm of QEMU 7.2 was seen to boot once more before -no-reboot ended it.
        let boots = console.matches("runs as init").count();
        assert!(boots == 1 || machine.starts_with("microvm"), "{boots} boots: {case}");
        assert_eq!(console.contains("no power-off: restarting"), restarts, "{case}");
    }
}
