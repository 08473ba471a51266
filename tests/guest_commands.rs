//! The guest program under the commands of a host: real memory, real clock, a real socket, no VM.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use sully::record::Body;
use sully::wire::decode_record;

/// A guest of one writer at 1 MiB/s, and the host's end of its socket.
fn guest() -> (Child, UnixStream) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let run = format!("run -m 16M -r 1M/s -t 1 -i 20ms --baseline 0s --report unix:{}", path.display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_sully"));
    let child = command.args(run.split(' ')).stdout(Stdio::null()).spawn().unwrap();
    (child, listener.accept().unwrap().0)
}

#[test]
fn a_host_replaces_the_load_while_it_runs_and_the_records_show_it() {
    let (mut child, mut socket) = guest();
    let lines = BufReader::new(socket.try_clone().unwrap()).lines();
    socket.write_all(b"{\"type\":\"set\",\"id\":1,\"rate\":\"quick\"}\n{\"type\":\"set\",\"id\":2,\"rate\":\"2M/s\"}\n").unwrap();
    let (mut behind, mut replies) = (0, Vec::new());
    // Each rate is waited for, and the next command given when an interval shows it.
    let mut awaited = VecDeque::from([
        (512, "{\"type\":\"pause\",\"id\":3}\n"),
        (0, "{\"type\":\"resume\",\"id\":4}\n"),
        (512, "{\"type\":\"stop\",\"id\":5}\n"),
    ]);
    let mut loads = Vec::new();
    for line in lines.map_while(Result::ok) {
        match decode_record(line.as_bytes()).unwrap().body {
            Body::Reply(reply) => replies.push((reply.to, reply.error)),
            Body::Load(load) => loads.push(load.rate.to_string()),
            Body::Interval(interval) => {
                let past = interval.writes + interval.missed.unwrap() + interval.backlog.unwrap();
                assert_eq!(interval.offered.unwrap() + behind, past);
                behind = interval.backlog.unwrap();
                if let Some((_, next)) =
                    awaited.pop_front_if(|(rate, _)| Some(*rate) == interval.target_pages_per_s)
                {
                    socket.write_all(next.as_bytes()).unwrap();
                }
            }
            _ => {}
        }
    }
    assert!(child.wait().unwrap().success() && awaited.is_empty(), "{awaited:?}");
    assert!(matches!(&replies[0], (Some(1), Some(error)) if error.contains("rate: 'quick'")), "{replies:?}");
    assert_eq!(replies[1..], [2, 3, 4, 5].map(|id| (Some(id), None)));
    assert_eq!(loads, ["2M/s", "0", "2M/s"]);
}

/// Runs `plan` to its end; what it told.
fn run_plan(plan: &str, flags: &str) -> (Option<i32>, String, Vec<Body>) {
    let dir = tempfile::tempdir().unwrap();
    let (path, report) = (dir.path().join("plan.toml"), dir.path().join("out"));
    std::fs::write(&path, plan).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_sully"))
        .args(["run", "--plan"])
        .arg(&path)
        .args(flags.split_whitespace())
        .arg("--report")
        .arg(format!("file:{}", report.display()))
        .output()
        .unwrap();
    let lines = std::fs::read_to_string(&report).unwrap_or_default();
    let bodies = lines.lines().map(|line| decode_record(line.as_bytes()).unwrap().body).collect();
    (output.status.code(), String::from_utf8(output.stderr).unwrap(), bodies)
}

#[test]
fn the_phases_of_a_plan_follow_each_other_with_their_loads_and_end_the_run() {
    let plan = "memory = \"16M\"\nthreads = 1\ninterval = \"50ms\"\nbaseline = \"100ms\"\nrate = \"2M/s\"\n\
                [[phase]]\nname = \"up\"\nduration = \"400ms\"\nramp = \"0..4096p/s\"\n\
                [[phase]]\nname = \"random\"\nduration = \"200ms\"\npattern = \"random\"\n";
    let (code, message, bodies) = run_plan(plan, "-r 1M/s");
    assert_eq!(code, Some(0), "{message}");
    let phases: Vec<&str> = bodies
        .iter()
        .filter_map(|body| match body {
            Body::Phase(phase) => Some(phase.phase.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(phases, ["baseline", "up", "random"]);
    let targets = |name: &str| -> Vec<u64> {
        let own = bodies.iter().filter_map(|body| match body {
            Body::Interval(interval) if interval.phase == name => interval.target_pages_per_s,
            _ => None,
        });
        own.collect()
    };
    assert!(targets("baseline").iter().all(|target| *target == 0), "the beginning of the ramp");
    let up = targets("up");
    assert!(up.windows(2).all(|pair| pair[0] <= pair[1]) && up.last() > up.first(), "{up:?}");
    // What was typed goes before the file; the first interval may have the last moment of the ramp in it.
    assert!(targets("random").len() > 1 && targets("random")[1..].iter().all(|target| *target == 256));
    let Some(Body::End(end)) = bodies.last() else { panic!("no end") };
    let (writes, offered) = (end.totals.writes, end.totals.offered.unwrap());
    // 4096 p/s / 2 over 0.4 s, and 256 p/s over 0.2 s.
    assert!(offered.abs_diff(819 + 51) < 80 && writes <= offered, "{writes} of {offered}");
    let Body::Hello(hello) = &bodies[0] else { panic!("no hello") };
    assert_eq!(hello.plan.phases.len(), 2);
}

#[test]
fn a_wrong_plan_is_answered_with_its_lines_and_nothing_is_dirtied() {
    let (code, message, bodies) = run_plan("memry = \"16M\"\n[[phase]]\nrate = \"1\"\n", "");
    assert_eq!((code, bodies.len()), (Some(2), 0));
    for part in
        ["plan.toml", "line 1: there is no key 'memry'; ", "did you mean memory?", "line 3: rate: '1'"]
    {
        assert!(message.replace("\n  ", "; ").contains(part), "{part}\n{message}");
    }
    let (code, message, _) = run_plan("[[phase]]\nname = \"a\"\nramp = \"0..1M/s\"\n", "-m 16M");
    assert!(code == Some(2) && message.contains("phase 1 'a': the ramp"), "{message}");
}

#[test]
fn the_plans_that_come_with_the_program_are_plans() {
    let plans = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("guest-image/plans");
    let mut checked = 0;
    for entry in std::fs::read_dir(plans).unwrap() {
        let output = Command::new(env!("CARGO_BIN_EXE_sully"))
            .args(["check", "-m", "64M", "--plan"])
            .arg(entry.unwrap().path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        checked += 1;
    }
    assert!(checked >= 3);
}

#[test]
fn a_host_names_phases_has_pages_looked_at_and_asks_what_is_going_on() {
    let (mut child, mut socket) = guest();
    let lines = BufReader::new(socket.try_clone().unwrap()).lines();
    socket
        .write_all(b"{\"type\":\"phase\",\"id\":1,\"name\":\"mine\"}\n{\"type\":\"sweep\",\"id\":2}\n")
        .unwrap();
    let (mut asked, mut seen) = (2u64, None);
    for line in lines.map_while(Result::ok) {
        match decode_record(line.as_bytes()).unwrap().body {
            Body::Interval(interval) if interval.phase == "mine" && seen.is_none() => {
                asked += 1;
                let line = format!("{{\"type\":\"status\",\"id\":{asked}}}\n");
                socket.write_all(line.as_bytes()).unwrap();
            }
            Body::Reply(reply) => {
                assert!(reply.ok, "{reply:?}");
                if let Some(status) = reply.status.filter(|status| status.sweeps == 1 && seen.is_none()) {
                    socket.write_all(b"{\"type\":\"stop\"}\n").unwrap();
                    seen = Some(status);
                }
            }
            _ => {}
        }
    }
    let status = seen.unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!((status.phase.as_str(), status.paused, status.corrupt_pages), ("mine", false, Some(0)));
    assert_eq!(status.load.rate.to_string(), "1M/s");
}
