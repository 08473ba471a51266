//! Builds the guest image: a kernel, and an initramfs with the guest program as init and the modules it needs.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// File name of the kernel in an image directory.
pub const KERNEL_FILE: &str = "vmlinuz";
/// File name of the initramfs in an image directory.
pub const INITRAMFS_FILE: &str = "initramfs";
/// File name of the account of what an image was made of.
pub const MANIFEST_FILE: &str = "image.json";

/// What to build an image from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The image directory; made when it is not there.
    pub out: PathBuf,
    /// The guest program; without it, the one that lies beside the running program.
    pub guest: Option<PathBuf>,
    /// A bzImage, a kernel package (`.deb`), or the tree of an unpacked one; without it, the host's kernel.
    pub kernel: Option<PathBuf>,
    /// `/lib/modules/RELEASE`, a tree with one release, a flat directory of modules, or a `.deb`.
    pub modules: Option<PathBuf>,
}

/// What was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The kernel of the image.
    pub kernel: PathBuf,
    /// The initramfs of the image.
    pub initramfs: PathBuf,
    /// Size of the guest program.
    pub guest_bytes: u64,
    /// Size of the compressed initramfs.
    pub initramfs_bytes: u64,
    /// The modules in the order in which the guest loads them.
    pub modules: Vec<String>,
    /// The kernel's release (`uname -r`), where the kernel says it.
    pub kernel_release: Option<String>,
    /// What may go wrong when this image boots.
    pub warnings: Vec<String>,
}

/// What an image was made of, as `image.json` says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the builder.
    pub builder: String,
    /// File name of the kernel, or of the package it came from.
    pub kernel: String,
    /// The kernel's release (`uname -r`), where the kernel says it.
    pub kernel_release: Option<String>,
    /// Size of the kernel.
    pub kernel_bytes: u64,
    /// The modules in the order in which the guest loads them.
    pub modules: Vec<String>,
    /// The version of the guest program, where it says one.
    pub guest_version: Option<String>,
    /// Size of the guest program.
    pub guest_bytes: u64,
    /// Size of the compressed initramfs.
    pub initramfs_bytes: u64,
}

/// Builds an image. What was there stays untouched until everything new is complete.
///
/// # Errors
/// Whatever keeps the image from booting and working: no guest program or a dynamic one, no kernel, a module
/// that is wanted and not to be found. Each says what was looked at and the way out.
pub fn build(request: &Request) -> anyhow::Result<Built> {
    anyhow::bail!("cannot build an image in '{}' yet", request.out.display())
}
