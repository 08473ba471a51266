//! Writes an image directory so that a failure leaves what was there before.

use anyhow::Context;
use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::NamedTempFile;

/// Writes all files beside their final places, and only then gives them their names, in this order.
///
/// # Errors
/// A directory that cannot be made or written; the temporary files are gone then.
pub(super) fn publish(directory: &Path, files: &[(&str, &[u8])]) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("cannot make the image directory '{}'", directory.display()))?;
    let mut written = Vec::new();
    for (name, contents) in files {
        let temporary = write(directory, contents)
            .with_context(|| format!("cannot write '{}'", directory.join(name).display()))?;
        written.push((directory.join(name), temporary));
    }
    for (path, temporary) in written {
        temporary.persist(&path).with_context(|| format!("cannot write '{}'", path.display()))?;
    }
    Ok(())
}

fn write(directory: &Path, contents: &[u8]) -> anyhow::Result<NamedTempFile> {
    let mut file = NamedTempFile::with_prefix_in(".sully-image-", directory)?;
    file.write_all(contents)?;
    // Temporary files are private; an image may be booted by anyone.
    file.as_file().set_permissions(Permissions::from_mode(0o644))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_replace_older_ones_and_nothing_else_stays() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("made/for/it");
        publish(&directory, &[("a", b"old"), ("b", b"old")]).unwrap();
        publish(&directory, &[("a", b"new")]).unwrap();
        assert_eq!(std::fs::read(directory.join("a")).unwrap(), b"new");
        assert_eq!(std::fs::read(directory.join("b")).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 2);
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        std::fs::write(&file, b"").unwrap();
        let text = publish(&file, &[("a", b"")]).unwrap_err().to_string();
        assert!(text.contains("cannot make the image directory") && text.contains("file"), "{text}");
    }
}
