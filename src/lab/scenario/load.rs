//! From a name, a file and `--set` to a scenario; every error repeats the input and shows the way out.

use super::keys::{Kind, hint, is_section, kind_of, nearest};
use super::{BUILTIN, Scenario, check::check, plan_file::carry};
use crate::units::{self, printable};
use std::fmt::Write as _;
use std::{fs, path::Path};
use toml::de::{DeTable, DeValue};

/// The largest scenario file that is read, in bytes.
const FILE_LIMIT_BYTES: u64 = 1 << 20;

/// A scenario that is not there or not right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// Neither a built-in name nor a file.
    #[error(
        "there is no scenario '{name}': {hint}; `sully-lab scenarios` lists them, a path to a TOML file is taken too"
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// The nearest names.
        hint: String,
    },
    /// A file that cannot be read.
    #[error("the scenario {path} cannot be read: {reason}")]
    Unreadable {
        /// Where it is.
        path: String,
        /// Why not.
        reason: String,
    },
    /// A text that is no scenario.
    #[error("{origin}{place}: {message}")]
    Wrong {
        /// The file or the built-in name.
        origin: String,
        /// Line and column, with their colons, where they are known.
        place: String,
        /// What is wrong, and what is expected.
        message: String,
    },
    /// A `--set` that does not fit.
    #[error("--set {assignment}: {message}")]
    Override {
        /// As it was given.
        assignment: String,
        /// What is wrong, and what is expected.
        message: String,
    },
}

/// The scenario called `name` (a built-in one, or a TOML file), with `KEY=VALUE` overrides applied.
///
/// # Errors
/// When there is none, when its text is no scenario, when an override does not fit, or when the values do not go
/// together.
pub fn find(name: &str, overrides: &[String]) -> Result<Scenario, ScenarioError> {
    let builtin = BUILTIN.iter().find(|builtin| builtin.name == name);
    let mut scenario = match builtin {
        Some(builtin) => read(builtin.toml, builtin.name)?,
        None => from_file(name)?,
    };
    for assignment in overrides {
        scenario = set(&scenario, assignment)?;
        carry(&mut scenario.load, Path::new("."))
            .map_err(|message| ScenarioError::Override { assignment: shown(assignment), message })?;
    }
    together(scenario, name)
}

/// The scenario that `text` holds; `origin` names it in errors.
///
/// # Errors
/// When the text is no TOML, has a key or value that does not fit, or values that do not go together.
pub fn parse(text: &str, origin: &str) -> Result<Scenario, ScenarioError> {
    together(read(text, origin)?, origin)
}

fn together(scenario: Scenario, origin: &str) -> Result<Scenario, ScenarioError> {
    let faults = check(&scenario);
    if faults.is_empty() {
        return Ok(scenario);
    }
    let message = faults.join("; ");
    Err(ScenarioError::Wrong { origin: origin.into(), place: String::new(), message })
}

fn from_file(name: &str) -> Result<Scenario, ScenarioError> {
    let path = Path::new(name);
    if !path.is_file() {
        let names = BUILTIN.iter().map(|builtin| builtin.name);
        let listed: Vec<&str> = names.clone().collect();
        let hint = match nearest(name, names) {
            Some(nearest) => format!("did you mean {nearest}?"),
            None => format!("built in are {}", listed.join(", ")),
        };
        return Err(ScenarioError::Unknown { name: shown(name), hint });
    }
    let unreadable = |reason: String| ScenarioError::Unreadable { path: shown(name), reason };
    let length = fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if length > FILE_LIMIT_BYTES {
        return Err(unreadable(format!("its {length} bytes are more than a scenario's {FILE_LIMIT_BYTES}")));
    }
    let text = fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let mut scenario = read(&text, name)?;
    carry(&mut scenario.load, path.parent().unwrap_or(Path::new(".")))
        .map_err(|message| ScenarioError::Wrong { origin: shown(name), place: String::new(), message })?;
    if scenario.name == Scenario::default().name
        && let Some(stem) = path.file_stem()
    {
        scenario.name = stem.to_string_lossy().into_owned();
    }
    Ok(scenario)
}

/// The scenario as written, values not yet compared with each other.
fn read(text: &str, origin: &str) -> Result<Scenario, ScenarioError> {
    let wrong = |start: Option<usize>, message: String| ScenarioError::Wrong {
        origin: shown(origin),
        place: start.map(|start| place(text, start)).unwrap_or_default(),
        message,
    };
    let from_toml =
        |error: &toml::de::Error| wrong(error.span().map(|span| span.start), in_one_line(error.message()));
    let table = DeTable::parse(text).map_err(|error| from_toml(&error))?;
    if let Some((start, key)) = unknown_key(table.get_ref()) {
        return Err(wrong(Some(start), format!("there is no key '{}': {}", shown(&key), hint(&key))));
    }
    toml::from_str(text).map_err(|error| from_toml(&error))
}

/// The first key that a scenario does not have, and where it stands.
fn unknown_key(table: &DeTable<'_>) -> Option<(usize, String)> {
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        match value.get_ref() {
            DeValue::Table(section) if is_section(name) => {
                for inner in section.keys() {
                    let full = format!("{name}.{}", inner.get_ref());
                    if kind_of(&full).is_none() {
                        return Some((inner.span().start, full));
                    }
                }
            }
            _ if name.contains('.') || (kind_of(name).is_none() && !is_section(name)) => {
                return Some((key.span().start, name.to_owned()));
            }
            _ => {}
        }
    }
    None
}

/// `scenario` with one `KEY=VALUE` applied.
fn set(scenario: &Scenario, assignment: &str) -> Result<Scenario, ScenarioError> {
    let wrong = |message: String| ScenarioError::Override { assignment: shown(assignment), message };
    let (key, text) = assignment
        .split_once('=')
        .ok_or_else(|| wrong("expected KEY=VALUE, for example load.rate=80M/s".into()))?;
    let (key, text) = (key.trim(), text.trim());
    let kind =
        kind_of(key).ok_or_else(|| wrong(format!("there is no key '{}': {}", shown(key), hint(key))))?;
    let value = value_of(kind, text).ok_or_else(|| wrong(expectation(key, kind)))?;
    let mut table: toml::Table = scenario.to_toml().parse().map_err(|error| wrong(format!("{error}")))?;
    let target = match key.split_once('.') {
        Some((section, _)) => table.get_mut(section).and_then(toml::Value::as_table_mut),
        None => Some(&mut table),
    };
    let name = key.rsplit('.').next().unwrap_or(key).to_owned();
    target.ok_or_else(|| wrong("that section is missing".into()))?.insert(name, value);
    table.try_into().map_err(|error: toml::de::Error| wrong(in_one_line(error.message())))
}

fn value_of(kind: Kind, text: &str) -> Option<toml::Value> {
    match kind {
        Kind::Text => Some(toml::Value::String(text.trim_matches('"').to_owned())),
        Kind::Number => text.parse().ok().map(toml::Value::Integer),
        Kind::Truth => text.parse().ok().map(toml::Value::Boolean),
    }
}

fn expectation(key: &str, kind: Kind) -> String {
    match kind {
        Kind::Number => format!("{key} takes a whole number, for example {key}=2"),
        Kind::Truth => format!("{key} takes true or false, for example {key}=true"),
        Kind::Text => format!("{key} takes a text"),
    }
}

/// `:line:column` of a byte of the text, counted from 1.
fn place(text: &str, start: usize) -> String {
    let before = &text.as_bytes()[..start.min(text.len())];
    let line = before.split(|byte| *byte == b'\n').count();
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    let mut place = String::new();
    let _ = write!(place, ":{line}:{column}");
    place
}

/// What the reader of TOML says, which repeats what was given as it is: fit for a terminal, and not too long.
fn in_one_line(message: &str) -> String {
    message.replace('\n', ", ").chars().take(2000).map(printable).collect()
}

/// What was given, without control characters and not too long.
fn shown(text: &str) -> String {
    units::shown(text, 120)
}

#[cfg(test)]
mod tests;
