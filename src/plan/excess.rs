//! What no plan of this program has more of: a guest's word for its plan is held against it before anything is laid out by it.

use super::{Checked, check::THREADS_CEILING, cpu_list::CPUS_CEILING, parts::MOST_REGIONS};

impl Checked {
    /// What this plan has more of than there can be; none of a sound one.
    pub fn excess(&self) -> Option<String> {
        let of_regions = self.regions.iter().map(|region| u64::from(region.threads)).sum();
        let threads = u64::from(self.threads).max(of_regions);
        let cpus = self.regions.iter().map(|region| region.cpus.len()).fold(self.cpus.len(), usize::max);
        let counts = [
            (threads, u64::from(THREADS_CEILING), "writers"),
            (self.regions.len() as u64, MOST_REGIONS as u64, "regions"),
            (cpus as u64, u64::from(CPUS_CEILING), "CPUs to pin to"),
        ];
        let (count, most, what) = counts.into_iter().find(|(count, most, _)| count > most)?;
        Some(format!("a plan of {count} {what}, and there are at most {most}"))
    }
}
