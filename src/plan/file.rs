//! Plan files: TOML whose keys are the names of the flags, and a table for each region and each phase.

use super::{Fault, PhaseAsked, RegionAsked, number, write_bytes};
use crate::units::{UnitError, printable};
use std::str::FromStr;
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
    /// Flags and their values, as the command line would have them.
    pub flags: Vec<(&'static str, String)>,
    /// The regions, in order.
    pub regions: Vec<RegionAsked>,
    /// The phases, in order.
    pub phases: Vec<PhaseAsked>,
    /// Whether the phases begin anew when they are over.
    pub repeat: bool,
}

/// The flags that a plan file may give.
const FLAGS: [&str; 22] = [
    "memory", "pages", "backing", "numa", "lock", "rate", "pattern", "pace", "backlog", "catch-up", "reads",
    "write", "content", "dedup", "verify", "clock", "canary", "threads", "duration", "baseline", "interval",
    "seed",
];
const REGION_KEYS: [&str; 12] = [
    "name", "memory", "pages", "backing", "numa", "lock", "threads", "share", "pattern", "reads", "write",
    "content",
];
const PHASE_KEYS: [&str; 10] =
    ["name", "duration", "rate", "ramp", "pattern", "pace", "backlog", "reads", "write", "content"];

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
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            let what = format!("line {line} is no TOML: {}", error.message());
            vec![Fault {
                what: shown(&what),
                remedy: "write key = \"value\", and [[phase]] before the keys of a phase".into(),
            }]
        })?;
        let mut reader = Reader { text, faults: Vec::new() };
        let file = reader.file(table.get_ref());
        if reader.faults.is_empty() { Ok(file) } else { Err(reader.faults) }
    }
}

struct Reader<'a> {
    text: &'a str,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn file(&mut self, table: &DeTable<'_>) -> PlanFile {
        let mut file = PlanFile::default();
        for (key, value) in table {
            let name = key.get_ref().replace('_', "-");
            if let Some(flag) = FLAGS.into_iter().find(|flag| *flag == name) {
                let said = self.scalar(flag, value);
                let is_switch = flag == "lock";
                let said = said.filter(|said| {
                    !is_switch || self.taken(value.span().start, flag, number::truth(said)).is_some()
                });
                file.flags.extend(said.map(|said| (flag, said)));
            } else if name == "repeat" {
                let said = self.scalar("repeat", value);
                let read =
                    said.and_then(|said| self.taken(value.span().start, "repeat", number::truth(&said)));
                file.repeat = read.unwrap_or(false);
            } else if name == "phase" {
                self.tables("phase", value, |reader, table| file.phases.push(reader.phase(table)));
            } else if name == "region" {
                self.tables("region", value, |reader, table| file.regions.push(reader.region(table)));
            } else {
                self.unknown(key, &FLAGS, &["repeat", "region", "phase"]);
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
            let name = key.get_ref().as_ref();
            if !REGION_KEYS.contains(&name) {
                self.unknown(key, &REGION_KEYS, &[]);
                continue;
            }
            let Some(said) = self.scalar(name, value) else { continue };
            let (at, habits) = (value.span().start, &mut region.habits);
            match name {
                "name" => region.name = said,
                "memory" => region.memory = self.read(at, name, &said),
                "pages" => region.pages = self.read(at, name, &said),
                "backing" => region.backing = self.read(at, name, &said),
                "numa" => region.numa = self.read(at, name, &said),
                "lock" => region.lock = self.taken(at, name, number::truth(&said)),
                "threads" => region.threads = self.number(at, name, number::threads(&said)),
                "share" => region.share = self.number(at, name, number::share(&said)),
                "pattern" => habits.pattern = self.read(at, name, &said),
                "reads" => habits.reads = self.read(at, name, &said),
                "write" => habits.write_bytes = self.taken(at, name, write_bytes(&said)),
                _ => habits.content = self.read(at, name, &said),
            }
        }
        region
    }

    fn phase(&mut self, table: &DeTable<'_>) -> PhaseAsked {
        let mut phase = PhaseAsked::default();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if !PHASE_KEYS.contains(&name) {
                self.unknown(key, &PHASE_KEYS, &[]);
                continue;
            }
            let Some(said) = self.scalar(name, value) else { continue };
            let at = value.span().start;
            match name {
                "name" => phase.name = said,
                "duration" => phase.duration = self.read(at, name, &said),
                "rate" => phase.rate = self.read(at, name, &said),
                "ramp" => phase.ramp = self.ramp(at, &said),
                "pattern" => phase.pattern = self.read(at, name, &said),
                "pace" => phase.pace = self.read(at, name, &said),
                "backlog" => phase.backlog = self.read(at, name, &said),
                "reads" => phase.reads = self.read(at, name, &said),
                "write" => phase.write_bytes = self.taken(at, name, write_bytes(&said)),
                _ => phase.content = self.read(at, name, &said),
            }
        }
        phase
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

    fn number(&mut self, at: usize, key: &str, read: Result<u64, UnitError>) -> Option<u32> {
        self.taken(at, key, read).and_then(|number| u32::try_from(number).ok())
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

    fn unknown(&mut self, key: &Spanned<std::borrow::Cow<'_, str>>, known: &[&str], more: &[&str]) {
        let name = key.get_ref().as_ref();
        let nearest = known.iter().chain(more).min_by_key(|known| distance(name, known));
        let nearest = nearest.filter(|known| distance(name, known) <= known.len() / 2);
        let meant = nearest.map_or_else(String::new, |known| format!("did you mean {known}? "));
        let remedy = format!("{meant}expected one of {}", [known, more].concat().join(", "));
        self.wrong(key.span().start, &format!("there is no key '{}'", name.escape_debug()), &remedy);
    }

    fn wrong(&mut self, at: usize, what: &str, remedy: &str) {
        let what = format!("line {}: {what}", line_of(self.text, at));
        self.faults.push(Fault { what: shown(&what), remedy: remedy.into() });
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
        let flags: Vec<(&str, &str)> =
            file.flags.iter().map(|(flag, value)| (*flag, value.as_str())).collect();
        assert_eq!(flags, [("catch-up", "7"), ("lock", "true"), ("memory", "75%")]);
        assert!(file.repeat);
        let ramp = Some(("0".parse().unwrap(), "200M/s".parse().unwrap()));
        let up = &file.phases[0];
        assert_eq!((up.name.as_str(), up.duration, up.ramp), ("up", Some(Nanos::from_secs(30)), ramp));
        assert_eq!((file.phases[1].write_bytes, file.phases.len()), (Some(4096), 2));
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
