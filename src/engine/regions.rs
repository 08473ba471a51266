//! All the regions of a plan: mapped in order, and looked at as one.

use crate::{
    plan::{Checked, PlannedRegion},
    probe::numa_nodes,
    record::MemoryFacts,
    region::{Region, RegionError, Slice, spare},
    units::PageCount,
};
use std::ops::Range;

/// All the regions of a plan. Kept to the end: giving gigabytes back takes seconds, and no writer is to spend them.
#[derive(Debug)]
pub(super) struct MappedRegions {
    regions: Vec<Region>,
}

impl MappedRegions {
    /// Maps every region of `plan`, and deals each to its own writers. Pages and writers are counted through all regions,
    /// one behind the other.
    pub(super) fn map(plan: &Checked, cpus: usize) -> Result<(Self, Vec<Slice>), RegionError> {
        // Tables and stacks come later, and where there is no room for them the program would only be aborted.
        spare(plan.private_bytes(u32::try_from(cpus).unwrap_or(u32::MAX)))?;
        let (mut regions, mut slices, mut before) = (Vec::new(), Vec::new(), 0);
        let nodes = numa_nodes();
        for area in plan.areas() {
            let pages = PageCount::in_bytes(area.memory_bytes);
            if area.compute.is_some() {
                // A page for each of its writers, filled and never visited: no part of what is measured.
                slices.append(&mut Region::map(PageCount(u64::from(area.threads)), area.threads)?.1);
                continue;
            }
            let (region, mut own) = Region::map_as(pages, area.threads, &area.kind, &nodes)?;
            for slice in &mut own {
                slice.follow(PageCount(before));
            }
            before += pages.0;
            regions.push(region);
            slices.append(&mut own);
        }
        Ok((Self { regions }, slices))
    }

    /// Once it is filled, which took `prefault_ns`: what really backs the memory of `plan`, and warnings where that is less
    /// than was hoped for.
    pub(super) fn inspect(
        &self,
        plan: &Checked,
        prefault_ns: u64,
    ) -> Result<(MemoryFacts, Option<String>), RegionError> {
        let of_memory = |area: &PlannedRegion| area.compute.is_none().then(|| area.kind.pages.bytes());
        let sizes: Vec<u64> = plan.areas().iter().filter_map(of_memory).collect();
        let mut facts = MemoryFacts {
            bytes: 0,
            resident_bytes: 0,
            prefault_ns,
            page_bytes_asked: sizes.first().copied().filter(|first| sizes.iter().all(|size| size == first)),
            huge_bytes: Some(0),
        };
        let mut warnings = Vec::new();
        for region in &self.regions {
            let (found, warning) = region.inspect()?;
            facts.bytes += region.pages().bytes();
            facts.resident_bytes += found.resident.bytes();
            facts.huge_bytes = facts.huge_bytes.zip(found.huge_bytes).map(|(sum, more)| sum + more);
            warnings.extend(warning);
        }
        Ok((facts, (!warnings.is_empty()).then(|| warnings.join("\n"))))
    }

    /// The backing files stay after the run.
    pub(super) fn keep_files(&mut self) {
        self.regions.iter_mut().for_each(Region::keep_file);
    }

    /// Where the regions are, by address.
    pub(super) fn ranges(&self) -> Vec<Range<u64>> {
        self.regions.iter().map(Region::range).collect()
    }

    /// Where the first region begins, for tests that write behind the writers' backs.
    #[cfg(test)]
    pub(super) fn base(&self) -> u64 {
        self.ranges()[0].start
    }
}
