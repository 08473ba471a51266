//! The end of the machine: powered off, whatever happened before.

use super::announce;
use nix::poll::{PollTimeout, poll};
use nix::sys::reboot::{RebootMode, reboot};
use std::path::Path;

/// How long to wait before the machine is asked again to go away, in ms.
const RETRY_MS: u16 = 1000;

/// What is there where something can switch the machine off: ACPI, a device tree (its PSCI), Xen.
const POWER_SWITCHES: [&str; 3] = ["/sys/firmware/acpi", "/sys/firmware/devicetree", "/sys/hypervisor/type"];

/// Powers the machine off. Where the kernel cannot, or where that fails, it asks for a reset instead (QEMU with `-no-reboot`
/// exits on one), and asks again and again: it never returns.
pub fn power_off() -> ! {
    nix::unistd::sync();
    let mut mode = RebootMode::RB_POWER_OFF;
    // A kernel without a power switch would halt, and the VM would stay for ever.
    if !has_power_switch(|path| Path::new(path).exists()) {
        announce("no ACPI, so no power-off: restarting (-no-reboot ends QEMU)");
        mode = RebootMode::RB_AUTOBOOT;
    }
    loop {
        let Err(errno) = reboot(mode);
        announce(&format!("the kernel refuses to {}: {errno}", name(mode)));
        let _ = poll(&mut [], PollTimeout::from(RETRY_MS));
        mode = RebootMode::RB_AUTOBOOT;
    }
}

/// Whether the kernel can switch the machine off. Where sysfs is not there to say it, a power-off is the better guess.
fn has_power_switch(exists: impl Fn(&str) -> bool) -> bool {
    !exists("/sys/firmware") || POWER_SWITCHES.iter().any(|path| exists(path))
}

fn name(mode: RebootMode) -> &'static str {
    if mode == RebootMode::RB_POWER_OFF { "power off" } else { "reset" }
}

/// Turns a panic of any thread into a line on the console and a power-off: the host would otherwise wait for a
/// guest of which one thread is dead. For PID 1 only; anywhere else it leaves the machine alone.
pub fn install_panic_hook() {
    if !super::is_init() {
        return;
    }
    std::panic::set_hook(Box::new(|panic| {
        announce(&format!("panic, powering off: {panic}"));
        power_off();
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_a_power_switch_unless_sysfs_shows_none() {
        let machine = |there: &'static [&str]| has_power_switch(|path| there.contains(&path));
        assert!(machine(&[]), "no sysfs");
        assert!(machine(&["/sys/firmware", "/sys/firmware/acpi"]));
        assert!(machine(&["/sys/firmware", "/sys/hypervisor/type"]));
        assert!(!machine(&["/sys/firmware"]));
    }
}
