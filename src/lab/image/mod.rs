//! Builds the guest image: a kernel, and an initramfs with the guest program as init and the modules it needs.

mod ar;
mod bounded;
mod bzimage;
mod choose;
mod control;
mod deb;
mod drivers;
#[cfg(test)]
mod elf_tests;
mod identify;
mod initramfs;
mod kernel;
mod kernels;
mod lz4;
mod modinfo;
mod order;
mod package;
mod plain;
mod program;
mod source;
mod store;
mod supply;
mod survey;
mod tar;
#[cfg(test)]
mod tests;
mod tree;
mod unpack;
mod whole;

use super::wrong::given;
use program::Program;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

pub use survey::{Survey, survey_module, survey_package};

/// A guest program beyond this was built for debugging: unpacking it slows every boot.
const LARGE_PROGRAM_BYTES: usize = 8 << 20;

/// Largest initramfs that gets a file more: the guest program and its modules, uncompressed.
const LARGEST_INITRAMFS_BYTES: u64 = 512 << 20;

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
    /// A bzImage, the packages (`.deb`) of one kernel, a directory of them, or the tree of an unpacked one; without any, the
    /// host's kernel.
    pub kernel: Vec<PathBuf>,
    /// `/lib/modules/RELEASE`, a tree with one release, a flat directory of modules, or a `.deb`; without any, the modules
    /// that lie with the kernel.
    pub modules: Vec<PathBuf>,
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
    let program = given(program::find(request.guest.as_deref()))?;
    let (kernel, supply) = given(source::gather(&request.kernel, &request.modules))?;
    let choose::Chosen { modules, mut warnings } = given(choose::choose(supply.as_ref(), &kernel))?;
    warnings.extend(warnings_of(&program));
    let initramfs = initramfs::pack(&program.bytes, &modules)?;
    let manifest = Manifest {
        builder: concat!("sully-lab ", env!("CARGO_PKG_VERSION")).to_owned(),
        kernel: kernel.label,
        kernel_release: kernel.release,
        kernel_bytes: kernel.bytes.len() as u64,
        modules: modules.into_iter().map(|module| module.name).collect(),
        guest_version: program.version,
        guest_bytes: program.bytes.len() as u64,
        initramfs_bytes: initramfs.len() as u64,
    };
    let mut account = serde_json::to_vec_pretty(&manifest)?;
    account.push(b'\n');
    let files: [(&str, &[u8]); 3] =
        [(KERNEL_FILE, &kernel.bytes), (INITRAMFS_FILE, &initramfs), (MANIFEST_FILE, &account)];
    store::publish(&request.out, &files)?;
    Ok(Built {
        kernel: request.out.join(KERNEL_FILE),
        initramfs: request.out.join(INITRAMFS_FILE),
        guest_bytes: manifest.guest_bytes,
        initramfs_bytes: manifest.initramfs_bytes,
        modules: manifest.modules,
        kernel_release: manifest.kernel_release,
        warnings,
    })
}

/// The initramfs at `path` with one more file in it, for one run.
///
/// # Errors
/// When it cannot be read, or the file is too large.
pub fn initramfs_with(path: &Path, name: &str, contents: &[u8]) -> anyhow::Result<Vec<u8>> {
    let image = bounded::read_file(path, LARGEST_INITRAMFS_BYTES)?;
    initramfs::append(image, name, contents)
}

/// What may go wrong when this program boots.
fn warnings_of(program: &Program) -> Vec<String> {
    let mut warnings = Vec::new();
    if program.version.is_none() {
        warnings.push(format!("'{}' does not say that it is sully's guest program", program.path.display()));
    }
    if program.bytes.len() > LARGE_PROGRAM_BYTES {
        warnings.push(format!(
            "'{}' has {} MB and makes every boot slower; 'cargo rustc --profile guest' makes a small one",
            program.path.display(),
            program.bytes.len() / 1_000_000
        ));
    }
    warnings
}
