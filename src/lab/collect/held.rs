//! Records that are held back until it is known whose they are.

use super::heard::Heard;
use crate::record::SessionId;

/// Records of one session that are held back.
#[derive(Debug)]
pub struct Held {
    /// Whose they are.
    pub session: SessionId,
    /// Why.
    pub why: Why,
    /// Why, in words, for a branch.
    pub reason: &'static str,
    /// Since when.
    pub since_ns: u64,
    /// The records, as they came.
    pub records: Vec<Heard>,
    /// Their length.
    pub bytes: usize,
}

/// Why records are held back, and the life they would go on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// They would go on from this life, for which another socket speaks.
    Claimed(usize),
    /// They contradict what is kept of this life.
    WentBack(usize),
}

impl Held {
    /// Begins with one record.
    pub fn of(why: Why, reason: &'static str, heard: Heard) -> Self {
        let (session, since_ns, bytes) = (heard.session, heard.host_ns, heard.line.len());
        Self { session, why, reason, since_ns, records: vec![heard], bytes }
    }
}
