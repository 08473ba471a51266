//! The pacing of a scenario's load: what the guest is told of it, and whether it can be.

use super::LoadSpec;
use crate::plan::pace_faults;
use std::fmt::Write as _;

impl LoadSpec {
    /// The guest program's pacing arguments, each with a space before it; none where all is as `usual`.
    pub(super) fn pacing_arguments(&self, usual: &Self) -> String {
        let mut arguments = String::new();
        if self.pace != usual.pace {
            let _ = write!(arguments, " --pace {}", self.pace);
        }
        if self.backlog != usual.backlog {
            let _ = write!(arguments, " --backlog {}", self.backlog);
        }
        if self.catch_up != usual.catch_up {
            let _ = write!(arguments, " --catch-up {}", self.catch_up);
        }
        arguments
    }

    /// What is wrong with the pacing, each fault as a sentence that names the way out.
    pub(super) fn pacing_faults(&self) -> impl Iterator<Item = String> {
        let key = |name: &str| format!("load.{} = ", name.replace('-', "_"));
        let faults = pace_faults(self.rate, self.pace, self.catch_up, key);
        faults.into_iter().map(|(what, remedy)| format!("{what}; {remedy}"))
    }
}

#[cfg(test)]
mod tests {
    use super::LoadSpec;
    use crate::lab::scenario::parse;

    #[test]
    fn the_guest_is_told_what_differs_from_the_usual() {
        let told = |load: &str| parse(load, "x").unwrap().load.pacing_arguments(&LoadSpec::default());
        assert_eq!(told(""), "");
        assert_eq!(
            told("[load]\npace = \"burst:1s/3s\"\nbacklog = \"shed\"\ncatch_up = 9\n"),
            " --pace burst:1s/3s --backlog shed --catch-up 9"
        );
    }

    #[test]
    fn a_pacing_that_cannot_be_is_refused_with_the_keys_and_the_way_out() {
        let said = |load: &str| parse(load, "x").unwrap_err().to_string();
        let message = said("[load]\nrate = \"max\"\npace = \"poisson\"\ncatch_up = 0\n");
        for part in ["load.pace = poisson", "load.rate = max", "load.rate = 100M/s", "load.catch_up = 0"] {
            assert!(message.contains(part), "{message}");
        }
        assert!(said("[load]\npace = \"burst\"\n").contains("burst:ON/OFF"));
        assert!(said("[load]\nbacklog = \"drop\"\n").contains("repay or shed"));
    }
}
