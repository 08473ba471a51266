//! Reads what a Debian package says of itself: its name, its architecture and what it depends on.

use super::plain::plain;
use super::{ar, tar, unpack};
use anyhow::Context;
use std::io::Read;

/// Largest control file read; those of kernels have a few KB.
const LARGEST_CONTROL_BYTES: u64 = 1 << 20;
/// Largest `control.tar` read, unpacked: it holds a few scripts and checksums besides.
const LARGEST_ARCHIVE_BYTES: u64 = 64 << 20;

/// What a package says of itself, as far as it is of use here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Control {
    /// The package's name.
    pub(super) name: Option<String>,
    /// The machine it is for, such as `amd64`, or `all`.
    pub(super) architecture: Option<String>,
    /// The packages that it needs, without their versions; of alternatives the first.
    pub(super) depends: Vec<String>,
}

/// The statements of the package that `input` holds; none where it has no `control.tar`.
///
/// # Errors
/// An input that is no package, or a damaged one.
pub(super) fn read(input: impl Read) -> anyhow::Result<Control> {
    let Some(member) = ar::find_member(input, "control.tar")? else {
        return Ok(Control::default());
    };
    let plain = unpack::reader(member)?.take(LARGEST_ARCHIVE_BYTES);
    let mut archive = tar::Archive::new(plain);
    while let Some(entry) = archive.next_entry()? {
        if entry.is_file && entry.path == "control" {
            let text = archive.read_contents(LARGEST_CONTROL_BYTES).context("its control file")?;
            return Ok(parse(&text));
        }
    }
    Ok(Control::default())
}

/// `Field: value`, a field a line; a line that begins with a blank goes on with the one before.
fn parse(text: &[u8]) -> Control {
    let text = String::from_utf8_lossy(text).replace("\n ", " ");
    let mut control = Control::default();
    for line in text.lines() {
        let Some((field, value)) = line.split_once(':') else { continue };
        let value = plain(value.trim().as_bytes());
        match field.to_ascii_lowercase().as_str() {
            "package" => control.name = Some(value),
            "architecture" => control.architecture = Some(value),
            "depends" | "pre-depends" => control.depends.extend(value.split(',').filter_map(name_of)),
            _ => {}
        }
    }
    control
}

/// The first alternative of a dependency, without its version and architecture.
fn name_of(dependency: &str) -> Option<String> {
    let first = dependency.split('|').next()?.split_whitespace().next()?;
    first.split(['(', ':']).next().filter(|name| !name.is_empty()).map(str::to_owned)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The member `control.tar` of a package that says this of itself.
    pub(crate) fn member(text: &str) -> Vec<u8> {
        tar::tests::archive(&[("./md5sums", b"0"), ("./control", text.as_bytes())])
    }

    #[test]
    fn name_architecture_and_dependencies_are_read() {
        let text = "Package: linux-image-7.2.13+deb14\nArchitecture: amd64\n\
                    Depends: dracut | initramfs-tools (>= 0.1),\n linux-base-7.2.13+deb14 (= 7.2.13-1), kmod:any\n\
                    Description: Linux\n it boots: yes\n";
        let package = ar::tests::archive(&[("debian-binary", b"2.0\n"), ("control.tar", &member(text))]);
        let control = read(package.as_slice()).unwrap();
        assert_eq!(control.name.as_deref(), Some("linux-image-7.2.13+deb14"));
        assert_eq!(control.architecture.as_deref(), Some("amd64"));
        assert_eq!(control.depends, ["dracut", "linux-base-7.2.13+deb14", "kmod"]);
    }

    #[test]
    fn a_package_that_says_nothing_of_itself_is_no_error() {
        let package = ar::tests::archive(&[("debian-binary", b"2.0\n"), ("data.tar", b"")]);
        assert_eq!(read(package.as_slice()).unwrap(), Control::default());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let control = parse(&[b"Depends:", text.as_slice()].concat());
            prop_assert!(control.depends.iter().all(|name| !name.is_empty()));
        }
    }
}
