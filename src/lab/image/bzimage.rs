//! Recognises an x86 bzImage, reads the release it was built as, and finds the compressed kernel in it.

use super::identify::what_is;
use super::plain::plain;
use super::whole::ensure_whole;
use anyhow::bail;

/// Where the setup header keeps its magic.
const MAGIC_OFFSET: usize = 0x202;
const MAGIC: &[u8] = b"HdrS";
/// Where it keeps the offset of the version text, counted from `VERSION_BASE`.
const VERSION_POINTER: usize = 0x20e;
const VERSION_BASE: usize = 0x200;
/// Longest version text looked at; the kernel's own limit for a release is 64.
const VERSION_BYTES: usize = 256;
/// Where it keeps the number of sectors before the code, from protocol 2.04 on the length of the code in paragraphs, and, from
/// protocol 2.08 on, where and how long the payload is.
const SETUP_SECTORS: usize = 0x1f1;
const PARAGRAPHS: usize = 0x1f4;
const PARAGRAPH_BYTES: u64 = 16;
const PROTOCOL: usize = 0x206;
const PROTOCOL_WITH_PARAGRAPHS: u16 = 0x204;
const PROTOCOL_WITH_PAYLOAD: u16 = 0x208;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;
const SECTOR_BYTES: usize = 512;
/// What 0 stands for, in kernels that are older than the field.
const USUAL_SETUP_SECTORS: u8 = 4;

/// What a kernel is expected to be.
const EXPECTED: &str = "expected a bzImage: /boot/vmlinuz-RELEASE, or arch/x86/boot/bzImage of a kernel tree";

/// The release (`uname -r`) of a bzImage, where it says one.
///
/// # Errors
/// Bytes that are no bzImage, with what they may be instead.
pub(super) fn release(image: &[u8]) -> anyhow::Result<Option<String>> {
    if image.get(MAGIC_OFFSET..MAGIC_OFFSET + 4) != Some(MAGIC) {
        bail!("it is {}; {EXPECTED}", what_is(image));
    }
    Ok(version_text(image).and_then(|text| text.split_whitespace().next().map(str::to_owned)))
}

/// Makes sure that all of a bzImage is there.
///
/// # Errors
/// One that is cut short: whatever boots it would hang.
pub(super) fn ensure_complete(image: &[u8]) -> anyhow::Result<()> {
    let paragraphs = field(image, PARAGRAPHS).filter(|_| protocol(image) >= Some(PROTOCOL_WITH_PARAGRAPHS));
    let code_bytes = u64::from(paragraphs.unwrap_or(0)) * PARAGRAPH_BYTES;
    ensure_whole(image.len() as u64, setup_bytes(image).unwrap_or(0) as u64 + code_bytes)
}

/// The compressed kernel within a bzImage, where its header says where that is.
pub(super) fn payload(image: &[u8]) -> Option<&[u8]> {
    let place = |at: usize| usize::try_from(field(image, at)?).ok();
    let rest = image.get(setup_bytes(image)?..)?.get(place(PAYLOAD_OFFSET)?..)?;
    (protocol(image)? >= PROTOCOL_WITH_PAYLOAD).then(|| rest.get(..place(PAYLOAD_LENGTH)?))?
}

/// How many bytes come before the code.
fn setup_bytes(image: &[u8]) -> Option<usize> {
    let sectors = match *image.get(SETUP_SECTORS)? {
        0 => USUAL_SETUP_SECTORS,
        sectors => sectors,
    };
    Some((usize::from(sectors) + 1) * SECTOR_BYTES)
}

fn protocol(image: &[u8]) -> Option<u16> {
    Some(u16::from_le_bytes(*image.get(PROTOCOL..)?.first_chunk()?))
}

fn field(image: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*image.get(at..)?.first_chunk()?))
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
        image[SETUP_SECTORS] = 1;
        image[MAGIC_OFFSET..MAGIC_OFFSET + 4].copy_from_slice(MAGIC);
        image[VERSION_POINTER..VERSION_POINTER + 2].copy_from_slice(&0x100_u16.to_le_bytes());
        image[0x300..0x300 + version.len()].copy_from_slice(version.as_bytes());
        image
    }

    /// A bzImage with this payload.
    pub(crate) fn bzimage_with(version: &str, payload: &[u8]) -> Vec<u8> {
        let mut image = bzimage(version);
        let length = u32::try_from(payload.len()).unwrap();
        let paragraphs = (length + 8) / 16;
        image[PARAGRAPHS..PARAGRAPHS + 4].copy_from_slice(&paragraphs.to_le_bytes());
        image[PROTOCOL..PROTOCOL + 2].copy_from_slice(&0x20f_u16.to_le_bytes());
        image[PAYLOAD_OFFSET..PAYLOAD_OFFSET + 4].copy_from_slice(&8_u32.to_le_bytes());
        image[PAYLOAD_LENGTH..PAYLOAD_LENGTH + 4].copy_from_slice(&length.to_le_bytes());
        image.extend([0; 8]);
        image.extend(payload);
        image
    }

    #[test]
    fn the_payload_lies_where_the_header_says() {
        let image = bzimage_with("6.1.0", b"packed");
        assert_eq!(payload(&image), Some(b"packed".as_slice()));
        assert_eq!(payload(&image[..image.len() - 1]), None, "cut short");
        assert_eq!(payload(&bzimage("6.1.0")), None, "a protocol from before the field");
    }

    #[test]
    fn a_kernel_that_is_cut_short_is_refused_with_the_length_it_should_have() {
        let image = bzimage_with("6.1.0", &[7; 40]);
        ensure_complete(&image).unwrap();
        ensure_complete(&[&image[..], b"a signature"].concat()).unwrap();
        for bytes in [image.len() - 1, 0x400, 0x300] {
            let text = ensure_complete(&image[..bytes]).unwrap_err().to_string();
            assert!(
                text.contains(&format!("it has {bytes} bytes")) && text.contains("at least 1072"),
                "{text}"
            );
        }
        ensure_complete(&bzimage("6.1.0")).unwrap();
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
        for (bytes, hint) in
            [(b"MZ".as_slice(), "'HdrS'"), (&[0; 4096], "'HdrS'"), (b"#!/bin/sh\n", "script")]
        {
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
            let _ = ensure_complete(&image);
            let _ = payload(&image);
        }
    }
}
