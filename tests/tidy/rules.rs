//! The rules that look at one file at a time. Each returns its offences as `path:line: what is wrong`.

use crate::{
    lex,
    tree::{File, Tree},
};

/// No file is longer.
pub const FILE_LINES: usize = 400;
/// Half of the files are at most this long.
pub const MEDIAN_LINES: usize = 150;
/// No function is longer.
pub const FUNCTION_LINES: usize = 60;

/// Modules in which `unsafe` lives.
const UNSAFE_HOMES: [&str; 2] = ["src/region/", "src/clock/"];
/// Single files of system calls that nix does not have, and of what the static C library is to leave out.
pub const SYSTEM_CALL_SHIMS: [&str; 5] = [
    "src/port/link.rs",
    "src/engine/realtime.rs",
    "src/probe/dirty_log.rs",
    "src/bin/sully/static_libc.rs",
    "tests/fidelity/late_pages.rs",
];

/// Files that do not say in their first line what they are.
pub fn without_a_sentence(tree: &Tree) -> Vec<String> {
    let silent = tree.rust().filter(|file| {
        let first = file.text.lines().next().unwrap_or("");
        first.strip_prefix("//! ").is_none_or(|sentence| sentence.trim().len() < 8)
    });
    silent.map(|file| format!("{}:1: does not open with a `//!` sentence", file.path)).collect()
}

/// Files above the limit.
pub fn too_long(tree: &Tree) -> Vec<String> {
    let long = tree.rust().filter(|file| file.text.lines().count() > FILE_LINES);
    long.map(|file| format!("{}: {} lines, at most {FILE_LINES}", file.path, file.text.lines().count()))
        .collect()
}

/// The median length of a file.
pub fn median_lines(tree: &Tree) -> usize {
    let mut lengths: Vec<_> = tree.rust().map(|file| file.text.lines().count()).collect();
    lengths.sort_unstable();
    lengths.get(lengths.len() / 2).copied().unwrap_or(0)
}

/// Functions above the limit.
pub fn long_functions(tree: &Tree) -> Vec<String> {
    let mut offences = Vec::new();
    for file in tree.rust() {
        for (name, start, end) in functions(&file.code) {
            let lines = lex::line_of(&file.code, end - 1) - lex::line_of(&file.code, start) + 1;
            if lines > FUNCTION_LINES {
                let line = lex::line_of(&file.code, start);
                offences.push(format!(
                    "{}:{line}: fn {name} has {lines} lines, at most {FUNCTION_LINES}",
                    file.path
                ));
            }
        }
    }
    offences
}

/// Name, first and last byte of every function that has a body.
fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for at in lex::words(code, "fn") {
        let rest = code[at + 2..].trim_start();
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let (open, semicolon) = (code[at..].find('{'), signature_end(&code[at..]));
        match (open, semicolon) {
            (Some(open), semicolon) if !name.is_empty() && semicolon.is_none_or(|end| open < end) => {
                found.push((name, at, lex::closing_brace(code, at + open)));
            }
            _ => {}
        }
    }
    found
}

/// The semicolon that ends a function without a body; one inside `[u8; 4]` does not.
fn signature_end(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    text.bytes().position(|byte| {
        match byte {
            b'[' => depth += 1,
            b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        byte == b';' && depth == 0
    })
}

/// `unsafe` outside its homes, and homes that do not say why.
pub fn stray_unsafe(tree: &Tree) -> Vec<String> {
    let mut offences = Vec::new();
    for file in tree.rust() {
        let Some(at) = lex::words(&file.code, "unsafe").next() else { continue };
        let line = lex::line_of(&file.code, at);
        let home = UNSAFE_HOMES.iter().any(|home| file.path.starts_with(home));
        if !home && !SYSTEM_CALL_SHIMS.contains(&file.path.as_str()) {
            offences.push(format!("{}:{line}: `unsafe` outside its homes", file.path));
        } else if !without_spaces(&file.code).contains("expect(unsafe_code,reason=") {
            offences
                .push(format!("{}:{line}: no `#![expect(unsafe_code, reason = ...)]` at the top", file.path));
        }
    }
    offences
}

/// Notes to oneself and debugging output that were left behind, in files of any kind.
pub fn leftovers(tree: &Tree) -> Vec<String> {
    let notes = [["TO", "DO"], ["FIX", "ME"], ["X", "XX"]].map(|parts| parts.concat());
    let mut offences = Vec::new();
    for file in tree.files.values() {
        for note in &notes {
            offences.extend(at_each(file, &file.text, lex::words(&file.text, note), note));
        }
        let debugging = lex::words(&file.code, "dbg").filter(|at| file.code[at + 3..].starts_with('!'));
        offences.extend(at_each(file, &file.code, debugging, "a debugging macro"));
    }
    offences
}

/// Lints silenced for good; `#[expect]` with a reason tells when it is no longer needed.
pub fn silenced_lints(tree: &Tree) -> Vec<String> {
    in_attributes(
        tree,
        "allow",
        |behind| behind.starts_with('('),
        "a lint is silenced; use #[expect(.., reason)]",
    )
}

/// Tests that nobody runs.
pub fn ignored_tests(tree: &Tree) -> Vec<String> {
    let end = |behind: &str| behind.starts_with([']', '=', ',', ')']);
    in_attributes(tree, "ignore", end, "an ignored test; let it skip aloud, or remove it")
}

/// Words inside `#[...]` that `accept` recognises by what follows.
fn in_attributes(tree: &Tree, word: &str, accept: impl Fn(&str) -> bool, what: &str) -> Vec<String> {
    let mut offences = Vec::new();
    for file in tree.rust() {
        let hits = lex::words(&file.code, word).filter(|at| {
            let before = &file.code[..*at];
            let attribute = before.rfind("#[").max(before.rfind("#!["));
            let inside = attribute.is_some_and(|start| !before[start..].contains(']'));
            inside && accept(file.code[at + word.len()..].trim_start())
        });
        offences.extend(at_each(file, &file.code, hits, what));
    }
    offences
}

/// Fields of records whose names are not on the wire: flattened into the record, or renamed to `self`.
const FLATTENED: [&str; 4] = ["body", "record", "self_facts", "self_cost"];

/// Fields of records that the page about the wire does not name.
pub fn undocumented_fields(tree: &Tree) -> Vec<String> {
    let page = tree.files.get("docs/WIRE.md").map_or("", |file| file.text.as_str());
    let mut offences = Vec::new();
    for file in tree.sources().filter(|file| file.path.starts_with("src/record/")) {
        for at in lex::words(&file.code, "pub") {
            let rest = &file.code[at + 4..];
            let field: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let is_field = rest[field.len()..].starts_with(':') && !rest[field.len()..].starts_with("::");
            let on_the_wire = !FLATTENED.contains(&field.as_str());
            if is_field && on_the_wire && !page.contains(&format!("`{field}`")) {
                offences.push(format!("{}: `{field}` is not in docs/WIRE.md", file.path));
            }
        }
    }
    offences
}

/// Directories of one person's machine.
pub fn machine_paths(tree: &Tree) -> Vec<String> {
    let roots = ["work", "root", "home"].map(|name| format!("/{name}/"));
    let mut offences = Vec::new();
    for file in tree.files.values() {
        for root in &roots {
            let hits = file.text.match_indices(root.as_str()).map(|(at, _)| at).filter(|at| {
                let before = at.checked_sub(1).map(|before| file.text.as_bytes()[before]);
                !before.is_some_and(|byte| lex::is_word(byte) || b"./-}".contains(&byte))
            });
            offences.extend(at_each(file, &file.text, hits, "a path of one machine"));
        }
    }
    offences
}

fn at_each(file: &File, text: &str, hits: impl Iterator<Item = usize>, what: &str) -> Vec<String> {
    hits.map(|at| format!("{}:{}: {what}", file.path, lex::line_of(text, at))).collect()
}

fn without_spaces(code: &str) -> String {
    code.split_whitespace().collect()
}

/// Constants that keep streams of random numbers apart (`..._SEED`), of which two are the same.
pub fn seeds_used_twice(tree: &Tree) -> Vec<String> {
    let mut known: Vec<(String, String)> = Vec::new();
    let mut offences = Vec::new();
    for file in tree.sources() {
        for (line, number) in file.code.lines().zip(1..) {
            let Some((name, value)) = line.split_once("_SEED: u64 = ") else { continue };
            let name = name.rsplit(' ').next().unwrap_or(name);
            let value = value.trim_end_matches(';').to_owned();
            let place = format!("{}:{number}: {name}_SEED", file.path);
            match known.iter().find(|(_, known)| *known == value) {
                Some((other, _)) => offences.push(format!("{place} is the seed of {other}")),
                None => known.push((place, value)),
            }
        }
    }
    if known.len() < 3 {
        offences.push(format!("only {} seeds were found: is that all there are?", known.len()));
    }
    offences
}
