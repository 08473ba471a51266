//! How much a run directory may hold: the writer stops where the reader would.

/// The same for whoever writes a run directory and whoever reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest line, in bytes; the longest a guest may send is a quarter of it.
    pub line_bytes: u64,
    /// The longest line with a whole reply of QEMU's, in bytes; of a longer one the known fields are kept.
    pub reply_bytes: u64,
    /// The longest file of lines, in bytes: two days of intervals, ten a second.
    pub file_bytes: u64,
    /// What is kept of a file for records that nothing else can stand for: single gaps and stalls end before it, since the
    /// intervals have their sums.
    pub reserve_bytes: u64,
    /// The most records of a guest. With [`Self::details`] it bounds the memory that a run takes to be read, some 250 bytes each.
    pub records: u64,
    /// The most single gaps and stalls among them.
    pub details: u64,
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Bytes.
    pub bytes: u64,
    /// Lines.
    pub records: u64,
    /// Those of them that are single gaps and stalls.
    pub details: u64,
}

impl Limits {
    /// How many levels below a directory runs are looked for: `runs/demo/smoke-precopy-001` has two.
    pub const DEPTH: u32 = 4;
    /// How many directories are looked into for runs; a machine has more.
    pub const DIRECTORIES: usize = 10_000;

    /// Those of every run directory.
    pub const ALL: Self = Self {
        line_bytes: 1 << 20,
        reply_bytes: 64 << 10,
        file_bytes: 4 << 30,
        reserve_bytes: 512 << 20,
        records: 4 << 20,
        details: 2 << 20,
    };

    /// Whether another line of so many bytes may follow what is written. `is_detail` says that others have its sum.
    pub const fn allow(&self, written: &Written, line_bytes: u64, is_detail: bool) -> bool {
        let end_bytes = if is_detail { self.file_bytes - self.reserve_bytes } else { self.file_bytes };
        line_bytes <= self.line_bytes
            && written.bytes + line_bytes <= end_bytes
            && written.records < self.records
            && (!is_detail || written.details < self.details)
    }
}

impl Written {
    /// Counts another line.
    pub const fn add(&mut self, line_bytes: u64, is_detail: bool) {
        self.bytes += line_bytes;
        self.records += 1;
        self.details += is_detail as u64;
    }
}

const _: () = assert!(Limits::ALL.line_bytes >= 4 * crate::wire::RECORD_LIMIT_BYTES as u64);
const _: () = assert!(Limits::ALL.reserve_bytes < Limits::ALL.file_bytes);
const _: () = assert!(Limits::ALL.details < Limits::ALL.records);
