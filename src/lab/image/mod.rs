//! Builds the guest image: a kernel, and an initramfs with the guest program as init and the modules it needs.

mod ar;
mod bounded;
mod bzimage;
mod deb;
#[cfg(test)]
mod elf_tests;
mod initramfs;
mod kernel;
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

use super::wrong::given;
use anyhow::{Context, ensure};
use kernel::Kernel;
use order::{Found, Module};
use program::Program;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use supply::Supply;

pub use survey::{Survey, survey_module, survey_package};

/// What the guest cannot do without: the bus that QEMU puts virtio devices on, and the port for its records.
const WANTED: [&str; 2] = ["virtio_pci", "virtio_console"];
/// What it is glad of where the kernel has it: clocks that show the hypervisor's time. Where there is no such device the
/// guest goes on without.
const WELCOME: [&str; 2] = ["ptp_kvm", "ptp_vmclock"];
/// A guest program beyond this was built for debugging: unpacking it slows every boot.
const LARGE_PROGRAM_BYTES: usize = 8 << 20;

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
    let program = given(program::find(request.guest.as_deref()))?;
    let (kernel, supply) = given(source::gather(request.kernel.as_deref(), request.modules.as_deref()))?;
    let modules = given(supply.as_ref().map(|supply| choose(supply, &kernel)).transpose())?;
    let warnings = warnings(&program, &kernel, modules.is_none());
    let modules = modules.unwrap_or_default();
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
    let image = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    initramfs::append(image, name, contents)
}

/// The modules that the guest needs, in loading order, made sure to be this kernel's.
fn choose(supply: &Supply, kernel: &Kernel) -> anyhow::Result<Vec<Module>> {
    let mut find = |name: &str| {
        if supply.is_builtin(name) {
            return Ok(Some(Found::BuiltIn));
        }
        let Some(bytes) = supply.module(name)? else {
            return Ok(None);
        };
        let info =
            modinfo::read(&bytes).with_context(|| format!("the module {name} of {}", supply.searched))?;
        Ok(Some(Found::Module { bytes, info }))
    };
    let mut modules = order::resolve(&WANTED, &mut find).with_context(|| {
        format!(
            "the modules in {} do not make a working guest; give others with --modules DIR (/lib/modules/RELEASE \
             or a .deb); if the kernel has what is missing built in, a file 'modules.builtin' there must say so",
            supply.searched
        )
    })?;
    order::add_welcome(&WELCOME, &mut find, &mut modules)?;
    for module in &modules {
        let (Some(theirs), Some(ours)) = (&module.release, &kernel.release) else {
            continue;
        };
        ensure!(
            theirs == ours,
            "the module {} of {} is for the kernel {theirs}, but '{}' is {ours}; give the modules of that release \
             with --modules DIR",
            module.name,
            supply.searched,
            kernel.label
        );
    }
    Ok(modules)
}

/// What may go wrong when the image boots.
fn warnings(program: &Program, kernel: &Kernel, is_bare: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    if is_bare {
        warnings.push(format!(
            "no modules: '{}' must have {} built in; if it has not, give them with --modules DIR",
            kernel.label,
            WANTED.join(" and ")
        ));
    }
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
