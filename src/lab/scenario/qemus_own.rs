//! What a scenario file says of steps, capabilities and parameters: each value is of its kind, or is refused where it stands.

use super::keys::nearest;
use super::when::{DEEDS, STATES};
use crate::units::{self, Nanos};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// What a step of `migration.when` may say besides `parameters`, and what each takes.
const STEP: [(&str, &str); 5] = [
    ("pass", "a whole number: the pass that has begun, such as 2"),
    ("after", "a time in quotes, such as \"10s\""),
    ("not_converging", "a whole number: passes in a row, such as 3"),
    ("status", "a text in quotes: how QEMU says the migration stands, such as \"postcopy-active\""),
    ("do", "what is done, in quotes"),
];
const PARAMETERS: &str = "parameters";

/// Where something stands, and what is wrong with it.
type Misfit = (usize, String);

/// The first value of `[migration]` whose kind is not its key's, of those that go to QEMU or say when something does.
pub(super) fn misfit(migration: &DeTable<'_>, text: &str) -> Option<Misfit> {
    migration.iter().find_map(|(key, value)| match key.get_ref().as_ref() {
        "when" => steps(value, text),
        "capabilities" => capabilities(value, text),
        PARAMETERS => parameters("migration.parameters", value, text),
        _ => None,
    })
}

fn steps(value: &Spanned<DeValue<'_>>, text: &str) -> Option<Misfit> {
    let DeValue::Array(steps) = value.get_ref() else {
        return Some(refused(
            "migration.when",
            value,
            text,
            "write [[migration.when]] before each step's keys",
        ));
    };
    steps.iter().zip(1..).find_map(|(entry, number)| {
        let name = format!("migration.when, step {number}");
        let DeValue::Table(table) = entry.get_ref() else {
            return Some(refused(&name, entry, text, "write [[migration.when]] before its keys"));
        };
        let found = table.iter().find_map(|(key, value)| {
            let key_name = key.get_ref().as_ref();
            match STEP.iter().find(|(own, _)| *own == key_name) {
                Some((_, takes)) => of_step(key_name, takes, value, text),
                None if key_name == PARAMETERS => parameters(PARAMETERS, value, text),
                None => Some((key.span().start, no_such_key(key_name))),
            }
        });
        let unsaid = || {
            let start = entry.span().start;
            (!table.contains_key("do"))
                .then(|| (start, format!("it does nothing: add do = one of {}", quoted(&DEEDS))))
        };
        found.or_else(unsaid).map(|(start, what)| (start, format!("{name}: {what}")))
    })
}

/// What is wrong with one value of a step.
fn of_step(key: &str, takes: &str, value: &Spanned<DeValue<'_>>, text: &str) -> Option<Misfit> {
    let expected = match (key, value.get_ref()) {
        ("pass" | "not_converging", DeValue::Integer(number)) if !number.as_str().starts_with('-') => {
            return None;
        }
        ("do", DeValue::String(deed)) if DEEDS.contains(&deed.as_ref()) => return None,
        ("do", _) => format!("one of {}", quoted(&DEEDS)),
        ("status", DeValue::String(status)) if STATES.contains(&status.as_ref()) => return None,
        ("status", DeValue::String(_)) => format!("one of {}", quoted(&STATES)),
        ("after", DeValue::String(after)) => match after.parse::<Nanos>() {
            Ok(_) => return None,
            Err(error) => return Some(refused(key, value, text, &error.to_string())),
        },
        _ => takes.to_owned(),
    };
    Some(refused(key, value, text, &format!("{key} takes {expected}")))
}

fn capabilities(value: &Spanned<DeValue<'_>>, text: &str) -> Option<Misfit> {
    const NAME: &str = "migration.capabilities";
    let DeValue::Table(table) = value.get_ref() else {
        let form =
            "write capabilities = { auto-converge = true }, or [migration.capabilities] before QEMU's names";
        return Some(refused(NAME, value, text, form));
    };
    table.iter().find_map(|(key, value)| {
        let is_right = matches!(value.get_ref(), DeValue::Boolean(_)) && !key.get_ref().is_empty();
        let name = format!("{NAME}.{}", shown(key.get_ref()));
        (!is_right).then(|| refused(&name, value, text, "a capability has a name, and is true or false"))
    })
}

fn parameters(name: &str, value: &Spanned<DeValue<'_>>, text: &str) -> Option<Misfit> {
    let DeValue::Table(table) = value.get_ref() else {
        let form = "write parameters = { downtime-limit = 500 }, with QEMU's names";
        return Some(refused(name, value, text, form));
    };
    table.iter().find_map(|(key, value)| {
        // JSON knows neither.
        let is_right = match value.get_ref() {
            DeValue::Float(number) => !number.as_str().contains('n'),
            DeValue::Datetime(_) => false,
            _ => true,
        };
        let name = format!("{name}.{}", shown(key.get_ref()));
        let form = "a parameter has a name, and is a number, a text, true or false";
        (!is_right || key.get_ref().is_empty()).then(|| refused(&name, value, text, form))
    })
}

/// `value` cannot be that of `name`; `expected` says what can.
fn refused(name: &str, value: &Spanned<DeValue<'_>>, text: &str, expected: &str) -> Misfit {
    let given = text.get(value.span()).unwrap_or_default();
    // A table that begins with its own line has its name in it.
    let is_header = given.starts_with('[') && matches!(value.get_ref(), DeValue::Table(_));
    let given = if is_header { shown(given) } else { format!("{name} = {}", shown(given)) };
    (value.span().start, format!("{given} cannot be: {expected}"))
}

fn no_such_key(key: &str) -> String {
    let known = || STEP.iter().map(|(own, _)| *own).chain([PARAMETERS]);
    let meant = nearest(key, known()).map_or_else(String::new, |own| format!("did you mean {own}? "));
    let known: Vec<&str> = known().collect();
    format!("there is no key '{}': {meant}expected one of {}", shown(key), known.join(", "))
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}

fn shown(text: &str) -> String {
    units::shown(text, 120)
}

#[cfg(test)]
mod tests {
    use crate::lab::scenario::parse;

    #[test]
    fn a_value_of_the_wrong_kind_is_repeated_with_its_place_and_what_its_key_takes() {
        let when = "[[migration.when]]\n";
        for (text, place, given, expected) in [
            (
                "pass = \"three\"\ndo = \"pause\"",
                "2:8",
                "step 1: pass = \"three\" cannot be",
                "pass takes a whole number",
            ),
            ("pass = 2.5\ndo = \"pause\"", "2:8", "pass = 2.5 cannot be", "such as 2"),
            ("pass = -1\ndo = \"pause\"", "2:8", "pass = -1 cannot be", "such as 2"),
            (
                "not_converging = true\ndo = \"cut\"",
                "2:18",
                "not_converging = true cannot be",
                "passes in a row",
            ),
            ("after = 5\ndo = \"pause\"", "2:9", "after = 5 cannot be", "in quotes, such as \"10s\""),
            (
                "after = \"soon\"\ndo = \"pause\"",
                "2:9",
                "after = \"soon\" cannot be",
                "expected <number>(ns|us|ms",
            ),
            ("status = 5\ndo = \"pause\"", "2:10", "status = 5 cannot be", "such as \"postcopy-active\""),
            ("pass = 2\ndo = 5", "3:6", "do = 5 cannot be", "one of \"post-copy\", \"pause\", \"cancel\""),
            ("pass = 2\ndo = \"stop\"", "3:6", "do = \"stop\" cannot be", "\"recover\", \"set\""),
            ("pass = 2", "1:1", "step 1: it does nothing", "add do = one of \"post-copy\""),
            ("passes = 2\ndo = \"pause\"", "2:1", "there is no key 'passes'", "did you mean pass?"),
            (
                "pass = 2\ndo = \"set\"\nparameters = 5",
                "4:14",
                "parameters = 5 cannot be",
                "{ downtime-limit = 500 }",
            ),
            (
                "pass = 2\ndo = \"set\"\nparameters = { x = nan }",
                "4:20",
                "parameters.x = nan cannot be",
                "a number",
            ),
        ] {
            let said = parse(&format!("{when}{text}\n"), "my.toml").unwrap_err().to_string();
            assert!(
                said.starts_with(&format!("my.toml:{place}: migration.when, step 1: ")),
                "{text}: {said}"
            );
            assert!(said.contains(given) && said.contains(expected), "{text}: {said}");
        }
    }

    #[test]
    fn what_is_no_list_or_section_is_repeated_with_its_place_and_how_to_write_it() {
        for (text, place, given, expected) in [
            ("[migration]\nwhen = 5", "2:8", "migration.when = 5 cannot be", "write [[migration.when]]"),
            ("[migration]\nwhen = [5]", "2:9", "step 1 = 5 cannot be", "write [[migration.when]]"),
            (
                "[migration.when]\ndo = \"cut\"",
                "1:1",
                "[migration.when] cannot be",
                "write [[migration.when]]",
            ),
            (
                "[migration]\ncapabilities = { x = 1 }",
                "2:22",
                "migration.capabilities.x = 1 cannot be",
                "true or false",
            ),
            (
                "[migration]\ncapabilities = 5",
                "2:16",
                "migration.capabilities = 5",
                "{ auto-converge = true }",
            ),
            (
                "[migration]\nparameters = 5",
                "2:14",
                "migration.parameters = 5 cannot be",
                "with QEMU's names",
            ),
            (
                "[migration.parameters]\nx = 07:32:00",
                "2:5",
                "migration.parameters.x = 07:32:00",
                "is a number, a text",
            ),
            ("[migration.parameters]\n\"\" = 5", "2:6", "migration.parameters. = 5 cannot be", "has a name"),
        ] {
            let said = parse(&format!("{text}\n"), "my.toml").unwrap_err().to_string();
            assert!(said.starts_with(&format!("my.toml:{place}: ")), "{text}: {said}");
            assert!(said.contains(given) && said.contains(expected), "{text}: {said}");
        }
    }
}
