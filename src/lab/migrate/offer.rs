//! What a QEMU has: its migration capabilities, and the arguments of its commands.

use serde_json::Value;

/// What `query-migrate-capabilities` answered: the names QEMU knows.
pub fn names(answer: &Value) -> Vec<String> {
    let entries = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    entries.iter().filter_map(|entry| entry.get("capability")?.as_str().map(str::to_owned)).collect()
}

/// The names of the arguments that `command` takes, from what `query-qmp-schema` answered; none for a command there is not.
pub fn arguments_of(command: &str, schema: &Value) -> Vec<String> {
    let named = |member: &Value| member.get("name").and_then(Value::as_str).map(str::to_owned);
    arguments(command, schema).iter().filter_map(named).collect()
}

/// The words that `argument` of `command` may be, from what `query-qmp-schema` answered; none where it is no such argument.
pub fn words_of(command: &str, argument: &str, schema: &Value) -> Vec<String> {
    let argument = arguments(command, schema).iter().find(|member| member["name"] == argument);
    let words =
        argument.and_then(|member| entry("enum", member.get("type")?.as_str()?, schema)?.get("values"));
    let words = words.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect()
}

/// The arguments that `command` takes.
fn arguments<'a>(command: &str, schema: &'a Value) -> &'a [Value] {
    let members = entry("command", command, schema)
        .and_then(|command| entry("object", command.get("arg-type")?.as_str()?, schema))
        .and_then(|object| object.get("members")?.as_array());
    members.map(Vec::as_slice).unwrap_or_default()
}

/// The entry of that kind and name.
fn entry<'a>(kind: &str, name: &str, schema: &'a Value) -> Option<&'a Value> {
    let is_it = |entry: &&Value| entry["name"] == name && entry["meta-type"] == kind;
    schema.as_array()?.iter().find(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_words_of_an_argument_are_found_in_the_schema() {
        let schema = json!([
            {"name": "calc-dirty-rate", "meta-type": "command", "arg-type": "7"},
            {"name": "7", "meta-type": "object", "members": [
                {"name": "calc-time", "type": "int"}, {"name": "mode", "type": "8", "default": null}]},
            {"name": "8", "meta-type": "enum", "values": ["page-sampling", "dirty-ring"], "members": [{"name": "x"}]},
        ]);
        assert_eq!(words_of("calc-dirty-rate", "mode", &schema), ["page-sampling", "dirty-ring"]);
        for (command, argument, answer) in [
            ("calc-dirty-rate", "calc-time", &schema),
            ("calc-dirty-rate", "sample", &schema),
            ("calc", "mode", &schema),
            ("calc-dirty-rate", "mode", &json!(null)),
        ] {
            assert!(words_of(command, argument, answer).is_empty());
        }
    }

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
