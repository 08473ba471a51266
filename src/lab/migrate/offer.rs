//! What a QEMU has: its migration capabilities, and the arguments of its commands.

use serde_json::Value;

/// What `query-migrate-capabilities` answered: the names QEMU knows.
pub fn names(answer: &Value) -> Vec<String> {
    let entries = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    entries.iter().filter_map(|entry| entry.get("capability")?.as_str().map(str::to_owned)).collect()
}

/// The names of the arguments that `command` takes, from what `query-qmp-schema` answered; none for a command there is not.
pub fn arguments_of(command: &str, schema: &Value) -> Vec<String> {
    let entries = schema.as_array().map(Vec::as_slice).unwrap_or_default();
    let entry = |kind: &str, name: &str| {
        entries.iter().find(|entry| {
            entry.get("name").and_then(Value::as_str) == Some(name)
                && entry.get("meta-type").and_then(Value::as_str) == Some(kind)
        })
    };
    let members = entry("command", command)
        .and_then(|command| entry("object", command.get("arg-type")?.as_str()?))
        .and_then(|object| object.get("members")?.as_array());
    let named = |member: &Value| member.get("name").and_then(Value::as_str).map(str::to_owned);
    members.into_iter().flatten().filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_arguments_of_a_command_are_found_in_the_schema() {
        let schema = json!([
            {"name": "migrate", "meta-type": "command", "arg-type": "7", "ret-type": "0"},
            {"name": "7", "meta-type": "enum", "values": ["x"]},
            {"name": "7", "meta-type": "object", "members": [
                {"name": "uri", "type": "str"}, {"name": "resume", "default": null, "type": "bool"}, {}]},
        ]);
        assert_eq!(arguments_of("migrate", &schema), ["uri", "resume"]);
        for (command, answer) in
            [("migrat", &schema), ("migrate", &json!(null)), ("migrate", &json!([7, {}]))]
        {
            assert!(arguments_of(command, answer).is_empty());
        }
    }
}
