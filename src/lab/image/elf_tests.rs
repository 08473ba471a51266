//! Makes the small ELF files that the tests of the image builder read.

use std::env::consts::ARCH;

/// Bytes of an ELF64 header, a program header and a section header.
const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const SECTION_HEADER: usize = 64;
const PT_INTERP: u32 = 3;
const ET_REL: u16 = 1;
const ET_EXEC: u16 = 2;

/// A module of this name that depends on these, built for the kernel `release`.
pub(super) fn module(name: &str, depends: &[&str], release: &str) -> Vec<u8> {
    let statements = format!(
        "license=GPL\0depends={}\0name={name}\0vermagic={release} SMP mod_unload \0",
        depends.join(",")
    );
    elf(ET_REL, None, Some(statements.as_bytes()))
}

/// A program of this machine's architecture, static or (with `interpreter`) dynamic.
pub(super) fn program(interpreter: bool) -> Vec<u8> {
    elf(ET_EXEC, interpreter.then_some(PT_INTERP), None)
}

fn machine() -> u16 {
    match ARCH {
        "aarch64" => 183,
        _ => 62,
    }
}

/// Header, at most one program header, `.modinfo`, the section names, and three section headers.
fn elf(kind: u16, segment: Option<u32>, modinfo: Option<&[u8]>) -> Vec<u8> {
    let names = b"\0.modinfo\0.shstrtab\0";
    let modinfo = modinfo.unwrap_or_default();
    let modinfo_at = HEADER + PROGRAM_HEADER;
    let names_at = modinfo_at + modinfo.len();
    let sections_at = (names_at + names.len()).next_multiple_of(8);
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    for half in [kind, machine()] {
        bytes.extend(half.to_le_bytes());
    }
    bytes.extend(1_u32.to_le_bytes());
    for word in [0x40_1000, HEADER as u64, sections_at as u64] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(0_u32.to_le_bytes());
    for half in [HEADER, PROGRAM_HEADER, usize::from(segment.is_some()), SECTION_HEADER, 3, 2] {
        bytes.extend(u16::try_from(half).unwrap().to_le_bytes());
    }
    bytes.extend(segment.unwrap_or(0).to_le_bytes());
    bytes.resize(modinfo_at, 0);
    bytes.extend(modinfo);
    bytes.extend(names);
    bytes.resize(sections_at + SECTION_HEADER, 0);
    // Without statements the section has a name that nobody asks for.
    let name_of_first = u32::from(!modinfo.is_empty());
    bytes.extend(section(name_of_first, 1, modinfo_at, modinfo.len()));
    bytes.extend(section(10, 3, names_at, names.len()));
    bytes
}

fn section(name: u32, kind: u32, at: usize, length: usize) -> Vec<u8> {
    let mut bytes = [name.to_le_bytes(), kind.to_le_bytes()].concat();
    for word in [0, 0, at as u64, length as u64, 0, 1, 0] {
        bytes.extend(word.to_le_bytes());
    }
    // link and info share a word here: both are 0.
    bytes.resize(SECTION_HEADER, 0);
    bytes
}
