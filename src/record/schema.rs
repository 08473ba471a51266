//! The JSON Schemas of the wire, made from the types: what other programs may rely on, and check lines against.

use super::{Command, Record};
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

/// The schema of one line of a guest. It holds for every version of schema 1: fields that later versions added are
/// not demanded, fields and names that this version does not know are allowed, and what is absent is not null.
pub fn records() -> Value {
    let mut schema = of::<Record>("A record of sully, schema 1: one line");
    RecursiveTransform(absent_is_not_null).transform(&mut schema);
    RecursiveTransform(names_may_be_added).transform(&mut schema);
    schema.to_value()
}

/// The schema of one line of a host. It is narrower than what the guest reads: a field of another command is no
/// fault there.
pub fn commands() -> Value {
    let mut schema = of::<Command>("A command to sully, schema 1: one line of at most 4096 bytes");
    RecursiveTransform(absent_is_not_null).transform(&mut schema);
    schema.to_value()
}

/// The schema of what is read, not of what this version writes.
fn of<T: JsonSchema>(title: &str) -> Schema {
    let mut schema =
        SchemaSettings::draft2020_12().for_deserialize().into_generator().into_root_schema_for::<T>();
    schema.insert("title".into(), title.into());
    schema
}

/// An `Option` is left out where it is none: takes null away from what is allowed.
fn absent_is_not_null(schema: &mut Schema) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|choice| choice["type"] != "null");
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            schema.remove("anyOf");
            for (key, value) in only {
                schema.insert(key, value);
            }
        }
    }
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
}

/// A list of names that ends in `unknown` is one that later versions add to: any name is allowed, these are known.
fn names_may_be_added(schema: &mut Schema) {
    let is_open = |choices: &&Vec<Value>| choices.iter().any(|choice| choice["const"] == "unknown");
    let Some(mut names) = schema.get("oneOf").and_then(Value::as_array).filter(is_open).cloned() else {
        return;
    };
    names.push(json!({ "type": "string", "description": "A later version's: take it for `unknown`." }));
    schema.remove("oneOf");
    schema.insert("anyOf".into(), names.into());
}
