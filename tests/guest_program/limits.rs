//! Limits that the kernel sets a process: `check` says what `run` would, and `run` says it in a sentence.

use super::{failure, sully};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Exit code and all that is said by the guest program, started by `starter` (words, the program and its arguments behind
/// them); none, said aloud, where there is no such starter.
fn started(starter: &[&str], arguments: &str) -> Option<(Option<i32>, String)> {
    let mut command = Command::new(starter[0]);
    command.args(&starter[1..]).arg(env!("CARGO_BIN_EXE_sully")).args(arguments.split_whitespace());
    let Ok(output) = command.output() else {
        println!("SKIPPED: {arguments}: there is no {}", starter[0]);
        return None;
    };
    Some((output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap()))
}

#[test]
fn a_limit_on_data_is_answered_with_a_sentence_and_the_check_knows() {
    let plan = "-m 64M -t 2 -d 200ms --baseline 0s -r 1M/s";
    let mut refused = 0;
    for limit in
        [30_000_000, 40_000_000, 60_000_000, 68_000_000, 70_000_000, 74_000_000, 78_000_000, 200_000_000]
    {
        let limit = format!("--data={limit}");
        let ask = |command: &str| started(&["prlimit", &limit], &format!("{command} {plan}"));
        let (Some((ran, said)), Some((checked, line))) = (ask("run"), ask("check")) else { return };
        assert!(matches!(ran, Some(0 | 1 | 3)), "{limit}: {ran:?} {said}");
        // The check is held to less than it knows: of the last MiB or so it is not sure.
        assert!(ran != Some(1) || checked == Some(2), "{limit}: {said}\n{line}");
        assert!(checked == Some(0) || !limit.contains("200"), "{line}");
        if ran == Some(1) {
            refused += 1;
            assert!(said.contains("ulimit -d") && line.contains("ulimit -d"), "{said}\n{line}");
        }
    }
    assert!((3..8).contains(&refused), "{refused}: the least is too little and the most is enough");
}

#[test]
fn a_limit_on_address_space_never_aborts_a_run() {
    for limit in (70..200).step_by(10) {
        let limit = format!("--as={limit}000000");
        let run = "run -m 64M -t 2 -d 100ms --baseline 0s -r 1M/s";
        let Some((code, said)) = started(&["prlimit", &limit], run) else { return };
        assert!(matches!(code, Some(0 | 1 | 3)), "{limit}: {code:?} {said}");
    }
}

/// Has every call of mincore fail with EPERM in what it starts: `python3 -c FILTER PROGRAM ARGUMENTS`.
const FILTER: &str = "
import ctypes, os, struct, sys
code = [(0x20, 0, 0, 0), (0x15, 0, 1, 27), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)]
program = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *line) for line in code))
class Filter(ctypes.Structure):
    _fields_ = [('len', ctypes.c_ushort), ('filter', ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Filter(4, ctypes.addressof(program))), 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
";

#[test]
#[cfg(target_arch = "x86_64")]
fn a_filter_without_mincore_is_found_by_the_check_as_by_the_run() {
    for (command, wrong) in [("run", 1), ("check", 2)] {
        let arguments = format!("{command} -m 8M -d 100ms --baseline 0s");
        let Some((code, said)) = started(&["python3", "-c", FILTER], &arguments) else { return };
        assert_eq!(code, Some(wrong), "{said}");
        assert!(said.contains("mincore must be allowed"), "{said}");
    }
}

#[test]
fn more_writers_than_cpus_are_warned_of_and_run() {
    let (code, said) = failure("run -m 64M -t 300 -r 1M/s -d 300ms --baseline 0s");
    assert!(matches!(code, Some(0 | 3)), "{code:?} {said}");
    assert!(said.contains("300 writers share") && said.contains("leave --threads out"), "{said}");
    let output = sully("check -m 64M -t 300").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.starts_with("writers")).unwrap();
    assert!(line.contains("poor") && line.contains("300 writers share"), "{text}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn filling_that_takes_long_is_said_and_a_signal_ends_it_at_once() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sully"))
        .args("run -m 3G -t 1".split(' '))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    if first.contains("--memory 3G is not there") {
        child.wait().unwrap();
        return println!("SKIPPED: long filling: there are no 3 GiB to be had here");
    }
    assert!(first.starts_with("sully: filling memory: ") && first.ends_with(" of 3.0 GiB"), "{first}");
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let last = lines.last().unwrap_or_default();
    assert!(last.contains("SIGINT came while the memory was being filled"), "{last}");
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
