//! A look back at a batch that took long: which of its visits did, of which page, and how often that page had been written
//! since the last mark.
//!
//! Nothing is noted while visits are made. Each leaves the time it began in its page's stamp, and ends when the next
//! begins: so the stamps of a batch tell all its visits' lengths afterwards. A visit that only read, or whose page was
//! visited again in the same batch, left no time; then the length of the one before it is not known and not told.

/// From this length on a visit is a stall, ns: the lowest threshold of a canary.
pub(super) const STALL_NS: u64 = 100_000;

/// Calls `told` with the position in the batch, the start and the length of each visit that took [`STALL_NS`] or longer.
///
/// The batch had `visits` visits and lasted from `start_ns` to `end_ns`; `began_ns` says when the visit at a position
/// began, as its page's stamp has it now, and nothing for one that only read.
pub(super) fn stalls(
    visits: usize,
    (start_ns, end_ns): (u64, u64),
    began_ns: impl Fn(usize) -> Option<u64>,
    mut told: impl FnMut(usize, u64, u64),
) {
    let mut next_ns = Some(end_ns);
    let mut latest_ns = end_ns;
    for index in (0..visits).rev() {
        // The first begins with the batch, whatever it does. A time out of order is that of another visit.
        let stamped = || began_ns(index).filter(|began| (start_ns..=latest_ns).contains(began));
        let begin = stamped().or_else(|| (index == 0).then_some(start_ns));
        if let (Some(begin_ns), Some(next_ns)) = (begin, next_ns)
            && next_ns - begin_ns >= STALL_NS
            && began_ns(index) == Some(begin_ns)
        {
            told(index, begin_ns, next_ns - begin_ns);
        }
        latest_ns = begin.unwrap_or(latest_ns);
        next_ns = begin;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(times: &[Option<u64>], end_ns: u64) -> Vec<(usize, u64, u64)> {
        let mut found = Vec::new();
        stalls(
            times.len(),
            (1_000, end_ns),
            |index| times[index],
            |index, start, len| found.push((index, start, len)),
        );
        found
    }

    #[test]
    fn each_long_visit_of_a_batch_is_found_with_its_start_and_length() {
        let times = [Some(1_000), Some(1_500), Some(301_500), Some(302_000)];
        assert_eq!(found(&times, 902_000), [(3, 302_000, 600_000), (1, 1_500, 300_000)]);
        assert_eq!(found(&times, 302_100), [(1, 1_500, 300_000)]);
        assert_eq!(found(&[], 902_000), []);
    }

    #[test]
    fn a_visit_beside_one_that_left_no_time_is_not_guessed_at() {
        assert_eq!(found(&[Some(1_000), None, Some(900_000)], 900_100), []);
        // The page at position 0 was visited again at position 2: its stamp shows that later visit.
        let twice = [Some(500_000), Some(1_200), Some(500_000)];
        assert_eq!(found(&twice, 500_100), [(1, 1_200, 498_800)]);
        // Another content leaves the stamp of long ago.
        assert_eq!(found(&[Some(1_000), Some(7)], 900_000), []);
    }

    proptest! {
        #[test]
        fn stalls_never_add_up_to_more_than_the_batch(
            times in prop::collection::vec(any::<Option<u32>>(), 0..20), length_ns: u32
        ) {
            let times: Vec<Option<u64>> = times.into_iter().map(|time| time.map(u64::from)).collect();
            let end_ns = 1_000 + u64::from(length_ns);
            let sum: u64 = found(&times, end_ns).iter().map(|(_, _, len)| len).sum();
            prop_assert!(sum <= u64::from(length_ns));
        }
    }
}
