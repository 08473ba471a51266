//! Every path a source file names, resolved to the crate's root: in `use` trees, in code, in macros.

use crate::{
    lex,
    tree::{self, File},
};

/// A path as written, resolved.
pub struct Named {
    /// From the crate's root, without `crate`.
    pub path: Vec<String>,
    /// Where it stands in the file.
    pub offset: usize,
    /// Whether it was written with `super` all the way up to the crate's root.
    pub climbs_to_root: bool,
    /// Whether it is part of a `pub use`, which hands on a name without needing it.
    pub reexport: bool,
    /// The name it goes by here, for a `use`.
    pub alias: Option<String>,
}

/// A module written inside a file: where its braces are, and whether it is a test.
pub struct Inline {
    name: String,
    start: usize,
    end: usize,
    test: bool,
}

/// The modules that `file` holds between braces.
pub fn inline_modules(code: &str) -> Vec<Inline> {
    let mut found = Vec::new();
    for at in lex::words(code, "mod") {
        let rest = code[at + 3..].trim_start();
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let behind = rest[name.len()..].trim_start();
        if !name.is_empty() && behind.starts_with('{') {
            let start = code.len() - behind.len();
            let test = without_visibility(code[..at].trim_end()).ends_with("#[cfg(test)]");
            found.push(Inline { name, start, end: lex::closing_brace(code, start), test });
        }
    }
    found
}

/// What stands before `pub` or `pub(...)` at the end of `before`; all of it where neither does.
pub fn without_visibility(before: &str) -> &str {
    let scope = before.strip_suffix(')').and_then(|open| open.rfind('(')).map(|at| before[..at].trim_end());
    scope.unwrap_or(before).strip_suffix("pub").map_or(before, str::trim_end)
}

/// Whether all of the file is a test.
pub fn is_test_file(path: &str) -> bool {
    path.ends_with("tests.rs") || path.contains("/tests/")
}

/// Whether `offset` lies in a module that only tests see.
pub fn in_test(inlines: &[Inline], offset: usize) -> bool {
    inlines.iter().any(|inline| inline.test && (inline.start..inline.end).contains(&offset))
}

/// Every path of `file` that begins with `crate`, `self`, `super`, `sully`, or the name of a child module.
pub fn named(file: &File, children: &[String]) -> Vec<Named> {
    let code = file.code.as_str();
    let inlines = inline_modules(code);
    let uses = use_statements(code);
    let mut found = Vec::new();
    let fixed = ["crate", "self", "super", "sully"].map(str::to_owned);
    for head in fixed.iter().chain(children) {
        for at in lex::words(code, head) {
            if !code[at + head.len()..].trim_start().starts_with("::") || is_continued(code, at) {
                continue;
            }
            let home = module_at(file, &inlines, at);
            let statement = uses.iter().find(|(start, end, _)| (*start..*end).contains(&at));
            let reexport = statement.is_some_and(|(_, _, public)| *public);
            for (path, alias) in use_tree(&code[at..]) {
                let Some((path, climbs_to_root)) = resolve(&home, &path) else { continue };
                let alias = statement.and(alias);
                found.push(Named { path, offset: at, climbs_to_root, reexport, alias });
            }
        }
    }
    found
}

/// Whether the word at `at` goes on a longer path (`x::crate`), or is a field or method (`x.name`).
pub fn is_continued(code: &str, at: usize) -> bool {
    let before = code[..at].trim_end();
    before.ends_with("::") || before.ends_with('.') && !before.ends_with("..")
}

/// The module that a piece of code at `offset` belongs to.
fn module_at(file: &File, inlines: &[Inline], offset: usize) -> Vec<String> {
    let mut home = tree::module_path(&file.path);
    let around = inlines.iter().filter(|inline| (inline.start..inline.end).contains(&offset));
    home.extend(around.map(|inline| inline.name.clone()));
    home
}

/// Where each `use` statement begins and ends, and whether it hands the names on.
fn use_statements(code: &str) -> Vec<(usize, usize, bool)> {
    let statements = lex::words(code, "use").map(|at| {
        let end = code[at..].find(';').map_or(code.len(), |len| at + len);
        let line = code[code[..at].rfind(['\n', ';', '}', '{']).map_or(0, |start| start + 1)..at].trim();
        let public = line == "pub" || line.starts_with("pub(") && line.ends_with(')');
        (line.is_empty() || public).then_some((at, end, public))
    });
    statements.flatten().collect()
}

/// The paths of a use tree, or the one path of an expression, that begins `text`; each with its last name or alias.
fn use_tree(text: &str) -> Vec<(Vec<String>, Option<String>)> {
    let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let mut rest = text[name.len()..].trim_start();
    let own = if name.is_empty() { Vec::new() } else { vec![name.clone()] };
    if let Some(behind) = rest.strip_prefix("::") {
        rest = behind.trim_start();
        let below = if let Some(group) = rest.strip_prefix('{') { in_group(group) } else { use_tree(rest) };
        let joined = below.into_iter().map(|(path, alias)| ([own.clone(), path].concat(), alias));
        return joined.collect();
    }
    let alias = rest
        .strip_prefix("as ")
        .map(|behind| behind.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
    vec![(own, alias.or((!name.is_empty()).then_some(name)))]
}

/// The paths of a group whose opening brace lies just before `group`.
fn in_group(group: &str) -> Vec<(Vec<String>, Option<String>)> {
    let mut found = Vec::new();
    let (mut depth, mut start) = (0usize, 0);
    for (at, byte) in group.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b',' if depth == 0 => {
                found.extend(use_tree(group[start..at].trim()));
                start = at + 1;
            }
            b'}' if depth == 0 => {
                // Nothing stands between a trailing comma and the brace: no import of the parent itself.
                let last = group[start..at].trim();
                found.extend((!last.is_empty()).then(|| use_tree(last)).into_iter().flatten());
                return found;
            }
            b'}' => depth -= 1,
            _ => {}
        }
    }
    found
}

/// `path` from the crate's root, and whether `super` led all the way up; none where it leads out of the crate.
fn resolve(home: &[String], path: &[String]) -> Option<(Vec<String>, bool)> {
    let mut base = home.to_vec();
    let mut climbed = false;
    let mut rest = path;
    while let Some((head, behind)) = rest.split_first() {
        match head.as_str() {
            "crate" | "sully" => base.clear(),
            "self" => {}
            "super" => {
                base.pop()?;
                climbed = true;
            }
            _ => break,
        }
        rest = behind;
    }
    let climbs_to_root = climbed && base.is_empty();
    base.extend(rest.iter().filter(|part| *part != "self").cloned());
    Some((base, climbs_to_root))
}
