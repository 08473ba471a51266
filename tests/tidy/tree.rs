//! The files of the project as the rules see them: read from a directory, Rust files with their code apart.

use crate::lex;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

/// One file that people write.
pub struct File {
    /// Relative to the root, with `/` between the parts.
    pub path: String,
    /// All of it.
    pub text: String,
    /// For Rust: the code without comments and literals. Empty for others.
    pub code: String,
}

/// Every text file of the project, by path.
pub struct Tree {
    pub files: BTreeMap<String, File>,
}

/// Directories and files that are made by machines, or by other people.
const NOT_OURS: [&str; 5] = ["target", "runs", ".git", "vendor", "Cargo.lock"];

impl Tree {
    /// Reads every UTF-8 file below `root`.
    pub fn read(root: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        read_into(root, "", &mut files)?;
        Ok(Self { files })
    }

    /// The Rust files of the program, its tests and its benches.
    pub fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.values().filter(|file| is_rust(&file.path))
    }

    /// The library's and the binaries' Rust files.
    pub fn sources(&self) -> impl Iterator<Item = &File> {
        self.rust().filter(|file| file.path.starts_with("src/"))
    }

    /// The modules that stand directly below `house`; below nothing, the library's top modules.
    pub fn modules_below(&self, house: &[String]) -> BTreeSet<String> {
        let library = self.sources().map(|file| module_path(&file.path));
        let below = library.filter_map(|path| path.strip_prefix(house)?.first().cloned());
        below.filter(|module| module != BINARIES).collect()
    }
}

/// The name under which the binaries' files appear as a top module.
pub const BINARIES: &str = "bin";

fn read_into(directory: &Path, prefix: &str, files: &mut BTreeMap<String, File>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if NOT_OURS.contains(&name.as_str()) {
            continue;
        }
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            read_into(&entry.path(), &path, files)?;
        } else if kind.is_file()
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            let code = if is_rust(&path) { lex::code_only(&text) } else { String::new() };
            files.insert(path.clone(), File { path, text, code });
        }
    }
    Ok(())
}

fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "rs")
}

/// `src/lab/run/mod.rs` is `[lab, run]`, `src/units/rate.rs` is `[units, rate]`, `src/lib.rs` is `[]`.
pub fn module_path(path: &str) -> Vec<String> {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut parts: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| last == "mod") || inner == "lib" {
        parts.pop();
    }
    parts
}
