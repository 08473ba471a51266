//! The numbers of a file's records, kept as ranges: which are missing, and how many came twice.

use crate::record::SessionId;
use std::{collections::BTreeMap, ops::Range};

/// So many ranges of missing numbers are named.
const NAMED: usize = 3;

/// The numbers (`seq`) of all records of a file, session by session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Where each range begins, and one beyond its end. Ranges do not touch.
    ranges: BTreeMap<(SessionId, u64), u64>,
    /// Records, each time they came.
    count: u64,
    doubles: u64,
}

impl Numbers {
    /// Takes in another record.
    pub fn add(&mut self, session: SessionId, seq: u64) {
        self.count += 1;
        let beyond = seq.saturating_add(1);
        let before = self.ranges.range_mut(..=(session, seq)).next_back();
        match before.filter(|((own, _), _)| *own == session) {
            Some((_, end)) if seq < *end => {
                self.doubles += 1;
                return;
            }
            Some((_, end)) if seq == *end => *end = beyond,
            _ => {
                self.ranges.insert((session, seq), beyond);
            }
        }
        if beyond > seq
            && let Some(end) = self.ranges.remove(&(session, beyond))
            && let Some((_, own)) = self.ranges.range_mut(..=(session, seq)).next_back()
        {
            *own = end;
        }
    }

    /// How many records there are.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// How many of them have the number of another one.
    pub const fn doubles(&self) -> u64 {
        self.doubles
    }

    /// How many sessions they are of.
    pub fn sessions(&self) -> usize {
        self.firsts().count()
    }

    /// The lowest number of each session.
    pub fn firsts(&self) -> impl Iterator<Item = u64> {
        let mut last = None;
        let is_first =
            move |((session, _), _): &(&(SessionId, u64), &u64)| last.replace(*session) != Some(*session);
        self.ranges.iter().filter(is_first).map(|((_, first), _)| *first)
    }

    /// The numbers that are missing: those between two that are there, and before the first of a session those from `begin` on,
    /// unless the session is known to begin with it.
    pub fn missing(&self, begin: u64, known: &[u64]) -> Missing {
        let mut missing = Missing::default();
        let mut before: Option<(SessionId, u64)> = None;
        for ((session, first), end) in &self.ranges {
            match before.filter(|(own, _)| own == session) {
                Some((_, end)) => missing.add(end..*first),
                None if !known.contains(first) => missing.add(begin..*first),
                None => {}
            }
            before = Some((*session, *end));
        }
        missing
    }
}

/// Numbers that are missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing {
    /// How many.
    pub count: u64,
    /// How many ranges.
    ranges: usize,
    /// The first ranges.
    first: Vec<Range<u64>>,
}

impl Missing {
    fn add(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        self.count = self.count.saturating_add(range.end - range.start);
        self.ranges += 1;
        if self.first.len() < NAMED {
            self.first.push(range);
        }
    }

    /// Which: `2, 5 to 7 and others`.
    pub fn places(&self) -> String {
        let place = |range: &Range<u64>| match range.end - range.start {
            1 => range.start.to_string(),
            _ => format!("{} to {}", range.start, range.end - 1),
        };
        let named: Vec<String> = self.first.iter().map(place).collect();
        let others = if self.ranges > named.len() { " and others" } else { "" };
        named.join(", ") + others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: &[u64]) -> Numbers {
        let mut found = Numbers::default();
        for seq in numbers {
            found.add(SessionId(7), *seq);
        }
        found
    }

    #[test]
    fn what_is_missing_is_known_in_whatever_order_the_rest_came() {
        let found = of(&[3, 4, 9, 8, 2, 20, 22, 9, u64::MAX]);
        assert_eq!((found.count(), found.doubles(), found.ranges.len()), (9, 1, 5));
        let missing = found.missing(1, &[]);
        assert_eq!(missing.count, 1 + 3 + 10 + 1 + (u64::MAX - 23));
        assert_eq!(missing.places(), "1, 5 to 7, 10 to 19 and others");
        assert_eq!(found.missing(2, &[]).places(), "5 to 7, 10 to 19, 21 and others");
        assert_eq!(of(&[5, 6, 4]).missing(0, &[4]), Missing::default());
        assert_eq!(of(&[5, 7, 6]).ranges.len(), 1, "ranges that touch are one");
    }

    #[test]
    fn each_session_has_its_own() {
        let mut found = of(&[0, 1]);
        found.add(SessionId(9), 1);
        found.add(SessionId(1), 0);
        assert_eq!((found.sessions(), found.doubles()), (3, 0));
        assert_eq!(found.missing(0, &[]).places(), "0");
    }
}
