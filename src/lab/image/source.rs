//! Finds the kernel of an image and the modules that belong to it.

use super::kernel::Kernel;
use super::supply::Supply;
use super::{deb, package, tree};
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};

/// How to come by a kernel where the host has none to give.
const WAY_OUT: &str = "guest-image/fetch-kernel.sh DIR fetches Debian's; give its path with --kernel FILE";

/// The kernel that was asked for, and its modules: those asked for, else those that lie with the kernel, else none.
///
/// # Errors
/// No kernel, or modules that cannot be read.
pub(super) fn gather(
    kernel: Option<&Path>,
    modules: Option<&Path>,
) -> anyhow::Result<(Kernel, Option<Supply>)> {
    let (kernel, own) = match kernel {
        None => of_host(&host_release()?, Path::new("/"))?,
        Some(path) if !path.exists() => bail!(
            "there is no '{}'; expected a bzImage, a kernel package (.deb) or its unpacked tree; {WAY_OUT}",
            path.display()
        ),
        Some(path) if path.is_dir() => of_tree(path)?,
        Some(path) if deb::is_package(path) => of_package(path)?,
        Some(path) => (Kernel::read(path)?, None),
    };
    let modules = match modules {
        Some(path) => Some(modules_of(path, kernel.release.as_deref())?),
        None => own.map(|own| own.open(&kernel)).transpose()?,
    };
    Ok((kernel, modules))
}

/// The modules that lie with a kernel, opened only when no others are asked for.
enum Own {
    Directory(PathBuf),
    Package(Supply),
}

impl Own {
    fn open(self, kernel: &Kernel) -> anyhow::Result<Supply> {
        match self {
            Self::Directory(path) => tree::open(&path, kernel.release.as_deref()),
            Self::Package(supply) => Ok(supply),
        }
    }
}

fn modules_of(path: &Path, kernel_release: Option<&str>) -> anyhow::Result<Supply> {
    if !deb::is_package(path) {
        return tree::open(path, kernel_release);
    }
    let modules = package::open(path)?.modules;
    if modules.is_empty() {
        bail!("the package '{}' holds no kernel modules", path.display());
    }
    Ok(modules)
}

fn of_package(path: &Path) -> anyhow::Result<(Kernel, Option<Own>)> {
    let contents = package::open(path)?;
    let kernel = contents.kernel.with_context(|| {
        format!("the package '{}' holds no kernel (boot/vmlinuz-RELEASE); {WAY_OUT}", path.display())
    })?;
    Ok((kernel, Some(Own::Package(contents.modules))))
}

/// A tree with one `boot/vmlinuz-RELEASE`, such as an unpacked kernel package.
fn of_tree(root: &Path) -> anyhow::Result<(Kernel, Option<Own>)> {
    let boot = root.join("boot");
    let mut kernels: Vec<_> = std::fs::read_dir(&boot)
        .with_context(|| format!("'{}' has no directory 'boot' with a kernel; {WAY_OUT}", root.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz")))
        .collect();
    kernels.sort();
    match kernels.as_slice() {
        [only] => Ok((Kernel::read(only)?, Some(Own::Directory(root.to_path_buf())))),
        [] => bail!("'{}' holds no vmlinuz-RELEASE; {WAY_OUT}", boot.display()),
        several => bail!(
            "'{}' holds several kernels: {}; give one of them with --kernel",
            boot.display(),
            several.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
        ),
    }
}

fn host_release() -> anyhow::Result<String> {
    let names = nix::sys::utsname::uname().context("cannot ask for the host's kernel release")?;
    Ok(names.release().to_string_lossy().into_owned())
}

/// The kernel that the host runs, where its distribution keeps it.
fn of_host(release: &str, root: &Path) -> anyhow::Result<(Kernel, Option<Own>)> {
    let places = [
        format!("boot/vmlinuz-{release}"),
        format!("lib/modules/{release}/vmlinuz"),
        format!("usr/lib/modules/{release}/vmlinuz"),
    ]
    .map(|place| root.join(place));
    let Some(path) = places.iter().find(|path| path.exists()) else {
        let places = places.map(|path| path.display().to_string()).join(", ");
        bail!("the host's kernel {release} is in none of {places}; {WAY_OUT}");
    };
    let kernel = Kernel::read(path).with_context(|| {
        format!("the host's kernel '{}' is of no use (readable by root only?); {WAY_OUT}", path.display())
    })?;
    let modules = root.join("lib/modules").join(release);
    Ok((kernel, modules.is_dir().then_some(Own::Directory(modules))))
}

#[cfg(test)]
mod tests {
    use super::super::bzimage::tests::bzimage;
    use super::*;

    fn root_with(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, contents) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, contents).unwrap();
        }
        root
    }

    #[test]
    fn the_hosts_kernel_is_found_where_distributions_keep_it() {
        for place in ["boot/vmlinuz-6.1.0", "lib/modules/6.1.0/vmlinuz", "usr/lib/modules/6.1.0/vmlinuz"] {
            let root = root_with(&[(place, &bzimage("6.1.0"))]);
            assert_eq!(of_host("6.1.0", root.path()).unwrap().0.release.as_deref(), Some("6.1.0"), "{place}");
        }
    }

    #[test]
    fn a_host_without_its_kernel_is_told_where_it_was_sought_and_what_to_do() {
        let root = root_with(&[]);
        let text = of_host("6.1.0", root.path()).err().unwrap().to_string();
        assert!(text.contains("boot/vmlinuz-6.1.0") && text.contains("--kernel FILE"), "{text}");
    }

    #[test]
    fn a_bare_kernel_brings_no_modules() {
        let root = root_with(&[("bzImage", &bzimage("6.1.0"))]);
        let (kernel, modules) = gather(Some(&root.path().join("bzImage")), None).unwrap();
        assert!(kernel.label == "bzImage" && modules.is_none());
    }

    #[test]
    fn a_tree_brings_its_one_kernel_or_says_why_not() {
        let root = root_with(&[
            ("boot/vmlinuz-6.1.0", &bzimage("6.1.0")),
            ("lib/modules/6.1.0/modules.builtin", b"kernel/virtio.ko\n"),
        ]);
        let (kernel, modules) = gather(Some(root.path()), None).unwrap();
        assert_eq!(kernel.label, "vmlinuz-6.1.0");
        assert!(modules.unwrap().is_builtin("virtio"));
        std::fs::write(root.path().join("boot/vmlinuz-6.2.0"), b"").unwrap();
        let text = gather(Some(root.path()), None).err().unwrap().to_string();
        assert!(text.contains("several kernels") && text.contains("vmlinuz-6.2.0"), "{text}");
    }

    #[test]
    fn a_file_that_is_no_kernel_is_named_with_what_was_expected() {
        let root = root_with(&[("notes.txt", b"text")]);
        let text = format!("{:#}", gather(Some(&root.path().join("notes.txt")), None).err().unwrap());
        assert!(text.contains("notes.txt") && text.contains("expected a bzImage"), "{text}");
        let text = format!("{:#}", gather(Some(&root.path().join("absent")), None).err().unwrap());
        assert!(text.contains("absent"), "{text}");
    }
}
