//! Recognises an x86 bzImage and reads the release it was built as.

use super::plain::plain;
use anyhow::{bail, ensure};

/// Where the setup header keeps its magic.
const MAGIC_OFFSET: usize = 0x202;
const MAGIC: &[u8] = b"HdrS";
/// Where it keeps the offset of the version text, counted from `VERSION_BASE`.
const VERSION_POINTER: usize = 0x20e;
const VERSION_BASE: usize = 0x200;
/// Longest version text looked at; the kernel's own limit for a release is 64.
const VERSION_BYTES: usize = 256;

/// The release (`uname -r`) of a bzImage, where it says one.
///
/// # Errors
/// Bytes that are no bzImage, with what they may be instead.
pub(super) fn release(image: &[u8]) -> anyhow::Result<Option<String>> {
    let expected = "expected a bzImage: /boot/vmlinuz-RELEASE, or arch/x86/boot/bzImage of a kernel tree";
    if image.starts_with(b"\x7fELF") {
        bail!("it is an ELF file (an uncompressed vmlinux?); {expected}");
    }
    ensure!(image.get(MAGIC_OFFSET..MAGIC_OFFSET + 4) == Some(MAGIC), "no 'HdrS' at 0x202; {expected}");
    Ok(version_text(image).and_then(|text| text.split_whitespace().next().map(str::to_owned)))
}

/// The version text, such as `6.1.0-56-cloud-amd64 (builder) #1 SMP ...`.
fn version_text(image: &[u8]) -> Option<String> {
    let pointer = image.get(VERSION_POINTER..VERSION_POINTER + 2)?;
    let offset = usize::from(u16::from_le_bytes([pointer[0], pointer[1]]));
    if offset == 0 {
        return None;
    }
    let rest = image.get(VERSION_BASE + offset..)?;
    let end = rest.iter().take(VERSION_BYTES).position(|byte| *byte == 0)?;
    Some(plain(&rest[..end]))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The least that counts as a bzImage of this version.
    pub(crate) fn bzimage(version: &str) -> Vec<u8> {
        let mut image = vec![0; 0x400];
        image[MAGIC_OFFSET..MAGIC_OFFSET + 4].copy_from_slice(MAGIC);
        image[VERSION_POINTER..VERSION_POINTER + 2].copy_from_slice(&0x100_u16.to_le_bytes());
        image[0x300..0x300 + version.len()].copy_from_slice(version.as_bytes());
        image
    }

    #[test]
    fn the_release_is_the_first_word_of_the_version() {
        let image = bzimage("6.1.0-56-cloud-amd64 (builder) #1 SMP");
        assert_eq!(release(&image).unwrap().as_deref(), Some("6.1.0-56-cloud-amd64"));
    }

    #[test]
    fn a_kernel_that_hides_its_version_is_still_a_kernel() {
        let mut image = bzimage("");
        assert_eq!(release(&image).unwrap(), None);
        image[VERSION_POINTER..VERSION_POINTER + 2].copy_from_slice(&0xffff_u16.to_le_bytes());
        assert_eq!(release(&image).unwrap(), None);
    }

    #[test]
    fn what_is_no_kernel_is_refused_with_what_was_expected() {
        for (bytes, hint) in [(b"\x7fELF".as_slice(), "vmlinux"), (b"MZ", "HdrS"), (&[0; 4096], "HdrS")] {
            let text = release(bytes).unwrap_err().to_string();
            assert!(text.contains(hint) && text.contains("/boot/vmlinuz"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(head in proptest::collection::vec(any::<u8>(), 0..0x600), sealed in any::<bool>()) {
            let mut image = head;
            if sealed && image.len() > MAGIC_OFFSET + 4 {
                image[MAGIC_OFFSET..MAGIC_OFFSET + 4].copy_from_slice(MAGIC);
            }
            let _ = release(&image);
        }
    }
}
