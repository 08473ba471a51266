//! Packs the initramfs: a gzip-compressed newc archive that depends on nothing but its inputs.

use super::order::Module;
use anyhow::Context;
use cpio::newc::{Builder, ModeFileType, trailer};
use flate2::{Compression, write::GzEncoder};
use std::io::Write;

/// Directories with their permissions.
const DIRECTORIES: [(&str, u32); 5] =
    [("dev", 0o755), ("proc", 0o555), ("sys", 0o555), ("modules", 0o755), ("tmp", 0o1777)];
/// Devices that must be there before devtmpfs is: the kernel opens the console for init, and a Rust program
/// whose standard streams are closed opens the null device before anything else.
const DEVICES: [(&str, u32, u32, u32); 2] = [("dev/console", 0o600, 5, 1), ("dev/null", 0o666, 1, 3)];

/// Collects entries, each with a number of its own.
struct Packer {
    archive: Vec<u8>,
    next_inode: u32,
}

/// The initramfs with `init` as `/init` and the modules as `/modules/NN-name.ko` in loading order.
///
/// # Errors
/// Contents too large for the format (4 GiB).
pub(super) fn pack(init: &[u8], modules: &[Module]) -> anyhow::Result<Vec<u8>> {
    let mut packer = Packer { archive: Vec::new(), next_inode: 1 };
    for (name, mode) in DIRECTORIES {
        packer
            .add(Builder::new(name).mode(mode).nlink(2).set_mode_file_type(ModeFileType::Directory), &[])?;
    }
    for (name, mode, major, minor) in DEVICES {
        let device = Builder::new(name).mode(mode).rdev_major(major).rdev_minor(minor);
        packer.add(device.set_mode_file_type(ModeFileType::Char), &[])?;
    }
    packer.file("init", 0o755, init)?;
    let digits = modules.len().to_string().len().max(2);
    for (at, module) in modules.iter().enumerate() {
        packer.file(&format!("modules/{at:0digits$}-{}.ko", module.name), 0o644, &module.bytes)?;
    }
    // The gzip header's time and name stay empty: one input, one output.
    let mut compressed = GzEncoder::new(Vec::new(), Compression::best());
    compressed.write_all(&trailer(packer.archive)?)?;
    Ok(compressed.finish()?)
}

/// `initramfs` and behind it an archive with one more file, whole and uncompressed: a kernel unpacks one after the other.
///
/// # Errors
/// Contents too large for the format (4 GiB).
pub(super) fn append(mut initramfs: Vec<u8>, name: &str, contents: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut packer = Packer { archive: Vec::new(), next_inode: 1 };
    packer.file(name, 0o644, contents)?;
    // An archive begins at a multiple of 4; zeros before it are passed over.
    initramfs.resize(initramfs.len().next_multiple_of(4), 0);
    initramfs.extend(trailer(packer.archive)?);
    Ok(initramfs)
}

impl Packer {
    fn file(&mut self, name: &str, mode: u32, contents: &[u8]) -> anyhow::Result<()> {
        self.add(Builder::new(name).mode(mode).set_mode_file_type(ModeFileType::Regular), contents)
    }

    fn add(&mut self, entry: Builder, contents: &[u8]) -> anyhow::Result<()> {
        let length = u32::try_from(contents.len()).context("a file of the initramfs has 4 GiB or more")?;
        let mut writer = entry.ino(self.next_inode).write(&mut self.archive, length);
        writer.write_all(contents)?;
        writer.finish()?;
        self.next_inode += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn modules() -> Vec<Module> {
        ["virtio", "virtio_ring"]
            .map(|name| Module { name: name.into(), bytes: name.as_bytes().to_vec(), release: None })
            .to_vec()
    }

    #[test]
    fn the_archive_reads_back_with_init_devices_and_modules_in_order() {
        let packed = pack(b"program", &modules()).unwrap();
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut plain).unwrap();
        let mut seen = Vec::new();
        let mut rest = plain.as_slice();
        loop {
            let mut reader = cpio::newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            let mut contents = String::new();
            reader.read_to_string(&mut contents).unwrap();
            let entry = reader.entry();
            assert_eq!(entry.mtime(), 0);
            let device = (entry.rdev_major(), entry.rdev_minor());
            seen.push((entry.name().to_owned(), entry.mode(), device, contents));
            rest = reader.finish().unwrap();
        }
        let expected = [
            ("dev", 0o40_755, (0, 0), ""),
            ("proc", 0o40_555, (0, 0), ""),
            ("sys", 0o40_555, (0, 0), ""),
            ("modules", 0o40_755, (0, 0), ""),
            ("tmp", 0o41_777, (0, 0), ""),
            ("dev/console", 0o20_600, (5, 1), ""),
            ("dev/null", 0o20_666, (1, 3), ""),
            ("init", 0o100_755, (0, 0), "program"),
            ("modules/00-virtio.ko", 0o100_644, (0, 0), "virtio"),
            ("modules/01-virtio_ring.ko", 0o100_644, (0, 0), "virtio_ring"),
        ]
        .map(|(name, mode, device, contents)| (name.to_owned(), mode, device, contents.to_owned()));
        assert_eq!(seen, expected);
    }

    #[test]
    fn the_same_inputs_make_the_same_bytes() {
        assert_eq!(pack(b"program", &modules()).unwrap(), pack(b"program", &modules()).unwrap());
        assert_ne!(pack(b"program", &modules()).unwrap(), pack(b"programme", &modules()).unwrap());
    }
}
