//! Who migrated a guest that the lab only measured, and through what it was heard.

use super::{
    table::Table,
    words::{accelerator, seconds},
};
use crate::{
    lab::{rundir::RunData, shell},
    record::{CommandEnd, Hello, Measured},
    units::{ByteSize, shown},
};

/// The longest command that is shown.
const COMMAND_CHARS: usize = 300;

/// The command as a shell takes it.
fn command(measured: &Measured) -> String {
    let words: Vec<String> = measured.command.iter().map(|word| shell::readable_word(word)).collect();
    shown(&words.join(" "), COMMAND_CHARS)
}

/// How long the command took, where it ended by itself.
fn took(measured: &Measured, end: CommandEnd) -> String {
    let took_ns = measured.started_ns.and_then(|started_ns| end.host_ns.checked_sub(started_ns));
    took_ns.map_or_else(String::new, |ns| format!(" after {}", seconds(ns as f64 / 1e9)))
}

/// What the command did, in a sentence; none where none was run.
pub fn sentence(data: &RunData) -> Option<String> {
    let measured = data.run.measured.as_ref().filter(|measured| !measured.command.is_empty())?;
    let what = command(measured);
    Some(match measured.end {
        Some(end) if end.is_good() => format!("The command `{what}` ended well{}.", took(measured, end)),
        Some(end) => format!("The command `{what}` failed{}: {end}.", took(measured, end)),
        None if measured.started_ns.is_none() => format!("The command `{what}` was not started."),
        None => format!("The command `{what}` did not end by itself."),
    })
}

/// The rows that say so.
pub fn facts(table: &mut Table, data: &RunData, measured: &Measured) {
    let what = if measured.command.is_empty() { "n/a: none was run".into() } else { command(measured) };
    table.fact("command", what);
    if !measured.command.is_empty() {
        let end = measured.end.map(|end| format!("{end}{}", took(measured, end)));
        let was_started = measured.started_ns.is_some();
        let why = if was_started { "n/a: it was ended" } else { "n/a: it was not started" };
        table.fact("it ended with", end.unwrap_or_else(|| why.into()));
    }
    table.fact("guest heard on", known(measured.sockets.join(", "), "nothing"));
    table.fact("QEMU heard through", known(measured.monitors.join(", "), "n/a: nobody asked QEMU"));
    let provenance = &data.run.provenance;
    table.fact("accelerator", provenance.accelerator.map_or("n/a: nobody said it", accelerator));
    table.fact("QEMU", known(provenance.qemu_version.clone(), "n/a: nobody asked it"));
    let guest = data.records.hello.as_deref().map(guest);
    let why = if measured.sockets.is_empty() { "n/a: none was heard" } else { "n/a: its hello came before" };
    table.fact("guest", guest.unwrap_or_else(|| why.into()));
    if let Some(why) = &measured.pages_reason {
        table.fact("pages", format!("n/a: {why}"));
    }
}

/// What a guest says of itself.
pub fn guest(hello: &Hello) -> String {
    let memory = ByteSize(hello.mem_total_bytes).human();
    format!("{}, Linux {}, {memory} memory, sully {}", hello.hostname, hello.kernel, hello.version)
}

fn known(text: String, otherwise: &str) -> String {
    if text.is_empty() { otherwise.to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::timeline::fixture::Story;

    /// The sentence about the command, and what it ended with.
    fn told(change: impl FnOnce(&mut Measured)) -> [String; 2] {
        let mut data = Story::precopy().run_data();
        let mut measured = Measured { command: vec!["virsh".into(), "a b".into()], ..Measured::default() };
        change(&mut measured);
        data.run.measured = Some(Box::new(measured.clone()));
        let data = data.data();
        let mut table = Table::default();
        facts(&mut table, &data, &measured);
        let text = format!("{table:?}");
        let end = ["exit code 3", "n/a: it was ended", "n/a: it was not started"]
            .map(|end| text.contains(end).then_some(end));
        [sentence(&data).unwrap(), end.into_iter().flatten().collect()]
    }

    #[test]
    fn a_command_that_failed_one_that_was_ended_and_one_that_never_began_are_three_things() {
        let end = CommandEnd { host_ns: 5, code: Some(3), signal: None };
        let [said, ended] = told(|measured| (measured.started_ns, measured.end) = (Some(1), Some(end)));
        assert!(said.contains("`virsh 'a b'` failed") && ended == "exit code 3", "{said} {ended}");
        let [said, ended] = told(|measured| measured.started_ns = Some(1));
        assert!(said.contains("did not end by itself") && ended == "n/a: it was ended", "{said} {ended}");
        let [said, ended] = told(|_| {});
        assert!(said.contains("was not started") && ended == "n/a: it was not started", "{said} {ended}");
    }
}
