//! A rate tied to the link, `load.rate = "65%link"`: which share, and what that is of the bandwidth that is asked for.

use super::{Bandwidth, LoadSpec, Scenario};
use crate::units::{PAGE_BYTES, Rate, Share, UnitError};
use serde::{Serialize, Serializer, ser::SerializeMap};

/// What ends the text of a rate that is tied to the link.
const LINK: &str = "link";

/// The share that `text` ties a rate to; none for a rate by itself.
///
/// # Errors
/// What stands before `link` is no share.
pub(super) fn share_of_link(text: &str) -> Option<Result<Share, UnitError>> {
    text.trim().strip_suffix(LINK).map(|share| share.trim_end().parse())
}

/// The pages a second that are `share` of `bytes_per_s`, one at least but for a share of nothing.
pub fn pages_of_link(share: Share, bytes_per_s: u64) -> u64 {
    let pages = (share.of(bytes_per_s) / PAGE_BYTES).min(Rate::LIMIT_PAGES_PER_S);
    if share.millionths() == 0 { 0 } else { pages.max(1) }
}

impl LoadSpec {
    /// Takes the rate that `text` stands for, tied to the link or not.
    ///
    /// # Errors
    /// It is neither.
    pub(super) fn set_rate(&mut self, text: &str) -> Result<(), UnitError> {
        self.link_share = share_of_link(text).transpose()?;
        if self.link_share.is_none() { self.asked.set("rate", text) } else { Ok(()) }
    }

    /// Gives a load that is tied to a link of this bandwidth its rate.
    pub(super) fn tie(&mut self, Bandwidth(bytes_per_s): Bandwidth) {
        if let Some(share) = self.link_share {
            self.asked.rate = Rate::PagesPerSecond(pages_of_link(share, bytes_per_s));
        }
    }

    /// The rate as a scenario has it.
    pub fn rate_text(&self) -> String {
        self.link_share.map_or_else(|| self.asked.rate.to_string(), tied_text)
    }
}

/// A rate that is tied to the link, as a scenario has it.
pub(super) fn tied_text(share: Share) -> String {
    format!("{share}{LINK}")
}

impl Serialize for LoadSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.asked.write_entries(&mut map, Some(&self.rate_text()))?;
        if let Some(plan) = &self.plan {
            map.serialize_entry("plan", plan)?;
        }
        map.end()
    }
}

/// What does not go with a rate that is tied to the link, each in a sentence with the way out.
pub(super) fn faults(scenario: &Scenario) -> Vec<String> {
    let load = &scenario.load;
    let mut faults = Vec::new();
    if load.link_share.is_some() && load.asked.phases.iter().any(|phase| phase.says("rate")) {
        faults.push(format!(
            "load.rate = {} is held by the lab, and a load.phase says a rate or ramp of its own: leave one out",
            load.rate_text()
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use crate::lab::scenario::{find, find_scaled, parse};
    use crate::plan::PlanFile;

    #[test]
    fn a_rate_tied_to_the_link_is_that_share_of_its_bandwidth_and_is_written_as_it_was() {
        let text = "[load]\nrate = \"65%link\"\n[migration]\nbandwidth = \"40M/s\"\n";
        let scenario = parse(text, "x").unwrap();
        assert_eq!(scenario.load.asked.rate.to_string(), "26M/s");
        assert_eq!(scenario.load.rate_text(), "65%link");
        assert!(scenario.to_toml().contains("rate = \"65%link\""), "{}", scenario.to_toml());
        assert_eq!(parse(&scenario.to_toml(), "again").unwrap(), scenario);
        let plan = PlanFile::parse(&scenario.load.guest_plan()).unwrap().plan();
        assert_eq!(plan.rate, scenario.load.asked.rate, "the guest begins with a rate by itself");
    }

    #[test]
    fn scaling_and_setting_the_link_move_the_rate_with_it() {
        let set = |set: &[&str]| set.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let tied = set(&["load.rate=50%link"]);
        let scaled = find_scaled("smoke/precopy", "1/2".parse().ok(), &tied).unwrap().scenario;
        assert_eq!(
            (scaled.migration.bandwidth.to_string(), scaled.load.asked.rate.to_string()),
            ("16M/s".into(), "8M/s".into())
        );
        let linked = find("smoke/precopy", &set(&["load.rate=50%link", "link.bandwidth=60M/s"])).unwrap();
        assert_eq!(linked.scenario.load.asked.rate.to_string(), "30M/s");
        let free = find("smoke/precopy", &set(&["load.rate=50%link", "load.rate=3M/s"])).unwrap().scenario;
        assert_eq!((free.load.link_share, free.load.rate_text()), (None, "3M/s".into()));
    }

    #[test]
    fn a_plan_by_itself_or_a_phase_cannot_be_tied_and_is_told_why() {
        let said = |text: &str| parse(text, "x").unwrap_err().to_string();
        let plan = said("[load]\nplan = \"\"\"rate = \"65%link\"\n\"\"\"\n");
        assert!(plan.contains("'65%link'") && plan.contains("only load.rate of a scenario"), "{plan}");
        let phase = "[[load.phase]]\nname = \"a\"\n";
        let own = said(&format!("[load]\nrate = \"65%link\"\n{phase}rate = \"1M/s\"\n"));
        assert!(own.contains("load.rate = 65%link is held by the lab"), "{own}");
        assert!(said(&format!("{phase}rate = \"65%link\"\n")).contains("only load.rate of a scenario"));
        assert!(said("[load]\nrate = \"165%link\"\n").contains("'165%' is not a share"));
    }
}
