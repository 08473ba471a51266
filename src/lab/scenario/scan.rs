//! One key of a scenario with several values: `--scan load.rate=20M/s,40M/s`.

use super::{Resolved, Scale, ScenarioError, check::too_long, find_scaled};
use crate::units::{UnitError, shown};
use std::str::FromStr;

/// The most runs that scans may ask for at once.
const VARIANTS_LIMIT: usize = 1000;

/// A key, and the values that it has in turn. Text: `KEY=V1,V2,...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    key: String,
    values: Vec<String>,
}

impl FromStr for Scan {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError::new(text, "a scan", "KEY=V1,V2,...", "load.rate=20M/s,40M/s,80M/s");
        let (key, values) = text.split_once('=').ok_or_else(wrong)?;
        let values: Vec<String> = values.split(',').map(|value| value.trim().to_owned()).collect();
        if key.trim().is_empty() || values.iter().any(String::is_empty) {
            return Err(wrong());
        }
        Ok(Self { key: key.trim().to_owned(), values })
    }
}

/// The scenario called `name` in every combination of the scans' values, each with the values in its name.
///
/// # Errors
/// As [`find_scaled`] has, and when there are more than a thousand.
pub fn variants(
    name: &str,
    scale: Option<Scale>,
    set: &[String],
    scans: &[Scan],
) -> Result<Vec<Resolved>, ScenarioError> {
    let count = scans.iter().map(|scan| scan.values.len()).fold(1, usize::saturating_mul);
    if count > VARIANTS_LIMIT {
        return Err(wrong(format!("the scans have {count} combinations: at most {VARIANTS_LIMIT}")));
    }
    let keys = || scans.iter().map(|scan| scan.key.as_str());
    let set_keys = set.iter().filter_map(|text| text.split_once('=')).map(|(key, _)| key.trim());
    let twice = keys()
        .enumerate()
        .find(|(index, key)| keys().take(*index).chain(set_keys.clone()).any(|other| other == *key));
    if let Some((_, key)) = twice {
        return Err(wrong(format!("{} has its values from another --scan or --set already", shown(key, 60))));
    }
    combinations(scans).map(|chosen| variant(name, scale, set, &chosen)).collect()
}

/// Every combination of one value of each scan, the last scan's values changing first.
fn combinations(scans: &[Scan]) -> impl Iterator<Item = Vec<(&str, &str)>> {
    let count = scans.iter().map(|scan| scan.values.len()).product();
    (0..count).map(move |mut number: usize| {
        let mut chosen: Vec<(&str, &str)> = Vec::new();
        for Scan { key, values } in scans.iter().rev() {
            chosen.push((key, &values[number % values.len()]));
            number /= values.len();
        }
        chosen.reverse();
        chosen
    })
}

fn variant(
    name: &str,
    scale: Option<Scale>,
    set: &[String],
    chosen: &[(&str, &str)],
) -> Result<Resolved, ScenarioError> {
    let assigned = chosen.iter().map(|(key, value)| format!("{key}={value}"));
    let set: Vec<String> = set.iter().cloned().chain(assigned).collect();
    let mut resolved = find_scaled(name, scale, &set)?;
    for (key, value) in chosen {
        let key = key.rsplit('.').next().unwrap_or(key);
        let name = &mut resolved.scenario.name;
        *name = format!("{name}/{}", part(&format!("{key}-{value}")));
    }
    too_long(&resolved.scenario.name).map_or(Ok(resolved), |message| Err(wrong(message)))
}

fn wrong(message: String) -> ScenarioError {
    ScenarioError::Wrong { origin: "--scan".into(), place: String::new(), message }
}

/// The text as a part of a scenario's name.
fn part(text: &str) -> String {
    let letter = |character: char| {
        if character.is_ascii_alphanumeric() || "._".contains(character) { character } else { '-' }
    };
    text.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(scans: &[&str]) -> Result<Vec<String>, String> {
        let scans: Vec<Scan> = scans.iter().map(|text| text.parse().unwrap()).collect();
        let found = variants("smoke/precopy", None, &["load.seed=3".into()], &scans);
        found
            .map(|found| found.into_iter().map(|found| found.scenario.name).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn every_combination_is_a_scenario_of_its_own_that_says_its_values() {
        assert_eq!(names(&[]).unwrap(), ["smoke/precopy"]);
        assert_eq!(
            names(&["load.rate=2M/s, 4M/s", "vm.cpus=1,2"]).unwrap(),
            [
                "smoke/precopy/rate-2M-s/cpus-1",
                "smoke/precopy/rate-2M-s/cpus-2",
                "smoke/precopy/rate-4M-s/cpus-1",
                "smoke/precopy/rate-4M-s/cpus-2",
            ]
        );
        let scans = ["load.rate=2M/s,4M/s".parse().unwrap()];
        let found = variants("smoke/precopy", None, &["load.seed=3".into()], &scans).unwrap();
        let told = |index: usize| {
            (found[index].scenario.load.asked.rate.to_string(), found[index].scenario.load.asked.seed)
        };
        assert_eq!((told(0), told(1)), (("2M/s".into(), 3), ("4M/s".into(), 3)));
    }

    #[test]
    fn what_is_no_scan_is_refused_with_an_example() {
        for text in ["load.rate", "=1", "load.rate=", "load.rate=1M/s,,2M/s"] {
            let said = text.parse::<Scan>().unwrap_err().to_string();
            assert!(said.contains(&format!("'{text}'")) && said.contains("load.rate=20M/s,40M/s"), "{said}");
        }
        assert!(names(&["load.rat=1M/s"]).unwrap_err().contains("did you mean load.rate?"));
        assert!(
            names(&["vm.cpus=1", "vm.cpus=2"]).unwrap_err().contains("vm.cpus has its values from another")
        );
        assert!(names(&["load.seed=4"]).unwrap_err().contains("load.seed has its values from another"));
        assert!(
            names(&[&format!("load.pattern=stride:{}1", "0".repeat(99))])
                .unwrap_err()
                .contains("too long a name")
        );
        let many = format!("vm.cpus={}", vec!["1"; 1001].join(","));
        assert!(names(&[&many]).unwrap_err().contains("1001 combinations: at most 1000"));
    }
}
