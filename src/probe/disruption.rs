//! The hypervisor's own count of disruptions of the guest's clock, where it has one: the vmclock device.
//!
//! The page that `/dev/vmclock0` shows begins with a magic word and holds at byte 16 the disruption marker: a number that
//! changes whenever the guest was moved or restored (Linux, include/uapi/linux/vmclock-abi.h).

use std::{fs::File, os::unix::fs::FileExt};

const DEVICE: &str = "/dev/vmclock0";
/// `VCLK`, little-endian.
const MAGIC: [u8; 4] = *b"VCLK";
/// Where the marker begins.
const MARKER: usize = 16;

/// Reads the marker. The device stays open.
#[derive(Debug)]
pub struct DisruptionProbe {
    device: Option<File>,
}

impl DisruptionProbe {
    /// For this machine; where there is no such device every reading is none.
    pub fn open() -> Self {
        Self { device: File::open(DEVICE).ok() }
    }

    /// The marker now.
    pub fn read(&self) -> Option<u64> {
        let mut page = [0; MARKER + 8];
        self.device.as_ref()?.read_exact_at(&mut page, 0).ok()?;
        marker(&page)
    }
}

fn marker(page: &[u8; MARKER + 8]) -> Option<u64> {
    let (head, number) = page.split_last_chunk::<8>()?;
    head.starts_with(&MAGIC).then(|| u64::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_is_read_where_the_page_is_a_vmclock() {
        let mut page = [0; 24];
        page[16..].copy_from_slice(&7u64.to_le_bytes());
        assert_eq!(marker(&page), None);
        page[..4].copy_from_slice(b"VCLK");
        assert_eq!(marker(&page), Some(7));
    }

    #[test]
    fn a_machine_without_the_device_has_no_marker() {
        assert_eq!(DisruptionProbe { device: None }.read(), None);
    }
}
