//! Lines waiting for a port: bounded, batched, and able to begin a line again.

use std::collections::VecDeque;

/// Lines that wait to be sent. Holds at most its capacity, but for the few lines that must go out.
#[derive(Debug)]
pub struct Outbox {
    capacity_bytes: usize,
    queue: VecDeque<Vec<u8>>,
    queued_bytes: usize,
    /// Whole lines being sent now, and how many bytes of them are gone.
    batch: Vec<u8>,
    sent: usize,
}

/// What is handed to a port at once: a virtio-serial port takes 32 KiB a write, and few writes.
const BATCH_BYTES: usize = 32 * 1024;

impl Outbox {
    /// An empty outbox.
    pub const fn new(capacity_bytes: usize) -> Self {
        Self { capacity_bytes, queue: VecDeque::new(), queued_bytes: 0, batch: Vec::new(), sent: 0 }
    }

    /// Whether a line of `bytes` still fits while `keep_free_bytes` stay free.
    pub fn has_room(&self, bytes: usize, keep_free_bytes: usize) -> bool {
        self.waiting_bytes() + bytes + keep_free_bytes <= self.capacity_bytes
    }

    /// Adds a line, newline included.
    pub fn push(&mut self, line: Vec<u8>) {
        self.queued_bytes += line.len();
        self.queue.push_back(line);
    }

    /// The next bytes to send; empty when there are none.
    pub fn next_bytes(&mut self) -> &[u8] {
        if self.sent == self.batch.len() {
            self.refill();
        }
        &self.batch[self.sent..]
    }

    /// Notes that so many of the bytes last given by [`Self::next_bytes`] were taken.
    pub fn mark_sent(&mut self, bytes: usize) {
        self.sent = (self.sent + bytes).min(self.batch.len());
    }

    /// Goes back to the start of the line that is half sent; how many bytes that takes back.
    pub fn rewind(&mut self) -> usize {
        let whole =
            self.batch[..self.sent].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let taken_back = self.sent - whole;
        self.sent = whole;
        taken_back
    }

    /// Bytes that wait.
    pub fn waiting_bytes(&self) -> usize {
        self.queued_bytes + self.batch.len() - self.sent
    }

    /// Whether everything was sent.
    pub fn is_empty(&self) -> bool {
        self.waiting_bytes() == 0
    }

    fn refill(&mut self) {
        self.batch.clear();
        self.sent = 0;
        while let Some(line) = self
            .queue
            .pop_front_if(|line| self.batch.is_empty() || self.batch.len() + line.len() <= BATCH_BYTES)
        {
            self.queued_bytes -= line.len();
            self.batch.extend_from_slice(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_half_sent_line_begins_again_and_whole_ones_do_not() {
        let mut outbox = Outbox::new(100);
        outbox.push(b"one\n".to_vec());
        outbox.push(b"two\n".to_vec());
        assert_eq!(outbox.next_bytes(), b"one\ntwo\n");
        outbox.mark_sent(6);
        assert_eq!(outbox.rewind(), 2);
        assert_eq!(outbox.next_bytes(), b"two\n");
    }

    #[test]
    fn room_counts_everything_that_waits() {
        let mut outbox = Outbox::new(10);
        outbox.push(b"12345678\n".to_vec());
        assert!(outbox.has_room(1, 0) && !outbox.has_room(2, 0) && !outbox.has_room(1, 1));
        outbox.next_bytes();
        outbox.mark_sent(9);
        assert!(outbox.is_empty() && outbox.has_room(10, 0));
    }

    proptest! {
        #[test]
        fn every_byte_arrives_once_in_order_however_much_the_port_takes(
            lines in prop::collection::vec("[a-z]{0,30}\n", 0..40), takes in prop::collection::vec(1usize..50, 1..50)
        ) {
            let mut outbox = Outbox::new(0);
            for line in &lines {
                outbox.push(line.clone().into_bytes());
            }
            let mut arrived = Vec::new();
            let mut takes = takes.iter().cycle();
            while !outbox.is_empty() {
                let bytes = outbox.next_bytes();
                let taken = bytes.len().min(*takes.next().unwrap());
                arrived.extend_from_slice(&bytes[..taken]);
                outbox.mark_sent(taken);
            }
            prop_assert_eq!(arrived, lines.concat().into_bytes());
        }
    }
}
