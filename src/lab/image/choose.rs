//! Chooses the modules that the guest needs, so that no image lacks the bus or the port that its records take.

use super::drivers::Drivers;
use super::kernel::Kernel;
use super::modinfo;
use super::order::{self, Found, Module};
use super::supply::Supply;
use anyhow::{Context, ensure};
use std::cell::OnceCell;

/// What the guest cannot do without: the bus that QEMU puts virtio devices on, and the port for its records.
pub(super) const WANTED: [&str; 2] = ["virtio_pci", "virtio_console"];
/// The bus of machines without PCI, such as QEMU's microvm; a kernel for those may have no other.
const OTHER_BUS: &str = "virtio_mmio";
/// What it is glad of where the kernel has it: the other bus, and clocks that show the hypervisor's time. Where there is no
/// such device the guest goes on without.
const WELCOME: [&str; 3] = [OTHER_BUS, "ptp_kvm", "ptp_vmclock"];

/// What was chosen.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    /// The modules in loading order.
    pub(super) modules: Vec<Module>,
    /// What may be missing when the image boots.
    pub(super) warnings: Vec<String>,
}

/// The modules that the guest needs, in loading order, made sure to be this kernel's.
///
/// # Errors
/// A driver that is neither among the modules nor in the kernel, or modules of another kernel.
pub(super) fn choose(supply: Option<&Supply>, kernel: &Kernel) -> anyhow::Result<Chosen> {
    let nothing = Supply::default();
    let search = Search { supply: supply.unwrap_or(&nothing), kernel, drivers: OnceCell::new() };
    let mut find = |name: &str| search.find(name);
    let mut warnings = Vec::new();
    let mut wanted = WANTED;
    if find(wanted[0])?.is_none() && find(OTHER_BUS)?.is_some() {
        warnings.push(format!(
            "'{}' has no {}, only {OTHER_BUS}: it boots where virtio devices are not on PCI (-M microvm); \
             'sully-lab run' puts them on PCI",
            kernel.label, wanted[0]
        ));
        wanted[0] = OTHER_BUS;
    }
    let assumed: Vec<&str> = wanted.into_iter().filter(|name| search.cannot_tell(name)).collect();
    let needed: Vec<&str> = wanted.into_iter().filter(|name| !assumed.contains(name)).collect();
    if !assumed.is_empty() {
        warnings.push(format!(
            "cannot tell whether '{}' has {} built in: without, the guest sends no records; give its modules with \
             --modules DIR",
            kernel.label,
            assumed.join(" and ")
        ));
    }
    let mut modules = order::resolve(&needed, &mut find).with_context(|| search.way_out())?;
    order::add_welcome(&WELCOME, &mut find, &mut modules)?;
    search.is_of_one_release(&modules)?;
    Ok(Chosen { modules, warnings })
}

/// Looks for drivers among modules, in the list of those built in, and, without such a list, in the kernel itself.
struct Search<'a> {
    supply: &'a Supply,
    kernel: &'a Kernel,
    /// Unpacking a kernel takes seconds: it is done once, and only where it is needed.
    drivers: OnceCell<Option<Drivers>>,
}

impl Search<'_> {
    fn find(&self, name: &str) -> anyhow::Result<Option<Found>> {
        if self.supply.is_builtin(name) {
            return Ok(Some(Found::BuiltIn));
        }
        if let Some(bytes) = self.supply.module(name)? {
            let info = modinfo::read(&bytes)
                .with_context(|| format!("the module {name} of {}", self.supply.searched))?;
            return Ok(Some(Found::Module { bytes, info }));
        }
        let is_inside = self.drivers().is_some_and(|drivers| drivers.has(name));
        Ok(is_inside.then_some(Found::BuiltIn))
    }

    /// What the kernel has built in, by its own code; nothing where a list says it, or where it cannot be looked into.
    fn drivers(&self) -> Option<&Drivers> {
        let look = || Drivers::of(&self.kernel.bytes);
        if self.supply.lists_builtin() { None } else { self.drivers.get_or_init(look).as_ref() }
    }

    /// Whether the driver may be built in or not: no module, no list, and a kernel that cannot be looked into.
    fn cannot_tell(&self, name: &str) -> bool {
        !self.supply.lists_builtin() && !self.supply.has_module(name) && self.drivers().is_none()
    }

    /// What is to be done about a driver that is missing.
    fn way_out(&self) -> String {
        let (label, searched) = (&self.kernel.label, &self.supply.searched);
        let place = match (self.supply.lists_builtin(), self.supply.is_empty()) {
            (true, _) => format!("{searched} and the list of what is built in"),
            (false, false) => format!("{searched} and the code of '{label}'"),
            (false, true) => format!("the code of '{label}', and there are no modules"),
        };
        let packages = match self.supply.needed_packages.as_slice() {
            [] => String::new(),
            names => format!(" (its package needs {})", names.join(" and ")),
        };
        format!(
            "the image would have no port for its records: looked in {place}; give the kernel's modules with --modules DIR \
             (/lib/modules/RELEASE or a .deb){packages}; if the kernel has what is missing built in, a file \
             'modules.builtin' there must say so"
        )
    }

    /// # Errors
    /// A module that says it is for another kernel.
    fn is_of_one_release(&self, modules: &[Module]) -> anyhow::Result<()> {
        for module in modules {
            let (Some(theirs), Some(ours)) = (&module.release, &self.kernel.release) else {
                continue;
            };
            ensure!(
                theirs == ours,
                "the module {} of {} is for the kernel {theirs}, but '{}' is {ours}; give the modules of that release \
                 with --modules DIR",
                module.name,
                self.supply.searched,
                self.kernel.label
            );
        }
        Ok(())
    }
}
