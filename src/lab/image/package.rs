//! Finds a kernel and its modules in a Debian package.

use super::control::Control;
use super::kernel::{Kernel, LARGEST_KERNEL_BYTES};
use super::supply::{BUILTIN_LIST, BUILTIN_MODINFO, LARGEST_MODULE_BYTES, Stored, Supply, name_of};
use super::{deb, tar};
use anyhow::{Context, ensure};
use std::io::Read;
use std::path::Path;

/// Largest list of built-in modules read.
const LARGEST_LIST_BYTES: u64 = 16 << 20;
/// How many bytes of modules are kept on the way, so that the package need not be read twice.
const KEPT_BYTES: u64 = 32 << 20;
/// What is most likely needed.
const KEPT_PREFIXES: [&str; 2] = ["virtio", "ptp"];

/// The architecture of the packages that an image is made from.
const ARCHITECTURES: [&str; 2] = ["amd64", "all"];

/// What a package holds.
pub(super) struct Contents {
    /// What it says of itself.
    pub(super) control: Control,
    /// The kernel, when there is one.
    pub(super) kernel: Option<Kernel>,
    /// The modules; empty when there are none.
    pub(super) modules: Supply,
}

/// Reads a package once, from its beginning to its end.
///
/// # Errors
/// No package or a damaged one, or one with several kernels.
pub(super) fn open(path: &Path) -> anyhow::Result<Contents> {
    let read = || {
        deb::ensure_complete(path)?;
        let control = deb::control(path)?;
        if let Some(machine) = &control.architecture {
            ensure!(
                ARCHITECTURES.contains(&machine.as_str()),
                "it is a package for {machine}, and the image is for {}",
                ARCHITECTURES[0]
            );
        }
        Ok(Contents { control, ..collect(deb::files(path)?, path)? })
    };
    read().with_context(|| format!("cannot read the package '{}'", path.display()))
}

/// Goes through the files of a package; `path` is where those that are not kept can be read again.
///
/// # Errors
/// A damaged package, or one with several kernels.
pub(super) fn collect<R: Read>(mut archive: tar::Archive<R>, path: &Path) -> anyhow::Result<Contents> {
    let mut found = Contents {
        control: Control::default(),
        kernel: None,
        modules: Supply::new(format!("'{}'", path.display()), None),
    };
    let mut room_bytes = KEPT_BYTES;
    while let Some(entry) = archive.next_entry()? {
        if !entry.is_file {
            continue;
        }
        if is_kernel(&entry.path) {
            ensure!(found.kernel.is_none(), "it holds several kernels; give one with --kernel FILE");
            let bytes = archive.read_contents(LARGEST_KERNEL_BYTES)?;
            found.kernel = Some(Kernel::new(file_name(path), bytes).context(entry.path)?);
        } else if let Some((release, rest)) = module_path(&entry.path) {
            let known = found.modules.release.get_or_insert_with(|| release.to_owned());
            ensure!(known == release, "it holds modules of several releases: {known} and {release}");
            add_module_file(&mut found.modules, &mut archive, (path, &entry, rest), &mut room_bytes)?;
        }
    }
    Ok(found)
}

/// Takes note of one file below `lib/modules/RELEASE`.
fn add_module_file<R: Read>(
    modules: &mut Supply,
    archive: &mut tar::Archive<R>,
    (package, entry, rest): (&Path, &tar::Entry, &str),
    room_bytes: &mut u64,
) -> anyhow::Result<()> {
    match rest {
        BUILTIN_LIST => modules.add_builtin_list(&archive.read_contents(LARGEST_LIST_BYTES)?),
        BUILTIN_MODINFO => modules.add_builtin_modinfo(&archive.read_contents(LARGEST_LIST_BYTES)?),
        _ => {
            let Some(name) = name_of(rest) else {
                return Ok(());
            };
            let keep = KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
                && entry.size_bytes <= *room_bytes;
            let stored = if keep {
                *room_bytes -= entry.size_bytes;
                Stored::Kept(archive.read_contents(LARGEST_MODULE_BYTES)?)
            } else {
                Stored::Packed(package.to_path_buf(), entry.path.clone())
            };
            modules.add(name, stored);
        }
    }
    Ok(())
}

/// Kernels lie in /boot, or (in packages for image-based systems) beside their modules.
fn is_kernel(path: &str) -> bool {
    path.strip_prefix("boot/vmlinuz").is_some_and(|rest| !rest.contains('/'))
        || module_path(path).is_some_and(|(_, rest)| rest == "vmlinuz")
}

/// Splits `lib/modules/RELEASE/REST`.
fn module_path(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("usr/").unwrap_or(path).strip_prefix("lib/modules/")?.split_once('/')
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{ar, bzimage, control, elf_tests};
    use super::*;
    use std::path::PathBuf;

    /// Writes a package of these files, gzip-compressed.
    pub(crate) fn write(directory: &Path, name: &str, files: &[(&str, &[u8])]) -> PathBuf {
        write_with(directory, name, "", files)
    }

    /// Writes a package of these files that says this of itself.
    pub(crate) fn write_with(
        directory: &Path,
        name: &str,
        control: &str,
        files: &[(&str, &[u8])],
    ) -> PathBuf {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, &tar::tests::archive(files)).unwrap();
        let data = packed.finish().unwrap();
        let path = directory.join(name);
        let control = control::tests::member(control);
        let members: [(&str, &[u8]); 3] =
            [("debian-binary", b"2.0\n"), ("control.tar", &control), ("data.tar.gz", &data)];
        std::fs::write(&path, ar::tests::archive(&members)).unwrap();
        path
    }

    #[test]
    fn kernel_modules_and_built_in_list_are_found_in_both_layouts() {
        let directory = tempfile::tempdir().unwrap();
        let kernel = bzimage::tests::bzimage("6.1.0-9 #1");
        let module = elf_tests::module("virtio", &[], "6.1.0-9");
        for prefix in ["./lib", "./usr/lib"] {
            let files: [(&str, &[u8]); 4] = [
                ("./boot/vmlinuz-6.1.0-9", &kernel),
                (&format!("{prefix}/modules/6.1.0-9/kernel/virtio.ko"), &module),
                (&format!("{prefix}/modules/6.1.0-9/kernel/other-one.ko"), b"other"),
                (&format!("{prefix}/modules/6.1.0-9/modules.builtin"), b"kernel/virtio_ring.ko\n"),
            ];
            let path = write(directory.path(), "linux.deb", &files);
            assert!(deb::is_package(&path));
            let found = open(&path).unwrap();
            let kernel = found.kernel.unwrap();
            assert_eq!((kernel.label.as_str(), kernel.release.as_deref()), ("linux.deb", Some("6.1.0-9")));
            assert_eq!(found.modules.release.as_deref(), Some("6.1.0-9"));
            assert_eq!(found.modules.module("virtio").unwrap().unwrap(), module);
            // Not kept on the way, hence read from the package again.
            assert_eq!(found.modules.module("other_one").unwrap().unwrap(), b"other");
            assert!(found.modules.is_builtin("virtio_ring"));
        }
    }

    #[test]
    fn a_package_for_another_machine_is_named_as_such() {
        let directory = tempfile::tempdir().unwrap();
        let path = write_with(directory.path(), "linux.deb", "Architecture: arm64\n", &[]);
        let text = format!("{:#}", open(&path).err().unwrap());
        assert!(
            text.contains("linux.deb") && text.contains("a package for arm64") && text.contains("amd64"),
            "{text}"
        );
    }

    #[test]
    fn a_package_of_two_kernels_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let kernel = bzimage::tests::bzimage("6.1.0-9");
        let path =
            write(directory.path(), "a.deb", &[("boot/vmlinuz-1", &kernel), ("boot/vmlinuz-2", &kernel)]);
        let text = format!("{:#}", open(&path).err().unwrap());
        assert!(text.contains("a.deb") && text.contains("several kernels"), "{text}");
    }

    #[test]
    fn a_package_that_is_cut_short_is_named_with_the_length_it_should_have() {
        let directory = tempfile::tempdir().unwrap();
        let path =
            write(directory.path(), "linux.deb", &[("boot/vmlinuz-1", &bzimage::tests::bzimage("6.1"))]);
        let whole = std::fs::read(&path).unwrap();
        let ends = whole.len() - usize::from(whole.ends_with(b"\n"));
        for bytes in [ends - 1, ends - 100] {
            std::fs::write(&path, &whole[..bytes]).unwrap();
            let text = format!("{:#}", open(&path).err().unwrap());
            let said = format!("it has {bytes} bytes, and by its own headers at least {ends}; download");
            assert!(text.contains("linux.deb") && text.contains(&said), "{text}");
        }
    }

    #[test]
    fn what_is_no_package_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("some.deb");
        std::fs::write(&path, ar::tests::archive(&[("debian-binary", b"2.0\n")])).unwrap();
        assert!(format!("{:#}", open(&path).err().unwrap()).contains("data.tar"));
        std::fs::write(&path, b"text").unwrap();
        assert!(!deb::is_package(&path) && open(&path).is_err());
        assert!(!deb::is_package(&directory.path().join("absent")));
    }
}
