//! Finds the one kernel of a directory tree, and the modules that lie beside a kernel, as distributions lay them out.

use super::bounded::read_file;
use super::kernel::{Kernel, LARGEST_KERNEL_BYTES};
use super::tree::{is_release, sorted};
use anyhow::{bail, ensure};
use std::path::{Path, PathBuf};

/// Where the modules of all releases lie below a root.
const MODULE_PLACES: [&str; 2] = ["lib/modules", "usr/lib/modules"];
/// Most kernels of a tree that are compared with each other.
const MOST_KERNELS: usize = 64;

/// The kernel of a tree: Debian's `boot/vmlinuz-RELEASE`, or the `usr/lib/modules/RELEASE/vmlinuz` of Fedora, Arch and SUSE;
/// nothing where there is none.
///
/// # Errors
/// Several kernels, or one that cannot be read.
pub(super) fn of_tree(root: &Path) -> anyhow::Result<Option<Kernel>> {
    let mut found: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    let places = candidates(root);
    ensure!(places.len() <= MOST_KERNELS, "'{}' holds more than {MOST_KERNELS} kernels", root.display());
    for path in places {
        let bytes = read_file(&path, LARGEST_KERNEL_BYTES)?;
        // Fedora has its kernel in both places.
        if found.iter().all(|(_, other)| *other != bytes) {
            found.push((path, bytes));
        }
    }
    match found.as_slice() {
        [] => Ok(None),
        [(only, _)] => Kernel::read(only).map(Some),
        several => bail!(
            "'{}' holds several kernels: {}; give one of them with --kernel",
            root.display(),
            several.iter().map(|(path, _)| path.display().to_string()).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// The files of a tree that may be its kernel, each once.
fn candidates(root: &Path) -> Vec<PathBuf> {
    let inside = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
    let in_boot = sorted(&root.join("boot")).unwrap_or_default().into_iter();
    let in_boot = in_boot.filter(|path| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("vmlinuz"))
    });
    let releases = MODULE_PLACES.iter().filter_map(|place| sorted(&root.join(place)).ok()).flatten();
    let beside_modules = releases.map(|release| release.join("vmlinuz"));
    let mut seen = Vec::new();
    let mut is_fresh = |path: &PathBuf| {
        // A link may lead nowhere, or out of the tree: an absolute one of an unpacked root leads to the host's kernel.
        let Ok(real) = path.canonicalize() else { return false };
        let is_fresh = real.is_file() && real.starts_with(&inside) && !seen.contains(&real);
        seen.push(real);
        is_fresh
    };
    let mut found: Vec<_> = in_boot.chain(beside_modules).filter(&mut is_fresh).collect();
    // The directory of a release itself, or a kernel that someone put beside its modules.
    if found.is_empty() {
        found.extend(Some(root.join("vmlinuz")).filter(is_fresh));
    }
    found
}

/// The directory with the modules that belong to the kernel in the file `path`: the one it lies in, or the one of its
/// release beside its `boot`.
pub(super) fn modules_beside(path: &Path, release: Option<&str>) -> Option<PathBuf> {
    let real = path.canonicalize().ok()?;
    let directory = real.parent()?;
    if is_release(directory) {
        return Some(directory.to_path_buf());
    }
    let root = directory.parent().filter(|_| directory.file_name().is_some_and(|name| name == "boot"))?;
    modules_below(root, release?)
}

/// The directory with the modules of `release` below a root.
pub(super) fn modules_below(root: &Path, release: &str) -> Option<PathBuf> {
    MODULE_PLACES.map(|place| root.join(place).join(release)).into_iter().find(|path| path.is_dir())
}

#[cfg(test)]
mod tests {
    use super::super::bzimage::tests::bzimage;
    use super::*;
    use std::os::unix::fs::symlink;

    /// A tree with these files, each a kernel of the release `6.12.0`.
    fn tree(kernels: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for path in kernels {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bzimage("6.12.0")).unwrap();
        }
        root
    }

    #[test]
    fn the_kernel_is_found_where_each_distribution_has_it() {
        for places in [
            &["boot/vmlinuz-6.12.0"][..],
            &["usr/lib/modules/6.12.0/vmlinuz"],
            &["lib/modules/6.12.0/vmlinuz"],
            &["boot/vmlinuz-6.12.0", "lib/modules/6.12.0/vmlinuz"],
            &["vmlinuz"],
        ] {
            let root = tree(places);
            let kernel = of_tree(root.path()).unwrap().unwrap();
            assert_eq!(kernel.release.as_deref(), Some("6.12.0"), "{places:?}");
        }
        assert_eq!(of_tree(tree(&["etc/vmlinuz"]).path()).unwrap(), None);
    }

    #[test]
    fn links_within_the_tree_count_once_and_those_out_of_it_not_at_all() {
        let root = tree(&["usr/lib/modules/6.12.0/vmlinuz"]);
        symlink("usr/lib", root.path().join("lib")).unwrap();
        std::fs::create_dir(root.path().join("boot")).unwrap();
        symlink("../usr/lib/modules/6.12.0/vmlinuz", root.path().join("boot/vmlinuz-6.12.0")).unwrap();
        symlink("/nowhere/vmlinuz", root.path().join("boot/vmlinuz")).unwrap();
        let other = tree(&["other"]);
        std::fs::write(other.path().join("other"), bzimage("6.1.0")).unwrap();
        symlink(other.path().join("other"), root.path().join("vmlinuz")).unwrap();
        assert!(of_tree(root.path()).unwrap().is_some());
    }

    #[test]
    fn modules_lie_with_the_kernel_or_beside_its_boot() {
        let root = tree(&["boot/vmlinuz-6.12.0", "usr/lib/modules/6.12.0/vmlinuz", "bzImage"]);
        std::fs::write(root.path().join("usr/lib/modules/6.12.0/modules.order"), "").unwrap();
        for kernel in ["boot/vmlinuz-6.12.0", "usr/lib/modules/6.12.0/vmlinuz"] {
            let found = modules_beside(&root.path().join(kernel), Some("6.12.0")).unwrap();
            assert!(found.ends_with("usr/lib/modules/6.12.0"), "{kernel}: {}", found.display());
        }
        assert_eq!(modules_beside(&root.path().join("boot/vmlinuz-6.12.0"), Some("6.1.0")), None);
        assert_eq!(modules_beside(&root.path().join("bzImage"), Some("6.12.0")), None);
    }
}
