//! What can go wrong with a virtual machine before, while and after it runs.

use super::{exit::Exit, ssh::SshError};
use crate::lab::qmp::QmpError;
use std::{io, path::PathBuf, time::Duration};

/// A virtual machine that could not be started, controlled or ended.
#[derive(Debug, thiserror::Error)]
pub enum VmError {
    /// There is no QEMU where one was looked for.
    #[error(
        "QEMU not found: {}; install it (Debian, Ubuntu: apt-get install qemu-system-x86) or name it with --qemu PATH",
        describe_search(wanted)
    )]
    QemuMissing {
        /// What was looked for: a name on PATH, or a path.
        wanted: PathBuf,
    },
    /// What was named is no QEMU.
    #[error("{} is no QEMU that works: '-version' {said}; name another with --qemu PATH", qemu.display())]
    NotQemu {
        /// The program.
        qemu: PathBuf,
        /// What it said or did instead.
        said: String,
    },
    /// There is no QEMU on the other machine.
    #[error(
        "QEMU not found on {address}: '{wanted}' is neither a program nor on PATH there; install it there (Debian, Ubuntu: \
         apt-get install qemu-system-x86) or name with --qemu one that both machines have"
    )]
    QemuMissingThere {
        /// What was looked for: a name on PATH, or a path.
        wanted: String,
        /// Where.
        address: String,
    },
    /// What was named is no QEMU on the other machine.
    #[error(
        "{qemu} on {address} is no QEMU that works: '-version' said '{said}'; name with --qemu one that both machines have"
    )]
    NotQemuThere {
        /// The program.
        qemu: String,
        /// Where.
        address: String,
        /// What it said instead.
        said: String,
    },
    /// The other machine cannot be reached, or does not do what it is told.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// The process could not be created.
    #[error("cannot start {}: {source}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// QEMU ended before it could be spoken to; its own words are in `exit`.
    #[error("QEMU ended at once: {exit}")]
    DiedAtOnce {
        /// How it ended and what it said.
        exit: Exit,
    },
    /// QEMU runs and its control channel does not.
    #[error(transparent)]
    Qmp(#[from] QmpError),
    /// The state of a VM did not go into a file, or did not come back out of it.
    #[error("cannot {deed} the state of the VM ({}): {reason}", file.display())]
    State {
        /// `save` or `restore`.
        deed: &'static str,
        /// The file.
        file: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A process that survives SIGKILL: stuck in the host's kernel.
    #[error("QEMU, process {pid}, still runs {} s after SIGKILL: it is stuck in the host's kernel", limit.as_secs_f64())]
    Unkillable {
        /// Its process id.
        pid: u32,
        /// How long it was waited for.
        limit: Duration,
    },
    /// No place for sockets.
    #[error("cannot make a private directory for sockets under {}: {source}", base.display())]
    SocketDirectory {
        /// Where it was tried.
        base: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// KVM was asked for and does not work here.
    #[error("KVM cannot be used: {reason}; run with --accel tcg to emulate the guest instead")]
    NoKvm {
        /// What stands against it.
        reason: String,
    },
}

/// A name was looked for on PATH, a path where it leads.
fn describe_search(wanted: &std::path::Path) -> String {
    if wanted.components().count() > 1 {
        format!("there is no program {}", wanted.display())
    } else {
        format!("'{}' is not on PATH", wanted.display())
    }
}
