//! The phases of a plan: what each changes of the load, and for how long.

use super::{Fault, Load, Ramp, Setting};
use crate::units::{Nanos, Rate};
use serde::{Deserialize, Serialize};

/// The longest name of a phase, in bytes.
pub const PHASE_NAME_LIMIT: usize = 64;
/// The most phases of a plan.
const MOST_PHASES: usize = 1000;
/// What the run itself calls the unperturbed time at the start.
pub const BASELINE_PHASE: &str = "baseline";
/// Names that the run itself gives to phases.
const OWN_NAMES: [&str; 2] = [BASELINE_PHASE, "run"];

/// What is asked of one phase; what it leaves out is as the plan says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PhaseAsked {
    /// Its name in the records.
    pub name: String,
    /// How long it lasts; none lasts until the run ends.
    pub duration: Option<Nanos>,
    /// The rates at its beginning and its end; between them it changes evenly.
    pub ramp: Option<(Rate, Rate)>,
    /// What else it changes of the load.
    pub settings: Vec<Setting>,
}

impl PhaseAsked {
    /// The keys of a phase that are no parameters: the form of each, and what it is.
    pub const KEYS: [(&'static str, &'static str, &'static str); 3] = [
        ("name", "1 to 64 bytes", "The phase's name in the records"),
        ("duration", "a time such as 30s", "How long it lasts; the last one may go on until the run ends"),
        (
            "ramp",
            "two rates such as 0..200M/s",
            "A rate that changes evenly, from the one to the other, while the phase lasts",
        ),
    ];

    /// Whether it says a value of its own for the parameter called `name`.
    #[cfg(feature = "host")]
    pub fn says(&self, name: &str) -> bool {
        name == "rate" && self.ramp.is_some() || self.settings.iter().any(|setting| setting.name() == name)
    }
}

/// One phase as it will be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct PlannedPhase {
    /// Its name in the records.
    pub name: String,
    /// How long it lasts; absent until the run ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ns: Option<u64>,
    /// What the writers do in it.
    pub load: Load,
}

/// Why `name` cannot name a phase; none where it can.
pub fn name_fault(name: &str) -> Option<String> {
    let good = !name.is_empty() && name.len() <= PHASE_NAME_LIMIT && !name.chars().any(char::is_control);
    (!good).then(|| format!("a phase's name has 1 to {PHASE_NAME_LIMIT} bytes and no control characters"))
}

/// The phases as they will be done, each beginning from the load `base`; every fault with its remedy.
pub(super) fn planned(asked: &[PhaseAsked], base: &Load, faults: &mut Vec<Fault>) -> Vec<PlannedPhase> {
    if asked.len() > MOST_PHASES {
        faults.push(Fault {
            what: format!("{} phases are too many: at most {MOST_PHASES}", asked.len()),
            remedy: "use repeat = true for phases that come again and again".into(),
        });
        return Vec::new();
    }
    for (index, phase) in asked.iter().enumerate() {
        let name = &phase.name;
        let mut wrong = |what: String, remedy: &str| {
            faults.push(Fault {
                what: format!("phase {} '{}': {what}", index + 1, name.escape_debug()),
                remedy: remedy.into(),
            });
        };
        if let Some(why) = name_fault(name) {
            wrong(why, "give it a name, for example name = \"ramp\"");
        }
        if OWN_NAMES.contains(&name.as_str()) || asked[..index].iter().any(|other| other.name == *name) {
            wrong(
                "the name is taken".into(),
                "give each phase a name of its own; baseline and run are the program's",
            );
        }
        if phase.duration == Some(Nanos(0)) {
            wrong("duration 0s ends before it begins".into(), "give it a time such as 30s");
        }
        if phase.duration.is_none() && index + 1 < asked.len() {
            wrong(
                "it has no duration, so the next phase would never come".into(),
                "give it a time such as 30s",
            );
        }
        if phase.ramp.is_some() && phase.settings.iter().any(|setting| setting.name() == "rate") {
            wrong("it has a rate and a ramp".into(), "give one of them");
        }
        for fault in phase.load(base).faults() {
            wrong(fault.what, &fault.remedy);
        }
    }
    asked.iter().map(|phase| phase.planned(base)).collect()
}

impl PhaseAsked {
    fn planned(&self, base: &Load) -> PlannedPhase {
        PlannedPhase {
            name: self.name.clone(),
            duration_ns: self.duration.map(|span| span.0),
            load: self.load(base),
        }
    }

    /// A ramp without a duration takes no time, which its check refuses.
    fn load(&self, base: &Load) -> Load {
        let over_ns = self.duration.map_or(0, |span| span.0);
        let mut load = Load { ramp: None, ..*base };
        load.take(&self.settings);
        if let Some((from, to)) = self.ramp {
            (load.rate, load.ramp) = (to, Some(Ramp { from, over_ns }));
        }
        load
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Plan, settings};

    fn phase(name: &str, seconds: u64) -> PhaseAsked {
        PhaseAsked { name: name.into(), duration: Some(Nanos::from_secs(seconds)), ..PhaseAsked::default() }
    }

    fn faults(asked: &[PhaseAsked]) -> String {
        let mut faults = Vec::new();
        planned(asked, &Plan::default().load(), &mut faults);
        faults.into_iter().map(|fault| fault.what + "; " + &fault.remedy + "\n").collect()
    }

    #[test]
    fn a_phase_changes_what_it_names_and_nothing_else() {
        let (from, rate) = ("0".parse().unwrap(), "50M/s".parse().unwrap());
        let asked = [
            PhaseAsked { ramp: Some((from, rate)), ..phase("up", 5) },
            PhaseAsked { duration: None, ..phase("on", 1) },
        ];
        let (mut none, base) = (Vec::new(), Plan::default().load());
        let done = planned(&asked, &base, &mut none);
        assert_eq!(none, []);
        assert_eq!(done[0].load, Load { rate, ramp: Some(Ramp { from, over_ns: 5_000_000_000 }), ..base });
        assert_eq!((done[1].load, done[1].duration_ns), (base, None));
    }

    #[test]
    fn what_cannot_be_is_said_all_at_once_with_the_phase_and_the_way_out() {
        let max = "max".parse().unwrap();
        let said = faults(&[
            phase("one", 1),
            PhaseAsked { duration: None, ..phase("one", 1) },
            PhaseAsked { ramp: Some((max, max)), settings: settings(&[("rate", "max")]), ..phase("two", 1) },
            phase("baseline", 0),
            phase("a\nb", 1),
        ]);
        for part in [
            "phase 2 'one': the name is taken",
            "never come",
            "phase 3 'two': it has a rate and a ramp",
            "max has no schedule",
            "phase 4 'baseline': duration 0s",
            "phase 5 'a\\nb'",
        ] {
            assert!(said.contains(part), "{part}\n{said}");
        }
    }
}
