//! One value of a scenario changed, by its key.

use super::Scenario;
use super::keys::{expectation, kind_of, parameter, qemus};
use crate::plan::ValueKind;
use crate::units::{UnitError, printable};
use serde_json::Value;

/// `scenario` with `text` for the value of `key`, which is a key there is.
///
/// # Errors
/// What the key takes instead.
pub(super) fn changed(scenario: &Scenario, key: &str, text: &str) -> Result<Scenario, String> {
    let bare = text.trim_matches('"');
    let mut changed = scenario.clone();
    if key == "load.rate" {
        changed.load.set_rate(bare).map_err(|error| error.to_string())?;
        return Ok(changed);
    }
    if let Some(parameter) = parameter(key) {
        let taken = changed.load.asked.set(parameter.name, bare);
        let is_text = parameter.kind == ValueKind::Text;
        taken.map_err(|error| if is_text { error.to_string() } else { expectation(key) })?;
        return Ok(changed);
    }
    if key == "load.plan" {
        changed.load.plan = Some(bare.to_owned());
        return Ok(changed);
    }
    if let Some((section, name)) = qemus(key) {
        set_qemus(&mut changed, section, name, bare)?;
        return Ok(changed);
    }
    if key == "expect.figures" {
        let demands = bare.split(',').map(str::parse).collect::<Result<_, _>>();
        changed.expect.figures = demands.map_err(|error: UnitError| error.to_string())?;
        return Ok(changed);
    }
    let value = kind_of(key).and_then(|kind| value_of(kind, text)).ok_or_else(|| expectation(key))?;
    let mut table: toml::Table = scenario.to_toml().parse().map_err(|error| format!("{error}"))?;
    if let Some((section @ "cycle", _)) = key.split_once('.') {
        // The one section that a scenario may be without: its first key makes it one of cycles.
        table.entry(section).or_insert_with(|| toml::Table::new().into());
    }
    let target = match key.split_once('.') {
        Some((section, _)) => table.get_mut(section).and_then(toml::Value::as_table_mut),
        None => Some(&mut table),
    };
    let name = key.rsplit('.').next().unwrap_or(key).to_owned();
    target.ok_or("that section is missing")?.insert(name, value);
    let read: Result<Scenario, toml::de::Error> = table.try_into();
    let read = read.map_err(|error| said(error.message(), Some(key)))?;
    let mut read = Scenario { load: changed.load, ..read };
    if key == "migration.bandwidth" {
        read.link.bandwidth = read.link.bandwidth.and(Some(read.migration.bandwidth));
    } else {
        read.link.unite(&mut read.migration.bandwidth, None)?;
    }
    Ok(read)
}

/// Sets a capability or a parameter that only QEMU knows: it says itself whether it has it.
fn set_qemus(scenario: &mut Scenario, section: &str, name: &str, text: &str) -> Result<(), String> {
    let migration = &mut scenario.migration;
    if section == "migration.capabilities" {
        let on = text.parse().map_err(|_| format!("{section}.{name} takes true or false"))?;
        migration.capabilities.insert(name.to_owned(), on);
    } else {
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
        migration.parameters.insert(name.to_owned(), value);
    }
    Ok(())
}

fn value_of(kind: ValueKind, text: &str) -> Option<toml::Value> {
    match kind {
        ValueKind::Text => Some(toml::Value::String(text.trim_matches('"').to_owned())),
        ValueKind::Number => text.parse().ok().map(toml::Value::Integer),
        ValueKind::Truth => text.parse().ok().map(toml::Value::Boolean),
        ValueKind::Words => {
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
