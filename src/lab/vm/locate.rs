//! Finding QEMU on this machine, and asking it who it is.

use super::VmError;
use crate::lab::qmp::QemuVersion;
use crate::units::shown;
use nix::unistd::{AccessFlags, access};
use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{process::Command, time};

/// The program that runs the guests we build.
pub const QEMU: &str = "qemu-system-x86_64";
/// How long `-version` may take.
const VERSION_LIMIT: Duration = Duration::from_secs(10);

/// The QEMU to use: the one named, or the one on PATH.
///
/// # Errors
/// There is no such program.
pub fn find(named: Option<&Path>) -> Result<PathBuf, VmError> {
    let wanted = named.unwrap_or(Path::new(QEMU));
    program(wanted).ok_or_else(|| VmError::QemuMissing { wanted: wanted.to_owned() })
}

/// Where the program `wanted` is: looked for on PATH where it is a bare name, taken as it is where it is a path.
pub fn program(wanted: &Path) -> Option<PathBuf> {
    if wanted.components().count() != 1 || wanted.is_absolute() {
        return is_program(wanted).then(|| wanted.to_owned());
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(wanted)).find(|candidate| is_program(candidate))
}

/// Whether it can be run by whom this process runs as.
fn is_program(path: &Path) -> bool {
    path.is_file() && access(path, AccessFlags::X_OK).is_ok()
}

/// Asks the program for its version.
///
/// # Errors
/// It does not run, does not end in time, or does not answer as QEMU does.
pub async fn version(qemu: &Path) -> Result<QemuVersion, VmError> {
    let spawned = Command::new(qemu)
        .arg("-version")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let child = spawned.map_err(|source| VmError::Spawn { program: qemu.to_owned(), source })?;
    let stranger = |said: String| VmError::NotQemu { qemu: qemu.to_owned(), said };
    let output = match time::timeout(VERSION_LIMIT, child.wait_with_output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(stranger(format!("failed: {error}"))),
        Err(_) => return Err(stranger(format!("did not end within {} s", VERSION_LIMIT.as_secs()))),
    };
    let banner = String::from_utf8_lossy(&output.stdout);
    QemuVersion::from_banner(&banner).ok_or_else(|| {
        let first = banner.lines().next().unwrap_or_default();
        let shown = shown(first, 80);
        stranger(format!("said '{shown}' ({})", output.status))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::vm::made_kernel;

    #[test]
    fn a_missing_qemu_is_named_with_the_package_that_has_it() {
        let named = find(Some(Path::new("/opt/none/qemu"))).unwrap_err().to_string();
        assert!(
            named.contains("/opt/none/qemu") && named.contains("apt-get install qemu-system-x86"),
            "{named}"
        );
        let searched = find(Some(Path::new("qemu-system-none"))).unwrap_err().to_string();
        assert!(searched.contains("'qemu-system-none' is not on PATH"), "{searched}");
        assert!(find(Some(Path::new("/etc/passwd"))).is_err(), "a file nobody can run is no program");
    }

    #[tokio::test]
    async fn what_is_no_qemu_is_told_from_one() {
        let shell = find(Some(Path::new("echo"))).unwrap();
        let error = version(&shell).await.unwrap_err().to_string();
        assert!(error.contains("said '-version'"), "{error}");
    }

    #[tokio::test]
    async fn the_installed_qemu_says_its_version() {
        let Some(qemu) = made_kernel::qemu() else { return };
        let version = version(&qemu).await.unwrap();
        assert!(version.triple() >= (2, 0, 0), "{version}");
    }
}
