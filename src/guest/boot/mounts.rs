//! The three file systems a workload cannot do without: proc, sysfs, devtmpfs.

use super::error::BootError;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

/// One file system: type, mount point, and the kernel option that provides it.
struct FileSystem {
    kind: &'static str,
    target: &'static str,
    option: &'static str,
}

const NEEDED: [FileSystem; 3] = [
    FileSystem { kind: "proc", target: "/proc", option: "CONFIG_PROC_FS" },
    FileSystem { kind: "sysfs", target: "/sys", option: "CONFIG_SYSFS" },
    FileSystem { kind: "devtmpfs", target: "/dev", option: "CONFIG_DEVTMPFS" },
];

/// Mounts all three; one that is there already (EBUSY: `CONFIG_DEVTMPFS_MOUNT`, another initramfs) is fine.
///
/// # Errors
/// The first that the kernel refuses.
pub(super) fn mount_all() -> Result<(), BootError> {
    NEEDED.iter().try_for_each(mount_one)
}

fn mount_one(wanted: &FileSystem) -> Result<(), BootError> {
    // A missing directory shows in the mount's own error, which says more than one of mkdir would.
    let _ = std::fs::create_dir(wanted.target);
    // devtmpfs must allow device nodes to be opened; the two others need neither those nor programs.
    let flags = match wanted.kind {
        "devtmpfs" => MsFlags::MS_NOSUID,
        _ => MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
    };
    match mount(Some(wanted.kind), wanted.target, Some(wanted.kind), flags, None::<&str>) {
        Ok(()) | Err(Errno::EBUSY) => Ok(()),
        Err(errno) => Err(BootError::Mount {
            filesystem: wanted.kind,
            target: wanted.target,
            errno,
            option: wanted.option,
        }),
    }
}
