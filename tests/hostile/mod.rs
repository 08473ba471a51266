//! What a guest that means harm can put into records that are still records.

use serde_json::{Value, json};
use std::{collections::BTreeSet, path::Path};

/// Markup, terminal sequences of both kinds, the end of a title, and a path.
pub const HARM: &str =
    "</script><img/onerror=alert(1)>\"'&\u{1b}[2J\u{9b}31m\u{1b}]0;owned\u{7}\r../../etc/passwd";

/// The golden records, without those whose fields others before them have all.
fn golden() -> Vec<Value> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1");
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.retain(|file| file.file_name().unwrap().to_string_lossy().starts_with("records"));
    let mut covered = BTreeSet::new();
    let mut records: Vec<Value> = Vec::new();
    for line in files.iter().flat_map(|file| lines(file)) {
        let mut places = Vec::new();
        leaves(&line, line["type"].as_str().unwrap(), &mut places);
        let known = covered.len();
        covered.extend(places);
        if covered.len() > known {
            records.push(line);
        }
    }
    let types: BTreeSet<_> = records.iter().map(|record| record["type"].as_str()).collect();
    assert_eq!(types.len(), sully::record::Body::TYPE_NAMES.len());
    records
}

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Where the texts and numbers of a record stand.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    let mut within = |key: &str, value: &Value| leaves(value, &format!("{at}/{key}"), found);
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| within(key, value)),
        Value::Array(items) => {
            (0..).zip(items).for_each(|(at, item): (u32, _)| within(&at.to_string(), item));
        }
        Value::Bool(_) | Value::Null => {}
        Value::String(_) | Value::Number(_) => found.push(at.to_owned()),
    }
}

/// A record as often as it has texts and numbers, one of them replaced each time.
fn spoilt(record: &Value, text: &str) -> Vec<Value> {
    let mut places = Vec::new();
    leaves(record, "", &mut places);
    places.retain(|place| !["/type", "/session", "/seq"].contains(&place.as_str()));
    let values = |place: &String| match record.pointer(place) {
        Some(Value::String(_)) => vec![json!(text)],
        _ => vec![json!(u64::MAX), json!(0), json!(u32::MAX)],
    };
    let with = |place: &String, value: Value| {
        let mut record = record.clone();
        *record.pointer_mut(place).unwrap() = value;
        record
    };
    places.iter().flat_map(|place| values(place).into_iter().map(|value| with(place, value))).collect()
}

/// The golden records, and each as often as it has fields, one of them spoilt; what is no record then is left out, since
/// nobody keeps it.
pub fn records(text: &str) -> Vec<Value> {
    let plain = golden();
    let spoilt = plain.iter().flat_map(|record| spoilt(record, text));
    let is_record = |record: &Value| sully::wire::decode_record(&serde_json::to_vec(record).unwrap()).is_ok();
    plain.iter().cloned().chain(spoilt).filter(is_record).collect()
}
