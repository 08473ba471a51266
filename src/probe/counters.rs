//! What the kernel counted for the whole machine that may explain a gap: steal by CPU, callbacks of the hypervisor, and
//! the work of memory management. Files stay open; a reading takes some 50 us, most of it the kernel's.

use nix::unistd::{SysconfVar, sysconf};
use std::{fs::File, os::unix::fs::FileExt};

/// The most of a file that is read: `/proc/interrupts` of a machine with hundreds of CPUs is as long.
const LIMIT_BYTES: usize = 512 * 1024;
/// What a buffer has at first.
const FIRST_BYTES: usize = 16 * 1024;

/// Reads the counters.
#[derive(Debug)]
pub struct CounterProbe {
    stat: Option<File>,
    interrupts: Option<File>,
    vmstat: Option<File>,
    tick_ns: u64,
    buffer: Vec<u8>,
}

/// Counts since boot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters {
    /// Steal by CPU, in ns; empty where the kernel does not count it.
    pub steal_ns: Vec<(u32, u64)>,
    /// Callbacks of the hypervisor, all CPUs together.
    pub callbacks: u64,
    /// Huge pages made or split.
    pub huge_pages: u64,
    /// Compactions that somebody waited for.
    pub compactions: u64,
    /// Reclaims that somebody waited for.
    pub reclaims: u64,
    /// Pages read from swap, and faults with I/O.
    pub swapped: u64,
}

impl CounterProbe {
    /// Opens what there is.
    pub fn open() -> Self {
        let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|ticks| u64::try_from(ticks).ok());
        Self {
            stat: File::open("/proc/stat").ok(),
            interrupts: File::open("/proc/interrupts").ok(),
            vmstat: File::open("/proc/vmstat").ok(),
            tick_ns: 1_000_000_000 / ticks.filter(|ticks| *ticks > 0).unwrap_or(100),
            buffer: vec![0; FIRST_BYTES],
        }
    }

    /// The counts now; what cannot be read is 0.
    pub fn read(&mut self) -> Counters {
        let mut counters = Counters::default();
        let tick_ns = self.tick_ns;
        each_line(self.stat.as_ref(), &mut self.buffer, |line| add_steal(line, tick_ns, &mut counters));
        each_line(self.interrupts.as_ref(), &mut self.buffer, |line| {
            if let Some(numbers) = line.trim_start().strip_prefix("HYP:") {
                let counts = numbers.split_ascii_whitespace().map_while(|word| word.parse::<u64>().ok());
                counters.callbacks = counts.sum();
            }
            true
        });
        each_line(self.vmstat.as_ref(), &mut self.buffer, |line| {
            add_memory_work(line, &mut counters);
            true
        });
        counters
    }
}

/// Calls `of` with each line until it says that it has seen enough. Bytes that are no text are passed over.
fn each_line(file: Option<&File>, buffer: &mut Vec<u8>, mut of: impl FnMut(&str) -> bool) {
    let Some(file) = file else { return };
    let mut filled = 0;
    loop {
        if filled == buffer.len() {
            if filled >= LIMIT_BYTES {
                break;
            }
            buffer.resize(filled * 2, 0);
        }
        match file.read_at(&mut buffer[filled..], filled as u64) {
            Ok(0) | Err(_) => break,
            Ok(count) => filled += count,
        }
    }
    let lines =
        buffer[..filled].split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    for line in lines {
        if !of(line) {
            return;
        }
    }
}

/// A line `cpu3 user nice system idle iowait irq softirq steal ...`; the lines of CPUs come first.
fn add_steal(line: &str, tick_ns: u64, counters: &mut Counters) -> bool {
    let Some(rest) = line.strip_prefix("cpu") else { return false };
    let mut words = rest.split(' ');
    if let Some(cpu) = words.next().and_then(|id| id.parse().ok())
        && let Some(ticks) = words.nth(7).and_then(|ticks| ticks.parse::<u64>().ok())
    {
        counters.steal_ns.push((cpu, ticks.saturating_mul(tick_ns)));
    }
    true
}

/// A line `name count`.
fn add_memory_work(line: &str, counters: &mut Counters) {
    let Some((name, count)) = line.split_once(' ') else { return };
    let sum = match name {
        "compact_stall" => &mut counters.compactions,
        "pswpin" | "pgmajfault" => &mut counters.swapped,
        "pgscan_direct" => &mut counters.reclaims,
        "thp_fault_alloc" | "thp_split_page" | "thp_split_pmd" => &mut counters.huge_pages,
        name if name.starts_with("allocstall") => &mut counters.reclaims,
        _ => return,
    };
    *sum = sum.saturating_add(count.trim().parse().unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steal_is_the_eighth_number_of_each_cpu() {
        let mut counters = Counters::default();
        assert!(add_steal("cpu  9 9 9 9 9 9 9 99 0 0", 10, &mut counters));
        assert!(add_steal("cpu0 1 2 3 4 5 6 7 8 0 0", 10, &mut counters));
        assert!(add_steal("cpu12 1 2 3 4 5 6 7 9 0 0", 10, &mut counters));
        assert!(add_steal("cpu13 1 2 3", 10, &mut counters), "a kernel that does not count it");
        assert!(!add_steal("intr 8764306 0 0", 10, &mut counters));
        assert_eq!(counters.steal_ns, [(0, 80), (12, 90)]);
    }

    #[test]
    fn rows_of_vmstat_add_up_by_kind() {
        let mut counters = Counters::default();
        for line in
            ["allocstall_normal 1", "allocstall_movable 58", "pgscan_direct 9", "pgmajfault 7", "nr_free 5"]
        {
            add_memory_work(line, &mut counters);
        }
        assert_eq!((counters.reclaims, counters.swapped, counters.huge_pages), (68, 7, 0));
    }

    #[test]
    fn this_machine_counts_and_never_backwards() {
        let mut probe = CounterProbe::open();
        let (first, second) = (probe.read(), probe.read());
        let cpus = crate::probe::cpus().unwrap();
        assert!(cpus.iter().all(|cpu| first.steal_ns.iter().any(|(known, _)| known == cpu)), "{first:?}");
        assert!(second.callbacks >= first.callbacks && second.swapped >= first.swapped);
    }

    #[test]
    fn a_file_longer_than_the_buffer_is_read_to_its_end() {
        let mut file = tempfile::tempfile().unwrap();
        let text = "a line of some length\n".repeat(19_999) + "the last line";
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        let (mut lines, mut last) = (0, String::new());
        each_line(Some(&file), &mut vec![0; 64], |line| {
            lines += u32::from(!line.is_empty());
            last = if line.is_empty() { last.clone() } else { line.into() };
            true
        });
        assert_eq!((lines, last.as_str()), (20_000, "the last line"));
    }
}
