//! A scenario made smaller, so that its shape fits another machine: memory, load, rate and link by one factor.

use super::{Bandwidth, Scenario, check::GUEST_FLOOR_BYTES};
use crate::plan::{MemoryAmount, Parameter, Scope, Setting};
use crate::units::{ByteSize, PAGE_BYTES, Rate, UnitError};
use std::{fmt, str::FromStr};

/// By what a scenario's sizes and speeds are multiplied. Text: `1/8`, or `0.125`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale(f64);

impl FromStr for Scale {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let factor = match text.split_once('/') {
            Some((part, whole)) => {
                part.parse().ok().zip(whole.parse().ok()).map(|(part, whole): (f64, f64)| part / whole)
            }
            None => text.parse().ok(),
        };
        factor.filter(|factor| (0.001..=1000.0).contains(factor)).map(Self).ok_or_else(|| {
            UnitError::new(text, "a scale", "a factor from 0.001 to 1000, or a fraction", "1/8")
        })
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inverse = 1.0 / self.0;
        let is_fraction = self.0 < 1.0 && (inverse - inverse.round()).abs() < 1e-9;
        if is_fraction { write!(out, "1/{}", inverse.round()) } else { self.0.fmt(out) }
    }
}

impl Scale {
    /// Multiplies the guest's memory, what the load dirties of it, how fast, and the link; times, shares and levels stay. What the
    /// guest needs beside its load stays too. In a sentence, what became of it.
    ///
    /// # Errors
    /// When the load is in a plan file of its own.
    pub(super) fn apply(self, scenario: &mut Scenario) -> Result<String, String> {
        if scenario.load.plan.is_some() {
            return Err(format!("--scale {self} does not reach into load.plan: write the plan under [load]"));
        }
        let load = &mut scenario.load.asked;
        load.memory = self.amount(load.memory);
        load.rate = self.rate(load.rate);
        if let Some(dirty) = scenario.cycle.as_mut().and_then(|cycle| cycle.dirty.as_mut()) {
            *dirty = self.size(*dirty);
        }
        for (rate, other) in load.phases.iter_mut().filter_map(|phase| phase.ramp.as_mut()) {
            (*rate, *other) = (self.rate(*rate), self.rate(*other));
        }
        let phases = load.phases.iter_mut().flat_map(|phase| &mut phase.settings);
        for setting in phases.chain(load.regions.iter_mut().flat_map(|region| &mut region.settings)) {
            self.setting(setting)?;
        }
        let (memory, link) = (&mut scenario.vm.memory, &mut scenario.migration.bandwidth);
        let needed = scenario.load.memory_bytes(memory.0).saturating_add(GUEST_FLOOR_BYTES);
        *memory = ByteSize(self.size(*memory).0.max(needed.next_multiple_of(1 << 20)));
        *link = Bandwidth(self.times(link.0).max(1));
        scenario.link.bandwidth = scenario.link.bandwidth.and(Some(*link));
        Ok(format!(
            "scaled by {self}: vm.memory = {memory}, load.memory = {}, load.rate = {}, migration.bandwidth = {link}",
            scenario.load.asked.memory,
            scenario.load.rate_text()
        ))
    }

    fn setting(self, setting: &mut Setting) -> Result<(), String> {
        let scaled = match setting.name() {
            "rate" => setting.text().parse().map(|rate| self.rate(rate).to_string()),
            "memory" => setting.text().parse().map(|amount| self.amount(amount).to_string()),
            _ => return Ok(()),
        };
        let Some(parameter) = Parameter::called(setting.name(), Scope::Flag) else { return Ok(()) };
        let scaled = scaled.and_then(|scaled| Setting::new(parameter, &scaled));
        *setting = scaled.map_err(|error| error.to_string())?;
        Ok(())
    }

    fn amount(self, amount: MemoryAmount) -> MemoryAmount {
        match amount {
            MemoryAmount::Bytes(size) => MemoryAmount::Bytes(self.size(size)),
            share @ MemoryAmount::OfAvailable(_) => share,
        }
    }

    /// Whole pages, one at least.
    fn size(self, size: ByteSize) -> ByteSize {
        ByteSize(self.times(size.0).max(PAGE_BYTES).next_multiple_of(PAGE_BYTES))
    }

    fn rate(self, rate: Rate) -> Rate {
        match rate {
            Rate::PagesPerSecond(0) | Rate::Max => rate,
            Rate::PagesPerSecond(pages) => {
                Rate::PagesPerSecond(self.times(pages).clamp(1, Rate::LIMIT_PAGES_PER_S))
            }
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size; `as` stays within u64"
    )]
    fn times(self, value: u64) -> u64 {
        (value as f64 * self.0).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::scenario::parse;

    #[test]
    fn a_fraction_and_a_factor_are_scales_and_nothing_else_is() {
        for (text, printed) in [("1/8", "1/8"), ("0.125", "1/8"), ("2", "2"), ("0.3", "0.3"), ("1/3", "1/3")]
        {
            assert_eq!(text.parse::<Scale>().unwrap().to_string(), printed);
        }
        for text in ["", "0", "-1", "1/0", "8/", "nan", "1e9", "small"] {
            let said = text.parse::<Scale>().unwrap_err().to_string();
            assert!(said.contains(&format!("'{text}'")) && said.contains("1/8"), "{said}");
        }
    }

    #[test]
    fn sizes_and_speeds_shrink_together_and_all_else_stays() {
        let text = "[vm]\nmemory = \"2G\"\n[load]\nrate = \"800M/s\"\n[migration]\nbandwidth = \"120M/s\"\n\
            [[load.region]]\nname = \"a\"\nmemory = \"512M\"\nwrite = 64\n\
            [[load.region]]\nname = \"b\"\nmemory = \"256M\"\n\
            [[load.phase]]\nname = \"up\"\nramp = \"0..800M/s\"\n[[load.phase]]\nname = \"low\"\nrate = \"8M/s\"\n";
        let mut scaled = parse(text, "x").unwrap();
        let whole = scaled.clone();
        let said = "1/8".parse::<Scale>().unwrap().apply(&mut scaled).unwrap();
        assert!(said.starts_with("scaled by 1/8: vm.memory = 256M"), "{said}");
        assert_eq!((scaled.vm.memory, scaled.migration.bandwidth), (ByteSize::mib(256), Bandwidth(15 << 20)));
        assert_eq!(scaled.load.memory_bytes(0), 96 << 20);
        let load = &scaled.load.asked;
        assert_eq!(load.rate.to_string(), "100M/s");
        assert_eq!(load.phases[0].ramp.unwrap().1.to_string(), "100M/s");
        assert_eq!(load.phases[1].settings[0].text(), "1M/s");
        assert_eq!(
            load.regions[0].settings[1], whole.load.asked.regions[0].settings[1],
            "64 bytes a visit stay"
        );
        assert_eq!(scaled.migration.timeout, whole.migration.timeout);
    }

    #[test]
    fn the_guest_keeps_what_it_needs_beside_its_load() {
        let mut scenario = parse("[load]\nmemory = \"128M\"\n", "x").unwrap();
        "1/4".parse::<Scale>().unwrap().apply(&mut scenario).unwrap();
        assert_eq!(
            (scenario.load.asked.memory.to_string().as_str(), scenario.vm.memory),
            ("32M", ByteSize::mib(128))
        );
        let mut planned = parse("[load]\nplan = \"\"\"rate = \"1M/s\"\n\"\"\"\n", "x").unwrap();
        assert!("1/4".parse::<Scale>().unwrap().apply(&mut planned).unwrap_err().contains("under [load]"));
    }
}
