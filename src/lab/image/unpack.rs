//! Undoes the compressions that kernel packages use: xz, zstd, gzip, or none, told apart by their first bytes.

use anyhow::{Context, ensure};
use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::StreamingDecoder;
use std::io::{Cursor, Read};

const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const GZIP: &[u8] = &[0x1f, 0x8b];
/// The most memory a decoder may take: the strongest presets of xz and zstd stay below.
const DECODER_LIMIT_KIB: u32 = 256 << 10;

/// What `input` holds once decompressed.
///
/// # Errors
/// An input that cannot be read, or one whose compression is damaged from the start.
pub(super) fn reader<'a>(mut input: impl Read + 'a) -> anyhow::Result<Box<dyn Read + 'a>> {
    let mut head = Vec::new();
    input.by_ref().take(XZ.len() as u64).read_to_end(&mut head)?;
    let (is_xz, is_zstd, is_gzip) = (head.starts_with(XZ), head.starts_with(ZSTD), head.starts_with(GZIP));
    let whole = Cursor::new(head).chain(input);
    if is_xz {
        Ok(Box::new(XzReader::new_mem_limit(whole, true, DECODER_LIMIT_KIB)))
    } else if is_zstd {
        let window_bytes = u64::from(DECODER_LIMIT_KIB) << 10;
        let decoder = StreamingDecoder::new_with_max_window_size(whole, window_bytes)
            .map_err(|error| anyhow::anyhow!("damaged zstd data: {error}"))?;
        Ok(Box::new(decoder))
    } else if is_gzip {
        Ok(Box::new(MultiGzDecoder::new(whole)))
    } else {
        Ok(Box::new(whole))
    }
}

/// All that `packed` holds once decompressed.
///
/// # Errors
/// Damaged data, or more than `limit_bytes` of it.
pub(super) fn bytes(packed: &[u8], limit_bytes: u64) -> anyhow::Result<Vec<u8>> {
    let mut plain = Vec::new();
    reader(packed)?
        .take(limit_bytes + 1)
        .read_to_end(&mut plain)
        .context("its compressed data are damaged or cut short: download or copy it again")?;
    ensure!(plain.len() as u64 <= limit_bytes, "it unpacks to more than {limit_bytes} bytes");
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    /// `printf sully | xz` and `printf sully | zstd`.
    const XZ_SULLY: &[u8] = &[
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x01, 0x69, 0x22, 0xde, 0x36, 0x02, 0x00, 0x21, 0x01, 0x16,
        0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3, 0x01, 0x00, 0x04, 0x73, 0x75, 0x6c, 0x6c, 0x79, 0x00, 0x00,
        0x00, 0x00, 0xdb, 0xe2, 0xed, 0x85, 0x00, 0x01, 0x19, 0x05, 0xbc, 0xe8, 0xec, 0xcb, 0x90, 0x42, 0x99,
        0x0d, 0x01, 0x00, 0x00, 0x00, 0x00, 0x01, 0x59, 0x5a,
    ];
    const ZSTD_SULLY: &[u8] = &[
        0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 0x29, 0x00, 0x00, 0x73, 0x75, 0x6c, 0x6c, 0x79, 0xb6, 0xbf, 0x3c,
        0x2a,
    ];

    #[test]
    fn every_compression_is_recognised_by_its_first_bytes() {
        for packed in [XZ_SULLY, ZSTD_SULLY, &gzip(b"sully"), b"sully"] {
            assert_eq!(bytes(packed, 5).unwrap(), b"sully");
        }
    }

    #[test]
    fn data_beyond_the_limit_are_refused() {
        for packed in [XZ_SULLY, ZSTD_SULLY, &gzip(b"sully"), b"sully"] {
            assert!(bytes(packed, 4).unwrap_err().to_string().contains("more than 4 bytes"));
        }
        let bomb = gzip(&vec![0; 1 << 20]);
        assert!(bytes(&bomb, 1 << 16).is_err());
    }

    #[test]
    fn damaged_data_are_an_error() {
        for packed in [&XZ_SULLY[..20], &ZSTD_SULLY[..7], &gzip(b"sully")[..12]] {
            assert!(bytes(packed, 100).is_err(), "{packed:x?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(kind in 0_usize..3, tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = bytes(&[[XZ, ZSTD, GZIP][kind], &tail].concat(), 1 << 16);
        }
    }
}
