//! Joins the two sides' bytes into the one stream the guest wrote.
//!
//! The guest writes into one port; before the switch its bytes come out of the source's socket, afterwards out of the
//! destination's, and a line may straddle the two. So the destination's bytes are held until the source has given
//! everything it had: its socket was closed, or QEMU said STOP and the socket was found empty after that. A side that
//! resumes is the one that speaks, so a failed migration goes on with the source.

use super::Piece;
use crate::record::Side;
use crate::wire::{Lines, RECORD_LIMIT_BYTES};
use std::collections::VecDeque;

/// The most that is held of a side that does not speak yet, in bytes; what is beyond is lost, and the audit finds it.
const HELD_LIMIT_BYTES: usize = 64 << 20;

/// Joins the bytes of both sides and cuts them into records.
#[derive(Debug)]
pub struct Joiner {
    lines: Lines,
    active: Side,
    /// QEMU said that the source stands still.
    source_stopped: bool,
    source: Held,
    destination: Held,
    /// The next line may lack its beginning: the connection it was on is gone.
    fragment: bool,
}

/// Bytes of a side that does not speak yet, as they arrived.
#[derive(Debug, Default)]
struct Held {
    chunks: VecDeque<(u64, Vec<u8>)>,
    bytes: usize,
}

impl Default for Joiner {
    fn default() -> Self {
        Self {
            lines: Lines::new(RECORD_LIMIT_BYTES),
            active: Side::Source,
            source_stopped: false,
            source: Held::default(),
            destination: Held::default(),
            fragment: false,
        }
    }
}

impl Joiner {
    /// The side whose bytes go into the stream now.
    pub const fn active(&self) -> Side {
        self.active
    }

    /// Bytes of a side, which arrived at `host_ns`.
    pub fn bytes(&mut self, host_ns: u64, side: Side, bytes: &[u8], on_piece: &mut impl FnMut(Piece)) {
        if side == self.active {
            self.feed(host_ns, side, bytes, on_piece);
        } else {
            self.held(side).keep(host_ns, bytes);
        }
    }

    /// The source stands still: once its socket is empty it has said all.
    pub const fn source_stopped(&mut self) {
        self.source_stopped = true;
    }

    /// The source's socket was read empty.
    pub fn source_drained(&mut self, on_piece: &mut impl FnMut(Piece)) {
        if self.source_stopped {
            self.hand_over(Side::Destination, on_piece);
        }
    }

    /// The source runs again: the migration failed after the stop.
    pub fn source_resumed(&mut self, on_piece: &mut impl FnMut(Piece)) {
        self.source_stopped = false;
        self.hand_over(Side::Source, on_piece);
    }

    /// The source's socket was closed.
    pub fn source_closed(&mut self, on_piece: &mut impl FnMut(Piece)) {
        self.hand_over(Side::Destination, on_piece);
    }

    /// Both sockets were connected anew: what was on its way is lost, and a line may lack its beginning. The guest
    /// sends it again.
    pub fn reconnected(&mut self) {
        self.lines.reset();
        self.fragment = true;
        (self.source, self.destination) = (Held::default(), Held::default());
    }

    /// Nothing comes any more: a line without an end is torn.
    pub fn finish(&mut self, on_piece: &mut impl FnMut(Piece)) {
        self.hand_over(Side::Destination, on_piece);
        let bytes = self.lines.reset();
        if bytes > 0 {
            on_piece(Piece::Torn { bytes });
        }
    }

    fn hand_over(&mut self, side: Side, on_piece: &mut impl FnMut(Piece)) {
        self.active = side;
        while let Some((host_ns, bytes)) = self.held(side).take() {
            self.feed(host_ns, side, &bytes, on_piece);
        }
    }

    fn feed(&mut self, host_ns: u64, side: Side, bytes: &[u8], on_piece: &mut impl FnMut(Piece)) {
        let fragment = &mut self.fragment;
        self.lines.feed(bytes, |line| {
            let piece = Piece::of(&line, host_ns, side);
            let excused = std::mem::take(fragment) && matches!(piece, Piece::Torn { .. });
            if !excused {
                on_piece(piece);
            }
        });
    }

    const fn held(&mut self, side: Side) -> &mut Held {
        match side {
            Side::Source => &mut self.source,
            Side::Destination => &mut self.destination,
        }
    }
}

impl Held {
    fn keep(&mut self, host_ns: u64, bytes: &[u8]) {
        if self.bytes + bytes.len() <= HELD_LIMIT_BYTES {
            self.bytes += bytes.len();
            self.chunks.push_back((host_ns, bytes.to_vec()));
        }
    }

    fn take(&mut self) -> Option<(u64, Vec<u8>)> {
        let chunk = self.chunks.pop_front()?;
        self.bytes -= chunk.1.len();
        Some(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::SessionId;
    use crate::record::{Body, Phase, Record};
    use crate::wire::encode_record;
    use proptest::prelude::*;
    use std::mem;

    fn line(seq: u64) -> Vec<u8> {
        let body = Body::Phase(Phase { phase: "run".into() });
        encode_record(&Record { session: SessionId(1), seq, mono_ns: 5, body })
    }

    fn lines(range: std::ops::Range<u64>) -> Vec<u8> {
        range.flat_map(line).collect()
    }

    /// A joiner and (seq, host_ns, side) of every record it gave.
    #[derive(Default)]
    struct Desk {
        joiner: Joiner,
        records: Vec<(u64, u64, Side)>,
        others: Vec<Piece>,
    }

    impl Desk {
        fn with(&mut self, act: impl FnOnce(&mut Joiner, &mut dyn FnMut(Piece))) {
            let mut joiner = mem::take(&mut self.joiner);
            act(&mut joiner, &mut |piece| match piece {
                Piece::Record(arrival) => {
                    self.records.push((arrival.record.seq, arrival.host_ns, arrival.side));
                }
                other => self.others.push(other),
            });
            self.joiner = joiner;
        }

        fn bytes(&mut self, host_ns: u64, side: Side, bytes: &[u8]) {
            self.with(|joiner, mut on_piece| joiner.bytes(host_ns, side, bytes, &mut on_piece));
        }

        fn drained(&mut self) {
            self.with(|joiner, mut on_piece| joiner.source_drained(&mut on_piece));
        }

        fn seqs(&self) -> Vec<u64> {
            self.records.iter().map(|(seq, _, _)| *seq).collect()
        }
    }

    #[test]
    fn a_line_that_straddles_the_switch_is_whole_and_stamped_where_it_was_completed() {
        let mut desk = Desk::default();
        let (first, rest) = (lines(0..2), line(2));
        desk.bytes(10, Side::Source, &first);
        desk.bytes(20, Side::Source, &rest[..9]);
        desk.bytes(50, Side::Destination, &rest[9..]);
        assert_eq!(desk.seqs(), [0, 1], "the destination waits for the source");
        desk.drained();
        assert_eq!(desk.seqs(), [0, 1], "an empty socket means nothing while the source runs");
        desk.joiner.source_stopped();
        desk.drained();
        assert_eq!(desk.records[2], (2, 50, Side::Destination));
        assert!(desk.others.is_empty());
    }

    #[test]
    fn the_source_s_last_bytes_come_before_what_the_destination_said_earlier() {
        let mut desk = Desk::default();
        desk.joiner.source_stopped();
        desk.bytes(10, Side::Destination, &line(1));
        desk.bytes(11, Side::Source, &line(0));
        desk.drained();
        assert_eq!(desk.seqs(), [0, 1]);
    }

    #[test]
    fn a_closed_source_hands_over() {
        let mut desk = Desk::default();
        desk.bytes(10, Side::Destination, &line(0));
        desk.with(|joiner, mut on_piece| joiner.source_closed(&mut on_piece));
        assert_eq!(desk.seqs(), [0]);
    }

    #[test]
    fn after_a_failed_migration_the_source_goes_on() {
        let mut desk = Desk::default();
        desk.bytes(10, Side::Source, &line(0));
        desk.joiner.source_stopped();
        desk.drained();
        desk.bytes(20, Side::Source, &line(1));
        assert_eq!(desk.seqs(), [0]);
        desk.with(|joiner, mut on_piece| joiner.source_resumed(&mut on_piece));
        desk.bytes(30, Side::Source, &line(2));
        assert_eq!(desk.seqs(), [0, 1, 2]);
    }

    #[test]
    fn what_is_no_record_is_told_apart() {
        let mut desk = Desk::default();
        desk.bytes(1, Side::Source, b"garbage\n");
        desk.bytes(
            1,
            Side::Source,
            b"{\"type\":\"omen\",\"session\":\"0000000000000001\",\"seq\":3,\"mono_ns\":1}\n",
        );
        desk.bytes(1, Side::Source, b"half a li");
        desk.with(|joiner, mut on_piece| joiner.finish(&mut on_piece));
        let unknown = Piece::Unknown { session: SessionId(1), seq: 3 };
        assert_eq!(desk.others, [Piece::Torn { bytes: 7 }, unknown, Piece::Torn { bytes: 9 }]);
    }

    proptest! {
        #[test]
        fn wherever_the_stream_is_cut_no_record_is_lost(
            count in 1u64..20, cut in any::<prop::sample::Index>(), size in 1usize..64, early in any::<bool>()
        ) {
            let stream = lines(0..count);
            let (source, destination) = stream.split_at(cut.index(stream.len()));
            let mut desk = Desk::default();
            if early {
                destination.chunks(size).for_each(|chunk| desk.bytes(2, Side::Destination, chunk));
            }
            source.chunks(size).for_each(|chunk| desk.bytes(1, Side::Source, chunk));
            desk.joiner.source_stopped();
            desk.drained();
            if !early {
                destination.chunks(size).for_each(|chunk| desk.bytes(2, Side::Destination, chunk));
            }
            prop_assert_eq!(desk.seqs(), (0..count).collect::<Vec<_>>());
            prop_assert!(desk.others.is_empty());
        }
    }
}
