//! Whether every record arrived, once and whole.

use super::{Piece, Progress, Seen, Track};
use crate::record::{Body, SessionId, StreamAudit};

/// The most sessions that are followed: one a guest, some more for a guest that restarts.
const SESSIONS_LIMIT: usize = 64;

/// Follows the sequence numbers of every session in a stream.
#[derive(Debug, Default)]
pub struct Audit {
    found: StreamAudit,
    sessions: Vec<(SessionId, Track)>,
    /// How often the host attached: a session that speaks first afterwards may go back as often.
    attached: u32,
}

impl Audit {
    /// Takes the next piece of the stream into account. Whether it is a record that was not there yet.
    pub fn on(&mut self, piece: &Piece) -> bool {
        let Some((session, seq)) = piece.place() else {
            self.found.torn += 1;
            return false;
        };
        let is_new = self.count(session, seq);
        match piece {
            Piece::Record(arrival) if is_new => {
                self.found.records += 1;
                if let Body::End(end) = &arrival.record.body {
                    self.found.dropped_by_guest =
                        self.found.dropped_by_guest.saturating_add(end.records_dropped);
                }
            }
            Piece::Unknown { .. } if is_new => self.found.unknown += 1,
            _ => {}
        }
        is_new
    }

    /// The host asked for records to be sent again.
    pub fn attached(&mut self) {
        self.attached = self.attached.saturating_add(1);
        for (_, track) in &mut self.sessions {
            track.attached();
        }
    }

    /// What was found so far.
    pub const fn found(&self) -> StreamAudit {
        self.found
    }

    /// How many sessions spoke: more than one means that the guest program started again.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// How far the host has come with the session that spoke last.
    pub fn progress(&self) -> Option<Progress> {
        let (session, track) = self.sessions.last()?;
        let (whole_end, has_hole) = (track.whole_end(), track.has_hole());
        Some(Progress { session: *session, whole_end, has_hole, stamp_ns: None })
    }

    /// The holes of the session that spoke last will not fill.
    pub fn give_up(&mut self) {
        if let Some((_, track)) = self.sessions.last_mut() {
            track.give_up(u64::MAX);
        }
    }

    fn count(&mut self, id: SessionId, seq: u64) -> bool {
        // Those beyond the limit are kept and not followed.
        let Some(track) = self.track(id) else { return true };
        let seen = track.see(seq);
        match seen {
            Seen::New { passed_over } => self.found.holes = self.found.holes.saturating_add(passed_over),
            Seen::Late => self.found.holes = self.found.holes.saturating_sub(1),
            Seen::Replayed => self.found.replayed += 1,
            Seen::Double => self.found.doubles += 1,
        }
        seen.is_new()
    }

    fn track(&mut self, id: SessionId) -> Option<&mut Track> {
        let known = self.sessions.iter().position(|(session, _)| *session == id);
        if known.is_none() && self.sessions.len() < SESSIONS_LIMIT {
            let mut track = Track::default();
            for _ in 0..self.attached {
                track.attached();
            }
            self.sessions.push((id, track));
        }
        let index = known.or(self.sessions.len().checked_sub(1))?;
        self.sessions.get_mut(index).filter(|(session, _)| *session == id).map(|(_, track)| track)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn audited(numbers: &[u64]) -> StreamAudit {
        let mut audit = Audit::default();
        for seq in numbers {
            audit.on(&Piece::Unknown { session: SessionId(1), seq: *seq });
        }
        audit.found()
    }

    #[test]
    fn holes_and_doubles_are_counted_apart() {
        let found = audited(&[0, 1, 4, 4, 5]);
        assert_eq!((found.holes, found.doubles), (2, 1));
        assert!(!found.is_sound());
        assert!(audited(&[0, 1, 2]).is_sound());
    }

    #[test]
    fn what_was_asked_for_again_is_no_double() {
        let mut audit = Audit::default();
        for seq in [0, 1, 2] {
            audit.on(&Piece::Unknown { session: SessionId(1), seq });
        }
        audit.attached();
        let kept: Vec<bool> = [1, 2, 3]
            .into_iter()
            .map(|seq| audit.on(&Piece::Unknown { session: SessionId(1), seq }))
            .collect();
        assert_eq!(kept, [false, false, true]);
        assert_eq!((audit.found().replayed, audit.found().is_sound()), (2, true));
        let progress = Progress { session: SessionId(1), whole_end: 4, has_hole: false, stamp_ns: None };
        assert_eq!(audit.progress(), Some(progress));
    }

    #[test]
    fn a_session_that_does_not_begin_with_its_first_record_has_a_hole() {
        assert_eq!(audited(&[3]).holes, 3);
    }

    #[test]
    fn torn_lines_make_a_stream_unsound_and_each_session_has_its_own_numbers() {
        let mut audit = Audit::default();
        for session in [1, 2] {
            audit.on(&Piece::Unknown { session: SessionId(session), seq: 0 });
        }
        assert!(audit.found().is_sound());
        assert_eq!(audit.sessions(), 2);
        audit.on(&Piece::Torn { bytes: 3 });
        assert!(!audit.found().is_sound());
    }

    proptest! {
        #[test]
        fn in_whatever_order_all_numbers_come_nothing_is_missing_or_double(
            numbers in Just((0u64..40).collect::<Vec<_>>()).prop_shuffle()
        ) {
            prop_assert!(audited(&numbers).is_sound());
        }

        #[test]
        fn holes_are_the_numbers_that_never_came(kept in prop::collection::btree_set(0u64..60, 1..60)) {
            let numbers: Vec<u64> = kept.iter().copied().collect();
            let expected = numbers.last().unwrap() + 1 - numbers.len() as u64;
            prop_assert_eq!(audited(&numbers).holes, expected);
        }
    }
}
