//! A run directory whose guest meant harm with every field it sent, and the reports made of it.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

mod hostile;

use hostile::HARM;
/// Everything a guest can send, one record every millisecond of the host's clock.
fn records(text: &str) -> Vec<u8> {
    let mut lines = Vec::new();
    for (at, mut record) in (0_u64..).zip(hostile::records(text)) {
        record["session"] = json!("ae7e612df37d7353");
        record["seq"] = json!(at);
        record["host_ns"] = json!(1_000_000_000 + at * 1_000_000);
        record["side"] = json!(if at < 300 { "source" } else { "destination" });
        lines.extend(serde_json::to_vec(&record).unwrap());
        lines.push(b'\n');
    }
    lines
}

fn run_json(text: &str) -> Value {
    let at = |name: &str, ms: u64| json!({ "name": name, "host_ns": 1_000_000_000 + ms * 1_000_000 });
    json!({
        "schema": 1, "name": text, "scenario": { "load": { text: text } }, "provenance": { "guest_kernel": text }, "verdict":
        { "outcome": "judged", "reasons": [text] }, "clock": { "mono_ns": 1, "real_ns": 2 }, "stream": {},
        "milestones": [at("boot", 0), at("hello", 1), at("steady", 60), at("migrate", 100), at("stop", 290),
        at("resume", 300), at("completed", 310), at("settled", 500), at("end", 600)],
        "source": { "error": text, "downtime_ms": u64::MAX }, "destination": { "postcopy_latency_dist": vec![u64::MAX; 99] },
        "cycles": [cycle(text, u64::MAX), cycle(text, 0)],
    })
}

fn cycle(text: &str, most: u64) -> Value {
    let pages = json!({ "looked_at": most, "of": most, "corrupt": most });
    json!({ "number": u32::MAX, "began_ns": most, "dirtied_pages": most, "save_ns": most, "file_bytes": most,
        "stored_bytes": most / 2, "restore_ns": most, "first_touch_reason": text, "paid_reason": text, "recover_reason": text,
        "pages": pages, "fork": { "restore_ns": most, "session": "00c0ffee00c0ffee", "is_apart": true, "pages": pages } })
}

/// A run directory in which every text of the guest is `text`.
fn run_directory(parent: &Path, name: &str, text: &str) -> PathBuf {
    let dir = parent.join(name);
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("records.ndjson"), records(text)).unwrap();
    let sample = json!({ "host_ns": 1_150_000_000_u64, "side": "source", "type": "sample", "status": text,
        "total_time_ms": u64::MAX, "ram": { "dirty_pages_per_s": u64::MAX, "total_bytes": u64::MAX } });
    let event = json!({ "host_ns": 1_200_000_000_u64, "side": "source", "type": "event", "event": text,
        "qemu_real_us": u64::MAX, "data": { "pass": text } });
    std::fs::write(dir.join("qemu.ndjson"), format!("{sample}\n{event}\n")).unwrap();
    std::fs::write(dir.join("console-source.log"), text).unwrap();
    std::fs::write(dir.join("run.json"), run_json(text).to_string()).unwrap();
    dir
}

/// A session's directory in which every text of guest and collector is `text`.
fn session_directory(parent: &Path, name: &str, text: &str) -> PathBuf {
    let dir = parent.join(name);
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("records.ndjson"), records(text)).unwrap();
    let about = json!({ "schema": 1, "session": text, "hostname": text, "sockets": [text], "first_seq": u64::MAX,
        "unkept": u64::MAX, "stream": { "records": u64::MAX, "holes": u64::MAX }, "parent": text,
        "parent_seq": u64::MAX, "reason": text });
    std::fs::write(dir.join("session.json"), about.to_string()).unwrap();
    dir
}

fn report(arguments: &[&str], dirs: &[&Path]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sully-lab"))
        .arg("report")
        .args(arguments)
        .args(dirs)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.chars().all(is_harmless), "{said:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn is_harmless(letter: char) -> bool {
    letter == '\n' || !letter.is_control()
}

#[test]
fn no_field_of_a_guest_steers_a_terminal_or_becomes_markup() {
    let parent = tempfile::tempdir().unwrap();
    let harm = run_directory(parent.path(), "harm", HARM);
    let plain = run_directory(parent.path(), "plain", "plain");
    let session = session_directory(parent.path(), "00c0ffee00c0ffee", HARM);
    for dirs in [vec![harm.as_path()], vec![harm.as_path(), plain.as_path()], vec![session.as_path()]] {
        let text = report(&["--text"], &dirs);
        let steering: Vec<&str> = text.lines().filter(|line| !line.chars().all(is_harmless)).collect();
        assert!(steering.is_empty(), "{steering:?}");
        serde_json::from_str::<Value>(&report(&["--json"], &dirs)).unwrap();
        let markdown = report(&["--markdown"], &dirs);
        assert!(markdown.chars().all(is_harmless) && markdown.contains("alert(1)"), "{markdown:?}");
        // A console stands there as it is, indented, which is code.
        let prose = markdown.lines().filter(|line| !line.starts_with("    ")).collect::<Vec<_>>().join("\n");
        for markup in ["<img", "</script", "&quot;"] {
            assert!(!prose.replace("\\<", "").contains(markup), "{prose}");
        }
    }
    let page = |dir: &Path| {
        let file = parent.path().join("page.html");
        report(&["-o", file.to_str().unwrap()], &[dir]);
        std::fs::read_to_string(file).unwrap()
    };
    let unharmed = page(&plain);
    for harmed in [page(&harm), page(&session)] {
        assert!(harmed.contains("alert(1)"), "it is shown");
        assert!(!harmed.contains("<img"));
        assert!(harmed.chars().all(is_harmless), "no character of it steers anything");
        for tag in ["<script", "</script"] {
            assert_eq!(harmed.matches(tag).count(), unharmed.matches(tag).count(), "{tag}");
        }
    }
    let made: Vec<_> =
        std::fs::read_dir(parent.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(made.len(), 4, "{made:?}");
}

#[test]
fn no_name_begins_a_line_of_its_own_and_no_path_steers_a_terminal() {
    let parent = tempfile::tempdir().unwrap();
    let dir = run_directory(parent.path(), "x\u{1b}[2J\n001", "one\nVerdict: passed.\u{202e}");
    for line in report(&["--text"], &[&dir]).lines() {
        assert!(!line.starts_with("Verdict: passed") && !line.contains('\u{202e}'), "{line}");
    }
    let page = report(&[], &[&dir]);
    assert!(page.contains("The same with charts: ") && page.chars().all(is_harmless), "{page}");
    std::fs::remove_file(dir.join("run.json")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_sully-lab")).arg("report").arg(&dir).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.chars().all(is_harmless), "{said:?}");
}

#[test]
fn a_page_that_cannot_be_written_costs_the_page_and_not_the_text() {
    let dir = tempfile::tempdir().unwrap();
    let run = run_directory(dir.path(), "x-001", "harmless");
    // Not even root writes a file where a directory is.
    std::fs::create_dir(run.join("report.html")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_sully-lab")).arg("report").arg(&run).output().unwrap();
    let (text, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(text.contains("Verdict: failed") && !text.contains("The same with charts"), "{text}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.contains("cannot write the report to") && said.matches("no regular file").count() == 1,
        "{said}"
    );
}
