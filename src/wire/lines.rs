//! Cuts a byte stream into lines of bounded length.

use memchr::memchr;

/// What the stream held up to a newline.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line, without its newline; never empty.
    Whole(&'a [u8]),
    /// A line longer than the limit: its bytes were dropped as they came.
    TooLong {
        /// How long it was.
        bytes: u64,
    },
}

/// Cuts a byte stream into lines. Holds at most one unfinished line, at most `limit` bytes of it.
#[derive(Debug)]
pub struct Lines {
    limit: usize,
    unfinished: Vec<u8>,
    /// Bytes of the current line that were dropped because it is longer than the limit.
    dropped: u64,
}

impl Lines {
    /// A cutter for lines of at most `limit` bytes.
    pub const fn new(limit: usize) -> Self {
        Self { limit, unfinished: Vec::new(), dropped: 0 }
    }

    /// Takes the next bytes of the stream, in pieces of any size, and hands on each line they complete.
    pub fn feed(&mut self, mut bytes: &[u8], mut on_line: impl FnMut(Line<'_>)) {
        while let Some(newline) = memchr(b'\n', bytes) {
            self.finish(&bytes[..newline], &mut on_line);
            bytes = &bytes[newline + 1..];
        }
        self.keep(bytes);
    }

    /// Bytes of a line that has no newline yet.
    pub fn unfinished_bytes(&self) -> u64 {
        self.unfinished.len() as u64 + self.dropped
    }

    /// Forgets an unfinished line; how many bytes it had.
    pub fn reset(&mut self) -> u64 {
        let bytes = self.unfinished_bytes();
        self.unfinished.clear();
        self.dropped = 0;
        bytes
    }

    fn finish(&mut self, rest: &[u8], on_line: &mut impl FnMut(Line<'_>)) {
        let length = self.unfinished_bytes() + rest.len() as u64;
        if length > self.limit as u64 {
            on_line(Line::TooLong { bytes: length });
        } else if self.unfinished.is_empty() {
            if !rest.is_empty() {
                on_line(Line::Whole(rest));
            }
        } else {
            self.unfinished.extend_from_slice(rest);
            on_line(Line::Whole(&self.unfinished));
        }
        self.reset();
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.dropped > 0 || self.unfinished.len() + bytes.len() > self.limit {
            self.dropped += (self.unfinished.len() + bytes.len()) as u64;
            self.unfinished = Vec::new();
        } else {
            self.unfinished.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Whole lines as text; a line that was too long as its length.
    fn cut(limit: usize, pieces: &[&[u8]]) -> Vec<Result<Vec<u8>, u64>> {
        let mut lines = Lines::new(limit);
        let mut seen = Vec::new();
        for piece in pieces {
            lines.feed(piece, |line| {
                seen.push(match line {
                    Line::Whole(bytes) => Ok(bytes.to_vec()),
                    Line::TooLong { bytes } => Err(bytes),
                });
            });
            assert!(lines.unfinished.len() <= limit);
        }
        seen
    }

    #[test]
    fn a_line_may_come_in_pieces_and_an_empty_one_is_nothing() {
        assert_eq!(cut(10, &[b"ab", b"c\n\n\nd", b"\ne"]), [Ok(b"abc".to_vec()), Ok(b"d".to_vec())]);
    }

    #[test]
    fn a_line_above_the_limit_is_dropped_and_the_next_one_read() {
        assert_eq!(cut(4, &[b"12345\nok\n"]), [Err(5), Ok(b"ok".to_vec())]);
        assert_eq!(cut(4, &[b"123", b"45", b"67\nok\n"]), [Err(7), Ok(b"ok".to_vec())]);
        assert_eq!(cut(4, &[b"1234\n"]), [Ok(b"1234".to_vec())]);
    }

    proptest! {
        #[test]
        fn the_size_of_the_pieces_does_not_matter(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200), size in 1usize..20
        ) {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            prop_assert_eq!(cut(16, &pieces), cut(16, &[&bytes]));
        }
    }
}
