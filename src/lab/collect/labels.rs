//! What whoever runs a VM calls it, as its guest passes it on: a guest may say anything, so it is bounded here again.

use crate::units::shown;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// How many labels are kept, and how long they are.
const MOST: usize = 16;
const LIMIT_CHARS: usize = 64;
/// The label that is the VM's name.
pub const NAME: &str = "name";

/// A guest's labels, as they are kept.
pub fn labels_of(said: &BTreeMap<String, String>) -> Map<String, Value> {
    let is_key = |key: &str| {
        key.len() <= LIMIT_CHARS && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let kept = said.iter().filter(|(key, _)| is_key(key)).take(MOST);
    kept.map(|(key, value)| (key.clone(), shown(value, LIMIT_CHARS).into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guest_calls_itself_is_bounded_and_steers_no_terminal() {
        let mut said: BTreeMap<String, String> =
            (0..40).map(|number| (format!("k{number:02}"), "v".repeat(900))).collect();
        said.insert("a\u{1b}[2J".into(), "x".into());
        said.insert("a".into(), "\u{1b}[2Jx".into());
        let kept = labels_of(&said);
        assert_eq!(
            (kept.len(), &kept["a"], kept["k00"].as_str().unwrap().len()),
            (MOST, &"[2Jx".into(), LIMIT_CHARS)
        );
    }
}
