//! Why a report target cannot be used, or no longer.

use super::{Target, virtio};
use std::io::{self, ErrorKind};

/// A report target that cannot be used, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// It cannot be opened.
    #[error("report target {target} cannot be opened: {source}; {remedy}")]
    Open {
        /// Which.
        target: String,
        /// Why.
        source: io::Error,
        /// What to do about it.
        remedy: &'static str,
    },
    /// There is no such virtio-serial port.
    #[error(
        "there is no virtio-serial port named '{name}'; ports here: {found}. \
         Give the VM one (-device virtio-serial-pci -device virtserialport,name={name},...), \
         or use another --report target"
    )]
    NoSuchPort {
        /// What was looked for.
        name: String,
        /// What is there.
        found: String,
    },
    /// The kernel's list of ports is not to be seen.
    #[error(
        "whether there is a virtio-serial port named '{name}' cannot be told: /sys/class is not to be seen here (a \
         container?). Let it have /sys, or the device at /dev/virtio-ports/{name}"
    )]
    Hidden {
        /// What was looked for.
        name: String,
    },
    /// It was open and failed.
    #[error("report target {target} failed: {source}")]
    Failed {
        /// Which.
        target: String,
        /// Why.
        source: io::Error,
    },
}

/// Why `target` cannot be opened.
pub(super) fn unopened(target: &Target, source: io::Error) -> PortError {
    let remedy = match (target, source.kind()) {
        (Target::Virtio(_), ErrorKind::ResourceBusy) => "another program has it open: end that one first",
        (Target::Virtio(_), _) => "run as root, or give this user the device",
        (Target::Listen(_), _) => {
            "give an address of this machine and a port that is free, for example listen:tcp:127.0.0.1:7007"
        }
        _ => "name a file that may be written, for example file:/tmp/records.ndjson",
    };
    PortError::Open { target: target.to_string(), source, remedy }
}

/// What was open failed.
pub(super) fn failure(target: &Target, source: io::Error) -> PortError {
    PortError::Failed { target: target.to_string(), source }
}

/// Why the port of this name was not found.
pub(super) fn no_such_port(name: &str) -> PortError {
    if virtio::is_hidden() {
        return PortError::Hidden { name: name.into() };
    }
    PortError::NoSuchPort { name: name.into(), found: virtio::ports_here() }
}
