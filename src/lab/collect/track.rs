//! The numbers of one session: which came, which are missing, which came again and why.

/// The most ranges of missing numbers that are remembered.
const MISSING_LIMIT: usize = 4096;
/// How often a stream may still go back, at most: each attach allows it once.
const BACK_LIMIT: u32 = 64;

/// What a number turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// The next one, or one beyond some that did not come.
    New {
        /// How many were passed over.
        passed_over: u64,
    },
    /// One that had been passed over.
    Late,
    /// One that is there already, sent again because the host asked for it.
    Replayed,
    /// One that is there already, and nobody asked for it.
    Double,
}

impl Seen {
    /// Whether the record was not there yet.
    pub const fn is_new(self) -> bool {
        matches!(self, Self::New { .. } | Self::Late)
    }
}

/// The numbers of one session, which counts from 0 unless it was joined late.
#[derive(Debug, Default)]
pub struct Track {
    /// The lowest number that counts, and one beyond the highest.
    first: u64,
    next: u64,
    /// Numbers that were passed over: first and one beyond the last.
    missing: Vec<(u64, u64)>,
    /// What is missing before this is not waited for any more.
    given_up: u64,
    may_go_back: u32,
    /// The last number that came again, while the stream repeats itself.
    replaying: Option<u64>,
}

impl Track {
    /// A session that was joined when it had said `seq` already: what came before it is not missing.
    pub fn joined_at(seq: u64) -> Self {
        Self { first: seq, next: seq, ..Self::default() }
    }

    /// The host asked for records to be sent again.
    pub fn attached(&mut self) {
        self.may_go_back = (self.may_go_back + 1).min(BACK_LIMIT);
    }

    /// The next number of the stream.
    pub fn see(&mut self, seq: u64) -> Seen {
        if seq >= self.next {
            let passed_over = seq - self.next;
            self.pass_over(self.next, seq);
            self.next = seq.saturating_add(1);
            self.replaying = None;
            return Seen::New { passed_over };
        }
        let goes_on = self.replaying.is_some_and(|last| seq > last);
        let is_asked_for = goes_on || self.may_go_back > 0;
        if !goes_on {
            self.may_go_back = self.may_go_back.saturating_sub(1);
        }
        if is_asked_for {
            self.replaying = Some(seq);
        }
        match (self.was_missing(seq), is_asked_for) {
            (true, _) => Seen::Late,
            (false, true) => Seen::Replayed,
            (false, false) => Seen::Double,
        }
    }

    /// Numbers before the first one that came of a session joined late: they count from `seq` on. How many of them
    /// are missing until they come.
    pub fn reach_back(&mut self, seq: u64) -> u64 {
        let missing = self.first.saturating_sub(seq);
        self.pass_over(seq, self.first);
        self.first = self.first.min(seq);
        missing
    }

    /// One beyond the last number that has no hole before it, holes that were given up aside.
    pub fn whole_end(&self) -> u64 {
        let open = self.missing.iter().filter(|(_, end)| *end > self.given_up);
        open.map(|(first, _)| (*first).max(self.given_up)).min().unwrap_or(self.next)
    }

    /// Nothing that came is there any more, and nothing was given up.
    pub fn forget(&mut self) {
        self.missing = vec![(self.first, self.next)];
        self.given_up = 0;
    }

    /// What is missing before `seq` will not come.
    pub fn give_up(&mut self, seq: u64) {
        self.given_up = self.given_up.max(seq.min(self.next));
    }

    /// Whether this number came.
    pub fn has(&self, seq: u64) -> bool {
        let is_missing = self.missing.iter().any(|(first, end)| (*first..*end).contains(&seq));
        (self.first..self.next).contains(&seq) && !is_missing
    }

    /// The lowest number that counts.
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// One beyond the highest number that came.
    pub const fn next(&self) -> u64 {
        self.next
    }

    fn pass_over(&mut self, first: u64, end: u64) {
        if first < end && self.missing.len() < MISSING_LIMIT {
            self.missing.push((first, end));
        }
    }

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

    fn see(track: &mut Track, numbers: &[u64]) -> Vec<Seen> {
        numbers.iter().map(|seq| track.see(*seq)).collect()
    }

    /// Whether a number is missing that is still waited for.
    fn has_hole(track: &Track) -> bool {
        track.whole_end() < track.next()
    }

    const NEXT: Seen = Seen::New { passed_over: 0 };

    #[test]
    fn what_comes_again_is_a_replay_only_when_it_was_asked_for() {
        let mut track = Track::default();
        assert_eq!(see(&mut track, &[0, 1, 2]), [NEXT; 3]);
        track.attached();
        assert_eq!(see(&mut track, &[1, 2, 3]), [Seen::Replayed, Seen::Replayed, NEXT]);
        assert_eq!(see(&mut track, &[2]), [Seen::Double], "one attach, one way back");
        track.attached();
        assert_eq!(see(&mut track, &[2, 2]), [Seen::Replayed, Seen::Double], "and each number once");
    }

    #[test]
    fn a_replay_fills_the_hole_it_was_asked_for() {
        let mut track = Track::default();
        assert_eq!(see(&mut track, &[0, 3]), [NEXT, Seen::New { passed_over: 2 }]);
        assert_eq!((track.whole_end(), has_hole(&track)), (1, true));
        track.attached();
        assert_eq!(see(&mut track, &[1, 2, 3, 4]), [Seen::Late, Seen::Late, Seen::Replayed, NEXT]);
        assert_eq!((track.whole_end(), has_hole(&track)), (5, false));
    }

    #[test]
    fn a_hole_that_was_given_up_holds_nothing_back() {
        let mut track = Track::default();
        see(&mut track, &[0, 5, 9]);
        track.give_up(5);
        assert_eq!((track.whole_end(), has_hole(&track)), (6, true));
        track.give_up(u64::MAX);
        assert_eq!((track.whole_end(), has_hole(&track)), (10, false));
    }

    #[test]
    fn what_is_gone_again_was_not_given_up() {
        let mut track = Track::default();
        see(&mut track, &[0, 5, 6]);
        track.give_up(5);
        track.forget();
        assert_eq!((track.whole_end(), track.next()), (0, 7));
    }

    #[test]
    fn a_session_joined_late_misses_nothing_before_and_takes_what_the_guest_still_has() {
        let mut track = Track::joined_at(7);
        track.attached();
        assert_eq!(see(&mut track, &[7, 8]), [NEXT; 2]);
        assert_eq!(track.reach_back(5), 2);
        assert_eq!(
            see(&mut track, &[5, 6, 7, 8, 9]),
            [Seen::Late, Seen::Late, Seen::Replayed, Seen::Replayed, NEXT]
        );
        assert_eq!((track.first(), track.next(), has_hole(&track)), (5, 10, false));
        track.see(12);
        assert_eq!(
            [4, 5, 9, 10, 11, 12, 13].map(|seq| track.has(seq)),
            [false, true, true, false, false, true, false]
        );
    }
}
