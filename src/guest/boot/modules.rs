//! Loads the image's modules; their file names carry the order (`00-virtio.ko`, `01-virtio_ring.ko`, ...).

use super::error::BootError;
use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

const DIRECTORY: &str = "/modules";

/// Loads every module of the image. No directory, no modules: the kernel has them built in.
///
/// # Errors
/// The first module that cannot be read or that the kernel refuses. One that is there already is fine, and so is a driver that
/// says it has no device here: whoever needs one will miss the device.
pub(super) fn load_all() -> Result<(), BootError> {
    in_order(Path::new(DIRECTORY))?.iter().try_for_each(|path| load(path))
}

/// The files of `directory` in the order of their names.
fn in_order(directory: &Path) -> Result<Vec<PathBuf>, BootError> {
    let failed = |source| BootError::Read { path: directory.to_path_buf(), source };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        // A dozen names: inserting each in its place is less code than a sort.
        paths.insert(paths.partition_point(|before| *before < path), path);
    }
    Ok(paths)
}

fn load(path: &Path) -> Result<(), BootError> {
    let file = File::open(path).map_err(|source| BootError::Read { path: path.to_path_buf(), source })?;
    match finit_module(&file, c"", ModuleInitFlags::empty()) {
        Ok(()) => Ok(()),
        Err(errno) if is_fine(errno) => Ok(()),
        Err(errno) => Err(BootError::Module { path: path.to_path_buf(), errno, remedy: remedy(errno) }),
    }
}

/// Whether the guest can do without what was refused with this number.
const fn is_fine(errno: Errno) -> bool {
    matches!(errno, Errno::EEXIST | Errno::ENODEV | Errno::EOPNOTSUPP)
}

/// What the error numbers of finit_module mean to someone who built an image.
fn remedy(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOENT => "a symbol it needs is missing: a module it depends on is not in the image",
        Errno::ENOEXEC => {
            "it was built for another kernel: build the image with the kernel and the modules of one release"
        }
        Errno::ENOKEY | Errno::EKEYREJECTED => {
            "this kernel takes signed modules only: use the modules of the kernel's own package"
        }
        Errno::EPERM => "modules are disabled or locked down: see lockdown= on the kernel command line",
        Errno::ENOMEM => "the machine has too little memory: give it more with -m",
        _ => "the kernel's own lines above say more (boot without 'quiet' to see them)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_come_in_the_order_of_their_names() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["02-c.ko", "00-z.ko", "10-a.ko", "01-b.ko"] {
            std::fs::write(directory.path().join(name), b"").unwrap();
        }
        let names: Vec<_> = in_order(directory.path())
            .unwrap()
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["00-z.ko", "01-b.ko", "02-c.ko", "10-a.ko"]);
    }

    #[test]
    fn an_image_without_modules_is_fine() {
        let directory = tempfile::tempdir().unwrap();
        assert!(in_order(&directory.path().join("modules")).unwrap().is_empty());
    }

    #[test]
    fn a_driver_without_a_device_hinders_no_boot_and_a_module_of_another_kernel_does() {
        assert!([Errno::EEXIST, Errno::ENODEV, Errno::EOPNOTSUPP].into_iter().all(is_fine));
        assert!(![Errno::ENOEXEC, Errno::ENOENT, Errno::EPERM, Errno::EINVAL].into_iter().any(is_fine));
    }

    #[test]
    fn a_refused_module_is_named_with_errno_and_way_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("00-empty.ko");
        std::fs::write(&path, b"").unwrap();
        // Refused as too short (root) or as not permitted: a test never loads a module.
        let text = load(&path).unwrap_err().to_string();
        assert!(text.contains("00-empty.ko") && text.contains(": E"), "{text}");
    }
}
