//! Finds one member of an `ar` archive, which is what a Debian package is on the outside.

use super::plain::plain;
use anyhow::{Context, bail, ensure};
use std::io::{self, Read, Seek, SeekFrom};

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER_BYTES: usize = 60;
const HEADER_END: &[u8] = b"`\n";
/// A package has three members; some builders add signatures.
const MOST_MEMBERS: usize = 64;

/// Whether a file that begins with these bytes is an `ar` archive.
pub(super) fn is_archive(head: &[u8]) -> bool {
    head.starts_with(MAGIC)
}

/// The contents of the first member whose name begins with `prefix`, or nothing when there is none.
///
/// # Errors
/// An archive that is cut short or is none.
pub(super) fn find_member<R: Read>(mut input: R, prefix: &str) -> anyhow::Result<Option<io::Take<R>>> {
    skip_magic(&mut input)?;
    for _ in 0..MOST_MEMBERS {
        let Some((name, size)) = next_header(&mut input)? else {
            return Ok(None);
        };
        if name.starts_with(prefix) {
            return Ok(Some(input.take(size)));
        }
        // Members begin on even offsets.
        let padded = size + size % 2;
        let skipped = io::copy(&mut input.by_ref().take(padded), &mut io::sink())?;
        // The last member's padding is sometimes left out.
        ensure!(skipped >= size, "the ar archive is cut short within its member '{name}'");
    }
    bail!("the ar archive has more than {MOST_MEMBERS} members: no Debian package has")
}

/// How long an archive is by the headers of its members.
///
/// # Errors
/// An archive that is none, or with a damaged header.
pub(super) fn own_bytes(mut input: impl Read + Seek) -> anyhow::Result<u64> {
    skip_magic(&mut input)?;
    let mut end = MAGIC.len() as u64;
    for _ in 0..MOST_MEMBERS {
        // Members begin on even offsets. The last one's padding is sometimes left out.
        input.seek(SeekFrom::Start(end + end % 2))?;
        let Some((_, size)) = next_header(&mut input)? else { break };
        end += end % 2 + HEADER_BYTES as u64 + size;
    }
    Ok(end)
}

fn skip_magic(input: &mut impl Read) -> anyhow::Result<()> {
    let mut magic = [0; MAGIC.len()];
    input.read_exact(&mut magic).context("too short for an ar archive")?;
    ensure!(is_archive(&magic), "not an ar archive: it does not begin with '!<arch>'");
    Ok(())
}

/// Name and size of the next member, or nothing at the end of the archive.
fn next_header(input: &mut impl Read) -> anyhow::Result<Option<(String, u64)>> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    input.take(HEADER_BYTES as u64).read_to_end(&mut header)?;
    if header.is_empty() {
        return Ok(None);
    }
    ensure!(
        header.len() == HEADER_BYTES && header.ends_with(HEADER_END),
        "a member header of the ar archive is damaged or cut short: download or copy it again"
    );
    let name = text(&header[..16]).trim_end_matches('/').to_owned();
    let size = text(&header[48..58]);
    // Ten decimal digits at most, hence far below 2^63.
    let size = size.parse().with_context(|| format!("the ar member '{name}' has the size '{size}'"))?;
    Ok(Some((name, size)))
}

/// A field padded with blanks.
fn text(field: &[u8]) -> String {
    plain(field.trim_ascii_end())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An archive of these members.
    pub(crate) fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for (name, contents) in members {
            bytes.extend(
                format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, "100644", contents.len())
                    .bytes(),
            );
            bytes.extend(*contents);
            bytes.extend(vec![b'\n'; contents.len() % 2]);
        }
        bytes
    }

    fn member(bytes: &[u8], prefix: &str) -> Option<Vec<u8>> {
        let mut contents = Vec::new();
        find_member(bytes, prefix).unwrap()?.read_to_end(&mut contents).unwrap();
        Some(contents)
    }

    #[test]
    fn a_member_is_found_behind_members_of_odd_size() {
        let bytes =
            archive(&[("debian-binary", b"2.0"), ("control.tar.xz/", b"c"), ("data.tar.zst", b"data")]);
        assert_eq!(member(&bytes, "data.tar").as_deref(), Some(b"data".as_slice()));
        assert_eq!(member(&bytes, "control.tar").as_deref(), Some(b"c".as_slice()));
        assert_eq!(member(&bytes, "sources.tar"), None);
    }

    #[test]
    fn an_archive_cut_short_is_refused() {
        let bytes = archive(&[("debian-binary", b"2.0\n"), ("data.tar", b"data")]);
        assert!(find_member(&bytes[..70], "data.tar").is_err());
        assert!(find_member(&bytes[..40], "data.tar").is_err());
        assert_eq!(own_bytes(io::Cursor::new(&bytes)).unwrap(), bytes.len() as u64);
        assert_eq!(own_bytes(io::Cursor::new(&bytes[..bytes.len() - 1])).unwrap(), bytes.len() as u64);
        assert!(find_member(b"!<ar".as_slice(), "data.tar").is_err());
        assert!(find_member(b"PK\x03\x04 and more".as_slice(), "data.tar").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(tail in proptest::collection::vec(any::<u8>(), 0..400), digits in "[0-9 ]{10}") {
            let mut bytes = MAGIC.to_vec();
            bytes.extend(format!("{:<48}{digits}`\n", "odd").bytes());
            bytes.extend(tail);
            if let Ok(Some(mut found)) = find_member(bytes.as_slice(), "data") {
                let _ = io::copy(&mut found, &mut io::sink());
            }
        }
    }
}
