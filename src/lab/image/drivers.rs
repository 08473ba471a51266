//! Looks into a kernel for the drivers it has built in, where no list of them lies beside it.

use super::{bzimage, lz4, unpack};
use memchr::memmem;

/// Largest kernel unpacked; those of distributions have 40 to 120 MB.
const LARGEST_PLAIN_BYTES: u64 = 1 << 30;
/// The build puts the unpacked length behind what it compressed; gzip alone has it within its own format.
const LENGTH_BYTES: usize = 4;
const GZIP: &[u8] = b"\x1f\x8b";

/// The kernel's code and data, unpacked.
#[derive(Debug)]
pub(super) struct Drivers {
    plain: Vec<u8>,
}

impl Drivers {
    /// The drivers of a bzImage; nothing where it is packed in a way that is not known here.
    pub(super) fn of(image: &[u8]) -> Option<Self> {
        let payload = bzimage::payload(image)?;
        let packed = match payload.len().checked_sub(LENGTH_BYTES) {
            Some(length) if !payload.starts_with(GZIP) => &payload[..length],
            _ => payload,
        };
        let plain = if packed.starts_with(lz4::MAGIC) {
            lz4::unpack(packed, LARGEST_PLAIN_BYTES).ok()?
        } else {
            unpack::bytes(packed, LARGEST_PLAIN_BYTES).ok()?
        };
        // What is packed in another way comes back as it is.
        plain.starts_with(b"\x7fELF").then_some(Self { plain })
    }

    /// Whether the driver with the canonical name `name` is there. Drivers register under their name, which is spelled with
    /// `_` or with `-`; a kernel that has one as a module does not hold the word.
    pub(super) fn has(&self, name: &str) -> bool {
        [name.to_owned(), name.replace('_', "-")]
            .iter()
            .any(|spelled| memmem::find(&self.plain, format!("\0{spelled}\0").as_bytes()).is_some())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::bzimage::tests::{bzimage, bzimage_with};
    use super::*;

    /// An unpacked kernel that has these drivers.
    pub(crate) fn plain(drivers: &[&str]) -> Vec<u8> {
        let mut plain = b"\x7fELF and code\0".to_vec();
        for name in drivers {
            plain.extend(format!("{name}\0").bytes());
        }
        plain
    }

    /// A kernel of this version that has these drivers, packed with LZ4.
    pub(crate) fn kernel(version: &str, drivers: &[&str]) -> Vec<u8> {
        let packed = [lz4::tests::stored(&plain(drivers)), vec![1, 2, 3, 0]].concat();
        bzimage_with(version, &packed)
    }

    #[test]
    fn a_driver_is_known_by_its_name_in_either_spelling() {
        let drivers = Drivers::of(&kernel("6.1.0", &["virtio-pci", "virtio_console"])).unwrap();
        assert!(drivers.has("virtio_pci") && drivers.has("virtio_console"));
        assert!(!drivers.has("virtio_mmio") && !drivers.has("virtio") && !drivers.has("console"));
    }

    #[test]
    fn a_kernel_packed_with_gzip_is_looked_into_too() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, &plain(&["virtio_pci"])).unwrap();
        let image = bzimage_with("6.1.0", &encoder.finish().unwrap());
        assert!(Drivers::of(&image).unwrap().has("virtio_pci"));
    }

    #[test]
    fn what_cannot_be_unpacked_says_nothing() {
        assert!(Drivers::of(&bzimage("6.1.0")).is_none());
        assert!(Drivers::of(&bzimage_with("6.1.0", b"BZh91AY&SY unknown")).is_none());
        assert!(Drivers::of(&bzimage_with("6.1.0", b"x")).is_none());
    }
}
