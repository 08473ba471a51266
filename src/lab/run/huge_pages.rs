//! Guest memory as QEMU is to be given it, and whether the host has the huge pages for it.

use super::host::Host;
use crate::lab::scenario::Scenario;
use crate::lab::vm::ram_for;
use crate::units::ByteSize;
use anyhow::{bail, ensure};
use std::fs;

/// Where the kernel keeps its account of memory.
const MEMINFO: &str = "/proc/meminfo";

/// The memory that the guest of `scenario` gets on `host`, and a sentence where that is not what was asked for.
///
/// # Errors
/// It has to be whole huge pages, and this QEMU would corrupt it then.
pub fn guest_memory(scenario: &Scenario, host: &Host) -> anyhow::Result<(u64, Option<String>)> {
    let (vm, version) = (&scenario.vm, host.version().triple());
    let page_bytes = HugePagePool::read().page_bytes.filter(|_| vm.huge_pages);
    let wanted_bytes = page_bytes.map_or(vm.memory.0, |page| vm.memory.0.next_multiple_of(page));
    let (bytes, note) = ram_for(host.accelerator(), version, wanted_bytes, vm.ram_workaround);
    if page_bytes.is_some() && bytes != wanted_bytes {
        bail!(
            "vm.huge_pages = true gives the guest whole huge pages, and QEMU {} corrupts emulated guests of such sizes while it \
             migrates them: take QEMU 9.0 or newer (--qemu PATH), or --set vm.huge_pages=false",
            host.version().text()
        );
    }
    let rounded = (wanted_bytes != vm.memory.0).then(|| {
        format!("vm.memory = {} is not whole huge pages: the guest got {}", vm.memory, ByteSize(bytes))
    });
    Ok((bytes, note.or(rounded)))
}

/// The kernel's pool of huge pages; none where the kernel does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HugePagePool {
    page_bytes: Option<u64>,
    total: Option<u64>,
    /// Pages that nobody has taken or been promised.
    free: Option<u64>,
}

impl HugePagePool {
    /// As it is now.
    pub fn read() -> Self {
        Self::of(&fs::read_to_string(MEMINFO).unwrap_or_default())
    }

    fn of(meminfo: &str) -> Self {
        let number = |name: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let free = number("HugePages_Free").zip(number("HugePages_Rsvd"));
        Self {
            page_bytes: number("Hugepagesize")
                .and_then(|kib| kib.checked_mul(1024))
                .filter(|bytes| *bytes > 0),
            total: number("HugePages_Total"),
            free: free.map(|(free, reserved)| free.saturating_sub(reserved)),
        }
    }

    /// Whether both sides of `scenario` find their memory in it.
    ///
    /// # Errors
    /// They do not: how many pages are missing, and how to get them.
    pub fn holds(self, scenario: &Scenario) -> anyhow::Result<()> {
        if !scenario.vm.huge_pages {
            return Ok(());
        }
        let (Some(page_bytes), Some(free)) = (self.page_bytes, self.free) else {
            bail!(
                "vm.huge_pages = true needs a kernel with huge pages (CONFIG_HUGETLBFS), and {MEMINFO} tells of none: \
                 --set vm.huge_pages=false"
            );
        };
        let side = scenario.vm.memory.0.div_ceil(page_bytes);
        let needed = side.saturating_mul(2);
        let pool = self.total.unwrap_or(free).saturating_add(needed.saturating_sub(free));
        ensure!(
            free >= needed,
            "vm.huge_pages = true needs {needed} free huge pages of {}, {side} for each side, and {free} are free: \
             `sysctl vm.nr_hugepages={pool}`, or --set vm.huge_pages=false",
            ByteSize(page_bytes).human()
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::scenario::find;

    const MEMINFO_OF_300: &str = "MemTotal: 8 kB\nHugePages_Total:     300\nHugePages_Free:      200\nHugePages_Rsvd:       10\n\
        Hugepagesize:       2048 kB\n";

    #[test]
    fn what_is_missing_of_the_pool_is_counted_and_the_line_that_adds_it_is_said() {
        let scenario = |memory: &str| {
            let set = [format!("vm.memory={memory}"), "vm.huge_pages=true".into()];
            find("smoke/precopy", &set).unwrap().scenario
        };
        let pool = HugePagePool::of(MEMINFO_OF_300);
        assert!(pool.holds(&scenario("190M")).is_ok());
        let refused = pool.holds(&scenario("256M")).unwrap_err().to_string();
        for part in [
            "needs 256 free huge pages of 2.0 MiB, 128 for each side, and 190 are free",
            "`sysctl vm.nr_hugepages=366`",
        ] {
            assert!(refused.contains(part), "{refused}");
        }
        let none = HugePagePool::of("MemTotal: 8 kB\n");
        assert!(none.holds(&scenario("190M")).unwrap_err().to_string().contains("CONFIG_HUGETLBFS"));
        assert!(none.holds(&find("smoke/precopy", &[]).unwrap().scenario).is_ok());
    }
}
