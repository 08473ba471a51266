//! The hypervisor's clock, where it shows the guest one: the PTP clock of KVM or of a vmclock device.
//!
//! Linux lists PTP clocks in /sys/class/ptp, each with a `clock_name`: "KVM virtual PTP" (ptp_kvm), "vmclock0" (ptp_vmclock);
//! the file of the same number in /dev is a clock for clock_gettime, whose id is made of the open file's number.

use nix::{
    libc::clockid_t,
    time::{ClockId, clock_gettime},
};
use std::{
    fs::{self, File},
    os::fd::AsRawFd,
    path::Path,
};

const CLASS: &str = "/sys/class/ptp";
const DEVICES: &str = "/dev";
/// How the names of clocks begin that show the hypervisor's time, the better one first. Clocks of network cards are none.
const KNOWN: [&str; 2] = ["KVM virtual PTP", "vmclock"];
/// The lowest bits of the id of a clock that is an open file (Linux, include/linux/posix-timers.h).
const CLOCK_OF_FILE: clockid_t = 3;

/// Reads the clock. The device stays open.
#[derive(Debug)]
pub struct PtpProbe {
    device: Option<File>,
}

impl PtpProbe {
    /// For this machine; where there is no such clock, or none that can be read, every reading is none.
    pub fn open() -> Self {
        let devices = candidates(Path::new(CLASS));
        let opened = devices.iter().filter_map(|name| File::open(Path::new(DEVICES).join(name)).ok());
        Self { device: opened.into_iter().find(|device| read_ns(device).is_some()) }
    }

    /// The hypervisor's clock now, in ns since its own beginning, which usually is 1970.
    pub fn read(&self) -> Option<u64> {
        self.device.as_ref().and_then(read_ns)
    }
}

/// The names of devices that may show the hypervisor's time, the best first.
fn candidates(class: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(class).into_iter().flatten().flatten() {
        let name = fs::read_to_string(entry.path().join("clock_name")).unwrap_or_default();
        if let Some(rank) = KNOWN.iter().position(|known| name.starts_with(known)) {
            found.extend(entry.file_name().into_string().ok().map(|device| (rank, device)));
        }
    }
    found.sort_unstable();
    found.into_iter().map(|(_, device)| device).collect()
}

/// The id of the clock that is the open file of this number.
const fn clock_of_file(number: i32) -> clockid_t {
    (!number << 3) | CLOCK_OF_FILE
}

fn read_ns(device: &File) -> Option<u64> {
    let time = clock_gettime(ClockId::from_raw(clock_of_file(device.as_raw_fd()))).ok()?;
    let (seconds, ns) = (u64::try_from(time.tv_sec()).ok()?, u64::try_from(time.tv_nsec()).ok()?);
    seconds.checked_mul(1_000_000_000)?.checked_add(ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree like that in sysfs, of devices and the names of their clocks.
    fn class(clocks: &[(&str, &str)]) -> tempfile::TempDir {
        let class = tempfile::tempdir().unwrap();
        for (device, name) in clocks {
            fs::create_dir(class.path().join(device)).unwrap();
            fs::write(class.path().join(device).join("clock_name"), format!("{name}\n")).unwrap();
        }
        class
    }

    #[test]
    fn of_all_clocks_those_of_the_hypervisor_are_tried_and_kvms_first() {
        let class = class(&[
            ("ptp0", "ena-ptp-05"),
            ("ptp1", "vmclock0"),
            ("ptp2", "KVM virtual PTP"),
            ("ptp3", "hyperv"),
        ]);
        fs::create_dir(class.path().join("ptp4")).unwrap();
        assert_eq!(candidates(class.path()), ["ptp2", "ptp1"]);
    }

    #[test]
    fn a_machine_without_such_clocks_has_none_to_try() {
        assert_eq!(candidates(class(&[("ptp0", "ena-ptp-05")]).path()), [""; 0]);
        assert_eq!(candidates(Path::new("/there/is/no/such/class")), [""; 0]);
        assert_eq!(PtpProbe { device: None }.read(), None);
    }

    #[test]
    fn the_id_of_a_clock_is_made_of_the_files_number_as_linux_makes_it() {
        // FD_TO_CLOCKID of include/linux/posix-timers.h, worked out by hand.
        assert_eq!([clock_of_file(0), clock_of_file(3), clock_of_file(10)], [-5, -29, -85]);
    }

    #[test]
    fn a_file_that_is_no_clock_is_not_read_as_one() {
        assert_eq!(read_ns(&File::open("/dev/null").unwrap()), None);
    }
}
