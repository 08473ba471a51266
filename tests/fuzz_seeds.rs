//! The fuzz targets without a fuzzer: every seed, and thousands of seeds spoilt by chance, the same ones each time.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../fuzz/src/lib.rs"]
mod targets;

use rand_xoshiro::{
    Xoshiro256PlusPlus,
    rand_core::{Rng, SeedableRng},
};
use std::path::{Path, PathBuf};
use targets::{TARGETS, Target};

/// Spoilt seeds for each target.
const SPOILT: usize = 3000;
/// The longest input that is made, in bytes.
const LONGEST_BYTES: usize = 16 << 10;
/// What readers like least.
const TOKENS: [&[u8]; 20] = [
    b"\n",
    b"{",
    b"}",
    b"[",
    b"\"",
    b"\\u0000",
    b"null",
    b"-1",
    b"1e999",
    b"18446744073709551615",
    b"0",
    b"18446744073709551616",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x80",
    b"\x1b[2J",
    b"</script>",
    b"../",
    b"%",
    b"=",
];

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

/// One change: a bit, a byte, a token, a piece taken out, doubled or brought from another seed, or the end cut off.
fn spoil(input: &mut Vec<u8>, other: &[u8], numbers: &mut Xoshiro256PlusPlus) {
    let at = below(numbers, input.len());
    let end = at + below(numbers, (input.len() - at).min(64) + 1);
    match below(numbers, 7) {
        0 if !input.is_empty() => input[at] ^= 1 << below(numbers, 8),
        1 if !input.is_empty() => input[at] = numbers.next_u64().to_le_bytes()[0],
        2 => drop(input.splice(at..at, TOKENS[below(numbers, TOKENS.len())].iter().copied())),
        3 => drop(input.splice(at..end, TOKENS[below(numbers, TOKENS.len())].iter().copied())),
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

/// Runs a target; what it cannot bear is kept in a file.
fn bears(name: &str, target: Target, input: &[u8], what: &str) {
    if std::panic::catch_unwind(|| target(input)).is_err() {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-find"));
        std::fs::write(&kept, input).unwrap();
        panic!("{name} cannot bear {what}; the bytes are in {}", kept.display());
    }
}

fn bears_all(name: &str) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    let seeds = seeds(name);
    assert!(!seeds.is_empty(), "no seeds for {name}");
    for (path, seed) in &seeds {
        bears(name, *target, seed, &path.display().to_string());
    }
    let mut numbers = Xoshiro256PlusPlus::seed_from_u64(1);
    for round in 0..SPOILT {
        let (path, seed) = &seeds[below(&mut numbers, seeds.len())];
        let (_, other) = &seeds[below(&mut numbers, seeds.len())];
        let mut input = seed[..seed.len().min(LONGEST_BYTES)].to_vec();
        for _ in 0..=below(&mut numbers, 4) {
            spoil(&mut input, other, &mut numbers);
        }
        bears(name, *target, &input, &format!("round {round}, from {}", path.display()));
    }
}

#[test]
fn packages_of_any_bytes_are_borne() {
    bears_all("archives");
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
fn every_target_has_its_seeds_and_its_program() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, _) in TARGETS {
        assert!(!seeds(name).is_empty(), "no seeds for {name}");
        assert!(project.join(format!("fuzz/fuzz_targets/{name}.rs")).is_file(), "no fuzz_targets/{name}.rs");
    }
    assert_eq!(std::fs::read_dir(project.join("fuzz/fuzz_targets")).unwrap().count(), TARGETS.len());
}
