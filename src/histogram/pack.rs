//! Packs counts as HdrHistogram's V2 format, in a zlib stream that does not compress.
//!
//! V2 is small as it is. A compressor would make it a third smaller, and for that dirty 300 KB of the guest's memory for
//! each histogram, more than all else that the program dirties for an interval. Every reader of the format inflates stored blocks.

use super::{
    CELLS, HIGHEST_NS, SIGNIFICANT_DIGITS,
    runs::{NUMBER_BYTES, Runs, room},
};

/// What begins a V2 histogram, and one in a zlib stream; the sixteens say that counts have up to 64 bits.
const COOKIE: u32 = 0x1c84_9303 | 0x10;
const DEFLATED_COOKIE: u32 = 0x1c84_9304 | 0x10;
/// What comes before the counts.
const HEADER_BYTES: usize = 40;
/// All of it fits into one stored block of a zlib stream, whose length has 16 bits.
const _: () = assert!(HEADER_BYTES + CELLS * NUMBER_BYTES <= 0xffff);

/// The packed form of `runs`.
pub(super) fn pack(runs: &Runs) -> Vec<u8> {
    // The format has no histogram without a cell: of none it says that the first is empty.
    let counts = if runs.is_empty() { &[0] } else { runs.bytes() };
    let plain_bytes = HEADER_BYTES + counts.len();
    let mut packed = Vec::with_capacity(room(plain_bytes));
    packed.extend(DEFLATED_COOKIE.to_be_bytes());
    packed.extend(length(plain_bytes + 11).to_be_bytes());
    // A zlib stream of one block, which is the last and stored as it is.
    packed.extend([0x78, 0x01, 0x01]);
    #[expect(clippy::cast_possible_truncation, reason = "asserted above")]
    let block = plain_bytes as u16;
    packed.extend(block.to_le_bytes());
    packed.extend((!block).to_le_bytes());
    let begin = packed.len();
    plain(&mut packed, counts);
    let checksum = adler32(&packed[begin..]);
    packed.extend(checksum.to_be_bytes());
    packed
}

/// V2 itself.
fn plain(bytes: &mut Vec<u8>, counts: &[u8]) {
    bytes.extend(COOKIE.to_be_bytes());
    bytes.extend(length(counts.len()).to_be_bytes());
    // No normalizing offset.
    bytes.extend([0; 4]);
    bytes.extend(u32::from(SIGNIFICANT_DIGITS).to_be_bytes());
    bytes.extend(1u64.to_be_bytes());
    bytes.extend(HIGHEST_NS.to_be_bytes());
    // Values are what they are: a factor of 1.
    bytes.extend(1.0f64.to_be_bytes());
    bytes.extend(counts);
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// The checksum of a zlib stream (RFC 1950).
fn adler32(bytes: &[u8]) -> u32 {
    const PRIME: u32 = 65_521;
    /// So many bytes come to less than 2^32 after any that came before.
    const AT_ONCE: usize = 5552;
    let (mut low, mut high) = (1, 0);
    for some in bytes.chunks(AT_ONCE) {
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
    use hdrhistogram::serialization::{Serializer, V2Serializer};
    use proptest::prelude::*;
    use std::io::Read;

    #[test]
    fn a_full_histogram_fits_into_one_block_and_into_a_record() {
        let packed = pack(&Runs::of(0, (0..CELLS).map(|cell| (cell, u64::MAX))));
        assert!(packed.len() <= 0xffff && packed.len() * 4 / 3 < Counts::PACKED_LIMIT_BYTES);
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
            let mut inflated = Vec::new();
            flate2::read::ZlibDecoder::new(&pack(&runs)[8..]).read_to_end(&mut inflated).unwrap();
            prop_assert_eq!(inflated, truth);
        }
    }
}
