//! Reads tar archives in order: ustar, with the long names of GNU and of POSIX. It never writes a file.

use super::plain::plain;
use anyhow::{Context, bail, ensure};
use std::io::{self, Read};

const BLOCK_BYTES: u64 = 512;
/// Longest name accepted; the kernel's own limit for a path.
const LONGEST_NAME_BYTES: u64 = 4096;
/// Longest POSIX header accepted: it holds a name and a few numbers.
const LONGEST_PAX_BYTES: u64 = 64 << 10;

/// What an archive says of one of its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The path as written, without a leading `./` or `/`.
    pub(super) path: String,
    /// The length of its contents.
    pub(super) size_bytes: u64,
    /// Whether it is a regular file: no directory, no link, no device.
    pub(super) is_file: bool,
}

/// An archive that is read from its beginning to its end.
pub(super) struct Archive<R> {
    input: R,
    /// What is left of the current entry's contents.
    left_bytes: u64,
    /// What fills the current entry's last block.
    padding_bytes: u64,
}

/// What the fields of one header block say.
struct Header {
    name: String,
    size_bytes: u64,
    kind: u8,
}

impl<R: Read> Archive<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, left_bytes: 0, padding_bytes: 0 }
    }

    /// The next entry, or nothing at the end. Contents that were not read are skipped.
    ///
    /// # Errors
    /// An archive that is damaged, cut short, or is none.
    pub(super) fn next_entry(&mut self) -> anyhow::Result<Option<Entry>> {
        let mut long_name = None;
        let mut long_size = None;
        loop {
            let Some(header) = self.next_header()? else {
                return Ok(None);
            };
            match header.kind {
                b'L' => long_name = Some(until_nul(&self.read_contents(LONGEST_NAME_BYTES)?)),
                b'x' => {
                    let records = self.read_contents(LONGEST_PAX_BYTES)?;
                    long_name = pax_value(&records, "path").or(long_name);
                    long_size = pax_value(&records, "size");
                }
                // A global header and a long link target say nothing that is asked here.
                b'g' | b'K' => {}
                kind => {
                    let size = match long_size {
                        Some(text) => text.parse().with_context(|| format!("the tar size '{text:.40}'"))?,
                        None => header.size_bytes,
                    };
                    self.set_length(size)?;
                    let name = long_name.unwrap_or(header.name);
                    let path = name.trim_start_matches("./").trim_start_matches('/').to_owned();
                    return Ok(Some(Entry { path, size_bytes: size, is_file: matches!(kind, b'0' | 0) }));
                }
            }
        }
    }

    /// The contents of the current entry.
    ///
    /// # Errors
    /// Contents of more than `limit_bytes`, or an archive cut short.
    pub(super) fn read_contents(&mut self, limit_bytes: u64) -> anyhow::Result<Vec<u8>> {
        ensure!(
            self.left_bytes <= limit_bytes,
            "an entry of the tar archive has {} bytes, more than the {limit_bytes} that make sense",
            self.left_bytes
        );
        let mut contents = Vec::new();
        self.input.by_ref().take(self.left_bytes).read_to_end(&mut contents)?;
        ensure!(contents.len() as u64 == self.left_bytes, "the tar archive is cut short");
        self.left_bytes = 0;
        Ok(contents)
    }

    /// The next header block whose checksum holds, or nothing at the end of the archive.
    fn next_header(&mut self) -> anyhow::Result<Option<Header>> {
        let rest = self.left_bytes + self.padding_bytes;
        let skipped = io::copy(&mut self.input.by_ref().take(rest), &mut io::sink())?;
        ensure!(skipped >= self.left_bytes, "the tar archive is cut short");
        (self.left_bytes, self.padding_bytes) = (0, 0);
        let mut block = Vec::new();
        self.input.by_ref().take(BLOCK_BYTES).read_to_end(&mut block)?;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let header = parse_header(&block)?;
        self.set_length(header.size_bytes)?;
        Ok(Some(header))
    }

    fn set_length(&mut self, size_bytes: u64) -> anyhow::Result<()> {
        // So that no sum of lengths overflows; no archive comes near.
        ensure!(size_bytes < 1 << 62, "a tar entry claims {size_bytes} bytes");
        self.left_bytes = size_bytes;
        self.padding_bytes = size_bytes.next_multiple_of(BLOCK_BYTES) - size_bytes;
        Ok(())
    }
}

fn parse_header(block: &[u8]) -> anyhow::Result<Header> {
    ensure!(block.len() as u64 == BLOCK_BYTES, "the tar archive is cut short within a header");
    let sum: u64 = block
        .iter()
        .enumerate()
        .map(|(at, byte)| u64::from(if (148..156).contains(&at) { b' ' } else { *byte }))
        .sum();
    ensure!(octal(&block[148..156])? == sum, "a header of the tar archive is damaged: its checksum is wrong");
    let mut name = until_nul(&block[..100]);
    // Old GNU archives ("ustar  ") keep times where POSIX ("ustar\0") keeps the beginning of a long name.
    if &block[257..263] == b"ustar\0" && block[345] != 0 {
        name = format!("{}/{name}", until_nul(&block[345..500]));
    }
    Ok(Header { name, size_bytes: number(&block[124..136])?, kind: block[156] })
}

/// A number field: octal text, or big-endian binary when its first bit is set (sizes from 8 GiB on).
fn number(field: &[u8]) -> anyhow::Result<u64> {
    if field[0] & 0x80 == 0 {
        return octal(field);
    }
    let (high, low) = field.split_at(field.len() - 8);
    ensure!(
        high[0] == 0x80 && high[1..].iter().all(|byte| *byte == 0),
        "a tar entry claims more than 2^64 bytes"
    );
    Ok(low.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

fn octal(field: &[u8]) -> anyhow::Result<u64> {
    let text = until_nul(field);
    match u64::from_str_radix(text.trim(), 8) {
        Ok(value) => Ok(value),
        Err(_) if text.trim().is_empty() => Ok(0),
        Err(_) => bail!("a tar header holds '{text}' where an octal number belongs"),
    }
}

fn until_nul(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    plain(&field[..end])
}

/// The value of `key` in the `<length> <key>=<value>\n` records of a POSIX header.
fn pax_value(records: &[u8], key: &str) -> Option<String> {
    let mut rest = records;
    while let Some(blank) = rest.iter().position(|byte| *byte == b' ') {
        let length: usize = std::str::from_utf8(&rest[..blank]).ok()?.parse().ok()?;
        let record = rest.get(blank + 1..length)?;
        if let Some(value) = record.strip_prefix(key.as_bytes()).and_then(|value| value.strip_prefix(b"=")) {
            return Some(plain(value.strip_suffix(b"\n").unwrap_or(value)));
        }
        rest = &rest[length..];
    }
    None
}

#[cfg(test)]
#[path = "tar_tests.rs"]
pub(super) mod tests;
