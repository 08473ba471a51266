//! From a name, a file and `--set` to a scenario; every error repeats the input and shows the way out.

use super::change::{changed, said};
use super::keys::{
    expectation, expected, hint, is_qemus, is_section, kind_of, list, nearest, parameter, qemus, without_name,
};
use super::precedence::settle;
use super::qemus_own::misfit;
use super::{
    BUILTIN, Scale, Scenario,
    check::check,
    plan_file::{carry, take},
};
use crate::files::read_text;
use crate::plan::{Setting, ValueKind, key_twice};
use crate::units;
use std::fmt::Write as _;
use std::path::Path;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The largest scenario file that is read, in bytes.
const FILE_LIMIT_BYTES: u64 = 1 << 20;

/// What to say of a text that is no TOML.
const NO_TOML: &str = "write [load] before the keys of a section, key = value in each line, and a value with a unit in quotes, such \
                       as \"80M/s\"";

/// A scenario that is not there or not right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// Neither a built-in name nor a file.
    #[error(
        "there is no scenario '{name}': {hint} `sully-lab scenarios` lists them, a path to a TOML file is taken too"
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

/// A scenario as it will be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Every value of it.
    pub scenario: Scenario,
    /// Which values went before others, in sentences.
    pub notes: Vec<String>,
}

/// The scenario called `name` (a built-in one, or a TOML file), with `KEY=VALUE` overrides applied.
///
/// # Errors
/// When there is none, when its text is no scenario, when an override does not fit, or when the values do not go
/// together.
pub fn find(name: &str, overrides: &[String]) -> Result<Resolved, ScenarioError> {
    find_scaled(name, None, overrides)
}

/// [`find`], with sizes and speeds scaled before the overrides are applied.
///
/// # Errors
/// As [`find`] has, and when the scenario cannot be scaled.
pub fn find_scaled(
    name: &str,
    scale: Option<Scale>,
    overrides: &[String],
) -> Result<Resolved, ScenarioError> {
    let builtin = BUILTIN.iter().find(|builtin| builtin.name == name);
    let mut scenario = match builtin {
        Some(builtin) => read(builtin.toml, builtin.name)?,
        None => from_file(name)?,
    };
    let wrong = |message| ScenarioError::Wrong { origin: shown(name), place: String::new(), message };
    let scaled = scale.map(|scale| scale.apply(&mut scenario)).transpose().map_err(wrong)?;
    let mut resolved = overridden(scenario, name, overrides)?;
    resolved.notes.splice(0..0, scaled);
    Ok(resolved)
}

/// `scenario` with the overrides applied and its values compared with each other.
fn overridden(mut scenario: Scenario, origin: &str, overrides: &[String]) -> Result<Resolved, ScenarioError> {
    for assignment in overrides {
        scenario = set(&scenario, assignment)?;
        carry(&mut scenario.load, Path::new("."))
            .map_err(|message| ScenarioError::Override { assignment: shown(assignment), message })?;
    }
    let set: Vec<&str> = overrides.iter().filter_map(|text| Some(text.split_once('=')?.0.trim())).collect();
    together(scenario, origin, &set)
}

/// The scenario of a run as `run.json` has it, with `KEY=VALUE` overrides applied; `origin` names it in errors.
///
/// # Errors
/// As [`parse`] has, and when an override does not fit.
pub fn again(
    written: &serde_json::Value,
    origin: &str,
    overrides: &[String],
) -> Result<Resolved, ScenarioError> {
    let no_scenario =
        |message: String| ScenarioError::Wrong { origin: shown(origin), place: String::new(), message };
    let text = toml::to_string(written).map_err(|error| no_scenario(error.to_string()))?;
    let mut scenario = read(&text, origin)?;
    // What the plan said counts already.
    scenario.load.plan = None;
    overridden(scenario, origin, overrides)
}

/// The scenario that `text` holds; `origin` names it in errors.
///
/// # Errors
/// When the text is no TOML, has a key or value that does not fit, or values that do not go together.
pub fn parse(text: &str, origin: &str) -> Result<Scenario, ScenarioError> {
    together(read(text, origin)?, origin, &[]).map(|resolved| resolved.scenario)
}

/// Decides between the plan's values and those beside it, but for the keys that were `set`, and checks the outcome.
fn together(mut scenario: Scenario, origin: &str, set: &[&str]) -> Result<Resolved, ScenarioError> {
    scenario.load.tie(scenario.migration.bandwidth);
    let settled = settle(&mut scenario, set);
    let mut faults = check(&scenario);
    let notes = settled.unwrap_or_else(|more| {
        faults.extend(more);
        Vec::new()
    });
    if faults.is_empty() {
        return Ok(Resolved { scenario, notes });
    }
    let message = faults.join("; ");
    Err(ScenarioError::Wrong { origin: origin.into(), place: String::new(), message })
}

fn from_file(name: &str) -> Result<Scenario, ScenarioError> {
    let path = Path::new(name);
    if !path.exists() || path.is_dir() {
        let names = BUILTIN.iter().map(|builtin| builtin.name);
        let listed: Vec<&str> = names.clone().collect();
        let hint = match nearest(name, names) {
            Some(nearest) => format!("did you mean {nearest}?"),
            None => format!("built in are {};", listed.join(", ")),
        };
        return Err(ScenarioError::Unknown { name: shown(name), hint });
    }
    let unreadable = |reason: String| ScenarioError::Unreadable { path: shown(name), reason };
    let text = read_text(path, FILE_LIMIT_BYTES).map_err(|error| unreadable(error.to_string()))?;
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
    let from_toml = |error: &toml::de::Error, key: Option<&str>| {
        wrong(error.span().map(|span| span.start), said(error.message(), key))
    };
    let table = DeTable::parse(text).map_err(|error| {
        let message = match key_twice(text, &error) {
            Some((key, first)) => {
                let line = place(text, first).split(':').nth(1).unwrap_or_default().to_owned();
                format!("the key {} stands in line {line} already: remove one of them", shown(key))
            }
            None => format!("{}; {NO_TOML}", said(error.message(), None)),
        };
        wrong(error.span().map(|span| span.start), message)
    })?;
    if let Some((start, key)) = unknown_key(table.get_ref()) {
        return Err(wrong(Some(start), format!("there is no key '{}': {}", shown(&key), hint(&key))));
    }
    if let Some((key, _)) = table.get_ref().iter().find(|(key, value)| is_flat_section(key.get_ref(), value))
    {
        let name = key.get_ref();
        return Err(wrong(
            Some(key.span().start),
            format!("{name} is no section: write [{name}] before its keys"),
        ));
    }
    let migration = table.get_ref().get("migration").and_then(|section| section.get_ref().as_table());
    if let Some((start, message)) = migration.and_then(|migration| misfit(migration, text)) {
        return Err(wrong(Some(start), message));
    }
    let values = values(table.get_ref());
    if let Some((key, value)) = values.iter().find(|(key, value)| !is_of_kind(key, value.get_ref())) {
        let given = shown(text.get(value.span()).unwrap_or_default());
        return Err(wrong(
            Some(value.span().start),
            format!("{key} = {given} cannot be: {}", in_a_file(key)),
        ));
    }
    let mut scenario: Scenario = toml::from_str(text).map_err(|error: toml::de::Error| {
        let at = error.span().unwrap_or_default();
        let key = values.iter().find(|(_, value)| value.span().contains(&at.start)).map(|(key, _)| &**key);
        from_toml(&error, key)
    })?;
    let is_said = values.iter().any(|(key, _)| key == "migration.bandwidth");
    let said = is_said.then_some(scenario.migration.bandwidth);
    scenario.link.unite(&mut scenario.migration.bandwidth, said).map_err(|message| wrong(None, message))?;
    for (_, value) in table.get_ref().iter().filter(|(key, _)| key.get_ref() == "load") {
        let DeValue::Table(section) = value.get_ref() else { continue };
        take(&mut scenario.load, section).map_err(|faults| {
            let said: Vec<String> =
                faults.iter().map(|(_, fault)| format!("{}; {}", fault.what, fault.remedy)).collect();
            wrong(faults.first().map(|(start, _)| *start), said.join("; "))
        })?;
    }
    Ok(scenario)
}

/// Whether what is called as a section is called holds no keys.
fn is_flat_section(name: &str, value: &Spanned<DeValue<'_>>) -> bool {
    is_section(name) && !matches!(value.get_ref(), DeValue::Table(_))
}

/// What a key takes, as a file writes it.
fn in_a_file(key: &str) -> String {
    let quotes = if kind_of(key) == Some(ValueKind::Text) { ", in quotes" } else { "" };
    expectation(key).replace(&format!("{key}=true"), &format!("{key} = true")) + quotes
}

/// Whether `value` is what `key` holds. A parameter of the load takes its value in quotes as well.
fn is_of_kind(key: &str, value: &DeValue<'_>) -> bool {
    match (kind_of(key), value) {
        (Some(ValueKind::Text), value) => matches!(value, DeValue::String(_)),
        (Some(ValueKind::Words), value) => {
            let is_text = |item: &Spanned<DeValue<'_>>| matches!(item.get_ref(), DeValue::String(_));
            matches!(value, DeValue::Array(items) if items.iter().all(is_text))
        }
        (Some(_), DeValue::String(text)) => {
            parameter(key).is_some_and(|parameter| Setting::new(parameter, text).is_ok())
        }
        (Some(ValueKind::Number), value) => matches!(value, DeValue::Integer(_)),
        (Some(ValueKind::Truth), value) => matches!(value, DeValue::Boolean(_)),
        (None, _) => true,
    }
}

/// Every value with its key as `--set` spells it.
fn values<'a, 'b>(table: &'a DeTable<'b>) -> Vec<(String, &'a Spanned<DeValue<'b>>)> {
    let mut found = Vec::new();
    for (key, value) in table {
        match value.get_ref() {
            DeValue::Table(section) => found.extend(
                section
                    .iter()
                    .map(|(inner, value)| (format!("{}.{}", key.get_ref(), inner.get_ref()), value)),
            ),
            _ => found.push((key.get_ref().to_string(), value)),
        }
    }
    found
}

/// The first key that a scenario does not have, and where it stands.
fn unknown_key(table: &DeTable<'_>) -> Option<(usize, String)> {
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        match value.get_ref() {
            DeValue::Table(section) if is_section(name) => {
                for inner in section.keys() {
                    let full = format!("{name}.{}", inner.get_ref());
                    if kind_of(&full).is_none() && list(&full).is_none() && !is_qemus(&full) {
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
    if is_section(key) {
        return Err(wrong(format!("{key} is a section: name one of its keys; {}", expected(Some(key)))));
    }
    if let Some(list) = list(key) {
        let plan = if list.starts_with("load.") { ", or in a plan for load.plan" } else { "" };
        return Err(wrong(format!("{list} is a list of tables: write [[{list}]] in a scenario file{plan}")));
    }
    if let Some(section) = key.strip_suffix('.').or(Some(key)).filter(|section| is_qemus(section)) {
        return Err(wrong(without_name(section)));
    }
    if kind_of(key).is_none() && qemus(key).is_none() {
        return Err(wrong(format!("there is no key '{}': {}", shown(key), hint(key))));
    }
    changed(scenario, key, text).map_err(wrong)
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

/// What was given, without control characters and not too long.
fn shown(text: &str) -> String {
    units::shown(text, 120)
}

#[cfg(test)]
mod tests;
