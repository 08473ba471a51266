//! Whether a file is all there: a download or a copy that was cut short would show only once the guest hangs.

use anyhow::ensure;
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use object::{Endianness, elf::FileHeader64};

/// Makes sure that a file has as many bytes as its own headers say.
///
/// # Errors
/// A file that is cut short, with both lengths and what to do.
pub(super) fn ensure_whole(found_bytes: u64, own_bytes: u64) -> anyhow::Result<()> {
    ensure!(
        found_bytes >= own_bytes,
        "it is cut short: it has {found_bytes} bytes, and by its own headers at least {own_bytes}; download or copy it again"
    );
    Ok(())
}

/// Makes sure that an ELF file reaches to the end of its segments and of its section table, which follows its sections. Of
/// what is no ELF file it says nothing.
///
/// # Errors
/// A file that is cut short.
pub(super) fn ensure_whole_elf(bytes: &[u8]) -> anyhow::Result<()> {
    let Ok(header) = FileHeader64::<Endianness>::parse(bytes) else { return Ok(()) };
    let Ok(endian) = header.endian() else { return Ok(()) };
    let sections_bytes = u64::from(header.e_shnum(endian)) * u64::from(header.e_shentsize(endian));
    let segments = header.program_headers(endian, bytes).unwrap_or_default().iter();
    let own_bytes = segments
        .map(|segment| segment.p_offset(endian).saturating_add(segment.p_filesz(endian)))
        .fold(header.e_shoff(endian).saturating_add(sections_bytes), u64::max);
    ensure_whole(bytes.len() as u64, own_bytes)
}

#[cfg(test)]
mod tests {
    use super::super::elf_tests::{module, program};
    use super::*;

    #[test]
    fn an_elf_file_that_is_cut_short_is_told_its_length() {
        for file in [module("virtio", &[], "6.1.0"), program(true)] {
            ensure_whole_elf(&file).unwrap();
            ensure_whole_elf(&[&file[..], b"a signature"].concat()).unwrap();
            let text = ensure_whole_elf(&file[..file.len() - 1]).unwrap_err().to_string();
            let expected =
                format!("it has {} bytes, and by its own headers at least {}", file.len() - 1, file.len());
            assert!(text.contains(&expected) && text.contains("again"), "{text}");
        }
        ensure_whole_elf(b"\x7fELF").unwrap();
    }
}
