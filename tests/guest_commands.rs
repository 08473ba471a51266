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
    guest_of("-r 1M/s")
}

/// The same with a load of these flags.
fn guest_of(load: &str) -> (Child, UnixStream) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let run = format!("run -m 16M {load} -t 1 -i 20ms --baseline 0s --report unix:{}", path.display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_sully"));
    let child = command.args(run.split(' ')).stdout(Stdio::null()).spawn().unwrap();
    (child, listener.accept().unwrap().0)
}

#[test]
fn standard_error_that_takes_nothing_changes_no_exit_code() {
    // The kernel keeps no rate like this: it is said on standard error, and the exit code is 3.
    let flags = "run -m 1M -r 1000000M/s -d 300ms --baseline 0s --report file:/dev/null";
    let mut command = Command::new(env!("CARGO_BIN_EXE_sully"));
    command.args(flags.split(' ')).stdout(Stdio::null());
    let status = command.stderr(std::fs::File::create("/dev/full").unwrap()).status().unwrap();
    assert_eq!(status.code(), Some(3), "{status}");
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
fn regions_of_a_plan_are_filled_written_and_swept_each_in_its_own_way() {
    let plan = "rate = \"16M/s\"\ninterval = \"100ms\"\nbaseline = \"0s\"\nthreads = 1\nduration = \"1s\"\n\
                [[region]]\nname = \"hot\"\nmemory = \"1M\"\nshare = 7\n\
                [[region]]\nname = \"cold\"\nmemory = \"8M\"\nbacking = \"shared\"\npattern = \"random\"\n\
                [[region]]\nname = \"held\"\nmemory = \"2M\"\nshare = 0\n";
    let (code, message, bodies) = run_plan(plan, "");
    assert_eq!(code, Some(0), "{message}");
    let Body::Hello(hello) = &bodies[0] else { panic!("no hello") };
    let regions: Vec<(&str, u64, u32)> = hello
        .plan
        .regions
        .iter()
        .map(|region| (region.name.as_str(), region.memory_bytes >> 20, region.share))
        .collect();
    assert_eq!(regions, [("hot", 1, 7), ("cold", 8, 1), ("held", 2, 0)]);
    assert_eq!((hello.plan.memory_bytes >> 20, hello.plan.threads), (11, 3));
    let Some(Body::End(end)) = bodies.last() else { panic!("no end") };
    assert_eq!(end.totals.pages_swept, Some(11 * 256));
    for body in &bodies {
        if let Body::Interval(interval) = body {
            // Seven eighths of the visits meet 256 pages, the others fewer than they are.
            let unique = interval.pages_unique.unwrap();
            assert!(unique <= 256 + interval.writes / 8 + 60, "{unique} pages of {} visits", interval.writes);
        }
    }
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
        let path = entry.unwrap().path();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sully"));
        command.args(["check", "--plan"]).arg(&path);
        // Regions have a memory of their own.
        let has_regions = std::fs::read_to_string(&path).unwrap().contains("[[region]]");
        let output = if has_regions { &mut command } else { command.args(["-m", "64M"]) }.output().unwrap();
        let (said, failed) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{} {said}{failed}", path.display());
        checked += 1;
    }
    assert!(checked >= 5);
}

#[test]
fn a_pause_holds_the_phases_and_two_phases_at_once_are_both_entered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plan.toml");
    let phase =
        |name: &str, rate| format!("[[phase]]\nname = \"{name}\"\nduration = \"300ms\"\nrate = \"{rate}\"\n");
    std::fs::write(&path, phase("one", "1M/s") + &phase("two", "2M/s") + &phase("three", "3M/s")).unwrap();
    let (mut child, mut socket) = guest_of(&format!("--plan {}", path.display()));
    let lines = BufReader::new(socket.try_clone().unwrap()).lines();
    socket.write_all(b"{\"type\":\"pause\",\"id\":1}\n").unwrap();
    let (mut phases, mut replies, mut held, mut loads) = (Vec::new(), Vec::new(), 0, Vec::new());
    for line in lines.map_while(Result::ok) {
        let record = decode_record(line.as_bytes()).unwrap();
        match record.body {
            Body::Phase(phase) => phases.push((phase.phase, record.mono_ns)),
            Body::Load(load) => loads.push(load.rate.to_string()),
            Body::Reply(reply) => replies.push((reply.to, reply.ok)),
            Body::Interval(interval) if interval.target_pages_per_s == Some(0) => {
                held += 1;
                // Three times as long as the phase.
                if held == 45 {
                    let both = "{\"type\":\"phase\",\"id\":2,\"name\":\"three\"}\n{\"type\":\"phase\",\"id\":3,\"name\":\"two\"}\n";
                    socket.write_all(both.as_bytes()).unwrap();
                } else if held == 50 {
                    socket.write_all(b"{\"type\":\"resume\",\"id\":4}\n").unwrap();
                }
            }
            _ => {}
        }
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(replies, [1, 2, 3, 4].map(|id| (Some(id), true)));
    let names: Vec<&str> = phases.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["one", "three", "two", "three"], "held in one, then both, and on from two");
    assert!(phases[1].1 - phases[0].1 > 600_000_000, "{phases:?}");
    assert_eq!(loads[loads.len() - 2..], ["2M/s", "3M/s"], "{loads:?}");
}

#[test]
fn a_host_names_phases_has_pages_looked_at_and_asks_what_is_going_on() {
    let (mut child, mut socket) = guest();
    let lines = BufReader::new(socket.try_clone().unwrap()).lines();
    socket
        .write_all(b"{\"type\":\"phase\",\"id\":1,\"name\":\"mine\"}\n{\"type\":\"sweep\",\"id\":2}\n")
        .unwrap();
    let (mut asked, mut seen, mut swept) = (2u64, None, None);
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
            Body::Sweep(ended) => swept = Some((ended.sweeps, ended.pages, ended.corrupt_pages)),
            _ => {}
        }
    }
    let status = seen.unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!((status.phase.as_str(), status.paused, status.corrupt_pages), ("mine", false, Some(0)));
    assert_eq!((status.load.rate.to_string().as_str(), swept), ("1M/s", Some((1, 4096, Some(0)))));
    let achieved = status.achieved_pages_per_s.unwrap();
    assert!(achieved > 0 && achieved < 256 * 50, "{achieved} pages a second, asked for 256");
}

#[test]
fn exactly_so_many_pages_are_dirtied_then_all_is_still_until_a_rate_is_set() {
    let (mut child, mut socket) = guest_of("-r 1M/s --dirty 3M");
    let lines = BufReader::new(socket.try_clone().unwrap()).lines();
    let (mut dirtied, mut replies, mut writes, mut unique, mut still) = (Vec::new(), Vec::new(), 0, 0, 0);
    for line in lines.map_while(Result::ok) {
        match decode_record(line.as_bytes()).unwrap().body {
            Body::Hello(hello) => assert_eq!(hello.plan.dirty, Some("3M".parse().unwrap())),
            Body::Dirtied(ended) => dirtied.push((ended.dirties, ended.pages)),
            Body::Reply(reply) => replies.push((reply.to, reply.error)),
            Body::Interval(interval) if dirtied.len() < 3 => {
                writes += interval.writes;
                unique += interval.pages_unique.unwrap();
                still = if interval.writes == 0 { still + 1 } else { 0 };
                // What was dirtied is told, and then nothing is written any more.
                if still == 10 {
                    let more: &[u8] = match dirtied.len() {
                        1 => b"{\"type\":\"dirty\",\"id\":1,\"pages\":4097}\n{\"type\":\"dirty\",\"id\":2,\"pages\":100}\n",
                        _ => b"{\"type\":\"dirty\",\"id\":3,\"pages\":4096}\n{\"type\":\"set\",\"id\":4,\"rate\":\"2M/s\"}\n",
                    };
                    socket.write_all(more).unwrap();
                }
            }
            Body::Interval(interval) if interval.target_pages_per_s == Some(512) && interval.writes > 0 => {
                socket.write_all(b"{\"type\":\"stop\"}\n").unwrap();
            }
            Body::End(end) => assert_eq!(end.totals.corruptions.unwrap().sum(), 0),
            _ => {}
        }
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(dirtied, [(1, 768), (2, 100), (3, 4096)]);
    assert!(
        matches!(&replies[0], (Some(1), Some(error)) if error.contains("4097") && error.contains("1 to 4096"))
    );
    assert_eq!(replies[1..4], [2, 3, 4].map(|id| (Some(id), None)));
    assert!((868..868 + 4096).contains(&writes) && writes == unique, "{writes} visits, {unique} pages");
}
