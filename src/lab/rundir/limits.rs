//! How much a run directory may hold: the writer stops where the reader would.

/// The same for whoever writes a run directory and whoever reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest line, in bytes; the longest a guest may send is a quarter of it.
    pub line_bytes: u64,
    /// The longest file of lines, in bytes: more than 12 hours of records, ten intervals a second. What is read of it takes
    /// about as much memory.
    pub file_bytes: u64,
    /// What is kept of a file for records that nothing else can stand for: single gaps and stalls end before it, since the
    /// intervals have their sums.
    pub reserve_bytes: u64,
}

impl Limits {
    /// Those of every run directory.
    pub const ALL: Self = Self { line_bytes: 1 << 20, file_bytes: 1 << 30, reserve_bytes: 128 << 20 };

    /// Whether another line of so many bytes may follow `written_bytes`. `is_detail` says that others have its sum.
    pub const fn allow(&self, written_bytes: u64, line_bytes: u64, is_detail: bool) -> bool {
        let end_bytes = if is_detail { self.file_bytes - self.reserve_bytes } else { self.file_bytes };
        line_bytes <= self.line_bytes && written_bytes + line_bytes <= end_bytes
    }
}

const _: () = assert!(Limits::ALL.line_bytes >= 4 * crate::wire::RECORD_LIMIT_BYTES as u64);
const _: () = assert!(Limits::ALL.reserve_bytes < Limits::ALL.file_bytes);
