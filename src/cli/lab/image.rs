//! `sully-lab image`: builds what the lab's VMs boot.

use crate::cli::{print::print, say::say};
use crate::lab::image::{self, Built, Request};
use crate::units::ByteSize;
use std::path::PathBuf;

/// Build the guest image: a kernel, and an initramfs with sully as init
#[derive(Debug, Clone, clap::Args)]
pub struct ImageArgs {
    /// Directory for vmlinuz, initramfs and image.json; made when missing
    #[arg(short, long, value_name = "DIR")]
    pub out: PathBuf,
    /// Kernel: a bzImage, the packages of one kernel (.deb, several from Debian 14 on), a directory of them, or an
    /// unpacked tree [default: the host's kernel]
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub kernel: Vec<PathBuf>,
    /// Modules: /lib/modules/RELEASE, a tree with one release, a flat directory, or packages (.deb) [default: those
    /// that belong to the kernel]
    #[arg(long, value_name = "DIR", num_args = 1..)]
    pub modules: Vec<PathBuf>,
    /// Guest program, statically linked [default: sully beside this program, or ../guest/sully]
    #[arg(long, value_name = "FILE")]
    pub guest: Option<PathBuf>,
}

/// Builds the image and says what it is made of.
///
/// # Errors
/// Those of [`image::build`].
pub fn run(args: &ImageArgs) -> anyhow::Result<()> {
    let built = image::build(&Request {
        out: args.out.clone(),
        guest: args.guest.clone(),
        kernel: args.kernel.clone(),
        modules: args.modules.clone(),
    })?;
    for warning in &built.warnings {
        say(format_args!("warning: {warning}"));
    }
    Ok(print(&summary(&built))?)
}

/// What the user wants to know of a built image, a fact a line.
fn summary(built: &Built) -> String {
    let release = built.kernel_release.as_deref().unwrap_or("release unknown");
    let modules = if built.modules.is_empty() { "none".to_owned() } else { built.modules.join(" ") };
    format!(
        "kernel     {} ({release})\ninitramfs  {} ({}, guest program {})\nmodules    {modules}\n",
        built.kernel.display(),
        built.initramfs.display(),
        ByteSize(built.initramfs_bytes).human(),
        ByteSize(built.guest_bytes).human(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_files_sizes_and_modules() {
        let built = Built {
            kernel: "img/vmlinuz".into(),
            initramfs: "img/initramfs".into(),
            guest_bytes: 1 << 20,
            initramfs_bytes: 700 << 10,
            modules: vec!["virtio".into(), "virtio_ring".into()],
            kernel_release: Some("6.1.0-56-cloud-amd64".into()),
            warnings: Vec::new(),
        };
        assert_eq!(
            summary(&built),
            "kernel     img/vmlinuz (6.1.0-56-cloud-amd64)\n\
             initramfs  img/initramfs (700.0 KiB, guest program 1.0 MiB)\n\
             modules    virtio virtio_ring\n"
        );
    }
}
