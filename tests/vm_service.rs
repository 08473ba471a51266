//! The service unit in a real Debian with systemd: quiet without a port, at work with one, and no flag hindered by it.
//!
//! `scripts/debian-guest.sh target/debian-guest` makes the Debian, in two minutes and as root; without it the test skips aloud.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "waits for another program, which no Clock drives")]

mod machines;

use machines::Machine;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use sully::lab::hostclock;
use sully::lab::image::initramfs_with;

/// How long QEMU may take to make its socket, and a guest to boot and say something.
const CONNECT_NS: u64 = 20_000_000_000;
const SILENCE: Duration = Duration::from_mins(4);

/// What the guest does in every case: it installs program and unit as docs/INSTALLING.md says, but waits for nothing.
const INSTALL: &str = "
cd /test
install -m 755 sully /usr/bin/sully
install -D -m 644 sully.service /etc/systemd/system/sully.service
mkdir -p /etc/sully
echo 'SULLY_OPTIONS=\"-m 32M -r 1M/s -i 100ms\"' >/etc/sully/run.conf
systemctl daemon-reload
systemctl enable sully.service
systemctl start --no-block sully.service
show() { systemctl show sully -p ActiveState,NRestarts,Result,ExecMainStatus | tr '\\n' ' '; }
";
/// Half a minute later: the unit's state, and the power-off.
const LOOK: &str = "
sleep 25
echo \"TOLD: $(show)\"
journalctl -u sully --no-pager -o cat
systemctl poweroff
";
/// Every kind of memory, report and content in turn under the unit.
const EVERY_FLAG: &str = "
echo 40 >/proc/sys/vm/nr_hugepages
echo 'memory = \"16M\"' >/etc/sully/plan.toml
while IFS= read -r flags; do
    systemctl stop sully
    systemctl reset-failed sully 2>/dev/null
    echo \"SULLY_OPTIONS=\\\"-m 16M -r 1M/s -i 100ms -d 1s --baseline 0s $flags\\\"\" >/etc/sully/run.conf
    systemctl start sully
    while [ \"$(systemctl is-active sully)\" = active ]; do sleep 0.2; done
    echo \"FLAGS $flags: $(show)\"
    [ \"$(systemctl show sully -p ExecMainStatus --value)\" = 0 ] || journalctl -u sully -n 4 --no-pager -o cat
done <<'LIST'
--lock
--numa 0
--numa interleave
--pages thp
--pages 2M
--backing shared
--backing shared --pages 2M
--backing file:/var/lib/sully/memory
--backing file:/dev/shm/sully-memory
--backing file:/dev/hugepages/sully-memory --pages 2M
--report file:/var/lib/sully/records.ndjson
--report -
--plan /etc/sully/plan.toml
-t 2 --pace poisson --reads 10%
-c compress:50 --verify off
LIST
systemctl poweroff
";

/// The Debian and the static guest program, or a skip that is heard.
fn debian_and_guest(test: &str) -> Option<(PathBuf, PathBuf)> {
    let debian = PathBuf::from("target/debian-guest");
    let guest = PathBuf::from("target/guest/sully");
    if debian.join("initramfs").exists() && guest.exists() {
        return Some((debian, guest));
    }
    eprintln!(
        "SKIPPED: {test}: needs cargo guest and scripts/debian-guest.sh target/debian-guest (as root; make fidelity LONG=1 runs it)"
    );
    None
}

/// The Debian of `base` with a test that does this.
fn with_test(base: &Path, guest: &Path, directory: &Path, script: &str) -> PathBuf {
    let parts = directory.join("parts");
    std::fs::create_dir(&parts).unwrap();
    std::fs::copy(guest, parts.join("sully")).unwrap();
    std::fs::copy("guest-image/sully.service", parts.join("sully.service")).unwrap();
    std::fs::write(parts.join("test.sh"), script).unwrap();
    let archive = directory.join("test.tar");
    let packed =
        Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(&parts).arg(".").status().unwrap();
    assert!(packed.success());
    let image = directory.join("image");
    std::fs::create_dir(&image).unwrap();
    let contents = std::fs::read(&archive).unwrap();
    let initramfs = initramfs_with(&base.join("initramfs"), "test.tar", &contents).unwrap();
    std::fs::write(image.join("initramfs"), initramfs).unwrap();
    std::fs::copy(base.join("vmlinuz"), image.join("vmlinuz")).unwrap();
    image
}

/// The types of all records that come from the port with this socket, until the VM ends.
fn record_types(machine: &Machine, socket: &Path) -> Vec<String> {
    let limit_ns = hostclock::mono_ns() + CONNECT_NS;
    let stream = loop {
        match UnixStream::connect(socket) {
            Ok(stream) => break stream,
            Err(error) => assert!(hostclock::mono_ns() < limit_ns, "{error}: {}", machine.console()),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    let records = lines.filter_map(|line| serde_json::from_str::<serde_json::Value>(&line).ok());
    records.filter_map(|record| Some(record["type"].as_str()?.to_owned())).collect()
}

/// Boots the Debian with this test, with a port or without; hands back the types of the records and what the console said.
fn boot(test: &str, script: &str, has_port: bool) -> Option<(Vec<String>, String)> {
    let (debian, guest) = debian_and_guest(test)?;
    let directory = tempfile::tempdir().unwrap();
    let image = with_test(&debian, &guest, directory.path(), &format!("{INSTALL}{script}"));
    let socket = directory.path().join("link.sock");
    let chardev = format!("socket,id=link,path={},server=on,wait=off", socket.display());
    let mut words = vec!["-m", "1024008K", "-smp", "2", "-no-reboot", "-device", "virtio-serial-pci"];
    if has_port {
        words.extend([
            "-chardev",
            &chardev,
            "-device",
            "virtserialport,chardev=link,name=org.sully.0,id=sully0",
        ]);
    }
    let append = "console=ttyS0 quiet panic=-1 rdinit=/sbin/init cryptomgr.notests systemd.show_status=false";
    let machine = Machine::start(&image, directory.path(), append, &words);
    let types = if has_port { record_types(&machine, &socket) } else { Vec::new() };
    Some((types, machine.ends()))
}

#[test]
fn the_unit_starts_with_the_port_and_reports() {
    let Some((types, console)) = boot("the_unit_starts_with_the_port_and_reports", LOOK, true) else {
        return;
    };
    assert!(
        console.contains("TOLD: ExecMainStatus=0") || console.contains("ActiveState=active"),
        "{console}"
    );
    assert!(console.contains("NRestarts=0"), "{console}");
    let intervals = types.iter().filter(|found| *found == "interval").count();
    assert!(intervals > 20 && types.iter().any(|found| found == "hello"), "{types:?}: {console}");
    // The power-off ends it by SIGTERM, in order.
    assert!(types.iter().any(|found| found == "end"), "{types:?}: {console}");
}

#[test]
fn without_a_port_the_unit_stays_quiet() {
    let Some((_, console)) = boot("without_a_port_the_unit_stays_quiet", LOOK, false) else { return };
    assert!(console.contains("ActiveState=inactive") && console.contains("NRestarts=0"), "{console}");
}

#[test]
fn no_flag_is_hindered_by_the_unit() {
    let Some((_, console)) = boot("no_flag_is_hindered_by_the_unit", EVERY_FLAG, true) else { return };
    let told: Vec<&str> = console.lines().filter(|line| line.starts_with("FLAGS ")).collect();
    assert_eq!(told.len(), 15, "{console}");
    for line in told {
        assert!(line.contains("Result=success") && line.contains("ExecMainStatus=0"), "{line}: {console}");
    }
}
