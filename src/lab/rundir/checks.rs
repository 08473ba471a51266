//! Records held against themselves and against those before them, while they are read: what cannot be is left out, and said.
//!
//! A heartbeat, an interval and the end are stamped in the order of their numbers: none of them may be older than one before
//! it. Other records bear the time of the turn they belong to, and those told while the load ends may be younger than the end.

use crate::{
    record::{Body, GapSummary, SessionId},
    units::Nanos,
};
use std::{collections::BTreeMap, ops::Range};

/// No clock of a guest has come so far: 146 years, ns.
const LATEST_NS: u64 = 1 << 62;
/// A stamp may be so much older than one before it, or than what it tells of, ns.
const BACK_NS: u64 = 1_000_000_000;
/// Gaps and stalls may end so much after the last record was made, ns: they bear the time at which a turn began.
const BEYOND_NS: u64 = 60_000_000_000;
/// The order of so many sessions is followed; a run has one.
const SESSIONS_LIMIT: usize = 1024;
/// Histograms hold no longer time, ns: a longest gap that is nearly as long may have been longer.
pub const HELD_NS: u64 = 999_000_000_000;

/// Which record it is, and when it was made.
#[derive(Debug, Clone, Copy)]
pub struct RecordId {
    /// The session.
    pub session: SessionId,
    /// Its number.
    pub seq: u64,
    /// Guest CLOCK_MONOTONIC.
    pub mono_ns: u64,
}

/// What was found in the records so far.
#[derive(Debug, Clone, Default)]
pub struct Checks {
    sessions: BTreeMap<SessionId, Followed>,
    latest_ns: u64,
    /// Records that cannot be, and are left out.
    pub impossible: u64,
    /// What is impossible about the first of them.
    pub first_impossible: Option<String>,
    /// How the clock went back, where it did.
    pub clock: Option<String>,
    /// How the gaps of an interval contradict each other, where they do.
    pub gaps: Option<String>,
}

/// How far a session has come.
#[derive(Debug, Clone, Copy, Default)]
struct Followed {
    seq: u64,
    latest_ns: u64,
    /// Of the last interval: its end, and the length of its gaps.
    end_ns: u64,
    gaps_ns: u64,
}

impl Checks {
    /// Whether a record may be what it says, by its stamp; `is_timely` of one that is stamped when it is made.
    pub fn allow(&mut self, id: RecordId, is_timely: bool) -> bool {
        let RecordId { session, seq, mono_ns } = id;
        if mono_ns >= LATEST_NS {
            return self.refuse(|| format!("record {seq} of session {session} is stamped {mono_ns} ns"));
        }
        self.latest_ns = self.latest_ns.max(mono_ns);
        let is_followed = self.sessions.len() < SESSIONS_LIMIT || self.sessions.contains_key(&session);
        if !is_followed {
            return true;
        }
        let followed = self.sessions.entry(session).or_default();
        // What came again fills a hole, and is older.
        if seq >= followed.seq {
            let back_ns = followed.latest_ns.saturating_sub(mono_ns);
            if is_timely && back_ns > BACK_NS {
                let by = Nanos(back_ns).human();
                self.clock.get_or_insert_with(|| {
                    format!("the guest's clock goes back: record {seq} of session {session} is {by} older than one before it")
                });
            }
            // The last interval and the end bear the time at which the load ended; what is told meanwhile is younger.
            let at_least_ns = if is_timely { mono_ns } else { mono_ns.saturating_sub(BEYOND_NS) };
            (followed.seq, followed.latest_ns) = (seq, followed.latest_ns.max(at_least_ns));
        }
        true
    }

    /// Leaves out what ends after all records were made; `times` gives where one begins and how long it lasts.
    pub fn retain<T>(&mut self, told: &mut Vec<T>, times: fn(&T) -> (u64, u64)) {
        let until_ns = self.latest_ns.saturating_add(BEYOND_NS);
        told.retain(|one| {
            let (start_ns, len_ns) = times(one);
            let is_possible = start_ns.checked_add(len_ns).is_some_and(|end_ns| end_ns <= until_ns);
            is_possible
                || self.refuse(|| {
                    format!("one tells of {len_ns} ns from {start_ns} ns on, and the last is older")
                })
        });
    }

    /// Whether an interval of the guest's time may be what it says; that its gaps contradict each other is noted.
    pub fn allow_interval(&mut self, id: RecordId, time_ns: &Range<u64>, gaps: GapSummary) -> bool {
        let &Range { start: start_ns, end: end_ns } = time_ns;
        let RecordId { session, seq, mono_ns } = id;
        let followed = self.sessions.get(&session).copied().unwrap_or_default();
        let is_again = start_ns < followed.end_ns && seq >= followed.seq;
        if end_ns < start_ns || end_ns > mono_ns.saturating_add(BACK_NS) || is_again {
            let before_ns = followed.end_ns;
            return self.refuse(|| {
                format!(
                    "record {seq} of session {session}, made at {mono_ns} ns, is an interval from {start_ns} ns to {end_ns} ns, \
                     and the one before ended at {before_ns} ns"
                )
            });
        }
        // A gap may be counted in one interval and its length in the next: nobody waits for a canary.
        let sum_ns = gaps.total_ns.saturating_add(followed.gaps_ns);
        if gaps.max_ns > sum_ns.saturating_add(sum_ns / 100) {
            let GapSummary { max_ns, total_ns, .. } = gaps;
            self.gaps.get_or_insert_with(|| {
                format!("the longest gap of an interval (record {seq}) is {max_ns} ns, and all of them are {total_ns} ns")
            });
        }
        if let Some(followed) = self.sessions.get_mut(&id.session) {
            (followed.end_ns, followed.gaps_ns) = (followed.end_ns.max(end_ns), gaps.total_ns);
        }
        true
    }

    /// Whether a record that comes seldom may be what it says.
    pub fn allow_body(&mut self, id: RecordId, body: &Body) -> bool {
        let Body::Hello(hello) = body else { return true };
        let RecordId { session, seq, .. } = id;
        let excess = hello.plan.excess();
        excess.is_none_or(|excess| {
            self.refuse(|| format!("record {seq} of session {session} tells of {excess}"))
        })
    }

    /// Leaves a record out.
    fn refuse(&mut self, why: impl FnOnce() -> String) -> bool {
        self.impossible += 1;
        self.first_impossible.get_or_insert_with(why);
        false
    }
}

/// Whether the sums of gaps contradict each other: all of them are longer than so many of the longest one.
pub fn gaps_contradict(count: u64, total_ns: u64, longest_ns: u64) -> bool {
    // A quantile of a histogram is at most 0.8 % too high, never too low.
    longest_ns < HELD_NS && u128::from(total_ns) > u128::from(count) * u128::from(longest_ns)
}
