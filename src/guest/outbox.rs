//! Lines on their way to a port: numbered, bounded, batched, and kept so that they can be sent again.
//!
//! All lines lie one behind the other in one ring of bytes, in the order of their sequence numbers: first those that
//! were sent and are kept, then the one under way, then those that wait. What was sent makes room for what comes,
//! unless a host has said that it acknowledges: then it stays until it is.

use std::collections::VecDeque;

/// Numbered lines, sent and waiting. Holds at most its capacity, but for the few lines that must go out.
#[derive(Debug)]
pub struct Outbox {
    capacity_bytes: usize,
    bytes: VecDeque<u8>,
    /// The length of each line in `bytes`.
    lengths: VecDeque<usize>,
    /// The number of the first line in `bytes`.
    first_seq: u64,
    /// How many lines lie before the one that is sent next, and how many bytes these are.
    at: usize,
    at_byte: usize,
    /// Bytes of that line that are gone.
    within: usize,
    /// One beyond the highest number that was ever sent whole.
    sent_end: u64,
    /// Where sending goes on once the line under way is whole.
    resume_seq: Option<u64>,
    /// The session that all lines are to be of as soon as the line under way is whole.
    new_name: Option<String>,
    acknowledged_only: bool,
}

/// What is handed to a port at once: a virtio-serial port takes 32 KiB a write, and few writes.
const BATCH_BYTES: usize = 32 * 1024;
/// What a line's session stands behind, the first time this comes in a line.
const SESSION_KEY: &[u8] = br#""session":""#;
/// What the moment stands behind at which a line's record was made, and how near the line's beginning that is.
const STAMP_KEY: &[u8] = br#""mono_ns":"#;
const HEAD_BYTES: usize = 160;
/// Room beyond the capacity for lines that must go out, so that the ring need not grow for them.
const SPARE_BYTES: usize = 256 * 1024;

impl Outbox {
    /// An empty outbox. Its memory is taken at once.
    pub fn new(capacity_bytes: usize) -> Self {
        Self {
            capacity_bytes,
            bytes: VecDeque::with_capacity(capacity_bytes + SPARE_BYTES),
            lengths: VecDeque::new(),
            first_seq: 0,
            at: 0,
            at_byte: 0,
            within: 0,
            sent_end: 0,
            resume_seq: None,
            new_name: None,
            acknowledged_only: false,
        }
    }

    /// The number the next line gets.
    pub fn next_seq(&self) -> u64 {
        self.first_seq + self.lengths.len() as u64
    }

    /// The number of the oldest line that can still be sent.
    pub const fn first_seq(&self) -> u64 {
        self.first_seq
    }

    /// One beyond the highest number that was ever sent whole.
    pub const fn sent_end(&self) -> u64 {
        self.sent_end
    }

    /// When the record `seq` was made (guest CLOCK_MONOTONIC), where it is still held.
    pub fn stamp_ns(&self, seq: u64) -> Option<u64> {
        let index = usize::try_from(seq.checked_sub(self.first_seq)?).ok()?;
        let length = *self.lengths.get(index)?;
        let start: usize = self.lengths.range(..index).sum();
        let head: Vec<u8> = self.bytes.range(start..start + length.min(HEAD_BYTES)).copied().collect();
        let key = head.windows(STAMP_KEY.len()).position(|bytes| bytes == STAMP_KEY)?;
        let mut digits = head[key + STAMP_KEY.len()..].iter().take_while(|byte| byte.is_ascii_digit());
        digits.try_fold(0u64, |stamp, digit| stamp.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
    }

    /// Whether a line of `bytes` fits while `keep_free_bytes` stay free; lines that were sent make room.
    pub fn has_room(&mut self, bytes: usize, keep_free_bytes: usize) -> bool {
        let capacity_bytes = self.capacity_bytes;
        let fits = |held: usize| held + bytes + keep_free_bytes <= capacity_bytes;
        // What cannot be made to fit costs no history.
        let cannot_go =
            if self.acknowledged_only { self.bytes.len() } else { self.bytes.len() - self.at_byte };
        if !fits(cannot_go) {
            return false;
        }
        while !fits(self.bytes.len()) && self.forget_first() {}
        true
    }

    /// Adds a line, newline included.
    pub fn push(&mut self, line: &[u8]) {
        self.bytes.extend(line);
        self.lengths.push_back(line.len());
    }

    /// The next bytes to send, whole lines where they lie together; empty when there are none.
    pub fn next_bytes(&self) -> &[u8] {
        let start = self.at_byte + self.within;
        let (front, back) = self.bytes.as_slices();
        let together = if start < front.len() { &front[start..] } else { &back[start - front.len()..] };
        let limit = if self.resume_seq.is_some() { 0 } else { BATCH_BYTES };
        &together[..together.len().min(self.batch_bytes(limit))]
    }

    /// Notes that so many of the bytes last given by [`Self::next_bytes`] were taken.
    pub fn mark_sent(&mut self, bytes: usize) {
        self.within += bytes;
        while let Some(length) = self.lengths.get(self.at).filter(|length| self.within >= **length) {
            self.within -= length;
            self.at_byte += length;
            self.at += 1;
            self.sent_end = self.sent_end.max(self.first_seq + self.at as u64);
            if let Some(seq) = self.resume_seq.take() {
                self.seek(seq);
            }
        }
    }

    /// Goes back to the start of the line that is half sent; how many bytes that takes back.
    pub fn rewind(&mut self) -> usize {
        let bytes = std::mem::take(&mut self.within);
        if let Some(seq) = self.resume_seq.take() {
            self.seek(seq);
        }
        bytes
    }

    /// From now on a line that was sent stays until it is acknowledged, or not (any more).
    pub const fn keep_unacknowledged(&mut self, keep: bool) {
        self.acknowledged_only = keep;
    }

    /// The host has every line before `end_seq`: they need not be kept. What is to be sent again it has not asked for in
    /// vain: an acknowledgement that it said before is another connection's.
    pub fn acknowledge(&mut self, end_seq: u64) {
        while self.first_seq < end_seq && self.at > 0 && self.resume_seq.is_none() && self.forget_first() {}
    }

    /// Sends everything that is still held from the beginning, the line under way first brought to its end.
    pub fn send_again(&mut self) {
        if self.within > 0 {
            self.resume_seq = Some(self.first_seq);
        } else {
            self.seek(self.first_seq);
        }
    }

    /// Makes all lines those of the session `name`, which is as long as the one before, and sends them again.
    pub fn rename(&mut self, name: String) {
        self.new_name = Some(name);
        self.send_again();
    }

    /// Bytes that wait.
    pub fn waiting_bytes(&self) -> usize {
        self.bytes.len() - self.at_byte - self.within
    }

    /// Whether everything was sent.
    pub fn is_empty(&self) -> bool {
        self.waiting_bytes() == 0
    }

    /// Whether nothing is left to be done: everything was sent, and acknowledged where a host does that.
    pub fn is_settled(&self) -> bool {
        self.is_empty() && (!self.acknowledged_only || self.lengths.is_empty())
    }

    /// Bytes of the line under way, and of whole lines behind it as far as `limit` bytes.
    fn batch_bytes(&self, limit: usize) -> usize {
        let mut lengths = self.lengths.range(self.at..);
        let Some(first) = lengths.next() else { return 0 };
        let mut batch = first - self.within;
        for length in lengths {
            if batch + length > limit {
                break;
            }
            batch += length;
        }
        batch
    }

    fn seek(&mut self, seq: u64) {
        if let Some(name) = self.new_name.take() {
            self.put_name(name.as_bytes());
        }
        let index = usize::try_from(seq.saturating_sub(self.first_seq)).unwrap_or(usize::MAX);
        self.at = index.min(self.lengths.len());
        self.at_byte = self.lengths.range(..self.at).sum();
        self.within = 0;
    }

    fn put_name(&mut self, name: &[u8]) {
        let mut rest = self.bytes.make_contiguous();
        for length in &self.lengths {
            let (line, behind) = rest.split_at_mut(*length);
            let key = line.windows(SESSION_KEY.len()).position(|bytes| bytes == SESSION_KEY);
            let old = key.and_then(|at| line[at + SESSION_KEY.len()..].get_mut(..name.len()));
            if let Some(old) = old {
                old.copy_from_slice(name);
            }
            rest = behind;
        }
    }

    /// Lets go of the oldest line, nothing of which may be under way; whether there was one.
    fn forget_first(&mut self) -> bool {
        let Some(length) = self.lengths.pop_front() else { return false };
        self.bytes.drain(..length);
        self.first_seq += 1;
        if self.at > 0 {
            self.at -= 1;
            self.at_byte -= length;
        }
        true
    }
}

#[cfg(test)]
mod tests;
