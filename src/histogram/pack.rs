//! Packs counts as HdrHistogram's V2 format, in a zlib stream that does not compress.
//!
//! V2 is small as it is. A compressor would make it a third smaller, and for that dirty 300 KB of the guest's memory for
//! each histogram, more than all else that the program dirties for an interval. Every reader of the format inflates stored blocks.

use super::{
    CELLS, HIGHEST_NS, SIGNIFICANT_DIGITS,
    runs::{NUMBER_BYTES, Runs, room},
};
use base64::{engine::general_purpose::STANDARD as BASE64, write::EncoderStringWriter};
use std::io::Write;

/// What begins a V2 histogram, and one in a zlib stream; the sixteens say that counts have up to 64 bits.
pub(super) const COOKIE: u32 = 0x1c84_9303 | 0x10;
pub(super) const DEFLATED_COOKIE: u32 = 0x1c84_9304 | 0x10;
/// What comes before the counts.
pub(super) const HEADER_BYTES: usize = 40;
/// What a zlib stream of one stored block has besides, a checksum at the end.
const STREAM_BYTES: usize = 7 + CHECKSUM_BYTES;
const CHECKSUM_BYTES: usize = 4;
/// All of it fits into one stored block of a zlib stream, whose length has 16 bits.
const _: () = assert!(HEADER_BYTES + CELLS * NUMBER_BYTES <= 0xffff);

/// The packed form of `runs`, as base64. It is written piece by piece: what it would take besides would be dirtied ten times
/// a second.
pub(super) fn pack(runs: &Runs) -> String {
    // The format has no histogram without a cell: of none it says that the first is empty.
    let counts = if runs.is_empty() { &[0] } else { runs.bytes() };
    let plain_bytes = HEADER_BYTES + counts.len();
    let begin =
        [&DEFLATED_COOKIE.to_be_bytes()[..], &length(plain_bytes + STREAM_BYTES).to_be_bytes()].concat();
    let header = header(counts.len());
    let text_bytes = (begin.len() + STREAM_BYTES + plain_bytes).div_ceil(3) * 4;
    let mut text = EncoderStringWriter::from_consumer(String::with_capacity(room(text_bytes)), &BASE64);
    let written =
        [&begin, &stream_begin(plain_bytes)[..], &header, counts, &adler32([&header, counts]).to_be_bytes()]
            .into_iter()
            .try_for_each(|piece| text.write_all(piece));
    written.expect("a string takes everything");
    text.into_inner()
}

/// What begins a zlib stream of one block, which is the last and stored as it is.
fn stream_begin(plain_bytes: usize) -> [u8; STREAM_BYTES - CHECKSUM_BYTES] {
    #[expect(clippy::cast_possible_truncation, reason = "asserted above")]
    let block = plain_bytes as u16;
    let ([one, two], [three, four]) = (block.to_le_bytes(), (!block).to_le_bytes());
    [0x78, 0x01, 0x01, one, two, three, four]
}

/// What comes before so many bytes of counts.
fn header(counts_bytes: usize) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend(COOKIE.to_be_bytes());
    header.extend(length(counts_bytes).to_be_bytes());
    // No normalizing offset.
    header.extend([0; 4]);
    header.extend(u32::from(SIGNIFICANT_DIGITS).to_be_bytes());
    header.extend(1u64.to_be_bytes());
    header.extend(HIGHEST_NS.to_be_bytes());
    // Values are what they are: a factor of 1.
    header.extend(1.0f64.to_be_bytes());
    header
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// The checksum of a zlib stream (RFC 1950) that holds these `pieces`.
fn adler32(pieces: [&[u8]; 2]) -> u32 {
    const PRIME: u32 = 65_521;
    /// So many bytes come to less than 2^32 after any that came before.
    const AT_ONCE: usize = 5552;
    let (mut low, mut high) = (1, 0);
    for some in pieces.into_iter().flat_map(|piece| piece.chunks(AT_ONCE)) {
        for byte in some {
            low += u32::from(*byte);
            high += low;
        }
        low %= PRIME;
        high %= PRIME;
    }
    high << 16 | low
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::{Counts, cell_of};
    use base64::Engine;
    use hdrhistogram::serialization::{Serializer, V2Serializer};
    use proptest::prelude::*;
    use std::io::Read;

    #[test]
    fn a_full_histogram_fits_into_one_block_and_into_a_record() {
        let packed = pack(&Runs::of(0, (0..CELLS).map(|cell| (cell, u64::MAX))));
        assert!(packed.len() < crate::histogram::unpack::PACKED_LIMIT_BYTES);
    }

    proptest! {
        #[test]
        fn it_is_to_the_byte_what_the_fields_own_library_writes(
            counts in prop::collection::vec((any::<usize>(), any::<u64>()), 0..60), run in 0usize..CELLS, first in 0u64..300
        ) {
            let mut dense = vec![0; CELLS];
            for (cell, count) in &counts {
                dense[cell % CELLS] = (*count).min(i64::MAX as u64);
            }
            dense[run..].iter_mut().take(40).for_each(|cell| *cell = first);
            // The last cell counts values above the highest; the library has none beyond it.
            dense[cell_of(HIGHEST_NS) + 1..].fill(0);
            let mut truth = Vec::new();
            let (counts, _) = Counts::of_cells(&Counts::default(), dense.iter().copied().enumerate());
            V2Serializer::new().serialize(&counts.to_hdr(), &mut truth).unwrap();
            let runs = Runs::of(0, dense.iter().copied().enumerate());
            let packed = BASE64.decode(pack(&runs)).unwrap();
            let mut inflated = Vec::new();
            flate2::read::ZlibDecoder::new(&packed[8..]).read_to_end(&mut inflated).unwrap();
            prop_assert_eq!(inflated, truth);
        }
    }
}
