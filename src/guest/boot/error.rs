//! Why the environment of the workload could not be made.

use nix::errno::Errno;
use std::io;
use std::path::PathBuf;

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
        errno: Errno,
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
        errno: Errno,
        /// What this error number means for a module, and the way out.
        remedy: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_mount_names_the_kernel_option_that_provides_it() {
        let error = BootError::Mount {
            filesystem: "devtmpfs",
            target: "/dev",
            errno: Errno::ENODEV,
            option: "CONFIG_DEVTMPFS",
        };
        let text = error.to_string();
        assert!(text.contains("devtmpfs on /dev") && text.contains("CONFIG_DEVTMPFS"), "{text}");
    }
}
