//! Finds the guest program and makes sure that it can be init: a static program for this machine.

use super::bounded::read_file;
use super::whole::ensure_whole_elf;
use anyhow::{Context, bail, ensure};
use object::elf::{ET_DYN, ET_EXEC, PT_INTERP};
use object::read::elf::{ElfFile64, FileHeader as _, ProgramHeader as _};
use object::{Endianness, elf};
use std::path::{Path, PathBuf};

/// Largest program accepted: it is held in the guest's memory.
const LARGEST_BYTES: u64 = 256 << 20;
/// What builds a program that is accepted.
const BUILD: &str = "cargo guest";
/// What stands around the version in the text that the guest program's PID 1 says first.
const BANNER: (&[u8], &[u8]) = (b"guest program ", b" runs as init");

/// The guest program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
    /// Its version, where it says one: another program than ours does not.
    pub(super) version: Option<String>,
}

/// The program asked for, or the first fitting one that lies beside the running program.
///
/// # Errors
/// None that fits, with why the first does not and the command that builds one.
pub(super) fn find(asked: Option<&Path>) -> anyhow::Result<Program> {
    if let Some(path) = asked {
        return read(path);
    }
    let running = std::env::current_exe().context("cannot tell where the running program lies")?;
    let directory = running.parent().unwrap_or(Path::new("/"));
    beside(directory)
}

fn beside(directory: &Path) -> anyhow::Result<Program> {
    let places = [directory.join("sully"), directory.join("../guest/sully")];
    let there: Vec<_> = places.iter().filter(|path| path.is_file()).collect();
    // A dynamic `sully` of an ordinary build may lie beside a static one: it is not the one that is meant.
    match there.iter().find_map(|path| read(path).ok()) {
        Some(program) => Ok(program),
        None if there.is_empty() => bail!(
            "no guest program at {}; build it: {BUILD}; or give it with --guest FILE",
            places.map(|path| format!("'{}'", path.display())).join(" or ")
        ),
        None => read(there[0]),
    }
}

fn read(path: &Path) -> anyhow::Result<Program> {
    ensure!(path.is_file(), "there is no guest program '{}'; build it: {BUILD}", path.display());
    let bytes = read_file(path, LARGEST_BYTES)?;
    check(&bytes).with_context(|| format!("'{}' cannot be the guest program", path.display()))?;
    Ok(Program { path: path.to_path_buf(), version: version(&bytes), bytes })
}

/// Makes sure that the kernel can start this program where there is nothing but this program.
fn check(bytes: &[u8]) -> anyhow::Result<()> {
    ensure_whole_elf(bytes)?;
    let file = ElfFile64::<Endianness>::parse(bytes)
        .map_err(|error| anyhow::anyhow!("it is no 64-bit ELF file ({error}); build it: {BUILD}"))?;
    let (header, endian) = (file.elf_header(), file.endian());
    let machine = match std::env::consts::ARCH {
        "aarch64" => elf::EM_AARCH64,
        _ => elf::EM_X86_64,
    };
    ensure!(
        header.e_machine(endian) == machine,
        "it is for another architecture than this machine's {}; build it here: {BUILD}",
        std::env::consts::ARCH
    );
    let kind = header.e_type(endian);
    ensure!(
        matches!(kind, ET_EXEC | ET_DYN) && header.e_entry(endian) != 0,
        "it is no program but another kind of ELF file; build it: {BUILD}"
    );
    let is_dynamic = file.elf_program_headers().iter().any(|segment| segment.p_type(endian) == PT_INTERP);
    ensure!(
        !is_dynamic,
        "it is dynamically linked, and the image has no libraries; build a static one: {BUILD}"
    );
    Ok(())
}

/// The version in the text that PID 1 says first.
fn version(bytes: &[u8]) -> Option<String> {
    let (before, after) = BANNER;
    memchr::memmem::find_iter(bytes, before).find_map(|at| {
        let rest = &bytes[at + before.len()..];
        let text = &rest[..memchr::memmem::find(&rest[..rest.len().min(64)], after)?];
        let is_version = text.iter().all(|byte| byte.is_ascii_alphanumeric() || b".+-".contains(byte));
        is_version.then(|| String::from_utf8_lossy(text).into_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::super::elf_tests::{module, program};
    use super::*;

    #[test]
    fn a_static_program_is_taken_and_a_dynamic_one_refused_with_the_command_that_builds_one() {
        check(&program(false)).unwrap();
        let text = check(&program(true)).unwrap_err().to_string();
        assert!(text.contains("dynamically linked") && text.contains("cargo guest"), "{text}");
    }

    #[test]
    fn what_is_no_program_is_refused() {
        assert!(
            read(Path::new("/absent/sully")).unwrap_err().to_string().contains("'/absent/sully'; build it")
        );
        assert!(check(b"#!/bin/sh").unwrap_err().to_string().contains("no 64-bit ELF"));
        assert!(check(&module("virtio", &[], "6.1.0")).unwrap_err().to_string().contains("no program"));
        let mut foreign = program(false);
        foreign[18] ^= 0x40;
        assert!(check(&foreign).unwrap_err().to_string().contains("architecture"));
        let whole = program(false);
        assert!(check(&whole[..whole.len() - 1]).unwrap_err().to_string().contains("cut short"));
    }

    #[test]
    fn the_version_is_read_from_the_banner() {
        let mut bytes = program(false);
        assert_eq!(version(&bytes), None);
        bytes.extend(b"guest program \0 guest program 0.1.0 runs as init\0");
        assert_eq!(version(&bytes).as_deref(), Some("0.1.0"));
    }

    #[test]
    fn the_static_program_is_preferred_to_the_dynamic_one_beside_the_running_program() {
        let root = tempfile::tempdir().unwrap();
        for name in ["release", "guest"] {
            std::fs::create_dir(root.path().join(name)).unwrap();
        }
        let directory = root.path().join("release");
        let text = beside(&directory).unwrap_err().to_string();
        assert!(text.contains("no guest program") && text.contains("--guest FILE"), "{text}");
        std::fs::write(directory.join("sully"), program(true)).unwrap();
        let text = format!("{:#}", beside(&directory).unwrap_err());
        assert!(text.contains("dynamically linked"), "{text}");
        std::fs::write(root.path().join("guest/sully"), program(false)).unwrap();
        assert!(beside(&directory).unwrap().path.ends_with("../guest/sully"));
    }
}
