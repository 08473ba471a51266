//! The modules of one kernel, wherever they lie: in a directory or in a package.

use super::bounded::read_file;
use super::modinfo::canonical;
use super::plain::plain;
use super::{deb, unpack};
use anyhow::{Context, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Largest module accepted, uncompressed. The largest of Debian's has 4 MB.
pub(super) const LARGEST_MODULE_BYTES: u64 = 64 << 20;
/// The lists of what is built in; each may be missing.
pub(super) const BUILTIN_LIST: &str = "modules.builtin";
pub(super) const BUILTIN_MODINFO: &str = "modules.builtin.modinfo";

/// Where the contents of a module are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stored {
    /// In a file, compressed or not.
    File(PathBuf),
    /// Here: kept while its package was read.
    Kept(Vec<u8>),
    /// In a package, under this path: read again when it is needed.
    Packed(PathBuf, String),
}

/// What modules there are.
#[derive(Debug, Default)]
pub(super) struct Supply {
    /// What was searched, for messages.
    pub(super) searched: String,
    /// The release that the modules belong to, as their directory is called.
    pub(super) release: Option<String>,
    /// The packages that those searched need and that were not given.
    pub(super) needed_packages: Vec<String>,
    files: BTreeMap<String, Stored>,
    builtin: BTreeSet<String>,
    /// Whether a list says what is built in: what it does not name is not.
    has_builtin_list: bool,
}

impl Supply {
    pub(super) fn new(searched: String, release: Option<String>) -> Self {
        Self { searched, release, ..Self::default() }
    }

    /// Adds a module. Of two with one name the first is kept, so that the outcome follows from the order.
    pub(super) fn add(&mut self, name: String, stored: Stored) {
        self.files.entry(name).or_insert(stored);
    }

    /// Adds what another package holds of the same kernel.
    ///
    /// # Errors
    /// Modules of another release.
    pub(super) fn merge(&mut self, other: Self) -> anyhow::Result<()> {
        if let (Some(ours), Some(theirs)) = (&self.release, &other.release) {
            ensure!(
                ours == theirs,
                "{} has modules of {ours}, and {} has modules of {theirs}; give the packages of one release",
                self.searched,
                other.searched
            );
        }
        if !self.searched.is_empty() {
            self.searched.push_str(", ");
        }
        self.searched.push_str(&other.searched);
        self.release = self.release.take().or(other.release);
        self.has_builtin_list |= other.has_builtin_list;
        self.builtin.extend(other.builtin);
        other.files.into_iter().for_each(|(name, stored)| self.add(name, stored));
        Ok(())
    }

    /// Adds the names in `modules.builtin`: a path a line, such as `kernel/drivers/virtio/virtio.ko`.
    pub(super) fn add_builtin_list(&mut self, text: &[u8]) {
        self.has_builtin_list = true;
        let lines = text.split(|byte| *byte == b'\n').map(plain);
        self.builtin.extend(lines.filter_map(|line| name_of(&line)));
    }

    /// Adds the names in `modules.builtin.modinfo`: `module.key=value`, each closed by a NUL.
    pub(super) fn add_builtin_modinfo(&mut self, bytes: &[u8]) {
        self.has_builtin_list = true;
        let statements = bytes.split(|byte| *byte == 0).map(plain);
        self.builtin.extend(statements.filter_map(|text| Some(canonical(text.split_once('.')?.0))));
    }

    /// Whether there is neither a module nor a list of what is built in.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.builtin.is_empty()
    }

    /// Whether there is a list of what the kernel has built in.
    pub(super) fn lists_builtin(&self) -> bool {
        self.has_builtin_list
    }

    /// Whether the list says that the kernel has this module built in.
    pub(super) fn is_builtin(&self, name: &str) -> bool {
        self.builtin.contains(name)
    }

    /// Whether there is a module of this name.
    pub(super) fn has_module(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// The uncompressed module, or nothing when there is none of this name.
    ///
    /// # Errors
    /// A module that cannot be read or unpacked.
    pub(super) fn module(&self, name: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let Some(stored) = self.files.get(name) else {
            return Ok(None);
        };
        contents(stored)
            .with_context(|| format!("cannot read the module {name} of {}", self.searched))
            .map(Some)
    }
}

fn contents(stored: &Stored) -> anyhow::Result<Vec<u8>> {
    match stored {
        Stored::File(path) => file(path),
        Stored::Kept(bytes) => unpack::bytes(bytes, LARGEST_MODULE_BYTES),
        Stored::Packed(archive, path) => {
            let packed = deb::member(archive, path, LARGEST_MODULE_BYTES)?;
            unpack::bytes(&packed, LARGEST_MODULE_BYTES)
        }
    }
}

/// The uncompressed contents of a module file.
pub(super) fn file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let packed = read_file(path, LARGEST_MODULE_BYTES)?;
    unpack::bytes(&packed, LARGEST_MODULE_BYTES).with_context(|| format!("'{}'", path.display()))
}

/// The name of the module in the file `path`, or nothing when that is no module's file name.
pub(super) fn name_of(path: &str) -> Option<String> {
    let file_name = path.rsplit('/').next()?;
    let (name, compression) = file_name.rsplit_once(".ko")?;
    (matches!(compression, "" | ".xz" | ".zst" | ".gz") && !name.is_empty()).then(|| canonical(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_known_by_its_file_name_however_it_is_compressed() {
        for path in ["kernel/a/virtio-pci.ko", "virtio_pci.ko.xz", "/x/virtio-pci.ko.zst", "virtio_pci.ko.gz"]
        {
            assert_eq!(name_of(path).as_deref(), Some("virtio_pci"), "{path}");
        }
        for path in ["modules.order", "virtio_pci.ko.sig", ".ko", "kernel/", ""] {
            assert_eq!(name_of(path), None, "{path}");
        }
    }

    #[test]
    fn both_lists_of_built_in_modules_are_understood() {
        let mut supply = Supply::default();
        assert!(supply.is_empty());
        supply.add_builtin_list(b"kernel/drivers/virtio/virtio.ko\nkernel/x/tcp-cubic.ko\n");
        supply.add_builtin_modinfo(b"virtio_console.license=GPL\0virtio_pci.file=drivers/virtio\0");
        for name in ["virtio", "tcp_cubic", "virtio_console", "virtio_pci"] {
            assert!(supply.is_builtin(name), "{name}");
        }
        assert!(!supply.is_builtin("virtio_net") && !supply.is_empty());
    }

    #[test]
    fn packages_of_one_kernel_become_one_supply_and_those_of_two_are_refused() {
        let of = |release: &str| Supply::new(format!("'{release}.deb'"), Some(release.into()));
        let mut all = Supply::default();
        all.merge(Supply::new("'image.deb'".into(), None)).unwrap();
        let (mut modules, mut base) = (of("7.2"), of("7.2"));
        modules.add("ptp_kvm".into(), Stored::Kept(b"module".to_vec()));
        base.add_builtin_list(b"kernel/virtio.ko\n");
        all.merge(modules).unwrap();
        assert!(!all.lists_builtin());
        all.merge(base).unwrap();
        assert!(all.lists_builtin() && all.is_builtin("virtio") && all.module("ptp_kvm").unwrap().is_some());
        assert_eq!(
            (all.searched.as_str(), all.release.as_deref()),
            ("'image.deb', '7.2.deb', '7.2.deb'", Some("7.2"))
        );
        let text = all.merge(of("6.1")).unwrap_err().to_string();
        assert!(text.contains("7.2") && text.contains("6.1.deb"), "{text}");
    }

    #[test]
    fn of_two_modules_with_one_name_the_first_counts() {
        let mut supply = Supply::default();
        supply.add("virtio".into(), Stored::Kept(b"first".to_vec()));
        supply.add("virtio".into(), Stored::Kept(b"second".to_vec()));
        assert_eq!(supply.module("virtio").unwrap().as_deref(), Some(b"first".as_slice()));
        assert_eq!(supply.module("virtio_ring").unwrap(), None);
    }
}
