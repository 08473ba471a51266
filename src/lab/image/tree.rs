//! Finds the modules of one kernel in a directory: `/lib/modules/RELEASE`, a tree around it, or a flat directory.

use super::bounded::read_file;
use super::modinfo;
use super::supply::{BUILTIN_LIST, BUILTIN_MODINFO, Stored, Supply, file, name_of};
use anyhow::{Context, bail, ensure};
use std::path::{Path, PathBuf};

/// Deepest directory looked into; the kernel's own module trees have nine levels.
const DEEPEST: usize = 16;
/// Most files looked at: a full distribution kernel has about 6000 modules.
const MOST_FILES: usize = 100_000;
/// Most modules of a flat directory, each of which is read for its name.
const MOST_FLAT_MODULES: usize = 1024;
const LARGEST_LIST_BYTES: u64 = 16 << 20;

/// What `--modules` takes, for messages.
pub(super) const EXPECTED: &str =
    "expected /lib/modules/RELEASE, a directory around one, .ko files, or a .deb";

/// The modules in `directory`. Where it holds several releases, that of the kernel is taken.
///
/// # Errors
/// No modules, or several releases none of which is the kernel's.
pub(super) fn open(directory: &Path, kernel_release: Option<&str>) -> anyhow::Result<Supply> {
    ensure!(directory.is_dir(), "'{}' is no directory of kernel modules; {EXPECTED}", directory.display());
    find(directory, kernel_release)?
        .with_context(|| format!("'{}' holds no kernel modules; {EXPECTED}", directory.display()))
}

/// The same, or nothing where there are no modules and no list of what is built in.
///
/// # Errors
/// Several releases none of which is the kernel's, or what cannot be read.
pub(super) fn find(directory: &Path, kernel_release: Option<&str>) -> anyhow::Result<Option<Supply>> {
    let supply = if is_release(directory) { release(directory) } else { below(directory, kernel_release) }?;
    Ok(Some(supply).filter(|supply| !supply.is_empty()))
}

/// The modules of the one release below `directory`, or those right in it.
fn below(directory: &Path, kernel_release: Option<&str>) -> anyhow::Result<Supply> {
    let mut releases = releases_below(directory);
    if let Some(wanted) = kernel_release.filter(|_| releases.len() > 1) {
        let is_wanted = |path: &PathBuf| path.file_name().is_some_and(|name| name == wanted);
        if releases.iter().any(is_wanted) {
            releases.retain(is_wanted);
        }
    }
    match releases.as_slice() {
        [only] => release(only),
        [] => flat(directory),
        several => bail!(
            "'{}' holds the modules of several kernels: {}; give one of them with --modules",
            directory.display(),
            several.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// Whether this is a `/lib/modules/RELEASE`.
pub(super) fn is_release(directory: &Path) -> bool {
    ["kernel", BUILTIN_LIST, BUILTIN_MODINFO, "modules.order", "modules.dep"]
        .iter()
        .any(|name| directory.join(name).exists())
        && !directory.join("lib/modules").exists()
        // A flat directory may hold the list of what is built in, but has its modules beside it.
        && !has_modules(directory)
}

fn has_modules(directory: &Path) -> bool {
    sorted(directory).is_ok_and(|paths| paths.iter().any(|path| module_name(path).is_some()))
}

/// The release directories in `directory`, in `lib/modules` and in `usr/lib/modules`.
fn releases_below(directory: &Path) -> Vec<PathBuf> {
    let places = [directory.join("lib/modules"), directory.join("usr/lib/modules"), directory.to_path_buf()];
    // One of the first two is often a link to the other: the first place that has any counts.
    places
        .iter()
        .filter_map(|place| sorted(place).ok())
        .map(|paths| paths.into_iter().filter(|path| is_release(path)).collect::<Vec<_>>())
        .find(|releases| !releases.is_empty())
        .unwrap_or_default()
}

/// A `/lib/modules/RELEASE`: names are taken from the file names, so that thousands of modules need not be read.
fn release(directory: &Path) -> anyhow::Result<Supply> {
    let canonical = directory.canonicalize().unwrap_or_else(|_| directory.to_path_buf());
    let name = canonical.file_name().map(|name| name.to_string_lossy().into_owned());
    let mut supply = with_builtin(directory, name)?;
    let mut looked_at = 0;
    add_below(&mut supply, directory, DEEPEST, &mut looked_at)?;
    Ok(supply)
}

fn add_below(
    supply: &mut Supply,
    directory: &Path,
    depth: usize,
    looked_at: &mut usize,
) -> anyhow::Result<()> {
    for path in sorted(directory)? {
        *looked_at += 1;
        if *looked_at > MOST_FILES {
            bail!("'{}' holds more than {MOST_FILES} files: no module directory does", directory.display());
        }
        // A link to a directory (`build`, `source`) leads out of the tree.
        let is_directory = path.symlink_metadata().is_ok_and(|data| data.is_dir());
        if is_directory && depth > 0 {
            add_below(supply, &path, depth - 1, looked_at)?;
        } else if let Some(name) = module_name(&path) {
            supply.add(name, Stored::File(path));
        }
    }
    Ok(())
}

/// A directory of modules: few, hence each is asked for its name, whatever its file is called.
fn flat(directory: &Path) -> anyhow::Result<Supply> {
    let modules: Vec<_> = sorted(directory)?.into_iter().filter(|path| module_name(path).is_some()).collect();
    if modules.len() > MOST_FLAT_MODULES {
        bail!("'{}' holds {} modules; give /lib/modules/RELEASE instead", directory.display(), modules.len());
    }
    let mut supply = with_builtin(directory, None)?;
    for path in modules {
        let info = modinfo::read(&file(&path)?).with_context(|| format!("'{}'", path.display()))?;
        if let Some(name) = info.name.or_else(|| module_name(&path)) {
            supply.add(name, Stored::File(path));
        }
    }
    Ok(supply)
}

/// A supply that knows what is built in, where the directory says it.
fn with_builtin(directory: &Path, release: Option<String>) -> anyhow::Result<Supply> {
    let mut supply = Supply::new(format!("'{}'", directory.display()), release);
    let list = directory.join(BUILTIN_LIST);
    if list.exists() {
        supply.add_builtin_list(&read_file(&list, LARGEST_LIST_BYTES)?);
    }
    let modinfo = directory.join(BUILTIN_MODINFO);
    if modinfo.exists() {
        supply.add_builtin_modinfo(&read_file(&modinfo, LARGEST_LIST_BYTES)?);
    }
    Ok(supply)
}

fn module_name(path: &Path) -> Option<String> {
    path.is_file().then(|| name_of(path.file_name()?.to_str()?)).flatten()
}

/// The paths in a directory, in the order of their names, so that one tree always gives one image.
pub(super) fn sorted(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let failed = || format!("cannot read the directory '{}'", directory.display());
    let entries = std::fs::read_dir(directory).with_context(failed)?;
    let mut paths = entries
        .map(|entry| entry.map(|found| found.path()))
        .collect::<Result<Vec<_>, _>>()
        .with_context(failed)?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::super::elf_tests::module;
    use super::*;

    /// Writes one module as `directory/path`.
    fn put(directory: &Path, path: &str, contents: &[u8]) {
        let path = directory.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, contents).unwrap();
    }

    #[test]
    fn a_release_directory_is_found_from_each_place_above_it() {
        let root = tempfile::tempdir().unwrap();
        let virtio = module("virtio", &[], "6.1.0");
        put(root.path(), "lib/modules/6.1.0/kernel/drivers/virtio.ko", &virtio);
        put(root.path(), "lib/modules/6.1.0/modules.builtin", b"kernel/virtio_ring.ko\n");
        for place in ["lib/modules/6.1.0", "lib/modules", ""] {
            let supply = open(&root.path().join(place), None).unwrap();
            assert_eq!(supply.release.as_deref(), Some("6.1.0"), "{place}");
            assert_eq!(supply.module("virtio").unwrap().unwrap(), virtio);
            assert!(supply.is_builtin("virtio_ring"));
        }
    }

    #[test]
    fn of_several_releases_the_kernel_decides() {
        let root = tempfile::tempdir().unwrap();
        for release in ["6.1.0", "6.12.0"] {
            put(root.path(), &format!("{release}/kernel/virtio.ko"), &module("virtio", &[], release));
        }
        assert_eq!(open(root.path(), Some("6.12.0")).unwrap().release.as_deref(), Some("6.12.0"));
        let text = open(root.path(), None).unwrap_err().to_string();
        assert!(text.contains("6.1.0") && text.contains("6.12.0") && text.contains("--modules"), "{text}");
        let text = open(root.path(), Some("6.6.0")).unwrap_err().to_string();
        assert!(text.contains("several kernels"), "{text}");
    }

    #[test]
    fn in_a_flat_directory_modules_are_known_by_what_they_say() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "00-first.ko", &module("virtio-ring", &[], "6.1.0"));
        put(root.path(), "modules.builtin", b"kernel/virtio.ko\n");
        let supply = open(root.path(), None).unwrap();
        assert!(supply.module("virtio_ring").unwrap().is_some() && supply.is_builtin("virtio"));
        assert_eq!(supply.release, None);
    }

    #[test]
    fn a_directory_without_modules_is_refused_with_what_was_expected() {
        let root = tempfile::tempdir().unwrap();
        let text = open(root.path(), None).unwrap_err().to_string();
        assert!(text.contains("no kernel modules") && text.contains("/lib/modules/RELEASE"), "{text}");
        // A directory called `kernel` does not make one of modules.
        put(root.path(), "kernel/install.d/notes", b"");
        assert!(open(root.path(), None).unwrap_err().to_string().contains("no kernel modules"));
        let text = open(&root.path().join("absent"), None).unwrap_err().to_string();
        assert!(text.contains("absent' is no directory") && text.contains("/lib/modules/RELEASE"), "{text}");
    }

    #[test]
    fn a_link_to_a_directory_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "6.1.0/kernel/virtio.ko", &module("virtio", &[], "6.1.0"));
        std::os::unix::fs::symlink(root.path(), root.path().join("6.1.0/build")).unwrap();
        assert!(open(&root.path().join("6.1.0"), None).unwrap().module("virtio").unwrap().is_some());
    }
}
