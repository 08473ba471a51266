//! The flag `--plan`: what the file says goes before what the command line says, and its phases into the plan.

use crate::plan::{Faults, PLAN_FILE_LIMIT, PlanFile};
use crate::units::printable;
use std::ffi::OsString;
use std::io::Read;
use std::path::Path;

/// The longest answer to a value, in characters.
const SHOWN_CHARS: usize = 2000;

/// The plan file of this text, and the arguments that say what its flags and `typed` say together, the program's name
/// first.
///
/// # Errors
/// What is wrong with the file.
pub(super) fn read(text: &str, mut typed: Vec<OsString>) -> Result<(PlanFile, Vec<OsString>), String> {
    let file = PlanFile::parse(text).map_err(|faults| Faults(faults).to_string())?;
    // After the program's name and its subcommand, before what was typed: that overrides it.
    let own = typed.split_off(2.min(typed.len()));
    typed.extend(file.flags.iter().flat_map(flag));
    typed.extend(own);
    Ok((file, typed))
}

/// A flag as it is typed; a switch is there or not.
fn flag((name, value): &(&'static str, String)) -> Vec<OsString> {
    match (*name, value.as_str()) {
        ("lock", "true") => vec!["--lock".into()],
        ("lock", "false") => vec![],
        _ => vec![format!("--{name}={value}").into()],
    }
}

/// What the flags' parser says of a value in a plan file, fit for a terminal.
pub(super) fn said(error: &clap::Error) -> String {
    let letters = error.to_string();
    letters
        .chars()
        .take(SHOWN_CHARS)
        .map(|letter| if letter == '\n' { letter } else { printable(letter) })
        .collect()
}

/// The text of the plan file at `path`, at most one byte more than is read of it.
///
/// # Errors
/// Why it cannot be read, for whoever named it.
pub(super) fn load(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let refused = |cause: std::io::Error| {
        format!("the plan file {shown} cannot be read: {cause}; name a file with --plan")
    };
    let file = std::fs::File::open(path).map_err(refused)?;
    let mut text = String::new();
    file.take(PLAN_FILE_LIMIT as u64 + 1).read_to_string(&mut text).map_err(refused)?;
    Ok(text)
}
