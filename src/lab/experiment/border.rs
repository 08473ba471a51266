//! The border between the loads that still get through a migration and those that do not: a search without I/O.
//!
//! A rate that got through is doubled, one that did not is halved, until there is one of each. Then the rate in the middle of both, by
//! ratio, is tried, until the one is at most [`NEAR`] times the other. The lower one has to get through as often as is asked; one
//! that fails at that is the upper one from then on.

/// How near the rate that does not get through is to the one that does.
pub const NEAR: f64 = 1.3;
/// The most runs of one search.
const RUNS_LIMIT: u32 = 40;
/// The lowest rate that is tried, pages a second.
const LOWEST_PAGES_PER_S: u64 = 16;

/// What came of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// The migration was complete in time, with no more downtime than is allowed.
    Through,
    /// It was not.
    Stuck,
    /// The guest could not dirty that fast: this says nothing of the migration.
    Unreached,
}

/// What the search has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BorderFound {
    /// This rate got through every time, and that one did not, in pages a second.
    Border {
        /// What got through.
        through: u64,
        /// What did not.
        stuck: u64,
    },
    /// This rate got through every time, and the guest dirties no faster.
    AllThrough {
        /// What got through.
        through: u64,
    },
    /// Not even this rate got through.
    NoneThrough {
        /// What did not.
        stuck: u64,
    },
    /// The guest could not dirty at any rate that was tried.
    NoLoad,
    /// The runs do not agree with each other: there was none left.
    Unclear,
}

/// What a search does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextRate {
    /// Try this rate, in pages a second.
    Try(u64),
    /// Nothing: it is over.
    Done(BorderFound),
}

/// The search.
#[derive(Debug)]
pub struct Border {
    first: u64,
    /// How often the rate that is found must get through.
    times: u32,
    through: Option<(u64, u32)>,
    stuck: Option<u64>,
    /// The lowest rate that the guest did not reach.
    unreached: Option<u64>,
    runs: u32,
}

impl Border {
    /// A search that begins at `first` pages a second, and whose result must get through `times` times.
    pub fn new(first: u64, times: u32) -> Self {
        Self {
            first: first.max(LOWEST_PAGES_PER_S),
            times: times.max(1),
            through: None,
            stuck: None,
            unreached: None,
            runs: 0,
        }
    }

    /// What to do next.
    pub fn next_rate(&self) -> NextRate {
        let ceiling = [self.stuck, self.unreached].into_iter().flatten().min();
        match (self.through, ceiling) {
            _ if self.runs >= RUNS_LIMIT => NextRate::Done(BorderFound::Unclear),
            (None, None) => NextRate::Try(self.first),
            (Some((through, _)), None) => NextRate::Try(through.saturating_mul(2)),
            (None, Some(ceiling)) if ceiling / 2 >= LOWEST_PAGES_PER_S => NextRate::Try(ceiling / 2),
            (None, Some(_)) => NextRate::Done(
                self.stuck.map_or(BorderFound::NoLoad, |stuck| BorderFound::NoneThrough { stuck }),
            ),
            (Some((through, _)), Some(ceiling)) if ceiling as f64 > through as f64 * NEAR => {
                NextRate::Try(between(through, ceiling))
            }
            (Some((through, times)), Some(_)) if times < self.times => NextRate::Try(through),
            (Some((through, _)), Some(ceiling)) => NextRate::Done(match self.stuck {
                Some(stuck) if stuck == ceiling => BorderFound::Border { through, stuck },
                _ => BorderFound::AllThrough { through },
            }),
        }
    }

    /// Takes in what came of `rate`, which [`Border::next_rate`] gave.
    pub fn take(&mut self, rate: u64, tried: Tried) {
        self.runs += 1;
        match tried {
            Tried::Through => match &mut self.through {
                Some((through, times)) if *through == rate => *times += 1,
                through => *through = Some((rate, 1)),
            },
            Tried::Stuck => self.stuck = Some(rate),
            Tried::Unreached => self.unreached = Some(rate),
        }
        if tried != Tried::Through && self.through.is_some_and(|(through, _)| through >= rate) {
            self.through = None;
        }
    }
}

/// The rate whose ratio to both is the same.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two rates")]
fn between(low: u64, high: u64) -> u64 {
    ((low as f64 * high as f64).sqrt().round() as u64).clamp(low + 1, high - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Searches where every rate up to `border` gets through, and the guest reaches every rate up to `most`.
    fn search(first: u64, border: u64, most: u64) -> (BorderFound, Vec<u64>) {
        let (mut search, mut tried) = (Border::new(first, 3), Vec::new());
        loop {
            match search.next_rate() {
                NextRate::Done(found) => return (found, tried),
                NextRate::Try(rate) => {
                    tried.push(rate);
                    search.take(
                        rate,
                        match rate {
                            rate if rate > most => Tried::Unreached,
                            rate if rate <= border => Tried::Through,
                            _ => Tried::Stuck,
                        },
                    );
                }
            }
        }
    }

    #[test]
    fn a_rate_is_doubled_until_it_does_not_get_through_and_the_border_closed_in_on() {
        let (found, tried) = search(1000, 3000, u64::MAX);
        assert_eq!(found, BorderFound::Border { through: 2828, stuck: 3363 });
        assert_eq!(tried, [1000, 2000, 4000, 2828, 3363, 2828, 2828]);
    }

    #[test]
    fn where_nothing_gets_through_or_all_does_it_is_said() {
        assert_eq!(search(1000, 0, u64::MAX).0, BorderFound::NoneThrough { stuck: 31 });
        assert!(matches!(search(1000, u64::MAX, 5000).0, BorderFound::AllThrough { through: 3846..=5000 }));
        assert_eq!(search(1000, u64::MAX, 0).0, BorderFound::NoLoad);
    }

    #[test]
    fn the_lower_of_what_is_stuck_and_what_is_not_reached_is_the_upper_rate() {
        let (found, tried) = search(1000, 3000, 3500);
        assert_eq!(found, BorderFound::Border { through: 2828, stuck: 3363 });
        assert_eq!(tried, [1000, 2000, 4000, 2828, 3363, 2828, 2828]);
    }

    #[test]
    fn a_search_begins_at_a_rate_that_is_one_and_tries_it_at_least_once() {
        let mut search = Border::new(0, 0);
        for rate in [LOWEST_PAGES_PER_S, 2 * LOWEST_PAGES_PER_S] {
            assert_eq!(search.next_rate(), NextRate::Try(rate));
            search.take(rate, if rate == LOWEST_PAGES_PER_S { Tried::Through } else { Tried::Stuck });
        }
    }

    #[test]
    fn a_rate_that_got_through_by_luck_is_the_upper_one_from_then_on() {
        let mut search = Border::new(1000, 2);
        for (rate, tried) in
            [(1000, Tried::Through), (2000, Tried::Stuck), (1414, Tried::Stuck), (1189, Tried::Stuck)]
        {
            assert_eq!(search.next_rate(), NextRate::Try(rate));
            search.take(rate, tried);
        }
        assert_eq!(search.next_rate(), NextRate::Try(1000), "once more");
        search.take(1000, Tried::Stuck);
        assert_eq!(search.next_rate(), NextRate::Try(500));
    }

    #[test]
    fn runs_that_never_agree_come_to_an_end() {
        let mut search = Border::new(1000, 1000);
        let mut runs = 0;
        while let NextRate::Try(rate) = search.next_rate() {
            runs += 1;
            search.take(rate, if runs % 2 == 0 { Tried::Stuck } else { Tried::Through });
        }
        assert!(runs <= RUNS_LIMIT, "{runs}");
        let (mut search, mut runs) = (Border::new(1000, 1000), 0);
        while let NextRate::Try(rate) = search.next_rate() {
            runs += 1;
            search.take(rate, if rate < 2000 { Tried::Through } else { Tried::Stuck });
        }
        assert_eq!((runs, search.next_rate()), (RUNS_LIMIT, NextRate::Done(BorderFound::Unclear)));
    }

    proptest! {
        #[test]
        fn what_is_found_encloses_the_border(first in 16u64..1_000_000, border in 32u64..10_000_000) {
            let (found, tried) = search(first, border, u64::MAX);
            let BorderFound::Border { through, stuck } = found else { panic!("{found:?}") };
            prop_assert!(through <= border && stuck > border && stuck as f64 <= through as f64 * NEAR + 1.0);
            prop_assert!(tried.iter().filter(|rate| **rate == through).count() >= 3);
        }
    }
}
