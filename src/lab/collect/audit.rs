//! Whether every record arrived, once and whole.

use super::Piece;
use crate::record::{Body, SessionId, StreamAudit};

/// The most sessions that are followed: one a guest, some more for a guest that restarts.
const SESSIONS_LIMIT: usize = 64;
/// The most ranges of missing numbers that are remembered for each session.
const MISSING_LIMIT: usize = 4096;

/// Follows the sequence numbers of every session in a stream.
#[derive(Debug, Default)]
pub struct Audit {
    found: StreamAudit,
    sessions: Vec<Session>,
}

#[derive(Debug)]
struct Session {
    id: SessionId,
    /// The number that comes next.
    next: u64,
    /// Numbers that were passed over: first and one beyond the last.
    missing: Vec<(u64, u64)>,
}

impl Audit {
    /// Takes the next piece of the stream into account.
    pub fn on(&mut self, piece: &Piece) {
        match piece {
            Piece::Torn { .. } => self.found.torn += 1,
            Piece::Unknown { session, seq } => {
                self.found.unknown += 1;
                self.count(*session, *seq);
            }
            Piece::Record(arrival) => {
                self.found.records += 1;
                if let Body::End(end) = &arrival.record.body {
                    self.found.dropped_by_guest =
                        self.found.dropped_by_guest.saturating_add(end.records_dropped);
                }
                self.count(arrival.record.session, arrival.record.seq);
            }
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

    fn count(&mut self, id: SessionId, seq: u64) {
        let Some(session) = self.session(id) else { return };
        let next = session.next;
        if seq >= next {
            session.next = seq.saturating_add(1);
            if seq > next && session.missing.len() < MISSING_LIMIT {
                session.missing.push((next, seq));
            }
            self.found.holes = self.found.holes.saturating_add(seq - next);
        } else if session.was_missing(seq) {
            self.found.holes -= 1;
        } else {
            self.found.doubles += 1;
        }
    }

    fn session(&mut self, id: SessionId) -> Option<&mut Session> {
        let known = self.sessions.iter().position(|session| session.id == id);
        if known.is_none() && self.sessions.len() < SESSIONS_LIMIT {
            self.sessions.push(Session { id, next: 0, missing: Vec::new() });
        }
        let index = known.unwrap_or(self.sessions.len() - 1);
        self.sessions.get_mut(index).filter(|session| session.id == id)
    }
}

impl Session {
    /// Whether `seq` was missing; it is not any more.
    fn was_missing(&mut self, seq: u64) -> bool {
        let Some(index) = self.missing.iter().position(|(first, end)| (*first..*end).contains(&seq)) else {
            return false;
        };
        let (first, end) = self.missing.swap_remove(index);
        self.missing.extend([(first, seq), (seq + 1, end)].into_iter().filter(|(first, end)| first < end));
        true
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
