//! The end of the machine: powered off, whatever happened before.

use super::announce;
use nix::poll::{PollTimeout, poll};
use nix::sys::reboot::{RebootMode, reboot};

/// How long to wait before the machine is asked again to go away, in ms.
const RETRY_MS: u16 = 1000;

/// Powers the machine off. Where that fails it asks for a reset instead (QEMU with `-no-reboot` exits on one),
/// and asks again and again: it never returns.
pub fn power_off() -> ! {
    nix::unistd::sync();
    loop {
        for mode in [RebootMode::RB_POWER_OFF, RebootMode::RB_AUTOBOOT] {
            let Err(errno) = reboot(mode);
            announce(&format!("the kernel refuses to {}: {errno}", name(mode)));
        }
        let _ = poll(&mut [], PollTimeout::from(RETRY_MS));
    }
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
