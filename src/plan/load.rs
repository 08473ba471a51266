//! What the writers are to do at one time: the part of a plan that phases and commands replace while they run.

use super::pace::{CATCH_UP, CATCH_UP_CEILING};
use super::table::{parameters, read};
use super::{
    BacklogPolicy, ContentSpec, Fault, PaceSpec, PatternSpec, Setting, VisitMix, at_odds, visit_rate,
};
use crate::units::{Nanos, Rate, Share, UnitError};
use serde::{Deserialize, Serialize};

macro_rules! load {
    (amount $amount:tt kind $kind:tt load { $(
        #[doc = $doc:tt] $field:ident $name:tt: $type:ty = $usual:expr, [$(by $read:expr,)? $(as $write:ident,)?]
        [$(hello $hello:meta,)? $(load $load:meta,)? $(in $phase:ident,)? $(own $region:ident,)?] $column:tt
    )* } $($other:tt)*) => {
        /// A load: everything of a plan that can be replaced while the writers run.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
        pub struct Load {
            $( #[doc = $doc] $(#[$load])? pub $field: $type, )*
            /// The way to the rate, where the load does not begin with it.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub ramp: Option<Ramp>,
        }

        impl Load {
            /// Gives the parameter called `name` the value that `text` stands for. A rate ends a ramp.
            ///
            /// # Errors
            /// When it does not take the text, or is no part of a load.
            pub fn set(&mut self, name: &str, text: &str) -> Result<(), UnitError> {
                match name {
                    $( $name => self.$field = read!(text $(, $read)?)?, )*
                    _ => return Err(UnitError::new(name, "a part of a load", "what a phase may have", "rate")),
                }
                if name == "rate" {
                    self.ramp = None;
                }
                Ok(())
            }
        }
    };
}
parameters!(load);

/// A rate that changes evenly with time, until it is the load's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct Ramp {
    /// Where it begins; never `max`.
    pub from: Rate,
    /// How long it takes, 1 ns to [`Ramp::CEILING`].
    pub over_ns: u64,
}

impl Ramp {
    /// The longest ramp: up to here its schedule is exact in 128 bits.
    pub const CEILING: Nanos = Nanos::from_secs(24 * 3600);
}

impl Load {
    /// Gives it every value of `settings`, which are parts of a load. Their texts are known to be good.
    pub(super) fn take(&mut self, settings: &[Setting]) {
        for setting in settings {
            let taken = self.set(setting.name(), setting.text());
            debug_assert_eq!(taken, Ok(()), "a setting is made of a text that is taken");
        }
    }

    /// The same without visits: the memory is held.
    #[must_use]
    pub const fn paused(self) -> Self {
        Self { rate: Rate::PagesPerSecond(0), ramp: None, ..self }
    }

    /// As it is before its ramp: at the rate the ramp begins with.
    #[must_use]
    pub fn beginning(self) -> Self {
        Self { rate: self.ramp.map_or(self.rate, |ramp| ramp.from), ramp: None, ..self }
    }

    /// What is left of it after so long: a ramp goes on from where it has come to.
    #[must_use]
    pub fn rest(self, elapsed_ns: u64) -> Self {
        let rest = |ramp: Ramp| {
            let from = Rate::PagesPerSecond(self.pages_per_s_after(elapsed_ns)?);
            Some(Ramp { from, over_ns: ramp.over_ns.checked_sub(elapsed_ns).filter(|left_ns| *left_ns > 0)? })
        };
        Self { ramp: self.ramp.and_then(rest), ..self }
    }

    /// The pages a second asked for when it has lasted so long, rounded down; none for `max`.
    pub fn pages_per_s_after(&self, elapsed_ns: u64) -> Option<u64> {
        let to = self.rate.pages_per_s()?;
        let Some(ramp) = self.ramp.filter(|ramp| elapsed_ns < ramp.over_ns) else { return Some(to) };
        let (from, over_ns) = (ramp.from.pages_per_s()?, u128::from(ramp.over_ns));
        let parts =
            u128::from(from) * (over_ns - u128::from(elapsed_ns)) + u128::from(to) * u128::from(elapsed_ns);
        u64::try_from(parts / over_ns).ok()
    }

    /// The pages asked for from its beginning until it has lasted so long, in billionths of a page; none for `max`.
    pub fn asked_after(&self, elapsed_ns: u64) -> Option<u128> {
        let to = u128::from(self.rate.pages_per_s()?);
        let Some(ramp) = self.ramp else { return Some(to * u128::from(elapsed_ns)) };
        let (from, over_ns) = (u128::from(ramp.from.pages_per_s()?), u128::from(ramp.over_ns));
        let on_it_ns = u128::from(elapsed_ns).min(over_ns);
        // The area below the line: on_it * (from + where it has come to) / 2.
        let sides = from * (2 * over_ns - on_it_ns) + to * on_it_ns;
        let beyond_ns = u128::from(elapsed_ns) - on_it_ns;
        Some(sides / over_ns.max(1) * on_it_ns / 2 + to * beyond_ns)
    }

    /// The rate of all visits: those that write, which the rate counts, and those that only read.
    pub fn visit_rate(&self) -> Rate {
        visit_rate(self.rate, self.reads)
    }

    /// The same for the beginning of its ramp, with the ramp's length; none without one.
    pub fn visit_ramp(&self) -> Option<(u64, u64)> {
        let ramp = self.ramp?;
        Some((visit_rate(ramp.from, self.reads).pages_per_s()?, ramp.over_ns))
    }

    /// How many of the visits only read. On a ramp the share alone says, as it does for `max`.
    pub fn visit_mix(&self) -> VisitMix {
        VisitMix::new(if self.ramp.is_some() { Rate::Max } else { self.rate }, self.reads)
    }

    /// What is wrong with its pacing, and the remedy of each fault; `key` spells a parameter: `--pace `, `load.pace = `.
    pub(crate) fn pacing_faults(&self, key: fn(&str) -> String) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let (pace, catch_up) = (self.pace, self.catch_up);
        if self.rate == Rate::Max && pace != PaceSpec::Constant {
            faults.push((
                format!("{}{pace} needs a rate to keep: {}max has no schedule", key("pace"), key("rate")),
                format!("give a rate such as {}100M/s, or leave the pace out", key("rate")),
            ));
        }
        if !(1..=CATCH_UP_CEILING).contains(&catch_up) {
            faults.push((
                format!("{}{catch_up} cannot be: it is 1 to {CATCH_UP_CEILING}", key("catch-up")),
                format!("{}1 never catches up, {CATCH_UP} is usual", key("catch-up")),
            ));
        }
        faults
    }

    /// What does not go together in it: every fault, each with its remedy.
    pub fn faults(&self) -> Vec<Fault> {
        let pacing = self.pacing_faults(|name| format!("--{name} "));
        let mut faults: Vec<Fault> =
            pacing.into_iter().map(|(what, remedy)| Fault { what, remedy }).collect();
        faults.extend(self.visit_faults());
        if let Some(ramp) = self.ramp {
            faults.extend(self.ramp_faults(ramp));
        }
        faults
    }

    /// The same of what a visit does alone.
    pub(super) fn visit_faults(&self) -> Vec<Fault> {
        let mut faults = at_odds(self.rate, self.pattern, self.reads);
        faults.extend(self.content.fault(self.write_bytes));
        if let PatternSpec::Hotspot(hotspot) = self.pattern {
            faults.extend(hotspot.fault());
        }
        faults
    }

    fn ramp_faults(&self, ramp: Ramp) -> Vec<Fault> {
        let asked = format!("the ramp {}..{}", ramp.from, self.rate);
        let mut faults = Vec::new();
        if self.rate == Rate::Max || ramp.from == Rate::Max {
            let remedy = "give both ends as rates, for example ramp = \"0..200M/s\"".into();
            faults.push(Fault {
                what: format!("{asked} has an end that is no number: max has no schedule"),
                remedy,
            });
        } else if at_odds(self.rate, self.pattern, self.reads).is_empty() {
            faults.extend(at_odds(ramp.from, self.pattern, self.reads));
        }
        if ramp.over_ns == 0 || ramp.over_ns > Ramp::CEILING.0 {
            let what = format!(
                "{asked} cannot take {}: it is more than 0s and at most {}",
                Nanos(ramp.over_ns),
                Ramp::CEILING
            );
            faults.push(Fault { what, remedy: "give the phase a duration such as 30s".into() });
        }
        if self.pace != PaceSpec::Constant {
            faults.push(Fault {
                what: format!(
                    "{asked} has visits at even distances, and --pace {} asks for others",
                    self.pace
                ),
                remedy: "leave the pace out of a phase that ramps, or give it a rate".into(),
            });
        }
        if let PatternSpec::Hotspot(hotspot) = self.pattern
            && hotspot.drift_pages_per_s > 0
        {
            faults.push(Fault {
                what: format!(
                    "--pattern {} drifts from visit to visit at a pace that {asked} does not tell",
                    self.pattern
                ),
                remedy: "give the phase a rate, or let the hot set stay".into(),
            });
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use proptest::prelude::*;

    fn ramp(from: u64, to: u64, over_ns: u64) -> Load {
        let ramp = Some(Ramp { from: Rate::PagesPerSecond(from), over_ns });
        Load { rate: Rate::PagesPerSecond(to), ramp, ..Plan::default().load() }
    }

    #[test]
    fn a_ramp_passes_through_every_rate_between_its_ends_and_stays_at_the_last() {
        let (up, down) = (ramp(0, 1000, 10), ramp(1000, 100, 10));
        assert_eq!([0, 5, 10, 99].map(|ns| up.pages_per_s_after(ns)), [0, 500, 1000, 1000].map(Some));
        assert_eq!([0, 5, 10].map(|ns| down.pages_per_s_after(ns)), [1000, 550, 100].map(Some));
        assert_eq!((up.asked_after(10), up.asked_after(20)), (Some(5_000), Some(15_000)));
        assert_eq!((up.rest(5), up.rest(10).ramp), (ramp(500, 1000, 5), None));
    }

    #[test]
    fn a_pace_without_a_rate_and_a_factor_out_of_range_are_refused() {
        let found = |rate, pace, catch_up| {
            let load = Load { rate, pace, catch_up, ..Plan::default().load() };
            load.pacing_faults(|name| format!("--{name} ")).len()
        };
        let (poisson, some) = (PaceSpec::Poisson, Rate::PagesPerSecond(5));
        assert_eq!((found(Rate::Max, poisson, 0), found(Rate::Max, poisson, 4)), (2, 1));
        assert_eq!((found(some, poisson, 101), found(some, poisson, 100)), (1, 0));
        assert_eq!(found(Rate::Max, PaceSpec::Constant, 1), 0);
    }

    #[test]
    fn what_a_ramp_does_not_go_with_is_refused_with_the_way_out() {
        let said = |load: Load| {
            load.faults().iter().map(|fault| format!("{}: {}", fault.what, fault.remedy)).collect::<Vec<_>>()
        };
        let good = ramp(0, 1000, 5);
        assert_eq!(said(good), [""; 0]);
        for (load, what) in [
            (Load { rate: Rate::Max, ..good }, "0..200M/s"),
            (ramp(0, 1000, 0), "duration such as"),
            (Load { pace: PaceSpec::Poisson, ..good }, "--pace poisson"),
            (Load { pattern: "hotspot:10%/90%/5p/s".parse().unwrap(), ..good }, "hot set stay"),
        ] {
            let said = said(load);
            assert!(said.len() == 1 && said[0].contains(what), "{said:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_asked_is_the_mean_of_the_ends_over_a_ramp(
            from in 0u64..1_000_000_000, to in 0u64..1_000_000_000, over_ns in 1..=Ramp::CEILING.0
        ) {
            let asked = ramp(from, to, over_ns).asked_after(over_ns).unwrap();
            let truth = u128::from(from + to) * u128::from(over_ns) / 2;
            prop_assert!(asked.abs_diff(truth) <= u128::from(over_ns), "{} for {}", asked, truth);
        }

        #[test]
        fn the_rest_of_a_ramp_goes_on_where_it_was(
            from in 0u64..1_000_000, to in 0u64..1_000_000, over_ns in 2..=1_000_000u64, cut in 0u64..1_000_000, more in 0u64..1_000_000
        ) {
            let whole = ramp(from, to, over_ns);
            let rest = whole.rest(cut % over_ns);
            let (one, other) = (whole.pages_per_s_after(cut % over_ns + more), rest.pages_per_s_after(more));
            prop_assert!(one.unwrap().abs_diff(other.unwrap()) <= 1, "{:?} {:?}", one, other);
        }
    }
}
