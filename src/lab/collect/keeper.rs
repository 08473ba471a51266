//! When a host tells the guest how far it has come: a state machine without I/O.
//!
//! On every connection it attaches. From then on it acknowledges what is safe on disk, and where a hole shows it
//! attaches anew, which has the guest send again what it still holds. A hole that stays is given up.

use crate::record::{Command, SessionId};
use crate::units::Nanos;

/// How often what is on disk is acknowledged, and how often at least.
const ACKNOWLEDGE: Nanos = Nanos::from_ms(500);
const REMIND: Nanos = Nanos::from_secs(5);
/// How long a hole may take to fill after it was asked for, and how often it is asked for.
const FILL: Nanos = Nanos::from_secs(1);
const TRIES: u32 = 3;

/// How far the host has come with one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The session.
    pub session: SessionId,
    /// One beyond the last record that is on disk and has no hole before it.
    pub whole_end: u64,
    /// Whether something is missing behind that.
    pub has_hole: bool,
    /// When that record was made, as it says itself (guest CLOCK_MONOTONIC), where that is remembered.
    pub stamp_ns: Option<u64>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Duty {
    /// Tell the guest this.
    Tell(Command),
    /// The hole will not fill: go on behind it.
    GiveUp,
}

/// What one connection has told the guest.
#[derive(Debug, Default)]
pub struct Keeper {
    acknowledged: Option<(SessionId, u64)>,
    acknowledged_ns: u64,
    attached_ns: u64,
    /// The hole that was asked for, and how often.
    asked: Option<(SessionId, u64, u32)>,
}

impl Keeper {
    /// What to say first on a new connection: whoever is there is to send all it holds.
    pub fn connect(&mut self, now_ns: u64) -> Command {
        *self = Self { acknowledged_ns: now_ns, attached_ns: now_ns, ..Self::default() };
        attach(None)
    }

    /// What is to be done now; to be asked again until there is nothing.
    pub fn duty(&mut self, now_ns: u64, progress: Progress) -> Option<Duty> {
        let Progress { session, whole_end, has_hole, stamp_ns: mono_ns } = progress;
        if has_hole {
            return self.hole(now_ns, progress);
        }
        let since_ns = now_ns.saturating_sub(self.acknowledged_ns);
        let is_new = self.acknowledged != Some((session, whole_end));
        let is_due = since_ns >= if is_new { ACKNOWLEDGE.0 } else { REMIND.0 };
        let seq = whole_end.checked_sub(1).filter(|_| is_due)?;
        (self.acknowledged, self.acknowledged_ns) = (Some((session, whole_end)), now_ns);
        Some(Duty::Tell(Command::Ack { id: None, session: Some(session), seq, mono_ns }))
    }

    fn hole(&mut self, now_ns: u64, progress: Progress) -> Option<Duty> {
        let hole = (progress.session, progress.whole_end);
        let tries = match self.asked {
            Some((session, at, tries)) if (session, at) == hole => tries,
            _ => 0,
        };
        // What an attach just asked for may be on its way.
        if now_ns.saturating_sub(self.attached_ns) < FILL.0 {
            return None;
        }
        if tries >= TRIES {
            self.asked = None;
            return Some(Duty::GiveUp);
        }
        self.asked = Some((hole.0, hole.1, tries + 1));
        self.attached_ns = now_ns;
        Some(Duty::Tell(attach(Some(progress))))
    }
}

fn attach(known: Option<Progress>) -> Command {
    let known = known.filter(|progress| progress.whole_end > 0);
    Command::Attach {
        id: None,
        session: known.map(|progress| progress.session),
        after: known.map(|progress| progress.whole_end - 1),
        mono_ns: known.and_then(|progress| progress.stamp_ns),
        otherwise: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn at(whole_end: u64, has_hole: bool) -> Progress {
        Progress { session: SessionId(1), whole_end, has_hole, stamp_ns: Some(77) }
    }

    fn ack(seq: u64) -> Duty {
        Duty::Tell(Command::Ack { id: None, session: Some(SessionId(1)), seq, mono_ns: Some(77) })
    }

    #[test]
    fn a_new_connection_attaches_and_the_rest_is_acknowledged_twice_a_second() {
        let mut keeper = Keeper::default();
        let nothing =
            Command::Attach { id: None, session: None, after: None, mono_ns: None, otherwise: None };
        assert_eq!(keeper.connect(0), nothing);
        assert_eq!(keeper.duty(100 * MS, at(9, false)), None);
        assert_eq!(keeper.duty(500 * MS, at(9, false)), Some(ack(8)));
        assert_eq!(keeper.duty(1000 * MS, at(9, false)), None, "nothing new");
        assert_eq!(
            keeper.duty(5500 * MS, at(9, false)),
            Some(ack(8)),
            "but the guest should know that somebody is there"
        );
    }

    #[test]
    fn a_hole_is_asked_for_three_times_and_then_given_up() {
        let mut keeper = Keeper::default();
        keeper.connect(0);
        let asked = Some(Duty::Tell(attach(Some(at(7, true)))));
        assert_eq!(keeper.duty(10 * MS, at(7, true)), None, "the attach of the connection may fill it");
        for second in 1..=3 {
            assert_eq!(keeper.duty(second * 1000 * MS, at(7, true)), asked);
            assert_eq!(keeper.duty(second * 1000 * MS, at(7, true)), None);
        }
        assert_eq!(keeper.duty(4000 * MS, at(7, true)), Some(Duty::GiveUp));
    }
}
