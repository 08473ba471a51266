//! The rule of the house: a module imports only from lower floors, and neighbours never see each other.

use crate::{
    lex, paths,
    tree::{self, BINARIES, File, Tree},
};
use std::collections::{BTreeMap, BTreeSet};

/// The floor of every module that stands directly below another one, or below the crate, as a table has it.
pub struct Floors {
    /// Below which module.
    house: Vec<String>,
    /// The file whose documentation has the table.
    table: &'static str,
    by_module: BTreeMap<String, u32>,
}

/// Mechanisms of the guest that the host side may use: pure functions of records.
const SHARED_WITH_LAB: &str = "diagnose";
/// The floor of the mechanisms.
const MECHANISMS: u32 = 3;
/// The floor above all modules, where the binaries stand.
const ROOF: u32 = u32::MAX;

impl Floors {
    /// The floors of the top modules.
    pub fn read(tree: &Tree) -> Self {
        Self::of_table(tree, "src/lib.rs")
    }

    /// The floors of the rooms of `lab`.
    pub fn of_lab(tree: &Tree) -> Self {
        Self::of_table(tree, "src/lab/mod.rs")
    }

    /// Reads a table: rows `//! | 1 | [`plan`], [`histogram`] |`.
    fn of_table(tree: &Tree, table: &'static str) -> Self {
        let text = tree.files.get(table).map_or("", |file| file.text.as_str());
        let mut floors = BTreeMap::new();
        for line in text.lines() {
            let mut columns = line.trim_start_matches("//!").split('|').skip(1).map(str::trim);
            let number = columns.next().and_then(|column| column.parse().ok());
            if let (Some(floor), Some(modules)) = (number, columns.next()) {
                let names = modules.split('[').flat_map(|part| part.split(", ")).filter_map(first_quoted);
                floors.extend(names.map(|name| (name, floor)));
            }
        }
        Self { house: tree::module_path(table), table, by_module: floors }
    }

    fn of(&self, module: &str) -> Option<u32> {
        if module == BINARIES { Some(ROOF) } else { self.by_module.get(module).copied() }
    }

    /// Modules without a floor, and floors without their module.
    pub fn homeless(&self, tree: &Tree) -> Vec<String> {
        let (modules, table) = (tree.modules_below(&self.house), self.table);
        let known: BTreeSet<String> = self.by_module.keys().cloned().collect();
        let homeless = modules.difference(&known).map(|module| {
            let path = [&self.house[..], std::slice::from_ref(module)].concat().join("/");
            format!(
                "src/{path}: is on no floor; give it one in the table of {table} and in docs/ARCHITECTURE.md"
            )
        });
        let empty = known.difference(&modules).map(|module| {
            format!("{table}: the table has a floor for `{module}`, but there is no such module")
        });
        homeless.chain(empty).collect()
    }

    /// Every path that leads to a higher floor, or to a neighbour.
    pub fn broken(&self, tree: &Tree) -> Vec<String> {
        self.each_path(tree, |file, from, to, line| {
            let (mine, theirs) = (self.of(from)?, self.of(to)?);
            if theirs < mine {
                return None;
            }
            let how = if theirs == mine { "its neighbour" } else { "the higher" };
            Some(format!("{}:{line}: `{from}` (floor {mine}) sees {how} `{to}` (floor {theirs})", file.path))
        })
    }

    /// Every path of the host side that leads into the guest's machinery.
    pub fn guest_parts_in_lab(&self, tree: &Tree) -> Vec<String> {
        self.each_path(tree, |file, from, to, line| {
            let mechanism = self.of(to)? == MECHANISMS && to != SHARED_WITH_LAB;
            (from == "lab" && (mechanism || to == "engine"))
                .then(|| format!("{}:{line}: `lab` sees `{to}`, a part of the guest program", file.path))
        })
    }

    /// Asks `judge` about every path from one module of the house to another. In a room of `lab` tests may look both ways.
    fn each_path(
        &self,
        tree: &Tree,
        judge: impl Fn(&File, &str, &str, usize) -> Option<String>,
    ) -> Vec<String> {
        let (modules, is_inside) = (tree.modules_below(&self.house), !self.house.is_empty());
        let below = |path: &[String]| path.strip_prefix(&self.house[..])?.first().cloned();
        let mut offences = BTreeSet::new();
        for file in tree.sources().filter(|file| !(is_inside && paths::is_test_file(&file.path))) {
            let Some(from) = below(&tree::module_path(&file.path)) else { continue };
            let inlines = paths::inline_modules(&file.code);
            for named in paths::named(file, &[]) {
                let to = below(&named.path).filter(|to| *to != from && modules.contains(to));
                let Some(to) = to.filter(|_| !(is_inside && paths::in_test(&inlines, named.offset))) else {
                    continue;
                };
                offences.extend(judge(file, &from, &to, lex::line_of(&file.code, named.offset)));
            }
        }
        offences.into_iter().collect()
    }
}

/// The text between the first two backquotes, unless it stands in parentheses.
fn first_quoted(text: &str) -> Option<String> {
    let before_parenthesis = text.split('(').next()?;
    before_parenthesis.split('`').nth(1).map(str::to_owned)
}

/// Every `super::super` that climbs out of its top module: such a path is written from `crate`.
pub fn climbs_out(tree: &Tree) -> Vec<String> {
    let mut offences = Vec::new();
    for file in tree.sources().filter(|file| !tree::module_path(&file.path).is_empty()) {
        for named in paths::named(file, &[]).iter().filter(|named| named.climbs_to_root) {
            let line = lex::line_of(&file.code, named.offset);
            offences.push(format!(
                "{}:{line}: `super` leads out of the top module; write crate::{}",
                file.path,
                named.path.join("::")
            ));
        }
    }
    offences
}
