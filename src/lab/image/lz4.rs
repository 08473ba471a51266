//! Undoes LZ4 in the frame that the kernel's build uses (the "legacy" one): Debian's cloud kernels are packed with it.

use anyhow::{Context, bail, ensure};

/// First bytes of a legacy frame.
pub(super) const MAGIC: &[u8] = &[0x02, 0x21, 0x4c, 0x18];
/// What a block of this frame unpacks to at most.
const BLOCK_BYTES: usize = 8 << 20;
/// A match is at least this long, so lengths count from it.
const SHORTEST_MATCH: usize = 4;
/// A length of this value goes on in the bytes that follow.
const LENGTH_GOES_ON: u8 = 15;

/// All that a frame holds: the magic, then blocks, each behind its packed length.
///
/// # Errors
/// A damaged frame, or one that holds more than `limit_bytes`.
pub(super) fn unpack(frame: &[u8], limit_bytes: u64) -> anyhow::Result<Vec<u8>> {
    let mut rest = frame.strip_prefix(MAGIC).context("no LZ4 frame of the legacy kind")?;
    let mut plain = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_le_bytes(*length))?;
        let (block, next) =
            behind.split_at_checked(length).context("the LZ4 data are cut short within a block")?;
        unpack_block(block, &mut plain)?;
        ensure!(plain.len() as u64 <= limit_bytes, "it unpacks to more than {limit_bytes} bytes");
        rest = next;
    }
    Ok(plain)
}

/// Adds what one block holds: runs of literals, each followed by a match, which repeats earlier bytes of this block.
fn unpack_block(mut block: &[u8], plain: &mut Vec<u8>) -> anyhow::Result<()> {
    let begin = plain.len();
    while let Some(token) = take(&mut block) {
        let literals = length(token >> 4, &mut block)?;
        let (bytes, rest) =
            block.split_at_checked(literals).context("the LZ4 data are cut short within literals")?;
        plain.extend_from_slice(bytes);
        ensure!(plain.len() - begin <= BLOCK_BYTES, "an LZ4 block unpacks to more than {BLOCK_BYTES} bytes");
        if rest.is_empty() {
            return Ok(());
        }
        let (offset, rest) = rest.split_first_chunk::<2>().context("the LZ4 data are cut short")?;
        block = rest;
        let offset = usize::from(u16::from_le_bytes(*offset));
        let matched = length(token & 15, &mut block)? + SHORTEST_MATCH;
        ensure!(offset > 0 && offset <= plain.len() - begin, "an LZ4 match begins before its block");
        ensure!(
            plain.len() - begin + matched <= BLOCK_BYTES,
            "an LZ4 block unpacks to more than {BLOCK_BYTES} bytes"
        );
        repeat(plain, offset, matched);
    }
    bail!("an LZ4 block ends in a match")
}

/// Appends `matched` bytes from `offset` before the end on. They may overlap what they make: the last bytes repeat then.
fn repeat(plain: &mut Vec<u8>, offset: usize, mut matched: usize) {
    let from = plain.len() - offset;
    while matched > 0 {
        let step = matched.min(plain.len() - from);
        plain.extend_from_within(from..from + step);
        matched -= step;
    }
}

fn take(block: &mut &[u8]) -> Option<u8> {
    let (first, rest) = block.split_first()?;
    *block = rest;
    Some(*first)
}

/// A length whose first four bits are `nibble`.
fn length(nibble: u8, block: &mut &[u8]) -> anyhow::Result<usize> {
    let mut length = usize::from(nibble);
    if nibble == LENGTH_GOES_ON {
        loop {
            let more = take(block).context("the LZ4 data are cut short within a length")?;
            length += usize::from(more);
            if more < u8::MAX {
                break;
            }
        }
    }
    Ok(length)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A frame that stores `plain` as literals.
    pub(crate) fn stored(plain: &[u8]) -> Vec<u8> {
        let mut block = Vec::new();
        if plain.len() < usize::from(LENGTH_GOES_ON) {
            block.push(u8::try_from(plain.len()).unwrap() << 4);
        } else {
            block.push(LENGTH_GOES_ON << 4);
            let rest = plain.len() - usize::from(LENGTH_GOES_ON);
            block.extend(vec![u8::MAX; rest / 255]);
            block.push(u8::try_from(rest % 255).unwrap());
        }
        block.extend(plain);
        let length = u32::try_from(block.len()).unwrap().to_le_bytes();
        [MAGIC, &length, &block].concat()
    }

    #[test]
    fn what_the_lz4_program_packs_is_unpacked() {
        // printf 'sully sully sully sully sully sully sully sully!' | lz4 -l
        let packed = [
            0x02, 0x21, 0x4c, 0x18, 16, 0, 0, 0, 0x6f, b's', b'u', b'l', b'l', b'y', b' ', 6, 0, 18, 0x50,
            b'u', b'l', b'l', b'y', b'!',
        ];
        let plain = b"sully sully sully sully sully sully sully sully!".as_slice();
        assert_eq!(String::from_utf8_lossy(&unpack(&packed, 100).unwrap()), String::from_utf8_lossy(plain));
        assert!(unpack(&packed, 47).unwrap_err().to_string().contains("more than 47"));
        for length in 8..packed.len() {
            assert!(unpack(&packed[..length], 100).is_err(), "cut after {length} bytes");
        }
    }

    #[test]
    fn a_match_from_before_the_block_is_refused() {
        let packed = [0x02, 0x21, 0x4c, 0x18, 5, 0, 0, 0, 0x10, b'x', 2, 0, 0];
        assert!(unpack(&packed, 100).unwrap_err().to_string().contains("before its block"));
    }

    proptest! {
        #[test]
        fn literals_of_any_length_come_back(plain in proptest::collection::vec(any::<u8>(), 0..1000)) {
            prop_assert_eq!(unpack(&stored(&plain), 1000).unwrap(), plain);
        }

        #[test]
        fn no_bytes_panic(tail in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = unpack(&[MAGIC, &tail].concat(), 1 << 20);
            let length = u32::try_from(tail.len()).unwrap().to_le_bytes();
            let _ = unpack(&[MAGIC, &length, &tail].concat(), 1 << 20);
        }
    }
}
