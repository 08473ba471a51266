//! What a kernel package or a module says, from its bytes alone: the way into the readers of the image builder for
//! whoever tests them with bytes of any kind.

use super::{control, deb, modinfo, package, unpack};
use std::path::Path;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Survey {
    /// The kernel's release (`uname -r`), where there is a kernel that says it.
    pub kernel_release: Option<String>,
    /// The release that the modules, or the module, were built for.
    pub modules_release: Option<String>,
    /// The modules that a module needs, or the packages that a package needs, by name.
    pub depends: Vec<String>,
}

/// Reads a kernel package (`.deb`): `ar`, its compression, `tar`, the kernel and the lists of modules.
///
/// # Errors
/// Bytes that are no package, a damaged one, one with several kernels, or more than `limit_bytes` when unpacked.
pub fn survey_package(bytes: &[u8], limit_bytes: u64) -> anyhow::Result<Survey> {
    let said = control::read(bytes)?;
    let found = package::collect(deb::files_in(bytes, limit_bytes)?, Path::new("package.deb"))?;
    let kernel_release = found.kernel.and_then(|kernel| kernel.release);
    Ok(Survey { kernel_release, modules_release: found.modules.release, depends: said.depends })
}

/// Reads a module, compressed or not.
///
/// # Errors
/// Damaged compression, more than `limit_bytes` when unpacked, or what is no module.
pub fn survey_module(bytes: &[u8], limit_bytes: u64) -> anyhow::Result<Survey> {
    let info = modinfo::read(&unpack::bytes(bytes, limit_bytes)?)?;
    Ok(Survey { kernel_release: None, modules_release: info.release, depends: info.depends })
}

#[cfg(test)]
mod tests {
    use super::super::{ar, bzimage, elf_tests, tar};
    use super::*;

    #[test]
    fn a_package_and_a_module_say_what_kernel_they_are_of() {
        let (kernel, module) =
            (bzimage::tests::bzimage("6.1.0-9"), elf_tests::module("virtio", &["ring"], "6.1.0-9"));
        let data = tar::tests::archive(&[
            ("./boot/vmlinuz-6.1.0-9", &kernel),
            ("./lib/modules/6.1.0-9/virtio.ko", &module),
        ]);
        let package = ar::tests::archive(&[("debian-binary", b"2.0\n"), ("data.tar", &data)]);
        let release = Some("6.1.0-9".to_owned());
        let survey = survey_package(&package, 1 << 20).unwrap();
        assert_eq!((survey.kernel_release, survey.modules_release), (release.clone(), release.clone()));
        let survey = survey_module(&module, 1 << 20).unwrap();
        assert_eq!((survey.modules_release, survey.depends), (release, vec!["ring".to_owned()]));
        assert!(survey_package(&package, 1000).is_err(), "it unpacks to more");
    }
}
