//! What was asked for on standard output, where that takes nothing, and files that are none.

use super::failure;
use std::fs::OpenOptions;
use std::process::Command;

#[test]
fn output_that_cannot_be_written_is_a_failure_and_a_reader_that_has_gone_is_none() {
    for arguments in ["check -m 8M", "--help", "run --help", "--version"] {
        let program = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_sully"));
            command.args(arguments.split_whitespace());
            command
        };
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = program().stdout(full).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let output = output.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments}: {said}");
        assert_eq!(said.matches("No space left on device").count(), 1, "{arguments}: {said}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = program().stdout(writer).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && said.is_empty(), "{arguments}: {said}");
    }
}

#[test]
fn a_plan_that_is_no_file_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for path in [&*pipe.to_string_lossy(), "/dev/zero", "/tmp"] {
        for command in ["run", "check"] {
            let (code, said) = failure(&format!("{command} --plan {path}"));
            assert_eq!(code, Some(2), "{path}: {said}");
            assert!(said.contains(path) && said.contains("no regular file; name a file"), "{said}");
        }
    }
}

#[test]
fn what_a_message_repeats_steers_no_terminal() {
    for arguments in ["run --rate \u{1b}[2J", "\u{1b}[2J", "run --plan /\u{1b}[2J", "run --\u{1b}[2J"] {
        let (code, said) = failure(arguments);
        assert_eq!(code, Some(2), "{said:?}");
        assert!(said.contains("\u{fffd}[2J") && !said.contains('\u{1b}'), "{said:?}");
    }
}

#[test]
fn a_report_that_takes_the_place_of_another_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records.ndjson");
    std::fs::write(&path, "nine more\n").unwrap();
    let (code, said) = failure(&format!("run -m 8M -d 100ms --baseline 0s --report file:{}", path.display()));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("records.ndjson is begun anew: the 10 bytes it held are gone"), "{said}");
}
