//! Finds a virtio-serial port by its name, with or without udev.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where udev puts links named after the ports.
const UDEV_DIR: &str = "/dev/virtio-ports";
/// Where the kernel lists the ports, udev or not.
const SYSFS_DIR: &str = "/sys/class/virtio-ports";

/// The device of the port called `name`, if there is one.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    find_in(Path::new(UDEV_DIR), Path::new(SYSFS_DIR), name)
}

fn find_in(udev: &Path, sysfs: &Path, name: &str) -> Option<PathBuf> {
    let link = udev.join(name);
    if !name.contains('/') && link.exists() {
        return Some(link);
    }
    named_ports(sysfs)
        .into_iter()
        .find(|(_, port)| port == name)
        .map(|(device, _)| Path::new("/dev").join(device))
}

/// Whether the kernel's list cannot be seen, as in some containers. Where it can, it is there with or without ports.
pub(super) fn is_hidden() -> bool {
    !Path::new("/sys/class").is_dir()
}

/// The names of all virtio-serial ports of this machine, for people.
pub fn ports_here() -> String {
    let names: Vec<String> = named_ports(Path::new(SYSFS_DIR)).into_iter().map(|(_, name)| name).collect();
    if !names.is_empty() {
        return names.join(", ");
    }
    if is_hidden() { "not to be seen (/sys is hidden)".into() } else { "none".into() }
}

/// Device and name of every port below `sysfs`, in order.
fn named_ports(sysfs: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(sysfs).into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| {
        let name = fs::read_to_string(entry.path().join("name")).ok()?;
        Some((entry.file_name().into_string().ok()?, name.trim_end().to_owned()))
    });
    let mut ports = Vec::new();
    for port in named {
        // A sort of its own for a handful of ports would be more code than the rest of this file.
        ports.insert(ports.partition_point(|before| *before < port), port);
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_found_by_its_name_without_udev() {
        let sysfs = tempfile::tempdir().unwrap();
        for (device, name) in [("vport1p1", "org.other.0\n"), ("vport1p2", "org.sully.0\n")] {
            fs::create_dir(sysfs.path().join(device)).unwrap();
            fs::write(sysfs.path().join(device).join("name"), name).unwrap();
        }
        let find = |name| find_in(Path::new("/nonexistent"), sysfs.path(), name);
        assert_eq!(find("org.sully.0"), Some("/dev/vport1p2".into()));
        assert_eq!(find("org.sully.1"), None);
    }

    #[test]
    fn a_name_with_a_slash_never_leaves_the_directory() {
        let udev = tempfile::tempdir().unwrap();
        fs::write(udev.path().join("secret"), "").unwrap();
        let inner = udev.path().join("ports");
        fs::create_dir(&inner).unwrap();
        assert_eq!(find_in(&inner, Path::new("/nonexistent"), "../secret"), None);
    }
}
