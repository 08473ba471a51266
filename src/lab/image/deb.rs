//! A Debian package as the archive that it is: read from its beginning to its end, and unpacked nowhere.

use super::control::{self, Control};
use super::whole::ensure_whole;
use super::{ar, tar, unpack};
use crate::files::open_regular;
use anyhow::{Context, bail};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// Largest `data.tar` read; kernels with all their modules stay below 1 GiB.
const LARGEST_DATA_BYTES: u64 = 8 << 30;

/// Whether `path` is a package, by its first bytes.
pub(super) fn is_package(path: &Path) -> bool {
    let mut head = [0; 8];
    open_regular(path).and_then(|mut file| file.read_exact(&mut head)).is_ok() && ar::is_archive(&head)
}

/// The contents of the file `wanted` in a package.
///
/// # Errors
/// A package that does not hold it any more, a damaged one, or more than `limit_bytes`.
pub(super) fn member(package: &Path, wanted: &str, limit_bytes: u64) -> anyhow::Result<Vec<u8>> {
    let mut archive = files(package)?;
    while let Some(entry) = archive.next_entry()? {
        if entry.is_file && entry.path == wanted {
            return archive.read_contents(limit_bytes);
        }
    }
    bail!("'{}' holds no '{wanted}' any more", package.display())
}

/// Makes sure that all of a package is there.
///
/// # Errors
/// A file that cannot be opened, is no package, or is cut short.
pub(super) fn ensure_complete(path: &Path) -> anyhow::Result<()> {
    let file = open(path)?;
    ensure_whole(file.metadata()?.len(), ar::own_bytes(BufReader::new(file))?)
}

/// What a package says of itself.
///
/// # Errors
/// A file that cannot be opened, or that is no package.
pub(super) fn control(path: &Path) -> anyhow::Result<Control> {
    control::read(BufReader::with_capacity(1 << 16, open(path)?))
}

/// The files of a package, one after another.
///
/// # Errors
/// A file that cannot be opened, or that is no package.
pub(super) fn files(path: &Path) -> anyhow::Result<tar::Archive<impl Read>> {
    files_in(BufReader::with_capacity(1 << 16, open(path)?), LARGEST_DATA_BYTES)
}

fn open(path: &Path) -> anyhow::Result<File> {
    open_regular(path).with_context(|| format!("cannot open '{}'", path.display()))
}

/// The files of the package that `input` holds, as far as `limit_bytes` of unpacked archive go.
///
/// # Errors
/// An input that is no package.
pub(super) fn files_in<'a>(
    input: impl Read + 'a,
    limit_bytes: u64,
) -> anyhow::Result<tar::Archive<impl Read + 'a>> {
    let member = ar::find_member(input, "data.tar")?
        .context("it has no data.tar: is it a Debian package, and whole? download or copy it again")?;
    let plain = unpack::reader(member)?.take(limit_bytes);
    Ok(tar::Archive::new(BufReader::with_capacity(1 << 16, plain)))
}
