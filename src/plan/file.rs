//! Plan files: TOML whose keys are the names of the parameters, and a table for each region and each phase. `[load]` of a scenario is
//! one.

use super::{Fault, Parameter, PhaseAsked, Plan, RegionAsked, Scope, Setting, number};
use crate::units::{UnitError, printable};
use std::{borrow::Cow, str::FromStr};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The longest part of a plan file that a fault repeats, in characters.
const SHOWN_CHARS: usize = 300;
/// The longest plan file, in bytes.
pub const PLAN_FILE_LIMIT: usize = 1 << 20;

/// What a plan file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlanFile {
    /// Its parameters, each once.
    pub settings: Vec<Setting>,
    /// The regions, in order.
    pub regions: Vec<RegionAsked>,
    /// The phases, in order.
    pub phases: Vec<PhaseAsked>,
}

impl PlanFile {
    /// Reads a plan file.
    ///
    /// # Errors
    /// Every fault, each with its line and its remedy.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        if text.len() > PLAN_FILE_LIMIT {
            let what = format!("the plan file has {} bytes: at most {PLAN_FILE_LIMIT} are read", text.len());
            return Err(vec![Fault { what, remedy: "leave out what is no plan".into() }]);
        }
        let at_line = |at: usize, what: &str| shown(&format!("line {}{what}", line_of(text, at)));
        let table = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            if let Some((key, first)) = key_twice(text, &error) {
                let what = format!(": the key {key} stands in line {} already", line_of(text, first));
                return vec![Fault { what: at_line(at, &what), remedy: "remove one of them".into() }];
            }
            vec![Fault {
                what: at_line(at, &format!(" is no TOML: {}", error.message())),
                remedy: "write values in quotes, key = \"value\", and [[phase]] before the keys of a phase"
                    .into(),
            }]
        })?;
        Self::of_table(table.get_ref(), Scope::Plan, &[]).map_err(|faults| {
            let told = |(at, fault): (usize, Fault)| Fault {
                what: at_line(at, &format!(": {}", fault.what)),
                ..fault
            };
            faults.into_iter().map(told).collect()
        })
    }

    /// Reads a table with the keys of `scope`; those in `others` are somebody else's.
    ///
    /// # Errors
    /// Every fault, each with the byte where it stands and its remedy.
    pub fn of_table(table: &DeTable<'_>, scope: Scope, others: &[&str]) -> Result<Self, Vec<(usize, Fault)>> {
        let mut reader = Reader { faults: Vec::new() };
        let file = reader.file(table, scope, others);
        if reader.faults.is_empty() { Ok(file) } else { Err(reader.faults) }
    }

    /// The plan that it asks for by itself.
    pub fn plan(self) -> Plan {
        let mut plan = Plan { regions: self.regions, phases: self.phases, ..Plan::default() };
        plan.take(&self.settings);
        plan
    }
}

struct Reader {
    faults: Vec<(usize, Fault)>,
}

impl Reader {
    fn file(&mut self, table: &DeTable<'_>, scope: Scope, others: &[&str]) -> PlanFile {
        let mut file = PlanFile::default();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "phase" => self.tables("phase", value, |reader, table| file.phases.push(reader.phase(table))),
                "region" => {
                    self.tables("region", value, |reader, table| file.regions.push(reader.region(table)));
                }
                name if others.contains(&name) => {}
                _ => self.parameter(&mut file.settings, (key, value), scope, &["region", "phase"]),
            }
        }
        file
    }

    /// Hands over each table of a list.
    fn tables(
        &mut self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        mut take: impl FnMut(&mut Self, &DeTable<'_>),
    ) {
        let at = value.span().start;
        let DeValue::Array(tables) = value.get_ref() else {
            let remedy = format!("write [[{key}]] before each {key}'s keys");
            return self.wrong(at, &format!("{key} is no list of tables"), &remedy);
        };
        for entry in tables {
            match entry.get_ref() {
                DeValue::Table(table) => take(self, table),
                _ => self.wrong(
                    entry.span().start,
                    &format!("a {key} is a table"),
                    &format!("write [[{key}]] before its keys"),
                ),
            }
        }
    }

    fn region(&mut self, table: &DeTable<'_>) -> RegionAsked {
        let mut region = RegionAsked::default();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "name" => region.name = self.scalar("name", value).unwrap_or_default(),
                "share" => region.share = self.own("share", value, number::share),
                "compute" => region.compute = self.own("compute", value, number::compute),
                _ => {
                    let own = RegionAsked::KEYS.map(|(name, ..)| name);
                    self.parameter(&mut region.settings, (key, value), Scope::Region, &own);
                }
            }
        }
        region
    }

    fn phase(&mut self, table: &DeTable<'_>) -> PhaseAsked {
        let mut phase = PhaseAsked::default();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "name" => phase.name = self.scalar("name", value).unwrap_or_default(),
                "duration" => phase.duration = self.own("duration", value, FromStr::from_str),
                "ramp" => {
                    let said = self.scalar("ramp", value);
                    phase.ramp = said.and_then(|said| self.ramp(value.span().start, &said));
                }
                _ => {
                    let own = PhaseAsked::KEYS.map(|(name, ..)| name);
                    self.parameter(&mut phase.settings, (key, value), Scope::Phase, &own);
                }
            }
        }
        phase
    }

    /// Takes the value of a parameter that may stand in `scope`; `own` are the other keys that may.
    fn parameter(
        &mut self,
        settings: &mut Vec<Setting>,
        (key, value): (&Spanned<Cow<'_, str>>, &Spanned<DeValue<'_>>),
        scope: Scope,
        own: &[&'static str],
    ) {
        let Some(parameter) = Parameter::called(key.get_ref(), scope) else {
            return self.unknown(key, scope, own);
        };
        if settings.iter().any(|setting| setting.name() == parameter.name) {
            let what = format!("{} is said twice, with another spelling", key.get_ref());
            return self.wrong(key.span().start, &what, "leave one of them out");
        }
        settings.extend(self.own(parameter.name, value, |said| Setting::new(parameter, said)));
    }

    fn own<T>(
        &mut self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        read: impl FnOnce(&str) -> Result<T, UnitError>,
    ) -> Option<T> {
        let said = self.scalar(key, value)?;
        self.taken(value.span().start, key, read(&said))
    }

    fn ramp<T: FromStr<Err = UnitError>>(&mut self, at: usize, said: &str) -> Option<(T, T)> {
        let Some((from, to)) = said.split_once("..") else {
            let what = format!("ramp = '{said}' has no two ends");
            self.wrong(at, &what, "write ramp = \"0..200M/s\"");
            return None;
        };
        self.read(at, "ramp", from.trim()).zip(self.read(at, "ramp", to.trim()))
    }

    fn read<T: FromStr<Err = UnitError>>(&mut self, at: usize, key: &str, said: &str) -> Option<T> {
        self.taken(at, key, said.parse())
    }

    fn taken<T>(&mut self, at: usize, key: &str, read: Result<T, UnitError>) -> Option<T> {
        read.map_err(|error| self.refuse(at, key, &error)).ok()
    }

    /// Apart from [`Self::taken`], which is there once for each type.
    #[inline(never)]
    fn refuse(&mut self, at: usize, key: &str, error: &UnitError) {
        self.wrong(at, &format!("{key}: {error}"), "write it in quotes, as a flag of this name takes it");
    }

    /// A value as the command line would have it.
    fn scalar(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<String> {
        match value.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
            DeValue::Boolean(truth) => Some(truth.to_string()),
            // No value is one, but each says so with the form that it takes.
            DeValue::Float(number) => Some(number.as_str().to_owned()),
            _ => {
                let what = format!("{key} is neither text, whole number, true nor false");
                self.wrong(value.span().start, &what, "write the value as the flag takes it, in quotes");
                None
            }
        }
    }

    fn unknown(&mut self, key: &Spanned<Cow<'_, str>>, scope: Scope, own: &[&'static str]) {
        let known: Vec<&str> =
            Parameter::all_in(scope).map(|parameter| parameter.name).chain(own.iter().copied()).collect();
        let name = key.get_ref().as_ref();
        let nearest = known.iter().min_by_key(|known| distance(name, known));
        let nearest = nearest.filter(|known| distance(name, known) <= known.len() / 2);
        let meant = nearest.map_or_else(String::new, |known| format!("did you mean {known}? "));
        let remedy = format!("{meant}expected one of {}", known.join(", "));
        self.wrong(key.span().start, &format!("there is no key '{}'", name.escape_debug()), &remedy);
    }

    fn wrong(&mut self, at: usize, what: &str, remedy: &str) {
        self.faults.push((at, Fault { what: shown(what), remedy: remedy.into() }));
    }
}

/// The key that stands twice in a text which is no TOML for that, and the byte where it stands first.
pub fn key_twice<'a>(text: &'a str, error: &toml::de::Error) -> Option<(&'a str, usize)> {
    let again = error.span().filter(|_| error.message() == "duplicate key")?;
    let name = text.get(again.clone())?;
    let mut starts = Vec::new();
    // The parser lets go of the first of two tables of one name, but not before it has come to the second.
    for text in [text, &text[..again.start]] {
        add_starts(DeTable::parse_recoverable(text).0.get_ref(), name.trim_matches(['"', '\'']), &mut starts);
    }
    starts.into_iter().filter(|start| *start < again.start).max().map(|first| (name, first))
}

/// Where the key `name` stands, in whichever table.
fn add_starts(table: &DeTable<'_>, name: &str, starts: &mut Vec<usize>) {
    for (key, value) in table {
        if key.get_ref() == name {
            starts.push(key.span().start);
        }
        match value.get_ref() {
            DeValue::Table(inner) => add_starts(inner, name, starts),
            DeValue::Array(items) => {
                let tables = items.iter().filter_map(|item| item.get_ref().as_table());
                tables.for_each(|inner| add_starts(inner, name, starts));
            }
            _ => {}
        }
    }
}

/// What quotes a file, fit for a terminal.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).map(printable).collect()
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// How many letters have to be put in, left out or changed (Levenshtein); of long words only the beginning counts.
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().take(32).collect();
    let mut row: Vec<usize> = (0..=one.len()).collect();
    for (line, letter) in other.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], line + 1);
        for (column, mine) in one.iter().enumerate() {
            let changed = corner + usize::from(*mine != letter);
            corner = row[column + 1];
            row[column + 1] = changed.min(corner + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::settings;
    use super::*;
    use crate::units::Nanos;
    use proptest::prelude::*;

    #[test]
    fn keys_are_flags_and_phases_are_read_in_order() {
        let file = PlanFile::parse(
            "memory = \"75%\"\ncatch_up = 7\nlock = true\nrepeat = true\n[[phase]]\nname = \"up\"\nduration = \"30s\"\n\
             ramp = \"0..200M/s\"\ncontent = \"zero\"\n[[phase]]\nname = \"on\"\nwrite = \"page\"\n",
        )
        .unwrap();
        let said = [("catch-up", "7"), ("lock", "true"), ("memory", "75%"), ("repeat", "true")];
        assert_eq!(file.settings, settings(&said));
        let ramp = Some(("0".parse().unwrap(), "200M/s".parse().unwrap()));
        let up = &file.phases[0];
        assert_eq!((up.name.as_str(), up.duration, up.ramp), ("up", Some(Nanos::from_secs(30)), ramp));
        assert_eq!(up.settings, settings(&[("content", "zero")]));
        assert_eq!((&file.phases[1].settings, file.phases.len()), (&settings(&[("write", "page")]), 2));
        let plan = file.plan();
        assert_eq!((plan.catch_up, plan.kind.lock, plan.repeat, plan.phases.len()), (7, true, true, 2));
    }

    #[test]
    fn every_fault_is_said_with_its_line_and_the_way_out() {
        let said = |text: &str| {
            let faults = PlanFile::parse(text).unwrap_err();
            faults.into_iter().map(|fault| fault.what + "; " + &fault.remedy + "\n").collect::<String>()
        };
        let message = said(
            "memory = \"1M\"\npatern = \"random\"\n[[phase]]\nrate = \"fast\"\nramp = \"1\"\nnme = \"x\"\n",
        );
        for part in [
            "line 2: there is no key 'patern'; did you mean pattern?",
            "line 4: rate: 'fast'",
            "line 5: ramp = '1' has no two ends",
            "line 6: there is no key 'nme'; did you mean name?",
        ] {
            assert!(message.contains(part), "{part}\n{message}");
        }
        assert!(said("a = \n").contains("line 1 is no TOML"));
        assert!(said("[[region]]\nshare = -1\nmemry = \"1M\"\n").contains("did you mean memory?"));
        for (text, form) in [
            (
                "[[region]]\nshare = -15\n",
                "line 2: share: '-15' is not a share of the rate: expected a whole number",
            ),
            (
                "[[region]]\nthreads = \"many\"\n",
                "threads: 'many' is not a number of writers: expected a whole",
            ),
            (
                "[[region]]\ncompute = true\n",
                "line 2: compute: 'true' is not a rate of computing: expected a whole number",
            ),
            ("[[region]]\ncompute = 0\n", "compute: '0' is not a rate of computing: expected a whole number"),
            ("[[region]]\ncpus = \"x\"\n", "cpus: 'x' is not a list of CPUs: expected numbers"),
            ("[[region]]\nlock = \"no\"\n", "lock: 'no' is not a switch: expected true or false"),
            ("lock = 7\n", "line 1: lock: '7' is not a switch: expected true or false"),
            ("repeat = 1\n", "line 1: repeat: '1' is not a switch: expected true or false"),
            ("[[phase]]\nreads = 0.5\n", "line 2: reads: '0.5' is not a share: expected <number>%"),
            ("[[phase]]\nwrite = 7\n", "line 2: write: '7' is not a size of a write"),
            (
                "[[phase]]\nduration = 30\n",
                "line 2: duration: '30' is not a time: expected <number>(ns|us|ms|s|m|h)",
            ),
        ] {
            assert!(said(text).contains(form), "{form}\n{}", said(text));
        }
        assert!(said("write = 8\nwrite_bytes = 16\n").contains("said twice"));
        assert!(said("region = 1\n").contains("write [[region]]"));
        assert!(said("phase = 1\n").contains("[[phase]]"));
        assert!(said("rate = [1]\n").contains("in quotes"));
        assert!(said(&"#".repeat(PLAN_FILE_LIMIT + 1)).contains("1048577 bytes"));
    }

    #[test]
    fn no_fault_steers_a_terminal_or_fills_it() {
        for text in [
            "[[phase]]\nramp = \"\\u001b[2J\"\n".to_owned(),
            format!("\"{}\" = 1\n", "x".repeat(PLAN_FILE_LIMIT - 10)),
            "[[phase]]\nrate = \"\\u0007..\"\n".to_owned(),
        ] {
            let faults = PlanFile::parse(&text).unwrap_err();
            let what = &faults[0].what;
            assert!(what.len() < 1000 && !what.chars().any(char::is_control), "{what:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "([a-z]{1,8} ?= ?[\"0-9a-z\\[\\]{}.]{0,9}\n|\\[\\[?[a-z]{0,6}\\]?\\]\n|.{0,20}\n){0,9}") {
            let _ = PlanFile::parse(&text);
        }

        #[test]
        fn a_distance_is_the_same_both_ways(one in "[a-d]{0,8}", other in "[a-d]{0,8}") {
            prop_assert_eq!(distance(&one, &other), distance(&other, &one));
            prop_assert_eq!(distance(&one, &one), 0);
        }
    }
}
