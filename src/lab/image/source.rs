//! Finds the kernel of an image and the modules that belong to it.

use super::identify::what_is;
use super::kernel::Kernel;
use super::kernels::{modules_below, modules_beside, of_tree};
use super::supply::Supply;
use super::{bounded, deb, package, tree};
use anyhow::{Context, bail, ensure};
use std::path::{Path, PathBuf};

/// How to come by a kernel where the host has none to give.
const WAY_OUT: &str =
    "guest-image/fetch-kernel.sh DIR fetches Debian's; give what it prints with --kernel FILE";
/// What `--kernel` takes.
const EXPECTED: &str =
    "expected a bzImage, kernel packages (.deb), a directory of them, or the tree of an unpacked one";
/// How the packages of Linux are called, before its release.
const PACKAGES_OF_LINUX: [&str; 5] =
    ["linux-image-", "linux-binary-", "linux-modules-", "linux-base-", "linux-headers-"];
/// How many bytes of a file show what it is.
const HEAD_BYTES: u64 = 64 << 10;

/// The kernel that was asked for, and its modules: those asked for, else those that lie with the kernel, else none.
///
/// # Errors
/// No kernel, or modules that cannot be read.
pub(super) fn gather(kernel: &[PathBuf], modules: &[PathBuf]) -> anyhow::Result<(Kernel, Option<Supply>)> {
    let (kernel, own) = match kernel {
        [] => of_host(&host_release()?, Path::new("/"))?,
        [one] => of_path(one)?,
        several => of_packages(several)?,
    };
    let release = kernel.release.as_deref();
    let modules = match (modules, own) {
        ([], None) => None,
        ([], Some(Own::Packages(supply))) => Some(supply),
        ([], Some(Own::Directory(path))) => tree::find(&path, release)?,
        (asked, _) => Some(modules_of(asked, release)?),
    };
    Ok((kernel, modules))
}

/// The modules that lie with a kernel, opened only when no others are asked for.
enum Own {
    Directory(PathBuf),
    Packages(Supply),
}

/// What was asked for with `--modules`.
fn modules_of(paths: &[PathBuf], kernel_release: Option<&str>) -> anyhow::Result<Supply> {
    let mut all = Supply::default();
    for path in paths {
        let supply = if deb::is_package(path) {
            let modules = package::open(path)?.modules;
            ensure!(!modules.is_empty(), "the package '{}' holds no kernel modules", path.display());
            modules
        } else {
            ensure!(!path.is_file(), "'{}' is {}; {}", path.display(), shown(path), tree::EXPECTED);
            tree::open(path, kernel_release)?
        };
        all.merge(supply)?;
    }
    Ok(all)
}

/// What a single `--kernel` names.
fn of_path(path: &Path) -> anyhow::Result<(Kernel, Option<Own>)> {
    ensure!(path.exists(), "there is no '{}'; {EXPECTED}; {WAY_OUT}", path.display());
    if deb::is_package(path) {
        return of_packages(&[path.to_path_buf()]);
    }
    if !path.is_dir() {
        let kernel = Kernel::read(path)?;
        let modules = modules_beside(path, kernel.release.as_deref());
        return Ok((kernel, modules.map(Own::Directory)));
    }
    if let Some(kernel) = of_tree(path)? {
        return Ok((kernel, Some(Own::Directory(path.to_path_buf()))));
    }
    let packages: Vec<_> = tree::sorted(path)?.into_iter().filter(|path| deb::is_package(path)).collect();
    ensure!(
        !packages.is_empty(),
        "'{}' holds no boot/vmlinuz-RELEASE, no lib/modules/RELEASE/vmlinuz and no packages; {WAY_OUT}",
        path.display()
    );
    of_packages(&packages)
}

/// The one kernel in these packages, and all their modules.
fn of_packages(paths: &[PathBuf]) -> anyhow::Result<(Kernel, Option<Own>)> {
    let mut kernels: Vec<(&PathBuf, Kernel)> = Vec::new();
    let (mut supply, mut names, mut needed) = (Supply::default(), Vec::new(), Vec::new());
    for path in paths {
        ensure!(path.exists(), "there is no '{}'; {EXPECTED}; {WAY_OUT}", path.display());
        ensure!(
            deb::is_package(path),
            "'{}' is {}; where --kernel names several files, each is a package (.deb)",
            path.display(),
            shown(path)
        );
        let contents = package::open(path)?;
        names.extend(contents.control.name);
        needed.extend(contents.control.depends);
        kernels.extend(contents.kernel.map(|kernel| (path, kernel)));
        // With two kernels the modules are of two releases as well: the message about the kernels is the better one.
        if kernels.len() < 2 {
            supply.merge(contents.modules)?;
        }
    }
    needed
        .retain(|name| PACKAGES_OF_LINUX.iter().any(|kind| name.starts_with(kind)) && !names.contains(name));
    if kernels.len() > 1 {
        let places: Vec<_> = kernels.iter().map(|(path, _)| format!("'{}'", path.display())).collect();
        bail!(
            "there are several kernels, in {}; give the packages of one with --kernel",
            places.join(" and ")
        );
    }
    let Some((_, kernel)) = kernels.pop() else {
        bail!("{} holds no kernel; {}", supply.searched, where_it_is(&names, &needed));
    };
    supply.needed_packages = needed;
    Ok((kernel, Some(Own::Packages(supply))))
}

/// The packages that hold what those of these `names` have not got, as far as it can be told from what they need.
fn where_it_is(names: &[String], needed: &[String]) -> String {
    let all = "give all of them: --kernel FILE FILE ..., or the directory they lie in";
    if !needed.is_empty() {
        let list = needed.join(" ");
        return format!("it needs {list}: fetch them (apt-get download) and {all}");
    }
    let release =
        names.iter().find_map(|name| PACKAGES_OF_LINUX.iter().find_map(|kind| name.strip_prefix(kind)));
    release.map_or_else(
        || WAY_OUT.to_owned(),
        |release| {
            format!("that is in linux-image-{release}, from Debian 14 on in linux-binary-{release}; {all}")
        },
    )
}

/// What a file is that is not what was expected.
fn shown(path: &Path) -> String {
    bounded::read_head(path, HEAD_BYTES)
        .map_or_else(|error| format!("unreadable ({error:#})"), |head| what_is(&head))
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
    Ok((kernel, modules_below(root, release).map(Own::Directory)))
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
        let (kernel, modules) = gather(&[root.path().join("bzImage")], &[]).unwrap();
        assert!(kernel.label == "bzImage" && modules.is_none());
    }

    #[test]
    fn a_tree_brings_its_one_kernel_or_says_why_not() {
        let root = root_with(&[
            ("boot/vmlinuz-6.1.0", &bzimage("6.1.0")),
            ("lib/modules/6.1.0/modules.builtin", b"kernel/virtio.ko\n"),
        ]);
        let (kernel, modules) = gather(&[root.path().to_path_buf()], &[]).unwrap();
        assert_eq!(kernel.label, "vmlinuz-6.1.0");
        assert!(modules.unwrap().is_builtin("virtio"));
        std::fs::write(root.path().join("boot/vmlinuz-6.2.0"), bzimage("6.2.0")).unwrap();
        let text = gather(&[root.path().to_path_buf()], &[]).err().unwrap().to_string();
        assert!(text.contains("several kernels") && text.contains("vmlinuz-6.2.0"), "{text}");
    }

    #[test]
    fn a_file_that_is_no_kernel_is_named_with_what_was_expected() {
        let root = root_with(&[("notes.txt", b"text")]);
        let text = format!("{:#}", gather(&[root.path().join("notes.txt")], &[]).err().unwrap());
        assert!(text.contains("notes.txt") && text.contains("expected a bzImage"), "{text}");
        let text = format!("{:#}", gather(&[root.path().join("absent")], &[]).err().unwrap());
        assert!(text.contains("absent"), "{text}");
    }
}
