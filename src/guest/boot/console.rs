//! The console as standard input, output and error of PID 1, and the one way to say something on it.

use crate::units::printable;
use std::fs::OpenOptions;
use std::io::Write;

const CONSOLE: &str = "/dev/console";

/// Makes the console the three standard streams. Without one (no `console=` that the kernel could open) they
/// stay what they are: a machine with nobody to talk to still has its work to do.
pub(super) fn attach() {
    let Ok(console) = OpenOptions::new().read(true).write(true).open(CONSOLE) else {
        announce("no console can be opened: is there a console= on the kernel command line?");
        return;
    };
    let attached = nix::unistd::dup2_stdin(&console)
        .and_then(|()| nix::unistd::dup2_stdout(&console))
        .and_then(|()| nix::unistd::dup2_stderr(&console));
    if let Err(errno) = attached {
        announce(&format!("the console cannot become a standard stream: {errno}"));
    }
}

/// One line on the console, prefixed `sully: `. A console that cannot be written is no reason to fail.
pub fn announce(text: &str) {
    // One write a line, so that lines of several threads do not mix.
    let line = line_of(text);
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// The line as written: whatever the text holds, every line of it is recognisable by its prefix, and steers no terminal.
fn line_of(text: &str) -> String {
    let shown = |line: &str| line.chars().map(printable).collect::<String>();
    text.lines().fold(String::new(), |all, line| all + "sully: " + &shown(line) + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_an_announcement_carries_the_prefix() {
        assert_eq!(line_of("up"), "sully: up\n");
        assert_eq!(line_of("first\nsecond\n"), "sully: first\nsully: second\n");
        assert_eq!(line_of("no '\u{1b}[2J'"), "sully: no '\u{fffd}[2J'\n");
    }
}
