//! What a VM is called by whoever runs it: `--label KEY=VALUE`, as `hello` says it.

use std::collections::BTreeMap;

/// How many labels there may be, and how long they are.
const MOST: usize = 16;
const KEY_BYTES: usize = 32;
const VALUE_BYTES: usize = 64;

/// The labels that were typed.
///
/// # Errors
/// Which of them is none, and what is expected; a sentence.
pub fn labels(typed: &[String]) -> Result<BTreeMap<String, String>, String> {
    let mut labels = BTreeMap::new();
    for text in typed {
        let (key, value) = text.split_once('=').filter(|(key, value)| is_label(key, value)).ok_or_else(|| {
            format!(
                "--label '{}' is no label: expected KEY=VALUE, a key of letters, digits and _ (at most {KEY_BYTES}), and 1 \
                 to {VALUE_BYTES} bytes without control characters, for example name=web-1",
                text.escape_debug()
            )
        })?;
        if labels.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(format!("--label '{text}': {key} is said twice, and means one thing"));
        }
    }
    if labels.len() > MOST {
        return Err(format!("{} labels: at most {MOST} are carried", labels.len()));
    }
    Ok(labels)
}

fn is_label(key: &str, value: &str) -> bool {
    let is_key = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=KEY_BYTES).contains(&key.len())
        && key.bytes().all(is_key)
        && (1..=VALUE_BYTES).contains(&value.len())
        && !value.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(typed: &[&str]) -> Result<Vec<(String, String)>, String> {
        let typed: Vec<String> = typed.iter().map(|text| (*text).to_owned()).collect();
        labels(&typed).map(|labels| labels.into_iter().collect())
    }

    #[test]
    fn a_label_is_a_key_and_a_value_that_may_hold_anything_printable() {
        let both = say(&["name=web 1=2", "rack=\u{e9}"]).unwrap();
        assert_eq!(both, [("name".into(), "web 1=2".into()), ("rack".into(), "\u{e9}".into())]);
    }

    #[test]
    fn what_is_no_label_is_repeated_with_what_is_expected() {
        let long = format!("name={}", "x".repeat(65));
        for wrong in ["", "name", "=x", "name=", "na-me=x", "name=a\u{1b}[2J", &long] {
            let message = say(&[wrong]).unwrap_err();
            assert!(message.contains("name=web-1") && !message.contains('\u{1b}'), "{message:?}");
        }
        assert!(say(&["a=1", "a=2"]).unwrap_err().contains("'a=2': a is said twice"));
        let many: Vec<String> = (0..17).map(|number| format!("k{number}=v")).collect();
        assert!(labels(&many).unwrap_err().contains("at most 16"));
    }
}
