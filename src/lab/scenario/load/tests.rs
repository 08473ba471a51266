//! What reading a scenario answers to right and wrong texts.

use super::*;
use crate::lab::scenario::{Bandwidth, Trigger};
use crate::units::{Nanos, Rate};
use proptest::prelude::*;

fn message(text: &str) -> String {
    parse(text, "my.toml").unwrap_err().to_string()
}

#[test]
fn a_wrong_key_is_answered_with_its_place_and_the_nearest_right_one() {
    let said = message("name = \"x\"\n[load]\n  rat = \"80M/s\"\n");
    assert!(said.starts_with("my.toml:3:3:"), "{said}");
    assert!(said.contains("'load.rat'") && said.contains("did you mean load.rate?"), "{said}");
    assert!(message("[lod]\nrate = \"1M/s\"").contains("did you mean load?"));
}

#[test]
fn a_wrong_value_is_answered_with_its_place_and_the_grammar() {
    let said = message("[load]\nrate = \"fast\"\n");
    assert!(said.starts_with("my.toml:2:8:") && said.contains("'fast' is not a dirty rate"), "{said}");
    let said = message("[vm]\ncpus = \"two\"\n");
    assert!(said.starts_with("my.toml:2:8:"), "{said}");
    assert!(message("[load\n").starts_with("my.toml:1:"));
    assert!(message("vm = 3\n").starts_with("my.toml:1:"));
    assert!(message("[expect]\noutcome = \"fine\"\n").contains("completed"));
    let said = message("[expect]\noutcome = \"comp\u{9b}2Jleted\"\n");
    assert!(said.contains("comp\u{fffd}2Jleted") && !said.contains(char::is_control), "{said:?}");
    assert!(message(&format!("[expect]\noutcome = \"{}\"\n", "x".repeat(100_000))).len() < 3000);
}

/// A value of the wrong kind for each key, in a file and after `--set`: the key is named, and what it takes.
#[test]
fn a_value_of_the_wrong_kind_is_answered_with_what_the_key_takes_whatever_the_key() {
    for (key, kind, form) in crate::lab::scenario::keys::keys() {
        let wrong = if kind == ValueKind::Text { "256" } else { "\"often\"" };
        let text = match key.split_once('.') {
            Some((section, name)) => format!("[{section}]\n{name} = {wrong}\n"),
            None => format!("{key} = {wrong}\n"),
        };
        let said = message(&text);
        let form = if kind == ValueKind::Truth { "true or false" } else { form };
        // After `--set` any word is one for QEMU, which a QEMU without a guest is asked about.
        assert!(said.contains(&format!("{key} = {wrong} cannot be")) && said.contains(form), "{said}");
        if matches!(kind, ValueKind::Number | ValueKind::Truth) {
            let said = find("smoke/precopy", &[format!("{key}=often")]).unwrap_err().to_string();
            assert!(
                said.starts_with(&format!("--set {key}=often: {key} takes")) && said.contains(form),
                "{said}"
            );
        }
        if kind == ValueKind::Number {
            let said = find("smoke/precopy", &[format!("{key}=-1")]).unwrap_err().to_string();
            assert!(said.contains(form), "{said}");
        }
    }
}

#[test]
fn what_is_left_out_has_its_default() {
    let scenario = parse("[load]\nrate = \"80M/s\"\n", "my.toml").unwrap();
    assert_eq!(scenario.load.asked.rate, Rate::PagesPerSecond(80 * 256));
    assert_eq!(scenario.load.asked.memory, Scenario::default().load.asked.memory);
}

#[test]
fn an_override_changes_one_value_and_keeps_the_others() {
    let set = |assignment: &str| find("smoke/post-copy", &[assignment.to_owned()]).unwrap().scenario;
    let plain = find("smoke/post-copy", &[]).unwrap().scenario;
    assert_eq!(set("load.rate=80M/s").load.asked.rate, Rate::PagesPerSecond(80 * 256));
    assert_eq!(set("load.rate=0").load.asked.rate, Rate::PagesPerSecond(0));
    assert_eq!(set("load.threads=1").load.asked.threads, Some(1));
    assert_eq!(set("expect.max_downtime=1s").expect.max_downtime, Some(Nanos::from_secs(1)));
    assert_eq!(
        set("migration.postcopy_after=5s").migration.postcopy_after,
        Trigger::After(Nanos::from_secs(5))
    );
    let changed = set("migration.bandwidth=10M/s");
    assert_eq!(changed.migration.bandwidth, Bandwidth(10 << 20));
    assert_eq!((changed.load, changed.vm, changed.name), (plain.load, plain.vm, plain.name));
}

#[test]
fn an_override_that_does_not_fit_says_what_does() {
    let said = |assignment: &str| find("smoke/precopy", &[assignment.to_owned()]).unwrap_err().to_string();
    assert!(said("load.rate").contains("KEY=VALUE"));
    assert!(said("load.rat=1M/s").contains("did you mean load.rate?"));
    assert!(said("load.rate=fast").contains("'fast' is not a dirty rate"));
    assert!(said("vm.cpus=many").contains("vm.cpus takes a whole number"));
    assert!(said("vm.cpus=-1").starts_with("--set vm.cpus=-1:"));
    assert!(said("migration.postcopy=maybe").contains("true or false"));
    assert!(said("vm=1").contains("vm is a section"));
}

#[test]
fn an_unknown_scenario_is_answered_with_the_nearest_and_the_list_command() {
    let said = find("smoke/pre-copy", &[]).unwrap_err().to_string();
    assert!(said.contains("'smoke/pre-copy'") && said.contains("did you mean smoke/precopy?"), "{said}");
    assert!(said.contains("sully-lab scenarios"), "{said}");
    for (slip, meant) in [("precopy", "smoke/precopy"), ("postcopy", "smoke/post-copy")] {
        let said = find(slip, &[]).unwrap_err().to_string();
        assert!(said.contains(&format!("did you mean {meant}?")), "{said}");
    }
    assert!(find("zzz", &[]).unwrap_err().to_string().contains("built in are smoke/precopy"));
}

#[test]
fn a_scenario_that_is_near_none_is_answered_with_all_of_them() {
    let said = find("smoke/nosuch", &[]).unwrap_err().to_string();
    assert!(!said.contains("did you mean") && said.contains("built in are smoke/precopy"), "{said}");
}

#[test]
fn a_section_or_a_list_that_is_set_and_a_section_without_keys_are_answered_with_the_form() {
    for (assignment, expected) in [
        ("load=1", "load is a section: name one of its keys; expected one of load.memory, load.pages"),
        ("vm=1", "expected one of vm.memory, vm.cpus"),
        ("load.phase=x", "write [[load.phase]] in a scenario file, or in a plan"),
        (
            "migration.when.pass=3",
            "migration.when is a list of tables: write [[migration.when]] in a scenario file",
        ),
        ("migration.parameters=5", "name one, for example migration.parameters.downtime-limit=500"),
        ("migration.parameters.=5", "name one, for example migration.parameters.downtime-limit=500"),
        ("migration.capabilities.=5", "name one, for example migration.capabilities.auto-converge=true"),
    ] {
        let said = find("smoke/precopy", &[assignment.to_owned()]).unwrap_err().to_string();
        assert!(said.contains(assignment) && said.contains(expected), "{said}");
    }
    for section in ["vm", "load", "migration", "collect", "expect"] {
        let said = parse(&format!("name = \"x\"\n{section} = 3\n"), "x").unwrap_err().to_string();
        assert!(said.contains(&format!("x:2:1: {section} is no section: write [{section}]")), "{said}");
    }
}

#[test]
fn memory_in_bare_bytes_is_answered_with_a_size_and_what_a_bare_number_means() {
    for (assignment, example) in [("vm.memory=2", "256M"), ("vm.memory=0", "256M"), ("load.memory=64", "64M")]
    {
        let said = find("smoke/precopy", &[assignment.to_owned()]).unwrap_err().to_string();
        let key = assignment.replace('=', " = ");
        assert!(said.contains(&key) && said.contains(&format!("for example {example}")), "{said}");
        assert!(said.contains("a number without a unit is bytes"), "{said}");
    }
}

#[test]
fn a_value_without_its_quotes_is_answered_with_quotes() {
    let said = parse("[load]\nrate = 80M/s\n", "x").unwrap_err().to_string();
    assert!(said.contains("x:2:") && said.contains("in quotes, such as \"80M/s\""), "{said}");
}

#[test]
fn a_key_that_stands_twice_is_named_with_both_lines() {
    for (text, said) in [
        (
            "[load]\nrate = \"1M/s\"\nrate = \"2M/s\"\n",
            "x:3:1: the key rate stands in line 2 already: remove one",
        ),
        ("[load]\nseed = 1\n[vm]\ncpus = 1\n[load]\n", "x:5:2: the key load stands in line 1 already"),
        ("[migration]\nparameters = { a = 1, a = 2 }\n", "x:2:23: the key a stands in line 2 already"),
        (
            "[[load.phase]]\nname = \"a\"\n[[load.phase]]\nname = \"b\"\nname = \"c\"\n",
            "x:5:1: the key name stands in line 4",
        ),
    ] {
        let error = parse(text, "x").unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
    }
}

#[test]
fn a_pipe_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let pipe = pipe.to_string_lossy();
    for (name, set) in [(&*pipe, vec![]), ("smoke/precopy", vec![format!("load.plan={pipe}")])] {
        let said = find(name, &set).unwrap_err().to_string();
        assert!(said.contains(&*pipe) && said.contains("no regular file"), "{said}");
    }
}

#[test]
fn a_file_is_taken_by_its_path_and_named_by_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tiny.toml");
    std::fs::write(&path, "[load]\nmemory = \"1M\"\n").unwrap();
    let scenario = find(&path.to_string_lossy(), &[]).unwrap().scenario;
    assert_eq!(scenario.name, "tiny");
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,200}", assignment in ".{0,60}") {
        let _ = parse(&text, "x");
        let _ = set(&Scenario::default(), &assignment);
        let _ = set(&Scenario::default(), &format!("load.memory={assignment}"));
    }
}
