//! Schema 1 as it was first written: these files are never edited, and every later version reads them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use sully::record::{Body, Command};
use sully::wire::{decode_command, decode_record, encode_command, encode_record};

fn golden(name: &str) -> Vec<String> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1").join(name);
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

/// Records as they were first written, and those with what was added to the schema since.
fn records() -> Vec<String> {
    [
        "records.ndjson",
        "records-stamps.ndjson",
        "records-memory.ndjson",
        "records-link.ndjson",
        "records-content.ndjson",
        "records-load.ndjson",
        "records-diagnosis.ndjson",
        "records-clock.ndjson",
        "records-regions.ndjson",
        "records-stalls.ndjson",
        "records-clocks.ndjson",
        "records-branch.ndjson",
        "records-dirty.ndjson",
        "records-parts.ndjson",
    ]
    .map(golden)
    .concat()
}

/// Every field of `old` stands in `new` with the same value.
fn keeps(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            old.iter().all(|(key, value)| new.get(key).is_some_and(|kept| keeps(value, kept)))
        }
        _ => old == new,
    }
}

#[test]
fn every_record_of_schema_1_is_read_and_written_again_without_loss() {
    for line in records() {
        let record = decode_record(line.as_bytes()).unwrap_or_else(|error| panic!("{error}: {line}"));
        let written = encode_record(&record);
        let (old, new): (Value, Value) =
            (serde_json::from_str(&line).unwrap(), serde_json::from_slice(&written).unwrap());
        assert!(keeps(&old, &new), "was: {old}\nis:  {new}");
    }
}

#[test]
fn the_golden_records_hold_every_type() {
    let types: BTreeSet<&str> =
        records().iter().map(|line| decode_record(line.as_bytes()).unwrap().body.type_name()).collect();
    assert_eq!(types, Body::TYPE_NAMES.into_iter().collect());
}

#[test]
fn every_command_of_schema_1_is_read_and_written_again_without_loss() {
    let lines = [
        "commands.ndjson",
        "commands-link.ndjson",
        "commands-load.ndjson",
        "commands-branch.ndjson",
        "commands-stamp.ndjson",
        "commands-dirty.ndjson",
    ]
    .map(golden)
    .concat();
    assert!(lines.len() >= Command::NAMES.len());
    for line in lines {
        let command = decode_command(line.as_bytes()).unwrap_or_else(|error| panic!("{error}: {line}"));
        let (old, new): (Value, Value) = (
            serde_json::from_str(&line).unwrap(),
            serde_json::from_slice(&encode_command(&command)).unwrap(),
        );
        assert!(keeps(&old, &new), "was: {old}\nis:  {new}");
    }
}
