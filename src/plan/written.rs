//! A plan as TOML: what plan files and `[load]` of scenarios hold. What is written is read as the same plan.

use super::{Parameter, PhaseAsked, Plan, RegionAsked, Scope, Setting, ValueKind};
use serde::{Serialize, Serializer, ser::SerializeMap};

/// A value as a file has it.
#[derive(Serialize)]
#[serde(untagged)]
enum FileValue<'a> {
    Truth(bool),
    Number(i64),
    Text(&'a str),
}

impl<'a> FileValue<'a> {
    /// The value of `parameter` whose text is `text`: text where its kind does not hold it, which is read as well.
    fn of(parameter: &Parameter, text: &'a str) -> Self {
        match (parameter.kind, text) {
            (ValueKind::Truth, "true" | "on") => Self::Truth(true),
            (ValueKind::Truth, "false" | "off") => Self::Truth(false),
            (ValueKind::Number, text) => text.parse().map_or(Self::Text(text), Self::Number),
            (_, text) => Self::Text(text),
        }
    }
}

impl Serialize for Plan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.write_entries(&mut map, None)?;
        map.end()
    }
}

impl Plan {
    /// Writes its entries; `rate` is what stands for its rate, where that is not the rate itself.
    ///
    /// # Errors
    /// Those of the map.
    pub(crate) fn write_entries<M: SerializeMap>(
        &self,
        map: &mut M,
        rate: Option<&str>,
    ) -> Result<(), M::Error> {
        for parameter in Parameter::all_in(Scope::Plan) {
            // Regions say their own.
            let is_divided = parameter.name == "memory" && !self.regions.is_empty();
            let rate = rate.filter(|_| parameter.name == "rate").map(str::to_owned);
            if let Some(text) = rate.or_else(|| self.text(parameter.name)).filter(|_| !is_divided) {
                map.serialize_entry(parameter.bare_key(), &FileValue::of(parameter, &text))?;
            }
        }
        if !self.regions.is_empty() {
            map.serialize_entry("region", &self.regions)?;
        }
        if !self.phases.is_empty() {
            map.serialize_entry("phase", &self.phases)?;
        }
        Ok(())
    }
}

impl Serialize for RegionAsked {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.name)?;
        if let Some(share) = self.share {
            map.serialize_entry("share", &share)?;
        }
        if let Some(units) = self.compute {
            map.serialize_entry("compute", &units)?;
        }
        settings(&mut map, &self.settings, Scope::Region)?;
        map.end()
    }
}

impl Serialize for PhaseAsked {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.name)?;
        if let Some(duration) = self.duration {
            map.serialize_entry("duration", &duration)?;
        }
        if let Some((from, to)) = self.ramp {
            map.serialize_entry("ramp", &format!("{from}..{to}"))?;
        }
        settings(&mut map, &self.settings, Scope::Phase)?;
        map.end()
    }
}

fn settings<M: SerializeMap>(map: &mut M, settings: &[Setting], scope: Scope) -> Result<(), M::Error> {
    for setting in settings {
        if let Some(parameter) = Parameter::called(setting.name(), scope) {
            map.serialize_entry(parameter.name, &FileValue::of(parameter, setting.text()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{PlanFile, settings as said};
    use super::*;
    use crate::units::Nanos;

    /// The plan, written and read.
    fn again(plan: &Plan) -> Plan {
        let text = toml::to_string(plan).unwrap();
        PlanFile::parse(&text).unwrap_or_else(|faults| panic!("{faults:?}\n{text}")).plan()
    }

    #[test]
    fn a_plan_is_read_as_it_was_written_with_its_phases_and_regions() {
        let mut plan = Plan::default();
        assert_eq!(again(&plan), plan);
        plan.take(&said(&[
            ("backing", "file:/a \"b\\c"),
            ("numa", "interleave"),
            ("lock", "true"),
            ("write", "page"),
            ("verify", "off"),
            ("repeat", "true"),
            ("threads", "3"),
            ("seed", "18446744073709551615"),
            ("duration", "1m30s"),
        ]));
        let ramp = Some(("0".parse().unwrap(), "5M/s".parse().unwrap()));
        plan.phases = vec![
            PhaseAsked {
                name: "a \"b\" = [c]".into(),
                duration: Some(Nanos::from_secs(5)),
                ramp,
                settings: said(&[("content", "zero"), ("write", "page")]),
            },
            PhaseAsked { name: "on".into(), settings: said(&[("rate", "max")]), ..PhaseAsked::default() },
        ];
        assert_eq!(again(&plan), plan);
        plan.regions = vec![
            RegionAsked {
                name: "hot".into(),
                share: Some(3),
                settings: said(&[("cpus", "0,2-3"), ("lock", "false"), ("memory", "8M"), ("threads", "2")]),
                ..RegionAsked::default()
            },
            RegionAsked {
                name: "cold".into(),
                settings: said(&[("memory", "5%")]),
                ..RegionAsked::default()
            },
            RegionAsked {
                name: "still".into(),
                compute: Some(500),
                settings: said(&[("cpus", "1")]),
                ..RegionAsked::default()
            },
        ];
        assert_eq!(again(&plan), plan);
    }
}
