//! Import circles between the files of one top module. Tests may look both ways, programs may not.

use crate::{
    lex,
    paths::{self, Named},
    tree::{self, File, Tree},
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

type Module = Vec<String>;

/// The files of the library, what each hands on, and what each needs.
struct Graph<'a> {
    files: BTreeMap<Module, &'a File>,
    named: BTreeMap<Module, Vec<Named>>,
    /// For each file, the names that others find in it although they live elsewhere.
    handed_on: BTreeMap<Module, BTreeMap<String, Module>>,
}

/// Every circle, once, as the chain of its files.
pub fn circles(tree: &Tree) -> Vec<String> {
    let graph = Graph::new(tree);
    let edges: BTreeMap<&Module, BTreeSet<Module>> =
        graph.files.keys().map(|module| (module, graph.needed_by(module))).collect();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for start in graph.files.keys() {
        let Some(chain) = shortest_circle(start, &edges) else { continue };
        if seen.insert(chain.iter().cloned().collect::<BTreeSet<_>>()) {
            let names: Vec<_> = chain.iter().map(|module| graph.files[module].path.as_str()).collect();
            found.push(format!("{} -> {}", names.join(" -> "), names[0]));
        }
    }
    found
}

impl<'a> Graph<'a> {
    fn new(tree: &'a Tree) -> Self {
        let outside_tests = tree.sources().filter(|file| !paths::is_test_file(&file.path));
        let files: BTreeMap<Module, &File> = outside_tests
            .filter(|file| !file.path.starts_with("src/bin/"))
            .map(|file| (tree::module_path(&file.path), file))
            .collect();
        let mut named = BTreeMap::new();
        for (module, file) in &files {
            let inlines = paths::inline_modules(&file.code);
            let mut paths = paths::named(file, &children(&files, module));
            paths.retain(|named| !paths::in_test(&inlines, named.offset));
            named.insert(module.clone(), paths);
        }
        let handed_on = named.iter().map(|(module, paths)| (module.clone(), aliases(paths))).collect();
        Self { files, named, handed_on }
    }

    /// The files of the same top module without which `module` does not compile.
    fn needed_by(&self, module: &Module) -> BTreeSet<Module> {
        let direct = self.named[module].iter().filter(|named| !named.reexport).map(|named| &named.path);
        let reexported = self.named[module].iter().filter(|named| named.reexport && self.uses(module, named));
        let paths = direct.chain(reexported.map(|named| &named.path));
        let owners = paths.map(|path| self.owner(path, 8));
        owners
            .filter(|owner| owner != module && !owner.is_empty() && owner.first() == module.first())
            .collect()
    }

    /// Whether a file uses a name itself that it hands on.
    fn uses(&self, module: &Module, named: &Named) -> bool {
        let (Some(alias), Some(file)) = (&named.alias, self.files.get(module)) else { return false };
        let inlines = paths::inline_modules(&file.code);
        lex::words(&file.code, alias).any(|at| {
            let statement = file.code[..at].rfind([';', '}']).map_or(0, |end| end + 1);
            let head = &file.code[statement..at];
            let declares = lex::words(head, "use").next().is_some() || head.trim_end().ends_with("mod");
            !declares && !paths::is_continued(&file.code, at) && !paths::in_test(&inlines, at)
        })
    }

    /// The file in which what `path` names is written, looked for through `hops` re-exports at most.
    fn owner(&self, path: &[String], hops: usize) -> Module {
        let depth =
            (0..=path.len()).rev().find(|depth| self.files.contains_key(&path[..*depth])).unwrap_or(0);
        let (module, rest) = (path[..depth].to_vec(), &path[depth..]);
        let target = rest.first().and_then(|name| self.handed_on.get(&module)?.get(name));
        match target {
            Some(target) if hops > 0 => self.owner(&[target.as_slice(), &rest[1..]].concat(), hops - 1),
            _ => module,
        }
    }
}

fn children(files: &BTreeMap<Module, &File>, parent: &Module) -> Vec<String> {
    let below = files.keys().filter(|module| module.len() == parent.len() + 1 && module.starts_with(parent));
    below.filter_map(|module| module.last().cloned()).collect()
}

fn aliases(paths: &[Named]) -> BTreeMap<String, Module> {
    let named = paths.iter().filter_map(|named| Some((named.alias.clone()?, named.path.clone())));
    named.collect()
}

/// The shortest way from `start` back to itself.
fn shortest_circle(start: &Module, edges: &BTreeMap<&Module, BTreeSet<Module>>) -> Option<Vec<Module>> {
    let mut queue = VecDeque::from([vec![start.clone()]]);
    let mut visited = BTreeSet::new();
    while let Some(chain) = queue.pop_front() {
        for next in edges.get(chain.last()?)? {
            if next == start {
                return Some(chain);
            }
            if visited.insert(next.clone()) {
                queue.push_back([chain.as_slice(), std::slice::from_ref(next)].concat());
            }
        }
    }
    None
}
