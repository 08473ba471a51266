//! When a load holds what was asked for, by what the guest says of itself again and again.

use crate::plan::BASELINE_PHASE;
use crate::record::Status;
use crate::units::Share;
use std::collections::VecDeque;

/// Visits that may be done on the other side of an interval's border.
const SLACK_VISITS: u64 = 2;
/// The most samples of a window: two a second for five hours.
const WINDOW_LIMIT: usize = 36_000;

/// The sums of a guest at the end of an interval, and when they were heard of.
#[derive(Debug, Clone, Copy)]
struct Sample {
    host_ns: u64,
    done: u64,
    asked: u64,
}

/// Whether a load has been steady for long enough. Held against what the schedule asked for; without a rate, against itself.
#[derive(Debug)]
pub struct Steadiness {
    within: Share,
    hold_ns: u64,
    last: Option<Sample>,
    /// Since when it has been steady.
    since_ns: Option<u64>,
    /// Visits a second of the steady intervals, where no rate is asked for.
    rates: VecDeque<u64>,
    said: String,
}

impl Steadiness {
    /// Nothing is known yet.
    pub fn new(within: Share, hold_ns: u64) -> Self {
        let said = "the guest has told no interval yet".into();
        Self { within, hold_ns, last: None, since_ns: None, rates: VecDeque::new(), said }
    }

    /// How it is, in words.
    pub fn said(&self) -> &str {
        &self.said
    }

    /// The guest said so at `now_ns`. Whether it has been steady for long enough.
    pub fn on(&mut self, now_ns: u64, status: &Status) -> bool {
        let done = status.writes.saturating_add(status.reads);
        let asked = done.saturating_add(status.missed).saturating_add(status.backlog);
        let now = Sample { host_ns: now_ns, done, asked };
        if let Some(why) = unfit(status) {
            self.begin_again(now, why);
            return false;
        }
        let Some(before) = self.last else {
            self.last = Some(now);
            return false;
        };
        if (before.done, before.asked) == (now.done, now.asked) {
            // The same interval, unless it lasts.
            return false;
        }
        self.last = Some(now);
        match self.judge(before, now, status) {
            Ok(said) => {
                self.said = said;
                let since_ns = *self.since_ns.get_or_insert(before.host_ns);
                now_ns.saturating_sub(since_ns) >= self.hold_ns
            }
            Err(why) => {
                self.begin_again(now, why);
                false
            }
        }
    }

    fn begin_again(&mut self, now: Sample, why: String) {
        (self.last, self.since_ns, self.said) = (Some(now), None, why);
        self.rates.clear();
    }

    /// What was done between two samples, in words; as an error where it is not what was asked for.
    fn judge(&mut self, before: Sample, now: Sample, status: &Status) -> Result<String, String> {
        let done = now.done.saturating_sub(before.done);
        let Some(rate) = status.load.rate.pages_per_s() else { return self.judge_rate(status) };
        let asked = now.asked.saturating_sub(before.asked);
        let apart = done.abs_diff(asked);
        let said = format!("{done} of {asked} visits were done, at a rate of {rate} pages/s");
        if apart <= SLACK_VISITS || self.within.of(asked) >= apart {
            return Ok(said);
        }
        Err(format!("{said}; {} are behind or given up", now.asked.saturating_sub(now.done)))
    }

    /// The same of a load without a rate: its intervals are held against each other.
    fn judge_rate(&mut self, status: &Status) -> Result<String, String> {
        let rate = status.achieved_pages_per_s.unwrap_or(0);
        if self.rates.len() == WINDOW_LIMIT {
            self.rates.pop_front();
        }
        self.rates.push_back(rate);
        let (low, high) =
            self.rates.iter().fold((rate, rate), |(low, high), rate| (low.min(*rate), high.max(*rate)));
        let middle = low.midpoint(high);
        let said = format!("intervals from {low} to {high} pages/s, as fast as the writers can");
        if rate > 0 && self.within.of(middle) >= high - middle { Ok(said) } else { Err(said) }
    }
}

/// Why nothing can be said of the load at present.
fn unfit(status: &Status) -> Option<String> {
    if status.paused {
        return Some("the load is paused (resume goes on)".into());
    }
    if status.phase == BASELINE_PHASE {
        return Some("the baseline is not over, which later slowdown is held against".into());
    }
    (status.load.rate.pages_per_s() == Some(0)).then(|| "the load's rate is 0: nothing is asked for".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SECOND: u64 = 1_000_000_000;

    fn status(done: u64, backlog: u64, more: &[(&str, serde_json::Value)]) -> Status {
        let load = serde_json::to_value(crate::plan::Plan::default().load()).unwrap();
        let mut status = json!({"phase": "run", "paused": false, "load": load, "writes": done, "reads": 0, "missed": 0,
            "backlog": backlog, "achieved_pages_per_s": 1000, "sweeps": 0});
        for (key, value) in more {
            if *key == "rate" {
                status["load"]["rate"] = value.clone();
            } else {
                status[*key] = value.clone();
            }
        }
        serde_json::from_value(status).unwrap()
    }

    /// What becomes of it when one is heard every second.
    fn after(statuses: impl IntoIterator<Item = Status>) -> (Option<u64>, String) {
        let mut steadiness = Steadiness::new("5%".parse().unwrap(), 3 * SECOND);
        for (second, status) in (0..).zip(statuses) {
            if steadiness.on(second * SECOND, &status) {
                return (Some(second), steadiness.said().to_owned());
            }
        }
        (None, steadiness.said().to_owned())
    }

    #[test]
    fn a_load_that_does_what_is_asked_is_steady_after_the_time_it_has_to_hold() {
        let (second, said) = after((0..9).map(|second| status(second * 1000, 0, &[])));
        assert_eq!(second, Some(3), "{said}");
        assert!(said.contains("1000 of 1000 visits"), "{said}");
    }

    #[test]
    fn one_that_falls_behind_is_not_and_one_that_catches_up_begins_anew() {
        let (second, said) = after((0..9).map(|second| status(second * 900, second * 100, &[])));
        assert_eq!(second, None);
        assert!(said.contains("900 of 1000") && said.contains("behind or given up"), "{said}");
        let late = (0..9).map(|second| {
            status(second * 1000 - u64::from(second == 2) * 500, u64::from(second == 2) * 500, &[])
        });
        assert_eq!(after(late).0, Some(6), "behind at 2, ahead of the schedule at 3");
    }

    #[test]
    fn what_cannot_be_steady_says_why() {
        for (key, value, why) in [
            ("paused", json!(true), "paused"),
            ("phase", json!("baseline"), "baseline is not over"),
            ("rate", json!("0"), "nothing is asked for"),
        ] {
            let (second, said) =
                after((0..9).map(|second| status(second * 1000, 0, &[(key, value.clone())])));
            assert!(second.is_none() && said.contains(why), "{said}");
        }
        let (second, said) = after((0..9).map(|_| status(7, 0, &[])));
        assert!(
            second.is_none() && said.contains("no interval yet"),
            "the same interval again is no news: {said}"
        );
    }

    #[test]
    fn without_a_rate_the_intervals_are_held_against_each_other() {
        let at = |second: u64, rate: u64| {
            status(second * 1000, 0, &[("rate", json!("max")), ("achieved_pages_per_s", json!(rate))])
        };
        assert_eq!(after((0..9).map(|second| at(second, 1000 + second % 3 * 10))).0, Some(3));
        let (second, said) = after((0..9).map(|second| at(second, 1000 + second % 2 * 500)));
        assert!(second.is_none() && said.contains("from 1000 to 1500"), "{said}");
    }
}
