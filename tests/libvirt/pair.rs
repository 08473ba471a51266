//! Two hosts with a libvirt each, between which a domain can be migrated: joined by a wire, and each other's by name.

use super::{Host, Libvirt};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

const HOSTS: &str = "10.77.0.1 sully-a\n10.77.0.2 sully-b";
const A: Host<'_> = Host { name: "sully-a", hosts: HOSTS, uuid: "6d7c4f4e-0000-4000-8000-00000000000a" };
const B: Host<'_> = Host { name: "sully-b", hosts: HOSTS, uuid: "6d7c4f4e-0000-4000-8000-00000000000b" };
/// The address of the second host.
pub const THERE: &str = "10.77.0.2";

/// QEMU before 9.0 loses dirty pages of emulated guests whose memory is a multiple of 256 KiB, and libvirt gives them no other: the
/// emulator of the domains gets 8 KiB more.
const EMULATOR: &str = r#"#!/bin/bash
args=()
for arg in "$@"; do
    arg=${arg//size=262144k/size=262152k}
    arg=${arg//\"size\":268435456/\"size\":268443648}
    [ "$arg" = 256 ] && arg=262152k
    args+=("$arg")
done
exec qemu-system-x86_64 "${args[@]}"
"#;

/// Starts both, with the image and the emulator on each.
///
/// # Errors
/// Why this machine cannot.
pub fn start(image: &Path) -> Result<[Libvirt; 2], String> {
    let mut pair = [Libvirt::begin(image, &A)?, Libvirt::begin(image, &B)?];
    for host in &mut pair {
        let emulator = host.path("lib/images/sully/qemu");
        fs::write(&emulator, EMULATOR).unwrap();
        fs::set_permissions(&emulator, fs::Permissions::from_mode(0o755)).unwrap();
        host.wait_for_answer()?;
    }
    join(&pair)?;
    Ok(pair)
}

fn join([a, b]: &[Libvirt; 2]) -> Result<(), String> {
    let ids = [a, b].map(|host| host.id().to_string());
    let wire = [
        "link", "add", "sully0", "netns", &ids[0], "type", "veth", "peer", "name", "sully0", "netns", &ids[1],
    ];
    ip(&mut Command::new("ip"), &wire)?;
    for (host, address) in [(a, "10.77.0.1/24"), (b, "10.77.0.2/24")] {
        for words in [
            ["link", "set", "lo", "up"].as_slice(),
            &["addr", "add", address, "dev", "sully0"],
            &["link", "set", "sully0", "up"],
        ] {
            ip(&mut host.inside(Path::new("ip")), words)?;
        }
    }
    Ok(())
}

fn ip(command: &mut Command, words: &[&str]) -> Result<(), String> {
    let output = command.args(words).stdin(Stdio::null()).output().map_err(|error| format!("ip: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(format!("ip {}: {said}", words.join(" "))) }
}
