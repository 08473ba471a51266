//! What the field's own library packs, and what nobody should believe.

use super::*;
use crate::histogram::{Counts, HIGHEST_NS};
use flate2::{Compression, write::ZlibEncoder};
use hdrhistogram::{
    Histogram,
    serialization::{Serializer, V2DeflateSerializer, V2Serializer},
};
use proptest::prelude::*;
use std::io::Write;

/// A histogram with these words in its header and these bytes as its counts.
fn plain(length: u32, digits: u32, lowest: u64, highest: u64, counts: &[u8]) -> Vec<u8> {
    let words = [COOKIE, length, 0, digits].map(u32::to_be_bytes).concat();
    let longs = [lowest, highest, 1.0f64.to_bits()].map(u64::to_be_bytes).concat();
    [&words, &longs, counts].concat()
}

fn deflated(plain: &[u8]) -> Vec<u8> {
    let mut stream = ZlibEncoder::new(Vec::new(), Compression::best());
    stream.write_all(plain).unwrap();
    let stream = stream.finish().unwrap();
    let length = u32::try_from(stream.len()).unwrap();
    [&DEFLATED_COOKIE.to_be_bytes()[..], &length.to_be_bytes(), &stream].concat()
}

fn read(bytes: &[u8]) -> Result<Counts, String> {
    Counts::unpack(&BASE64.encode(bytes)).map_err(|error| error.to_string())
}

#[test]
fn a_length_that_is_not_there_is_refused_and_not_made() {
    // 52 bytes of text that say 4 GiB of counts follow.
    let seen = "HISTFAAAAB94nJNpmSz8HwgYIIAJSjMC8YsrSwUY7D9ABADg5Qjm";
    let error = Counts::unpack(seen).unwrap_err().to_string();
    assert!(error.contains("bytes of counts follow, and"), "{error}");
    let error = read(&plain(u32::MAX, 2, 1, HIGHEST_NS, &[2])).unwrap_err();
    assert!(error.contains("4294967295 bytes of counts follow, and 1 do"), "{error}");
    let mut longer = deflated(&plain(1, 2, 1, HIGHEST_NS, &[2]));
    longer[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
    let error = read(&longer).unwrap_err();
    assert!(error.contains("4294967295 bytes of a zlib stream follow"), "{error}");
}

#[test]
fn a_stream_that_inflates_to_more_than_a_histogram_is_refused() {
    let bomb = deflated(&plain(40 << 20, 2, 1, HIGHEST_NS, &vec![0; 40 << 20]));
    assert!(BASE64.encode(&bomb).len() < PACKED_LIMIT_BYTES, "{}", bomb.len());
    assert!(read(&bomb).unwrap_err().contains("inflates to more"));
}

#[test]
fn a_range_that_is_none_is_refused_and_so_are_counts_outside_of_one() {
    for (digits, lowest, highest) in [
        (6, 1, HIGHEST_NS),
        (u32::MAX, 1, HIGHEST_NS),
        (2, 0, 9),
        (2, 9, 17),
        (2, u64::MAX, u64::MAX),
        (5, 1 << 46, u64::MAX),
    ] {
        assert!(read(&plain(1, digits, lowest, highest, &[2])).is_err(), "{digits} {lowest} {highest}");
    }
    // So many empty cells, and a count after them.
    let beyond = [&[0xff; 9][..], &[2]].concat();
    let error = read(&plain(10, 2, 1, HIGHEST_NS, &beyond)).unwrap_err();
    assert!(error.contains("counts in cell"), "{error}");
    assert!(read(&plain(1, 2, 1, HIGHEST_NS, &[0x80])).unwrap_err().contains("cut short"));
}

#[test]
fn the_widest_range_of_all_takes_no_memory_for_its_cells() {
    let counts = read(&plain(1, 5, 1, u64::MAX, &[2])).unwrap();
    assert_eq!(counts.count(), 1);
}

/// A histogram of another range and precision with some values.
fn others() -> impl Strategy<Value = Histogram<u64>> {
    let range = (0u8..=4, 0u32..30, 1u32..34);
    (range, prop::collection::vec((any::<u64>(), 1u64..1_000_000), 0..40)).prop_filter_map(
        "a range of the library",
        |((digits, low, more), values)| {
            let mut hdr = Histogram::new_with_bounds(1 << low, 1 << (low + more), digits).ok()?;
            for (value, count) in values {
                let within = value >> value.leading_zeros().max(64 - (low + more)).min(63);
                hdr.saturating_record_n(within, count);
            }
            Some(hdr)
        },
    )
}

proptest! {
    #[test]
    fn what_the_fields_own_library_packs_is_counted_the_same(hdr in others()) {
        let mut truth = Counts::default();
        for value in hdr.iter_recorded() {
            truth.record_n(value.value_iterated_to(), value.count_at_value());
        }
        let (mut plain, mut deflated) = (Vec::new(), Vec::new());
        V2Serializer::new().serialize(&hdr, &mut plain).unwrap();
        V2DeflateSerializer::new().serialize(&hdr, &mut deflated).unwrap();
        prop_assert_eq!(read(&plain), Ok(truth.clone()));
        prop_assert_eq!(read(&deflated), Ok(truth));
    }

    #[test]
    fn no_header_and_no_counts_panic(
        length in 0u32..12, digits in 0u32..7, low in 0u32..64, high in 0u32..64, counts in prop::collection::vec(any::<u8>(), 0..12)
    ) {
        let bytes = plain(length, digits, 1 << low, 1 << high, &counts);
        let _ = read(&bytes);
        let _ = read(&deflated(&bytes));
    }
}
