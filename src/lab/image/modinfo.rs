//! Reads what a kernel module says of itself: the `.modinfo` section of its ELF file.

use super::plain::plain;
use super::whole::ensure_whole_elf;
use anyhow::Context;
use object::Endianness;
use object::read::elf::ElfFile64;
use object::{Object, ObjectSection};

/// The statements of a module that decide how it is loaded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ModInfo {
    /// The module's name; modules from before Linux 4.13 do not say it.
    pub(super) name: Option<String>,
    /// The modules that must be there first; those built into the kernel are not among them.
    pub(super) depends: Vec<String>,
    /// The release of the kernel it was built for: the first word of `vermagic`.
    pub(super) release: Option<String>,
}

/// The one spelling of a module's name: file names use `-` and `_` as they please.
pub(super) fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

/// What `module`, an uncompressed `.ko` file, says of itself.
///
/// # Errors
/// A file that is no 64-bit ELF file or not all of one, or one without `.modinfo`.
pub(super) fn read(module: &[u8]) -> anyhow::Result<ModInfo> {
    ensure_whole_elf(module)?;
    let elf = ElfFile64::<Endianness>::parse(module).context("it is no 64-bit ELF file")?;
    let section = elf.section_by_name(".modinfo").context("it has no .modinfo section: is it a module?")?;
    let statements = section.data().context("its .modinfo section lies outside the file")?;
    Ok(parse(statements))
}

/// The statements of a `.modinfo` section: `key=value`, each closed by a NUL.
fn parse(section: &[u8]) -> ModInfo {
    let mut info = ModInfo::default();
    for statement in section.split(|byte| *byte == 0) {
        let text = plain(statement);
        match text.split_once('=') {
            Some(("name", name)) => info.name = Some(canonical(name)),
            Some(("depends", names)) => {
                info.depends.extend(names.split(',').filter(|name| !name.is_empty()).map(canonical));
            }
            Some(("vermagic", magic)) => {
                info.release = magic.split_whitespace().next().map(str::to_owned);
            }
            _ => {}
        }
    }
    info
}

#[cfg(test)]
mod tests {
    use super::super::elf_tests::module;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_module_says_its_name_its_dependencies_and_its_kernel() {
        let info = read(&module("virtio-pci", &["virtio_ring", "virtio-pci-legacy-dev"], "6.1.0-9")).unwrap();
        assert_eq!(info.name.as_deref(), Some("virtio_pci"));
        assert_eq!(info.depends, ["virtio_ring", "virtio_pci_legacy_dev"]);
        assert_eq!(info.release.as_deref(), Some("6.1.0-9"));
    }

    #[test]
    fn an_empty_depends_is_no_dependency() {
        assert_eq!(parse(b"license=GPL\0depends=\0"), ModInfo::default());
    }

    #[test]
    fn what_is_no_module_is_refused() {
        assert!(read(b"text").unwrap_err().to_string().contains("ELF"));
        let program = super::super::elf_tests::program(false);
        assert!(read(&program).unwrap_err().to_string().contains(".modinfo"));
    }

    proptest! {
        #[test]
        fn no_section_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn no_damaged_module_panics(at in 0_usize..600, value in any::<u8>(), keep in 0_usize..800) {
            let mut bytes = module("virtio", &["virtio_ring"], "6.1.0");
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            bytes.truncate(keep);
            let _ = read(&bytes);
        }
    }
}
