//! The loads that meters are held against: rates, patterns and page sizes, each with each.

use crate::plan::{PageSize, PatternSpec};
use crate::units::{ByteSize, Rate};

/// The loads of a calibration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalibrationLoads {
    /// The memory that is dirtied.
    pub memory: ByteSize,
    /// Visits a second.
    pub rates: Vec<u64>,
    /// In which order pages are visited.
    pub patterns: Vec<String>,
    /// What backs them.
    pub pages: Vec<String>,
}

impl CalibrationLoads {
    /// From what was asked for.
    ///
    /// # Errors
    /// A value that is none, in a sentence.
    pub fn of(
        memory: ByteSize,
        rates: &[Rate],
        patterns: &[PatternSpec],
        pages: &[PageSize],
    ) -> Result<Self, String> {
        let rate = |rate: &Rate| match rate {
            Rate::PagesPerSecond(rate) if *rate > 0 => Ok(*rate),
            rate => Err(format!(
                "a meter needs a rate to be held against, and not {rate}: for example --rate 16M/s"
            )),
        };
        Ok(Self {
            memory,
            rates: rates.iter().map(rate).collect::<Result<_, _>>()?,
            patterns: patterns.iter().map(ToString::to_string).collect(),
            pages: pages.iter().map(ToString::to_string).collect(),
        })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.rates.len() * self.patterns.len() * self.pages.len()
    }

    /// Those that one guest can make, one after the other.
    pub(super) fn of_one_page_size(&self) -> impl Iterator<Item = (&String, u64)> {
        self.patterns.iter().flat_map(|pattern| self.rates.iter().map(move |rate| (pattern, *rate)))
    }

    /// What sully is told in the guest. An interval is as long as the host makes it, which cuts it by the names of phases.
    pub(super) fn guest_arguments(&self, pages: &str) -> String {
        let (memory, rate) = (self.memory, self.rates.first().copied().unwrap_or(1));
        format!(
            "run -m {memory} -r {rate}p/s --pages {pages} -t 1 --baseline 0s --interval 1h --report virtio"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rate_is_made_with_every_pattern() {
        let loads = CalibrationLoads::of(
            ByteSize::mib(64),
            &[Rate::PagesPerSecond(256), Rate::PagesPerSecond(512)],
            &["shuffle".parse().unwrap(), "hotspot:10%/90%".parse().unwrap()],
            &[PageSize::Base, PageSize::Transparent],
        )
        .unwrap();
        assert_eq!(loads.count(), 8);
        let one: Vec<(&str, u64)> =
            loads.of_one_page_size().map(|(pattern, rate)| (pattern.as_str(), rate)).collect();
        assert_eq!(
            one,
            [("shuffle", 256), ("shuffle", 512), ("hotspot:10%/90%", 256), ("hotspot:10%/90%", 512)]
        );
        assert!(loads.guest_arguments("thp").starts_with("run -m 64M -r 256p/s --pages thp "));
        let endless = CalibrationLoads::of(ByteSize::mib(64), &[Rate::Max], &[], &[]).unwrap_err();
        assert!(endless.contains("not max") && endless.contains("--rate 16M/s"), "{endless}");
    }
}
