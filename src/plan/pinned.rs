//! A plan's writers on the CPUs that there are.

use super::{Checked, CpuList, Fault, Faults, PlannedRegion, crowded, region::prefix};
use std::collections::BTreeSet;

impl Checked {
    /// What to say of more writers than CPUs that they are on, where the program may run on `allowed`; none where there are not.
    pub fn crowded(&self, allowed: &[u32]) -> Option<String> {
        let on: BTreeSet<u32> = self.writer_cpus(allowed).into_iter().collect();
        let are_named = !self.cpus.is_empty() || !self.regions.is_empty();
        crowded(self.threads, u32::try_from(on.len()).unwrap_or(u32::MAX), are_named)
    }

    /// That all CPUs that are named are among `allowed`, those that the program may run on.
    ///
    /// # Errors
    /// What is not, region by region.
    pub fn pinnable(&self, allowed: &[u32]) -> Result<(), Faults> {
        let of = |PlannedRegion { name, cpus, .. }: PlannedRegion| {
            let absent: Vec<u32> = cpus.iter().copied().filter(|cpu| !allowed.contains(cpu)).collect();
            let is_pinnable = absent.is_empty();
            let [named, absent, allowed] = [cpus, absent, allowed.to_vec()].map(CpuList::of);
            (!is_pinnable).then(|| Fault {
                what: format!("{}--cpus {named}: this program may not run on {absent} here", prefix(&name)),
                remedy: format!("name some of {allowed}, or leave --cpus out for all of them"),
            })
        };
        let faults: Vec<Fault> = self.areas().into_iter().filter_map(of).collect();
        if faults.is_empty() { Ok(()) } else { Err(Faults(faults)) }
    }
}
