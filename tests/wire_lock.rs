//! Binds the page about the wire to the types it explains: neither changes without a look at the other.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};

const LOCK: &str = "docs/wire.lock";
const PAGE: &str = "docs/WIRE.md";
/// What the page explains: records and commands as their schemas say them, fields and sentences, and the types that
/// only the run directory has.
const TYPES: [&str; 4] = [
    "docs/schema/commands-v1.json",
    "docs/schema/records-v1.json",
    "src/record/migration.rs",
    "src/record/run.rs",
];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// FNV-1a of 64 bits: small, and the same for ever.
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// Types without their functions and tests: what stands between a `{` and the `}` at the beginning of a line is left
/// out where it belongs to an `impl`, and everything behind the tests' attribute.
fn declarations(source: &str) -> String {
    let mut kept = String::new();
    let mut within = false;
    for line in source.lines().take_while(|line| *line != "#[cfg(test)]") {
        within |= line.starts_with("impl");
        if !within {
            kept.push_str(line);
            kept.push('\n');
        }
        within &= line != "}";
    }
    kept
}

fn types() -> u64 {
    let text = |name: &&str| {
        let text = std::fs::read_to_string(path(name)).unwrap();
        if name.starts_with("src/") { declarations(&text) } else { text }
    };
    hash(&TYPES.iter().map(text).collect::<String>())
}

fn lock(types: u64, page: u64) -> String {
    format!("types {types:016x}\npage {page:016x}\n")
}

#[test]
fn the_page_about_the_wire_and_the_types_change_together() {
    let (types, page) = (types(), hash(&std::fs::read_to_string(path(PAGE)).unwrap()));
    let now = lock(types, page);
    if std::env::var_os("SULLY_RENEW").is_some() {
        std::fs::write(path(LOCK), &now).unwrap();
    }
    let kept = std::fs::read_to_string(path(LOCK)).unwrap_or_default();
    let [types_kept, page_kept] = [0, 1].map(|at| kept.lines().nth(at) == now.lines().nth(at));
    let changed = match (types_kept, page_kept) {
        (true, true) => return,
        (false, true) => format!("the types of the wire changed ({}), and {PAGE} did not", TYPES.join(", ")),
        (true, false) => format!("{PAGE} changed, and the types it explains did not"),
        (false, false) => format!("the types of the wire and {PAGE} changed"),
    };
    panic!("{changed}: read each against the other, then say so: make schema");
}

#[test]
fn the_hash_is_the_published_one() {
    assert_eq!(
        [hash(""), hash("a"), hash("foobar")],
        [0xcbf2_9ce4_8422_2325, 0xaf63_dc4c_8601_ec8c, 0x8594_4171_f739_67e8]
    );
}

#[test]
fn a_field_and_its_sentence_count_and_a_function_does_not() {
    let source = "/// A.\npub struct A {\n    /// B.\n    pub b: u64,\n}\n\nimpl A {\n    fn f() {}\n}\n\npub struct C;\n";
    let kept = hash(&declarations(source));
    assert_eq!(kept, hash(&declarations(&source.replace("fn f()", "fn g()"))));
    assert_eq!(kept, hash(&declarations(&format!("{source}#[cfg(test)]\nmod tests {{}}\n"))));
    for (from, to) in [("/// B.", "/// D."), ("b: u64", "b: u32"), ("struct C", "struct D")] {
        assert_ne!(kept, hash(&declarations(&source.replace(from, to))), "{to}");
    }
}
