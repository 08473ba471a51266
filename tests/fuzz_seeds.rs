//! The fuzz targets without a fuzzer: every seed, and thousands of seeds spoilt by chance, the same ones each time.
//!
//! Each target runs in a process of its own, which the kernel gives so little memory that a reader which believes a length
//! dies of it.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../fuzz/src/lib.rs"]
mod targets;

use nix::sys::resource::{Resource, setrlimit};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use targets::{TARGETS, Target};

/// Spoilt seeds for each target.
const SPOILT: usize = 3000;
/// The longest input that is made, in bytes.
const LONGEST_BYTES: usize = 16 << 10;
/// All the memory a target may take, the program itself and the seeds included. Zstandard's window alone may be 8 MiB.
const MEMORY_BYTES: u64 = 96 << 20;
/// Which target the process under the limit is to try.
const TARGET_VARIABLE: &str = "SULLY_FUZZ_SEEDS_TARGET";
/// A target that takes more than it may.
const GREEDY: &str = "greedy";
/// Words of the texts that are read, in the form of libFuzzer.
const WORDS: &str = include_str!("../fuzz/words.dict");

/// The words, as bytes: `\\`, `\"` and `\xNN` stand for one each.
fn words() -> Vec<Vec<u8>> {
    let quoted = WORDS.lines().filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    quoted.map(|text| unescaped(text.as_bytes())).collect()
}

fn unescaped(mut text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let [first, rest @ ..] = text {
        let (byte, used) = match (first, rest) {
            (b'\\', [b'x', high, low, ..]) => (hex(&[*high, *low]), 4),
            (b'\\', [literal, ..]) => (*literal, 2),
            _ => (*first, 1),
        };
        bytes.push(byte);
        text = &text[used..];
    }
    bytes
}

fn hex(digits: &[u8]) -> u8 {
    u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap()
}

/// The seeds of a target by path, in order; for the wire, the golden lines too.
fn seeds(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut directories = vec![project.join("fuzz/corpus").join(name)];
    directories.extend(name.starts_with("wire_").then(|| project.join("tests/golden/v1")));
    let files = directories.iter().flat_map(|directory| std::fs::read_dir(directory).unwrap());
    let mut paths: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// A number below `end`; 0 where there is none.
fn below(numbers: &mut Xoshiro256PlusPlus, end: usize) -> usize {
    usize::try_from(numbers.next_u64() % (end as u64).max(1)).unwrap()
}

/// One change: a bit, a byte, a word, a piece taken out, doubled or brought from another seed, or the end cut off.
fn spoil(input: &mut Vec<u8>, other: &[u8], words: &[Vec<u8>], numbers: &mut Xoshiro256PlusPlus) {
    let word = &words[below(numbers, words.len())];
    let at = below(numbers, input.len());
    let end = at + below(numbers, (input.len() - at).min(64) + 1);
    match below(numbers, 7) {
        0 if !input.is_empty() => input[at] ^= 1 << below(numbers, 8),
        1 if !input.is_empty() => input[at] = numbers.next_u64().to_le_bytes()[0],
        2 => drop(input.splice(at..at, word.iter().copied())),
        3 => drop(input.splice(at..end, word.iter().copied())),
        4 => drop(input.drain(at..end)),
        5 => {
            let from = below(numbers, other.len());
            let piece = &other[from..(from + below(numbers, 256)).min(other.len())];
            drop(input.splice(at..at, piece.iter().copied()));
        }
        _ => input.truncate(input.len() - below(numbers, input.len().min(64) + 1)),
    }
    input.truncate(LONGEST_BYTES);
}

/// Where the input under way is kept, so that it is there whatever becomes of the process.
fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-find"))
}

/// Runs a target. What it cannot bear stays in its file.
fn bears(name: &str, target: Target, input: &[u8], what: &str) {
    std::fs::write(kept(name), input).unwrap();
    assert!(std::panic::catch_unwind(|| target(input)).is_ok(), "{name} cannot bear {what}");
}

/// Tries a target in a process of its own, under the limit: this program again, with its first test alone.
fn under_the_limit(name: &str) -> Output {
    const FIRST_TEST: &str = "a_target_that_takes_more_memory_than_it_may_is_ended";
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", FIRST_TEST, "--nocapture", "--test-threads=1"]);
    child.env(TARGET_VARIABLE, name).output().unwrap()
}

/// What the process under the limit does.
fn try_under_the_limit(name: &str) {
    setrlimit(Resource::RLIMIT_DATA, MEMORY_BYTES, MEMORY_BYTES).unwrap();
    if name == GREEDY {
        let bytes = usize::try_from(MEMORY_BYTES).unwrap();
        assert_eq!(std::hint::black_box(vec![1u8; bytes]).len(), bytes);
        return;
    }
    bears_all_here(name);
}

#[test]
fn a_target_that_takes_more_memory_than_it_may_is_ended() {
    if let Ok(name) = std::env::var(TARGET_VARIABLE) {
        return try_under_the_limit(&name);
    }
    let output = under_the_limit(GREEDY);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("memory allocation of"), "{said}");
}

fn bears_all(name: &str) {
    let output = under_the_limit(name);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{name} ({}): the bytes under way are in {}\n{said}",
        output.status,
        kept(name).display()
    );
}

fn bears_all_here(name: &str) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    let seeds = seeds(name);
    for (path, seed) in &seeds {
        bears(name, *target, seed, &path.display().to_string());
    }
    let (words, mut numbers) = (words(), Xoshiro256PlusPlus::seed_from_u64(1));
    for round in 0..SPOILT {
        let (path, seed) = &seeds[below(&mut numbers, seeds.len())];
        let (_, other) = &seeds[below(&mut numbers, seeds.len())];
        let mut input = seed[..seed.len().min(LONGEST_BYTES)].to_vec();
        for _ in 0..=below(&mut numbers, 4) {
            spoil(&mut input, other, &words, &mut numbers);
        }
        bears(name, *target, &input, &format!("round {round}, from {}", path.display()));
    }
}

#[test]
fn packages_of_any_bytes_are_borne() {
    bears_all("archives");
}

#[test]
fn histograms_of_any_bytes_are_borne() {
    bears_all("histogram");
}

#[test]
fn plan_files_of_any_text_are_borne() {
    bears_all("plan_file");
}

#[test]
fn whatever_comes_from_two_sockets_is_borne() {
    bears_all("stream");
}

#[test]
fn modules_of_any_bytes_are_borne() {
    bears_all("modinfo");
}

#[test]
fn texts_of_any_kind_are_borne() {
    bears_all("plan_text");
}

#[test]
fn whatever_speaks_for_qemu_is_borne() {
    bears_all("qmp_stream");
}

#[test]
fn scenarios_of_any_text_are_borne() {
    bears_all("scenario_toml");
}

#[test]
fn whatever_a_host_says_is_borne() {
    bears_all("wire_command");
}

#[test]
fn whatever_a_guest_says_is_borne() {
    bears_all("wire_record");
}

#[test]
fn the_words_are_those_that_a_fuzzer_reads() {
    assert_eq!(unescaped(br#"a\\\"\x1b[\xff"#), b"a\\\"\x1b[\xff");
    assert!(words().len() > 50 && words().contains(&b"\n".to_vec()));
}

#[test]
fn every_target_has_its_seeds_and_its_program() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, _) in TARGETS {
        assert!(!seeds(name).is_empty(), "no seeds for {name}");
        assert!(project.join(format!("fuzz/src/bin/{name}.rs")).is_file(), "no fuzz/src/bin/{name}.rs");
    }
    for (directory, more) in [("fuzz/corpus", 0), ("fuzz/src/bin", 1)] {
        // The planted fault has a program and no seeds.
        let entries = std::fs::read_dir(project.join(directory)).unwrap();
        assert_eq!(entries.count(), TARGETS.len() + more, "{directory}");
    }
}
