//! A parameter as people meet it: its name, its help, its form, and where it may stand.

use super::table::{parameters, read};
use super::{
    Backing, BacklogPolicy, CanaryPeriod, ClockChoice, ContentSpec, CpuList, MemoryAmount, Numa, PaceSpec,
    PageSize, PatternSpec,
};
use crate::units::{ByteSize, Nanos, Rate, Share, UnitError};
use std::fmt;

/// One parameter of a load.
#[derive(Clone, Copy)]
pub struct Parameter {
    /// Its name: the flag's, and the key's in a plan file. Scenarios write `_` for `-`.
    pub name: &'static str,
    /// Its key in a scenario, the section before it.
    pub key: &'static str,
    /// The letter that is short for the flag.
    pub short: Option<char>,
    /// What stands for its value in help; none for a flag without one.
    pub value: Option<&'static str>,
    /// What it is for, and every form of its value.
    pub help: &'static str,
    /// What is done where it is left out and has no usual value.
    pub absent: &'static str,
    /// What a scenario file writes its value as.
    pub kind: ValueKind,
    /// The forms of its value in a scenario, in short; empty for what is true or false.
    pub form: &'static str,
    /// How a report's line about the load says a value that is not the usual one, `{}` for the value; empty where it does not.
    pub said: &'static str,
    /// Where it may not stand, of what every parameter else may.
    except: &'static [Scope],
    /// Where it may stand besides.
    besides: &'static [Scope],
    accepts: fn(&str) -> Result<(), UnitError>,
}

/// Where a parameter may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// On the command line of `sully run`.
    Flag,
    /// In a plan file, before its regions and phases.
    Plan,
    /// In `[load]` of a scenario, and in `--set load.`.
    Scenario,
    /// In a phase of a plan, and in a host's command `set`.
    Phase,
    /// In a region of a plan.
    Region,
}

/// What a value is written as in a scenario file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// Text, among it every size, rate and time.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Truth,
    /// A list of texts; `--set` takes it as words with spaces between them.
    Words,
}

/// What a row of the table does not say.
const PLAIN: Parameter = Parameter {
    name: "",
    key: "",
    short: None,
    value: None,
    help: "",
    absent: "",
    kind: ValueKind::Text,
    form: "",
    said: "",
    except: &[],
    besides: &[],
    accepts: |_| Ok(()),
};

macro_rules! list {
    ($( $block:ident { $(
        #[doc = $doc:tt] $field:ident $name:tt: $type:ty = $usual:expr, [$(by $read:expr,)? $(as $write:ident,)?]
        [$(hello $hello:meta,)? $(load $load:meta,)? $(in $phase:ident,)? $(own $region:ident,)?] { $($column:tt)* }
    )* } )*) => {
        /// Every parameter, in the order of the help.
        pub static PARAMETERS: &[Parameter] = &[ $( $( Parameter {
            name: $name,
            key: concat!("load.", stringify!($field)),
            besides: &[ $(Scope::$phase,)? $(Scope::$region,)? ],
            accepts: |text| {
                let value: Result<$type, UnitError> = read!(text $(, $read)?);
                value.map(|_| ())
            },
            $($column)*
            ..PLAIN
        }, )* )* ];
    };
}
parameters!(list);

impl Parameter {
    /// Whether it may stand there.
    pub fn stands_in(&self, scope: Scope) -> bool {
        match scope {
            Scope::Flag | Scope::Plan | Scope::Scenario => !self.except.contains(&scope),
            Scope::Phase | Scope::Region => self.besides.contains(&scope),
        }
    }

    /// Its key in `[load]` of a scenario.
    pub fn bare_key(&self) -> &'static str {
        self.key.split_once('.').map_or(self.key, |(_, key)| key)
    }

    /// Those that may stand there.
    pub fn all_in(scope: Scope) -> impl Iterator<Item = &'static Self> {
        PARAMETERS.iter().filter(move |parameter| parameter.stands_in(scope))
    }

    /// The one that is called `name` there: by its name or a scenario's key without the section, with `_` or `-` between words.
    pub fn called(name: &str, scope: Scope) -> Option<&'static Self> {
        let letter = |byte: u8| if byte == b'_' { b'-' } else { byte };
        let same = |known: &str| known.bytes().map(letter).eq(name.bytes().map(letter));
        Self::all_in(scope).find(|parameter| same(parameter.name) || same(parameter.bare_key()))
    }
}

impl fmt::Debug for Parameter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name)
    }
}

/// A parameter's name and a text that it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    name: &'static str,
    text: String,
}

impl Setting {
    /// `parameter` with the value that `text` stands for.
    ///
    /// # Errors
    /// When the parameter does not take the text.
    pub fn new(parameter: &Parameter, text: &str) -> Result<Self, UnitError> {
        (parameter.accepts)(text)?;
        Ok(Self { name: parameter.name, text: text.to_owned() })
    }

    /// The parameter's name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The value, as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Settings of these names and texts.
#[cfg(test)]
pub(crate) fn settings(said: &[(&str, &str)]) -> Vec<Setting> {
    let make = |(name, text): &(&str, &str)| {
        let parameter = PARAMETERS.iter().find(|parameter| parameter.name == *name).unwrap();
        Setting::new(parameter, text).unwrap()
    };
    said.iter().map(make).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_found_by_every_spelling_where_it_may_stand_and_nowhere_else() {
        let found = |name: &str, scope| Parameter::called(name, scope).map(|found| found.name);
        for spelling in ["catch-up", "catch_up"] {
            assert_eq!(found(spelling, Scope::Plan), Some("catch-up"));
            assert_eq!(found(spelling, Scope::Phase), None);
        }
        for spelling in ["write", "write_bytes", "write-bytes"] {
            assert_eq!(found(spelling, Scope::Region), Some("write"));
        }
        assert_eq!((found("duration", Scope::Scenario), found("repeat", Scope::Flag)), (None, None));
        assert_eq!((found("", Scope::Plan), found("rat", Scope::Plan)), (None, None));
    }

    #[test]
    fn names_and_letters_are_there_once_and_every_parameter_says_what_it_is() {
        for (index, parameter) in PARAMETERS.iter().enumerate() {
            let before = &PARAMETERS[..index];
            assert!(before.iter().all(|other| other.name != parameter.name && other.key != parameter.key));
            let is_taken = |letter| before.iter().any(|other| other.short == Some(letter));
            assert!(!parameter.short.is_some_and(is_taken), "{parameter:?}");
            assert!(!parameter.help.is_empty() && !parameter.help.ends_with('.'), "{parameter:?}");
            assert_eq!(parameter.form.is_empty(), parameter.kind == ValueKind::Truth, "{parameter:?}");
        }
    }

    #[test]
    fn a_setting_is_made_of_a_text_that_the_parameter_takes() {
        let rate = Parameter::called("rate", Scope::Flag).unwrap();
        let setting = Setting::new(rate, "5M/s").unwrap();
        assert_eq!((setting.name(), setting.text()), ("rate", "5M/s"));
        assert!(Setting::new(rate, "fast").unwrap_err().to_string().contains("'fast'"));
    }
}
