//! The schemas in docs/schema are those of the types, and every line that was ever written obeys them.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod renewed;

use jsonschema::Validator;
use renewed::is_current;
use serde_json::Value;
use std::path::Path;
use sully::record::schema::{commands, records};

/// Compares a schema with its file, or writes the file where that is asked for.
fn stands_in(name: &str, schema: &Value) {
    let made = serde_json::to_string_pretty(schema).unwrap() + "\n";
    is_current(&format!("schema/{name}"), &made, "make schema");
}

/// The golden lines whose file names begin so.
fn golden(prefix: &str) -> Vec<Value> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with(prefix) {
            let text = std::fs::read_to_string(path).unwrap();
            lines.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
        }
    }
    assert!(lines.len() > 5, "only {} golden lines of {prefix}", lines.len());
    lines
}

fn obeys(validator: &Validator, line: &Value) {
    let faults: Vec<String> =
        validator.iter_errors(line).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
    assert!(faults.is_empty(), "{line}\n{}", faults.join("\n"));
}

#[test]
fn the_schema_of_records_is_that_of_the_types() {
    stands_in("records-v1.json", &records());
}

#[test]
fn the_schema_of_commands_is_that_of_the_types() {
    stands_in("commands-v1.json", &commands());
}

#[test]
fn every_golden_line_obeys_its_schema() {
    let (records, commands) =
        (jsonschema::validator_for(&records()).unwrap(), jsonschema::validator_for(&commands()).unwrap());
    for (validator, prefix) in [(&records, "records"), (&commands, "commands")] {
        for line in golden(prefix) {
            obeys(validator, &line);
        }
    }
    assert!(golden("commands").iter().all(|line| !records.is_valid(line)), "a command is no record");
}

/// Leaves out each field of the object at `path`, and gives it a value that no field takes.
fn spoilt(line: &Value) -> Vec<(String, Value)> {
    let mut lines = Vec::new();
    for key in line.as_object().unwrap().keys() {
        let mut without = line.clone();
        without.as_object_mut().unwrap().remove(key);
        lines.push((format!("without {key}"), without));
        let mut wrong = line.clone();
        wrong[key] = Value::Null;
        lines.push((format!("with null for {key}"), wrong));
    }
    lines
}

/// The schema and the reader are made from the same types: what the schema allows must be read. (The reader is the
/// milder one: it takes null for what is absent.)
#[test]
fn what_the_schema_of_records_allows_is_read() {
    let validator = jsonschema::validator_for(&records()).unwrap();
    let (mut allowed, mut refused) = (0, 0);
    for (what, line) in golden("records").iter().flat_map(spoilt) {
        if validator.is_valid(&line) {
            allowed += 1;
            let text = serde_json::to_vec(&line).unwrap();
            sully::wire::decode_record(&text).unwrap_or_else(|error| panic!("{what}: {error}: {line}"));
        } else {
            refused += 1;
        }
    }
    assert!(allowed > 10 && refused > 100, "{allowed} allowed, {refused} refused");
}

#[test]
fn what_the_schema_of_commands_allows_is_obeyed() {
    let validator = jsonschema::validator_for(&commands()).unwrap();
    for (what, line) in golden("commands").iter().flat_map(spoilt) {
        let text = serde_json::to_vec(&line).unwrap();
        let is_read = sully::wire::decode_command(&text).is_ok();
        assert!(is_read || !validator.is_valid(&line), "{what}: {line}");
    }
}

#[test]
fn fields_and_names_of_a_later_version_are_allowed() {
    let validator = jsonschema::validator_for(&records()).unwrap();
    for mut line in golden("records") {
        line["later"] = serde_json::json!({ "any": [1, "thing"] });
        for (key, of) in [("class", "gap"), ("kind", "corruption"), ("reason", "end")] {
            if line["type"] == of {
                assert!(line[key].is_string());
                line[key] = "haunted".into();
            }
        }
        obeys(&validator, &line);
    }
}
