//! The modules of one kernel, wherever they lie: in a directory or in a package.

use super::bounded::read_file;
use super::modinfo::canonical;
use super::plain::plain;
use super::{deb, unpack};
use anyhow::Context;
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
    files: BTreeMap<String, Stored>,
    builtin: BTreeSet<String>,
}

impl Supply {
    pub(super) fn new(searched: String, release: Option<String>) -> Self {
        Self { searched, release, ..Self::default() }
    }

    /// Adds a module. Of two with one name the first is kept, so that the outcome follows from the order.
    pub(super) fn add(&mut self, name: String, stored: Stored) {
        self.files.entry(name).or_insert(stored);
    }

    /// Adds the names in `modules.builtin`: a path a line, such as `kernel/drivers/virtio/virtio.ko`.
    pub(super) fn add_builtin_list(&mut self, text: &[u8]) {
        let lines = text.split(|byte| *byte == b'\n').map(plain);
        self.builtin.extend(lines.filter_map(|line| name_of(&line)));
    }

    /// Adds the names in `modules.builtin.modinfo`: `module.key=value`, each closed by a NUL.
    pub(super) fn add_builtin_modinfo(&mut self, bytes: &[u8]) {
        let statements = bytes.split(|byte| *byte == 0).map(plain);
        self.builtin.extend(statements.filter_map(|text| Some(canonical(text.split_once('.')?.0))));
    }

    /// Whether there is neither a module nor a list of what is built in.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.builtin.is_empty()
    }

    /// Whether the kernel has this module built in.
    pub(super) fn is_builtin(&self, name: &str) -> bool {
        self.builtin.contains(name)
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
    fn of_two_modules_with_one_name_the_first_counts() {
        let mut supply = Supply::default();
        supply.add("virtio".into(), Stored::Kept(b"first".to_vec()));
        supply.add("virtio".into(), Stored::Kept(b"second".to_vec()));
        assert_eq!(supply.module("virtio").unwrap().as_deref(), Some(b"first".as_slice()));
        assert_eq!(supply.module("virtio_ring").unwrap(), None);
    }
}
