//! Puts modules into the order in which the guest must load them: each after all it depends on.

use super::modinfo::{ModInfo, canonical};
use anyhow::{Context, ensure};
use std::collections::BTreeSet;

/// Deepest chain of dependencies followed; real ones have fewer than ten links.
const DEEPEST: usize = 64;

/// What a search for one module finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// The kernel has it built in: nothing to load.
    BuiltIn,
    /// A module.
    Module {
        /// Its uncompressed file.
        bytes: Vec<u8>,
        /// What it says of itself.
        info: ModInfo,
    },
}

/// One module of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Module {
    /// Its canonical name.
    pub(super) name: String,
    /// Its uncompressed file.
    pub(super) bytes: Vec<u8>,
    /// The release of the kernel it was built for.
    pub(super) release: Option<String>,
}

/// The modules to load for `wanted`, in loading order, each once. The order follows from the order of `wanted`
/// and of each `depends=` alone.
///
/// # Errors
/// Those of `find`, a module that is neither found nor built in, and modules that depend on each other.
pub(super) fn resolve(
    wanted: &[&str],
    find: &mut dyn FnMut(&str) -> anyhow::Result<Option<Found>>,
) -> anyhow::Result<Vec<Module>> {
    let mut resolver = Resolver { find, done: BTreeSet::new(), chain: Vec::new(), order: Vec::new() };
    for name in wanted {
        resolver.visit(&canonical(name))?;
    }
    Ok(resolver.order)
}

/// Adds those of `welcome` that are there, with what they need, behind the modules in `order`.
///
/// # Errors
/// Those of [`resolve`], but for a module that is neither found nor built in.
pub(super) fn add_welcome(
    welcome: &[&str],
    find: &mut dyn FnMut(&str) -> anyhow::Result<Option<Found>>,
    order: &mut Vec<Module>,
) -> anyhow::Result<()> {
    for name in welcome {
        if find(&canonical(name))?.is_none() {
            continue;
        }
        let fresh = resolve(&[name], find)?;
        let known = |module: &Module| order.iter().any(|before| before.name == module.name);
        let fresh: Vec<Module> = fresh.into_iter().filter(|module| !known(module)).collect();
        order.extend(fresh);
    }
    Ok(())
}

struct Resolver<'a> {
    find: &'a mut dyn FnMut(&str) -> anyhow::Result<Option<Found>>,
    done: BTreeSet<String>,
    /// From the wanted module down to the one being looked at.
    chain: Vec<String>,
    order: Vec<Module>,
}

impl Resolver<'_> {
    fn visit(&mut self, name: &str) -> anyhow::Result<()> {
        if self.done.contains(name) {
            return Ok(());
        }
        let path = || format!("{} -> {name}", self.chain.join(" -> "));
        ensure!(!self.chain.iter().any(|above| above == name), "modules depend on each other: {}", path());
        ensure!(self.chain.len() < DEEPEST, "a chain of more than {DEEPEST} dependencies: {}", path());
        let needed_by = self.chain.last().map(|above| format!(", which {above} needs")).unwrap_or_default();
        let found = (self.find)(name)?
            .with_context(|| format!("the module {name}{needed_by} is neither there nor built in"))?;
        if let Found::Module { bytes, info } = found {
            self.chain.push(name.to_owned());
            for dependency in &info.depends {
                self.visit(dependency)?;
            }
            self.chain.pop();
            self.order.push(Module { name: name.to_owned(), bytes, release: info.release });
        }
        self.done.insert(name.to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// The names in loading order, where `depends` says who needs whom and what is absent is built in.
    fn names(wanted: &[&str], depends: &BTreeMap<String, Vec<String>>) -> anyhow::Result<Vec<String>> {
        let mut find = |name: &str| {
            Ok(Some(depends.get(name).map_or(Found::BuiltIn, |names| Found::Module {
                bytes: Vec::new(),
                info: ModInfo { depends: names.clone(), ..ModInfo::default() },
            })))
        };
        Ok(resolve(wanted, &mut find)?.into_iter().map(|module| module.name).collect())
    }

    fn graph(lines: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        lines.iter().map(|(name, depends)| ((*name).to_owned(), owned(depends))).collect()
    }

    #[test]
    fn the_modules_of_debian_12_come_in_dependency_order() {
        let debian = graph(&[
            ("virtio", &[]),
            ("virtio_ring", &[]),
            ("virtio_pci_modern_dev", &[]),
            ("virtio_pci_legacy_dev", &[]),
            ("virtio_pci", &["virtio_ring", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio"]),
            ("virtio_console", &["virtio", "virtio_ring"]),
        ]);
        assert_eq!(
            names(&["virtio-pci", "virtio_console"], &debian).unwrap(),
            [
                "virtio_ring",
                "virtio_pci_modern_dev",
                "virtio_pci_legacy_dev",
                "virtio",
                "virtio_pci",
                "virtio_console"
            ]
        );
    }

    #[test]
    fn what_is_built_in_is_not_loaded() {
        let modules = graph(&[("virtio_console", &["virtio"])]);
        assert_eq!(names(&["virtio_pci", "virtio_console"], &modules).unwrap(), ["virtio_console"]);
    }

    #[test]
    fn a_circle_is_named() {
        let modules = graph(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"])]);
        assert_eq!(
            names(&["a"], &modules).unwrap_err().to_string(),
            "modules depend on each other: a -> b -> c -> a"
        );
    }

    #[test]
    fn a_missing_module_is_named_with_the_one_that_needs_it() {
        let mut find = |name: &str| {
            Ok((name == "virtio_pci").then(|| Found::Module {
                bytes: Vec::new(),
                info: ModInfo { depends: vec!["virtio_ring".into()], ..ModInfo::default() },
            }))
        };
        let text = resolve(&["virtio_pci"], &mut find).unwrap_err().to_string();
        assert!(text.contains("virtio_ring, which virtio_pci needs"), "{text}");
    }

    #[test]
    fn what_is_welcome_comes_last_with_what_it_needs_and_is_not_missed() {
        let modules = graph(&[("virtio", &[]), ("ptp", &[]), ("ptp_kvm", &["ptp", "virtio"])]);
        let mut find = |name: &str| {
            Ok(modules.get(name).map(|depends| Found::Module {
                bytes: Vec::new(),
                info: ModInfo { depends: depends.clone(), ..ModInfo::default() },
            }))
        };
        let mut order = resolve(&["virtio"], &mut find).unwrap();
        add_welcome(&["ptp_kvm", "ptp_vmclock"], &mut find, &mut order).unwrap();
        let names: Vec<&str> = order.iter().map(|module| module.name.as_str()).collect();
        assert_eq!(names, ["virtio", "ptp", "ptp_kvm"]);
    }

    proptest! {
        #[test]
        fn every_module_comes_once_and_after_what_it_needs(
            edges in proptest::collection::vec((0_usize..12, 0_usize..12), 0..40)
        ) {
            // An edge from a higher to a lower number never closes a circle.
            let mut modules: BTreeMap<String, Vec<String>> =
                (0..12).map(|number| (format!("m{number}"), Vec::new())).collect();
            for (one, other) in edges.into_iter().filter(|(one, other)| one != other) {
                let depends = modules.get_mut(&format!("m{}", one.max(other))).unwrap();
                depends.push(format!("m{}", one.min(other)));
            }
            let order = names(&["m11", "m5"], &modules).unwrap();
            for (at, name) in order.iter().enumerate() {
                prop_assert!(!order[..at].contains(name));
                prop_assert!(modules[name].iter().all(|needed| order[..at].contains(needed)));
            }
        }
    }
}
