//! The duties of PID 1 in our image: mounts, console, modules, and a power-off at every end.
//!
//! A guest that fails must say so on the console and switch its VM off; it must never hang silently, because
//! whoever waits for it on the host sees nothing but the console.

mod console;
mod modules;
mod mounts;
mod power;

pub use console::announce;
pub use power::{install_panic_hook, power_off};

use std::io;
use std::path::PathBuf;

/// What PID 1 says first. The image builder looks for this text in the guest program to learn its version.
const BANNER: &str = concat!("guest program ", env!("CARGO_PKG_VERSION"), " runs as init");

/// The host name of our image: records say where they come from, and the kernel's own default is `(none)`.
const HOSTNAME: &str = "sully";

/// Why the environment of the workload could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// A file system that the guest program needs could not be mounted.
    #[error("cannot mount {filesystem} on {target}: {errno}; the kernel must be built with {option}")]
    Mount {
        /// The type of the file system.
        filesystem: &'static str,
        /// Where it belongs.
        target: &'static str,
        /// What the kernel answered.
        errno: nix::errno::Errno,
        /// The kernel option that provides it.
        option: &'static str,
    },
    /// The module directory of the image could not be read.
    #[error("cannot read {path}: {source}; build the image anew with 'sully-lab image'")]
    Read {
        /// The directory or the module.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The kernel refused a module.
    #[error("the kernel refuses module {path}: {errno}; {remedy}")]
    Module {
        /// The module in the image.
        path: PathBuf,
        /// What the kernel answered.
        errno: nix::errno::Errno,
        /// What this error number means for a module, and the way out.
        remedy: &'static str,
    },
}

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

    #[test]
    fn a_refused_mount_names_the_kernel_option_that_provides_it() {
        let error = BootError::Mount {
            filesystem: "devtmpfs",
            target: "/dev",
            errno: nix::errno::Errno::ENODEV,
            option: "CONFIG_DEVTMPFS",
        };
        let text = error.to_string();
        assert!(text.contains("devtmpfs on /dev") && text.contains("CONFIG_DEVTMPFS"), "{text}");
    }
}
