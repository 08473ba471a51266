//! Reads packed histograms, of any range and precision the format has, within memory that no number in them decides.
//!
//! Every length is held against the bytes that are there and against a limit before anything is made, and the counts go
//! straight into our own cells: a histogram of the packed one's range is never built.

use super::{
    cell_of,
    pack::{COOKIE, DEFLATED_COOKIE, HEADER_BYTES},
    runs::{Runs, pull},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use flate2::read::ZlibDecoder;
use std::io::Read;

/// The longest packed text that is read, in bytes; a full histogram of ours takes less.
pub(super) const PACKED_LIMIT_BYTES: usize = 64 * 1024;
/// The most that a packed histogram may inflate to: a number for every cell of three digits up to the highest value there is.
const PLAIN_LIMIT_BYTES: u64 = 512 << 10;
/// Of every value the format keeps at most so many digits.
const MOST_DIGITS: u32 = 5;

/// A packed histogram that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HistogramError {
    /// Not base64 at all.
    #[error("a packed histogram is not base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// Base64 of something that is no HdrHistogram, or of one that says more than it holds.
    #[error("a packed histogram is not an HdrHistogram V2: {0}")]
    Format(String),
}

/// The counts of a packed histogram, in our cells.
pub(super) fn unpack(text: &str) -> Result<Runs, HistogramError> {
    if text.len() > PACKED_LIMIT_BYTES {
        return Err(wrong(format!("{} bytes are too long", text.len())));
    }
    let bytes = BASE64.decode(text)?;
    let mut rest = bytes.as_slice();
    match word(&mut rest)? {
        COOKIE => counts(rest),
        DEFLATED_COOKIE => {
            let length = word(&mut rest)?;
            if u32::try_from(rest.len()).ok() != Some(length) {
                return Err(wrong(format!(
                    "it says that {length} bytes of a zlib stream follow, and {} do",
                    rest.len()
                )));
            }
            let plain = inflate(rest)?;
            let mut rest = plain.as_slice();
            match word(&mut rest)? {
                COOKIE => counts(rest),
                other => Err(wrong(format!("its zlib stream begins with {other:08x}"))),
            }
        }
        other => Err(wrong(format!("it begins with {other:08x}"))),
    }
}

fn wrong(what: String) -> HistogramError {
    HistogramError::Format(what)
}

/// What the stream holds, as long as that is no more than a histogram may take.
fn inflate(stream: &[u8]) -> Result<Vec<u8>, HistogramError> {
    let mut plain = Vec::new();
    ZlibDecoder::new(stream)
        .take(PLAIN_LIMIT_BYTES + 1)
        .read_to_end(&mut plain)
        .map_err(|error| wrong(format!("its zlib stream cannot be read: {error}")))?;
    if plain.len() as u64 > PLAIN_LIMIT_BYTES {
        return Err(wrong(format!("it inflates to more than {PLAIN_LIMIT_BYTES} bytes")));
    }
    Ok(plain)
}

/// The counts of what follows the cookie: the rest of the header, and the numbers.
fn counts(mut rest: &[u8]) -> Result<Runs, HistogramError> {
    let (length, offset, digits) = (word(&mut rest)?, word(&mut rest)?, word(&mut rest)?);
    let (lowest, highest, factor) = (long(&mut rest)?, long(&mut rest)?, long(&mut rest)?);
    if offset != 0 || factor != 1.0f64.to_bits() {
        return Err(wrong("its values are shifted or scaled, which is not read".into()));
    }
    if u32::try_from(rest.len()).ok() != Some(length) {
        return Err(wrong(format!("it says that {length} bytes of counts follow, and {} do", rest.len())));
    }
    let scale = Scale::new(lowest, highest, digits)?;
    let (mut next, mut cells) = (0u64, Vec::<(usize, u64)>::new());
    while !rest.is_empty() {
        let number = pull(&mut rest).ok_or_else(|| wrong("its last number is cut short".into()))?;
        if number & 1 == 1 {
            // So many empty cells; a run that leaves the range is refused with the next count, if there is one.
            next = next.saturating_add((number >> 1) + 1);
            continue;
        }
        let count = number >> 1;
        if count > 0 {
            let cell = cell_of(scale.highest_in(next)?);
            match cells.last_mut() {
                Some((last, sum)) if *last == cell => *sum = sum.saturating_add(count),
                _ => cells.push((cell, count)),
            }
        }
        next = next.saturating_add(1);
    }
    Ok(Runs::of(0, cells.into_iter()))
}

/// Which values the cells of a packed histogram count.
struct Scale {
    /// Values below 2 to this power share a cell with their neighbours even at the beginning.
    unit: u32,
    /// Half of the cells of the first doubling, and all of every further one: 2 to this power.
    half: u32,
    /// How many cells its range has.
    cells: u64,
}

impl Scale {
    fn new(lowest: u64, highest: u64, digits: u32) -> Result<Self, HistogramError> {
        if digits > MOST_DIGITS || lowest == 0 || highest / 2 < lowest {
            return Err(wrong(format!("{digits} digits from {lowest} to {highest} are no range")));
        }
        let (unit, half) = (lowest.ilog2(), (2 * 10u64.pow(digits)).next_power_of_two().ilog2() - 1);
        if unit + half + 1 > 63 {
            return Err(wrong(format!("{digits} digits from {lowest} on are more than 63 bits")));
        }
        // The first doubling ends where its cells do; each further one ends at twice that.
        let bits = 64 - highest.leading_zeros();
        let doublings = u64::from(bits.saturating_sub(unit + half + 1)) + 1;
        Ok(Self { unit, half, cells: (doublings + 1) << half })
    }

    /// The highest value that a cell counts.
    fn highest_in(&self, cell: u64) -> Result<u64, HistogramError> {
        if cell >= self.cells {
            return Err(wrong(format!("it counts in cell {cell} of {}", self.cells)));
        }
        let doubling = (cell >> self.half).saturating_sub(1);
        let lowest = u128::from(cell - (doubling << self.half)) << (doubling + u64::from(self.unit));
        let width = 1u128 << (doubling + u64::from(self.unit));
        Ok(u64::try_from(lowest + width - 1).unwrap_or(u64::MAX))
    }
}

fn word(rest: &mut &[u8]) -> Result<u32, HistogramError> {
    take(rest).map(u32::from_be_bytes)
}

fn long(rest: &mut &[u8]) -> Result<u64, HistogramError> {
    take(rest).map(u64::from_be_bytes)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], HistogramError> {
    let (first, others) = rest
        .split_first_chunk()
        .ok_or_else(|| wrong(format!("it ends within its header of {HEADER_BYTES} bytes")))?;
    *rest = others;
    Ok(*first)
}

#[cfg(test)]
mod tests;
