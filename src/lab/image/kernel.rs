//! A kernel that QEMU boots.

use super::bounded::read_file;
use super::bzimage;
use anyhow::Context;
use std::path::Path;

/// Largest kernel accepted; those of distributions have 8 to 80 MB.
pub(super) const LARGEST_KERNEL_BYTES: u64 = 256 << 20;

/// A bzImage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kernel {
    /// The name of the file it came from.
    pub(super) label: String,
    pub(super) bytes: Vec<u8>,
    /// Its release (`uname -r`), where it says one.
    pub(super) release: Option<String>,
}

impl Kernel {
    /// # Errors
    /// Bytes that are no bzImage, or not all of one.
    pub(super) fn new(label: String, bytes: Vec<u8>) -> anyhow::Result<Self> {
        let release = bzimage::release(&bytes)?;
        bzimage::ensure_complete(&bytes)?;
        Ok(Self { label, bytes, release })
    }

    /// # Errors
    /// A file that cannot be read, is too large, or is no whole bzImage.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = read_file(path, LARGEST_KERNEL_BYTES)?;
        let label = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Self::new(label, bytes).with_context(|| format!("'{}' is no kernel that QEMU boots", path.display()))
    }
}
