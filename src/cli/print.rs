//! Text for standard output, which was asked for: that it cannot be written is a failure, unless the reader has read enough.

use super::say::say;
use std::io::{self, BufWriter, ErrorKind, Write, stdout};
use std::process::ExitCode;

/// Prints `text`. A reader that is gone has read enough: `sully-lab report ... | head` is no failure.
///
/// # Errors
/// Standard output takes nothing, for another reason.
pub fn print(text: &str) -> io::Result<()> {
    print_with(|out| out.write_all(text.as_bytes()))
}

/// Prints what `write` writes, as it comes.
///
/// # Errors
/// As [`print`].
pub fn print_with(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::new(stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| {
            io::Error::new(error.kind(), format!("standard output cannot be written: {error}"))
        }),
    }
}

/// Prints what the parser of a command line has instead of a command: help or the version, which were asked for, or what is
/// wrong.
pub fn answer(instead: &clap::Error) -> ExitCode {
    let text = instead.to_string();
    if instead.use_stderr() {
        say(text.trim_end());
        return ExitCode::from(2);
    }
    match print(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}
