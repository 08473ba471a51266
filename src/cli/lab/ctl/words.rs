//! Commands from words, and replies in words.

use crate::lab::collect::SessionEnd;
use crate::{record::LoadChange, units, wire::decode_record};
use anyhow::{Context, bail};
use serde_json::{Map, Value};

/// Fields of a reply that are said otherwise, or need not be said.
const ENVELOPE: [&str; 8] = ["type", "session", "seq", "mono_ns", "to", "ok", "error", "from"];

/// The command that `words` make, with `id` where it has none of its own.
///
/// # Errors
/// When a word is missing or too much, or JSON is none.
pub fn command(words: &[String], id: u64) -> anyhow::Result<Map<String, Value>> {
    let (name, rest) = words.split_first().context("expected a command, for example ping")?;
    let mut command = Map::new();
    if name.trim_start().starts_with('{') {
        let text = words.join(" ");
        command = serde_json::from_str(&text).with_context(|| format!("'{text}' is no JSON object"))?;
    } else {
        command.insert("type".into(), name.as_str().into());
        arguments(name, rest, &mut command)?;
    }
    command.entry("id").or_insert_with(|| id.into());
    Ok(command)
}

fn arguments(name: &str, rest: &[String], command: &mut Map<String, Value>) -> anyhow::Result<()> {
    match (name, rest) {
        ("mark", []) => bail!("mark needs a text: mark the backup begins"),
        ("mark", words) => drop(command.insert("text".into(), words.join(" ").into())),
        ("phase", [phase]) => drop(command.insert("name".into(), phase.as_str().into())),
        ("phase", _) => bail!("phase needs one name: phase warm-up"),
        ("dirty", [word]) if let Some(pages) = pages(word) => {
            drop(command.insert("pages".into(), pages.into()));
        }
        ("dirty", _) => bail!("dirty needs a number of pages of 4096 bytes: dirty pages=4096"),
        ("set", []) => bail!("set needs at least one KEY=VALUE: set rate=200M/s pattern=random"),
        (_, assignments) => {
            for assignment in assignments {
                let (key, value) = assignment
                    .split_once('=')
                    .filter(|(key, _)| !key.is_empty() && !matches!(*key, "type" | "id"))
                    .with_context(|| format!("'{assignment}' is not KEY=VALUE, for example rate=200M/s"))?;
                // A guest passes over what it does not know; people are told. JSON goes as it is, to newer guests too.
                if name == "set" && !LoadChange::KEYS.contains(&key) {
                    bail!(
                        "'{key}' is nothing that set changes: expected one of {}",
                        LoadChange::KEYS.join(", ")
                    );
                }
                command.insert(key.to_owned(), value.into());
            }
        }
    }
    Ok(())
}

/// The number in `pages=N`.
fn pages(word: &str) -> Option<u64> {
    word.strip_prefix("pages=")?.parse().ok()
}

/// Whether a line is the reply to the command with this id.
pub fn is_reply(line: &[u8], id: Option<&Value>) -> bool {
    let record: Option<Map<String, Value>> = serde_json::from_slice(line).ok();
    record.is_some_and(|record| {
        record.get("type").is_some_and(|name| name == "reply") && record.get("to") == id
    })
}

/// How a guest program ended, where `line` is its last record.
pub fn end(line: &[u8]) -> Option<SessionEnd> {
    let record = decode_record(line).ok()?;
    SessionEnd::of(&record.body)
}

/// A reply for people, and the exit code it makes.
///
/// # Errors
/// When the line is no reply, or tells why there is none.
pub fn told(line: &str) -> anyhow::Result<(String, u8)> {
    let reply: Map<String, Value> = serde_json::from_str(line).context("the answer is no JSON object")?;
    let error = reply.get("error").and_then(Value::as_str).map(printable);
    match (reply.get("ok").and_then(Value::as_bool), error) {
        (Some(true), _) => {
            let more = reply.iter().filter(|(key, _)| !ENVELOPE.contains(&key.as_str()));
            let lines: Vec<String> =
                more.map(|(key, value)| format!("{}: {}", printable(key), shown(value))).collect();
            Ok((if lines.is_empty() { "ok".into() } else { lines.join("\n") }, 0))
        }
        (Some(false), error) => {
            Ok((format!("refused: {}", error.unwrap_or_else(|| "no reason given".into())), 3))
        }
        (None, Some(error)) => bail!("{error}"),
        (None, None) => bail!("the answer says neither ok nor why not"),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        value => printable(&value.to_string()),
    }
}

/// Without control characters, which a guest might send to a terminal.
fn printable(text: &str) -> String {
    units::shown(text, usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(text: &str) -> String {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        match command(&words, 7) {
            Ok(command) => serde_json::to_string(&command).unwrap(),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn words_make_the_lines_of_the_wire() {
        for (words, line) in [
            ("ping", r#"{"type":"ping","id":7}"#),
            ("mark the switch is near", r#"{"type":"mark","text":"the switch is near","id":7}"#),
            ("phase warm-up", r#"{"type":"phase","name":"warm-up","id":7}"#),
            ("set rate=200M/s pattern=random", r#"{"type":"set","rate":"200M/s","pattern":"random","id":7}"#),
            ("dirty pages=512", r#"{"type":"dirty","pages":512,"id":7}"#),
            (r#"{"type":"set", "reads":3}"#, r#"{"type":"set","reads":3,"id":7}"#),
        ] {
            assert_eq!(made(words), line);
        }
    }

    #[test]
    fn a_word_that_is_missing_or_wrong_is_answered_with_an_example() {
        for (words, way_out) in [
            ("mark", "mark the backup begins"),
            ("phase", "phase warm-up"),
            ("set", "rate=200M/s"),
            ("dirty", "dirty pages=4096"),
            ("dirty pages=16M", "dirty pages=4096"),
            ("set fast", "'fast' is not KEY=VALUE"),
            ("set type=x", "KEY=VALUE"),
            (
                "set rate=5M/s memroy=5M",
                "'memroy' is nothing that set changes: expected one of rate, pattern",
            ),
            ("{", "no JSON object"),
        ] {
            assert!(made(words).contains(way_out), "{words}: {}", made(words));
        }
    }

    #[test]
    fn a_reply_says_all_it_has_and_makes_the_exit_code() {
        let ok = told(r#"{"type":"reply","to":7,"ok":true,"phase":"run","rate":"1\u001b[2J"}"#).unwrap();
        assert_eq!(ok, ("phase: run\nrate: 1[2J".into(), 0));
        assert_eq!(told(r#"{"type":"reply","ok":true}"#).unwrap(), ("ok".into(), 0));
        assert_eq!(told(r#"{"type":"reply","ok":false,"error":"no"}"#).unwrap(), ("refused: no".into(), 3));
        assert_eq!(told(r#"{"error":"which VM?"}"#).unwrap_err().to_string(), "which VM?");
        assert!(is_reply(br#"{"type":"reply","to":7,"ok":true}"#, Some(&7.into())));
        assert!(!is_reply(br#"{"type":"reply","to":8,"ok":true}"#, Some(&7.into())));
    }
}
