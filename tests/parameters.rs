//! docs/PARAMETERS.md is made from the table of parameters, and docs/WIRE.md names what of it goes over the wire.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod renewed;

use renewed::is_current;
use std::fmt::Write as _;
use sully::plan::{PARAMETERS, Parameter, PhaseAsked, Plan, RegionAsked, Scope};

const BEGINNING: &str = "\
# Parameters

Everything a load can be given. Each is a flag of `sully run` and `sully check`, a key of a plan file (`--plan FILE`) and a key of
`[load]` in a scenario, unless the column *where* says otherwise: `phase` is a `[[phase]]` of the plan and a host's `set`, `region` a
`[[region]]`. In a scenario `[load]` is a plan file too, with `[[load.phase]]` and `[[load.region]]`, and `--set load.KEY=VALUE` changes
one of its keys. Keys may be written with `-` or `_`.

What a flag says goes before what its plan file says; what a scenario's `load.plan` names goes before what the scenario says beside it, and
`--set` goes before both: the run says which.

This page is made from the table in `src/plan/table.rs`: `SULLY_RENEW=1 cargo test --test parameters` renews it.

";

/// A text between the bars of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn flag(parameter: &Parameter) -> String {
    if !parameter.stands_in(Scope::Flag) {
        return "none".into();
    }
    let short = parameter.short.map_or_else(String::new, |letter| format!("-{letter}, "));
    let value = parameter.value.map_or_else(String::new, |value| format!(" {value}"));
    format!("`{short}--{}{value}`", parameter.name)
}

fn key(parameter: &Parameter) -> String {
    let by_name = parameter.name.replace('-', "_");
    match (parameter.stands_in(Scope::Plan), parameter.bare_key()) {
        (false, _) => "none".into(),
        (true, key) if key == by_name => format!("`{key}`"),
        (true, key) => format!("`{by_name}`, `{key}`"),
    }
}

fn places(parameter: &Parameter) -> String {
    let mut places = Vec::new();
    if parameter.stands_in(Scope::Plan) && !parameter.stands_in(Scope::Scenario) {
        places.push("not in a scenario");
    }
    for (scope, name) in [(Scope::Phase, "phase"), (Scope::Region, "region")] {
        if parameter.stands_in(scope) {
            places.push(name);
        }
    }
    places.join(", ")
}

fn page() -> String {
    let usual = Plan::default();
    let mut page = BEGINNING.to_owned();
    page.push_str("| flag | key | usual | where | what |\n|---|---|---|---|---|\n");
    for parameter in PARAMETERS {
        let default = match (usual.text(parameter.name), parameter.value) {
            (Some(text), Some(_)) => format!("`{text}`"),
            (None, Some(_)) => parameter.absent.to_owned(),
            (_, None) => "no".into(),
        };
        let cells = [flag(parameter), key(parameter), default, places(parameter), parameter.help.to_owned()];
        writeln!(page, "| {} |", cells.map(|text| cell(&text)).join(" | ")).unwrap();
    }
    for (title, keys) in [("region", RegionAsked::KEYS.as_slice()), ("phase", PhaseAsked::KEYS.as_slice())] {
        write!(page, "\nA {title} has besides:\n\n| key | form | what |\n|---|---|---|\n").unwrap();
        for (name, form, what) in keys {
            writeln!(page, "| `{name}` | {form} | {what} |").unwrap();
        }
    }
    page
}

#[test]
fn the_page_of_parameters_is_that_of_the_table() {
    is_current("PARAMETERS.md", &page(), "SULLY_RENEW=1 cargo test --test parameters");
}

#[test]
fn the_page_about_the_wire_names_what_a_host_may_set_and_what_a_load_says() {
    let page = include_str!("../docs/WIRE.md");
    for parameter in Parameter::all_in(Scope::Phase) {
        for name in [parameter.name, parameter.bare_key()] {
            assert!(page.contains(&format!("`{name}`")), "`{name}` is not in docs/WIRE.md");
        }
    }
}
