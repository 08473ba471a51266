//! The flag `--plan`: what the file says goes before what the command line says, and its phases into the plan.

use super::{Cli, GuestCommand};
use crate::guest::Options;
use crate::plan::{Faults, PLAN_FILE_LIMIT, PlanFile};
use clap::Parser;
use std::ffi::OsString;
use std::io::Read;
use std::path::Path;

/// What `command`, which was read from `typed` (the program's name first), asks for, its plan file taken into account.
///
/// # Errors
/// What is wrong with the file, for whoever named it.
pub(super) fn options(
    mut typed: Vec<OsString>,
    command: GuestCommand,
) -> Result<(GuestCommand, Options), String> {
    let Some(path) = command.args().plan.clone() else {
        let options = command.args().options();
        return Ok((command, options));
    };
    let shown = path.display();
    let said = |faults| format!("the plan file {shown} is wrong:\n{}", Faults(faults));
    let file = PlanFile::parse(&load(&path)?).map_err(said)?;
    // After the program's name and its subcommand, before what was typed: that overrides it.
    let own = typed.split_off(2.min(typed.len()));
    typed.extend(file.flags.iter().flat_map(flag));
    typed.extend(own);
    let both = Cli::try_parse_from(typed);
    let command = both.map_err(|error| format!("the plan file {shown} is wrong: {error}"))?.command;
    let mut options = command.args().options();
    (options.plan.phases, options.plan.repeat) = (file.phases, file.repeat);
    Ok((command, options))
}

/// A flag as it is typed; a switch is there or not.
fn flag((name, value): &(&'static str, String)) -> Vec<OsString> {
    match (*name, value.as_str()) {
        ("lock", "true") => vec!["--lock".into()],
        ("lock", "false") => vec![],
        _ => vec![format!("--{name}={value}").into()],
    }
}

/// The text of a plan file, at most one byte more than is read of it.
fn load(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let refused = |cause: std::io::Error| {
        format!("the plan file {shown} cannot be read: {cause}; name a file with --plan")
    };
    let file = std::fs::File::open(path).map_err(refused)?;
    let mut text = String::new();
    file.take(PLAN_FILE_LIMIT as u64 + 1).read_to_string(&mut text).map_err(refused)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    fn read(text: &str, flags: &str) -> Result<Plan, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan.toml");
        std::fs::write(&path, text).unwrap();
        take(&format!("sully run --plan {} {flags}", path.display()))
    }

    fn take(line: &str) -> Result<Plan, String> {
        let typed: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let command = Cli::try_parse_from(&typed).unwrap().command;
        options(typed, command).map(|(_, options)| options.plan)
    }

    #[test]
    fn what_is_typed_goes_before_what_the_file_says() {
        let text = "memory = \"1G\"\nrate = \"5M/s\"\nlock = true\nverify = \"off\"\nrepeat = false\n[[phase]]\nname = \"one\"\n";
        let plan = read(text, "-r 7M/s").unwrap();
        assert_eq!((plan.memory.to_string(), plan.rate.to_string()), ("1G".into(), "7M/s".into()));
        assert_eq!((plan.kind.lock, plan.verify, plan.phases.len()), (true, false, 1));
    }

    #[test]
    fn a_wrong_file_is_named_with_what_is_wrong_in_it() {
        for (text, said) in [
            ("rate = \"quick\"\n", "'quick'"),
            ("lock = \"perhaps\"\n", "--lock"),
            ("rat = \"1M/s\"\n", "did you mean rate?"),
            ("[[phase]]\nduration = \"5\"\n", "line 2: duration"),
        ] {
            let message = read(text, "").unwrap_err();
            assert!(message.contains("plan.toml") && message.contains(said), "{message}");
        }
        assert!(take("sully run --plan /nonexistent").unwrap_err().contains("/nonexistent cannot be read"));
    }
}
