//! The duties of PID 1 in our image: mounts, console, modules, and a power-off at every end.
//!
//! A guest that fails must say so on the console and switch its VM off; it must never hang silently, because
//! whoever waits for it on the host sees nothing but the console.

mod console;
mod error;
mod modules;
mod mounts;
mod power;

pub use console::announce;
pub use error::BootError;
pub use power::{install_panic_hook, power_off};

/// What PID 1 says first. The image builder looks for this text in the guest program to learn its version.
const BANNER: &str = concat!("guest program ", env!("CARGO_PKG_VERSION"), " runs as init");

/// The host name of our image: records say where they come from, and the kernel's own default is `(none)`.
const HOSTNAME: &str = "sully";

/// Whether this process is the init of its machine.
pub fn is_init() -> bool {
    std::process::id() == 1
}

/// Makes the environment of the workload: file systems, console, host name, and the image's modules loaded in
/// the order of their names.
///
/// # Errors
/// A file system that cannot be mounted, or a module that the kernel refuses; what is there already is fine.
pub fn prepare() -> Result<(), BootError> {
    mounts::mount_all()?;
    console::attach();
    announce(BANNER);
    if let Err(errno) = nix::unistd::sethostname(HOSTNAME) {
        announce(&format!("the host name stays as it is: {errno}"));
    }
    modules::load_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_process_is_not_init() {
        assert!(!is_init());
    }
}
