//! One type name, one meaning: types that leave their file, and names that several files give to such a type.

use crate::{
    lex,
    paths::{self, without_visibility},
    tree::Tree,
};
use std::collections::{BTreeMap, BTreeSet};

/// Names of today that mean several things, and in how many files. Whoever renames one takes it from this list; none is
/// added.
const REPEATED: &[(&str, usize)] = &[
    ("Answer", 2),
    ("Asked", 3),
    ("Chosen", 2),
    ("Control", 2),
    ("Course", 2),
    ("Desk", 2),
    ("Facts", 2),
    ("Faults", 3),
    ("Findings", 2),
    ("Group", 2),
    ("Guest", 2),
    ("Hotspot", 2),
    ("Keeper", 2),
    ("Line", 2),
    ("Options", 2),
    ("Pair", 2),
    ("Phase", 2),
    ("Place", 2),
    ("Port", 2),
    ("PortError", 2),
    ("Postcopy", 2),
    ("Progress", 2),
    ("Ramp", 2),
    ("Request", 2),
    ("Seen", 2),
    ("Settling", 2),
    ("Stamps", 2),
    ("Status", 2),
    ("Sums", 2),
    ("Table", 2),
    ("TimeByClass", 2),
    ("Told", 2),
    ("Trouble", 2),
    ("Verdict", 2),
    ("Vm", 2),
    ("Work", 3),
];

/// What defines a type, or a trait.
const KEYWORDS: [&str; 5] = ["struct", "enum", "trait", "type", "union"];

/// Names that more files give to a type than the list above allows.
pub fn repeated(tree: &Tree) -> Vec<String> {
    let offence = |(name, places): (&String, &BTreeSet<String>)| {
        let allowed = REPEATED.iter().find(|(known, _)| known == name).map_or(1, |(_, count)| *count);
        (places.len() > allowed).then(|| {
            let places: Vec<_> = places.iter().map(String::as_str).collect();
            format!("{}: `{name}` is a type of each: give it one meaning", places.join(", "))
        })
    };
    defined(tree).iter().filter_map(offence).collect()
}

/// The types that leave their file, each with the files that define one of that name. Tests' own are left out.
fn defined(tree: &Tree) -> BTreeMap<String, BTreeSet<String>> {
    let mut defined: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in tree.sources().filter(|file| !paths::is_test_file(&file.path)) {
        let (code, inlines) = (file.code.as_str(), paths::inline_modules(&file.code));
        for keyword in KEYWORDS {
            for at in lex::words(code, keyword).filter(|at| !paths::in_test(&inlines, *at)) {
                let before = code[..at].trim_end();
                if without_visibility(before).len() < before.len() {
                    let rest = code[at + keyword.len()..].trim_start();
                    let name = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    defined.entry(name).or_default().insert(file.path.clone());
                }
            }
        }
    }
    defined
}
