//! Says what a file is that is not the kernel it was taken for, and how to come from it to one.

use super::unpack;
use std::io::Read;

/// How many unpacked bytes are looked at: a tar header is recognised within them.
const PEEK_BYTES: u64 = 1024;
/// First bytes, and what has them. The first that fits counts.
const BY_FIRST_BYTES: [(&[u8], &str); 9] = [
    (
        b"\xed\xab\xee\xdb",
        "an RPM package (unpack it with 'rpm2cpio FILE | cpio -id' and give the directory)",
    ),
    (b"!<arch>\n", "an ar archive, and none of a Debian package"),
    (b"070701", "an initramfs (a cpio archive)"),
    (b"QFI\xfb", "a disk image (qcow2)"),
    (b"\x27\x05\x19\x56", "a uImage, which no PC boots"),
    (b"PK\x03\x04", "a zip archive"),
    (b"hsqs", "a file system image (squashfs)"),
    (b"#!", "a script"),
    (b"ADB", "an Alpine package (unpack it with 'apk extract' and give the directory)"),
];
/// Compressions by their first bytes, with what undoes them.
const COMPRESSIONS: [(&[u8], &str, &str); 6] = [
    (b"\x1f\x8b", "gzip", "gunzip"),
    (b"\xfd7zXZ\0", "xz", "unxz"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unzstd"),
    (b"BZh", "bzip2", "bunzip2"),
    (b"\x04\x22\x4d\x18", "lz4", "unlz4"),
    (b"\x02\x21\x4c\x18", "lz4", "unlz4"),
];
/// Architectures by their number in ELF files, and by that in PE files.
const ELF_MACHINES: [(u16, &str); 5] =
    [(62, "x86_64"), (183, "arm64"), (243, "RISC-V"), (22, "s390x"), (21, "ppc64")];
const PE_MACHINES: [(u16, &str); 4] =
    [(0x8664, "x86_64"), (0xaa64, "arm64"), (0x5064, "RISC-V"), (0x6264, "LoongArch")];
/// The magic of arm64's and RISC-V's plain images, and where it stands.
const IMAGE_MAGIC_OFFSET: usize = 0x38;
/// The kind of an ELF file that is a module.
const ET_REL: u16 = 1;

/// What the file that begins with `bytes` is, in words that follow "it is".
pub(super) fn what_is(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "empty".to_owned();
    }
    if let Some((_, what)) = BY_FIRST_BYTES.iter().find(|(head, _)| bytes.starts_with(head)) {
        return (*what).to_owned();
    }
    if let Some((_, name, undo)) = COMPRESSIONS.iter().find(|(head, _, _)| bytes.starts_with(head)) {
        return compressed(bytes, name, undo);
    }
    if bytes.starts_with(b"\x7fELF") {
        return elf(bytes);
    }
    match bytes.get(IMAGE_MAGIC_OFFSET..IMAGE_MAGIC_OFFSET + 4) {
        Some(b"ARM\x64") => return "a kernel for arm64".to_owned(),
        Some(b"RSC\x05") => return "a kernel for RISC-V".to_owned(),
        _ => {}
    }
    pe(bytes).unwrap_or_else(|| "no kernel that is known here (there is no 'HdrS' at 0x202)".to_owned())
}

/// A compressed file: what is in it, as far as its first bytes say.
fn compressed(bytes: &[u8], name: &str, undo: &str) -> String {
    let mut head = Vec::new();
    // What cannot be unpacked here is still named.
    if let Ok(reader) = unpack::reader(bytes) {
        let _ = reader.take(PEEK_BYTES).read_to_end(&mut head);
    }
    if head.get(257..262) == Some(b"ustar") {
        format!("a tar archive packed with {name} (unpack it with 'tar -xf FILE' and give the directory)")
    } else {
        format!("packed with {name} (unpack it with '{undo}' and give what comes out)")
    }
}

fn elf(bytes: &[u8]) -> String {
    let half = |at: usize| Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let machine = named(half(18), &ELF_MACHINES);
    if half(16) == Some(ET_REL) {
        return format!("an ELF object for {machine}, perhaps a kernel module (those go with --modules)");
    }
    format!("an ELF file for {machine}, perhaps an uncompressed vmlinux")
}

/// An EFI program: a unified kernel image, or a kernel of another kind.
fn pe(bytes: &[u8]) -> Option<String> {
    let header = usize::try_from(u32::from_le_bytes(*bytes.get(0x3c..)?.first_chunk()?)).ok()?;
    let coff = bytes.strip_prefix(b"MZ").and(bytes.get(header..))?.strip_prefix(b"PE\0\0")?;
    let half = |at: usize| Some(u16::from_le_bytes(*coff.get(at..)?.first_chunk()?));
    let machine = named(half(0), &PE_MACHINES);
    // Section headers of 40 bytes each begin with a name of 8.
    let sections = coff.get(20 + usize::from(half(16)?)..)?;
    let mut names = sections.chunks(40).take(usize::from(half(2)?)).filter_map(|section| section.get(..8));
    if names.any(|name| name == b".linux\0\0") {
        return Some(format!(
            "a unified kernel image (UKI) for {machine} (take the kernel out of it with \
             'objcopy -O binary --only-section=.linux FILE vmlinuz')"
        ));
    }
    Some(format!("an EFI program for {machine}"))
}

/// The name of an architecture.
fn named(machine: Option<u16>, names: &[(u16, &str)]) -> String {
    let Some(machine) = machine else { return "an unknown machine".to_owned() };
    names
        .iter()
        .find(|(number, _)| *number == machine)
        .map_or_else(|| format!("machine {machine:#x}"), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::{elf_tests, tar};
    use super::*;
    use proptest::prelude::*;

    /// An EFI program of this machine with one section.
    fn efi(machine: u16, section: [u8; 8]) -> Vec<u8> {
        let mut bytes = vec![0; 0x80];
        bytes[..2].copy_from_slice(b"MZ");
        bytes[0x3c] = 0x80;
        bytes.extend(b"PE\0\0");
        bytes.extend(machine.to_le_bytes());
        bytes.extend(1_u16.to_le_bytes());
        bytes.extend([0; 16]);
        bytes.extend(section);
        bytes.extend([0; 32]);
        bytes
    }

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, plain).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn files_that_are_taken_for_kernels_are_named_with_the_way_to_one() {
        let mut arm = vec![0; 0x40];
        arm[IMAGE_MAGIC_OFFSET..IMAGE_MAGIC_OFFSET + 4].copy_from_slice(b"ARM\x64");
        let cases: [(&[u8], &str); 14] = [
            (b"", "empty"),
            (b"\xed\xab\xee\xdb\x03", "rpm2cpio"),
            (b"07070100", "initramfs"),
            (&gzip(b"some kernel"), "gunzip"),
            (&gzip(&tar::tests::archive(&[("usr/lib/modules/6.1/vmlinuz", b"x")])), "tar -xf"),
            (b"\xfd7zXZ\0", "unxz"),
            (b"BZh9", "bunzip2"),
            (&efi(0x8664, *b".linux\0\0"), "unified kernel image (UKI) for x86_64"),
            (&efi(0xaa64, *b".text\0\0\0"), "an EFI program for arm64"),
            (&arm, "a kernel for arm64"),
            (&elf_tests::program(false), "vmlinux"),
            (&elf_tests::module("virtio", &[], "6.1.0"), "--modules"),
            (b"QFI\xfb", "qcow2"),
            (b"MZ and nothing else", "'HdrS'"),
        ];
        for (bytes, hint) in cases {
            let text = what_is(bytes);
            assert!(text.contains(hint), "{hint}: {text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(
            kind in 0_usize..6,
            tail in proptest::collection::vec(any::<u8>(), 0..300),
            at in 0_usize..200,
            value in any::<u8>(),
        ) {
            let _ = what_is(&tail);
            let _ = what_is(&[COMPRESSIONS[kind].0, &tail].concat());
            let mut program = efi(0x8664, *b".linux\0\0");
            if let Some(byte) = program.get_mut(at) {
                *byte = value;
            }
            let _ = what_is(&program);
        }
    }
}
