//! One value of a scenario changed, by its key.

use super::Scenario;
use super::keys::{Kind, expectation, kind_of};
use crate::units::printable;

/// `scenario` with `text` for the value of `key`, which is a key there is.
///
/// # Errors
/// What the key takes instead.
pub(super) fn changed(scenario: &Scenario, key: &str, text: &str) -> Result<Scenario, String> {
    let value = kind_of(key).and_then(|kind| value_of(kind, text)).ok_or_else(|| expectation(key))?;
    let mut table: toml::Table = scenario.to_toml().parse().map_err(|error| format!("{error}"))?;
    let target = match key.split_once('.') {
        Some((section, _)) => table.get_mut(section).and_then(toml::Value::as_table_mut),
        None => Some(&mut table),
    };
    let name = key.rsplit('.').next().unwrap_or(key).to_owned();
    target.ok_or("that section is missing")?.insert(name, value);
    table.try_into().map_err(|error: toml::de::Error| said(error.message(), Some(key)))
}

/// The value of `key` as a scenario file has it, without quotes; none where the scenario has none.
pub(super) fn value(scenario: &Scenario, key: &str) -> Option<String> {
    let table: toml::Table = scenario.to_toml().parse().ok()?;
    let (section, name) = key.split_once('.')?;
    match table.get(section)?.get(name)? {
        toml::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn value_of(kind: Kind, text: &str) -> Option<toml::Value> {
    match kind {
        Kind::Text => Some(toml::Value::String(text.trim_matches('"').to_owned())),
        Kind::Number => text.parse().ok().map(toml::Value::Integer),
        Kind::Truth => text.parse().ok().map(toml::Value::Boolean),
        Kind::Words => {
            let words = text.trim_matches('"').split_whitespace();
            Some(toml::Value::Array(words.map(|word| toml::Value::String(word.to_owned())).collect()))
        }
    }
}

/// What the reader of TOML says, which repeats what was given as it is: fit for a terminal, and not too long. Where it speaks
/// of types, what the key takes says more.
pub(super) fn said(message: &str, key: Option<&str>) -> String {
    let speaks_of_types = message.starts_with("invalid ") || message.starts_with("unknown variant");
    match key {
        Some(key) if speaks_of_types => format!("{}; {}", in_one_line(message), expectation(key)),
        _ => in_one_line(message),
    }
}

fn in_one_line(message: &str) -> String {
    message.replace('\n', ", ").chars().take(2000).map(printable).collect()
}
