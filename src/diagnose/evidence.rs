//! What besides the gaps themselves may tell whose fault they were. Whoever lacks a piece leaves it out.

use super::pause::Sight;

/// What is known of the span whose gaps are judged. All times are those of the gaps: guest CLOCK_MONOTONIC.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// What the canaries can see, and how many there are.
    pub sight: Sight,
    /// What the guest's kernel counted in the second before the span's end; none where nobody looked, and then a gap
    /// that was blamed on steal before stays so.
    pub counted: Option<&'a Counted>,
    /// What the host says of the time around the span, in order.
    pub host: &'a [HostEvent],
    /// Visits that took longer than the threshold, of all writers, in order of their starts.
    pub visits: &'a [LongVisit],
    /// The share of time in which a writer was in a visit, long ones left out, in permille; none where it is not known.
    pub busy_permille: Option<u64>,
}

/// What the guest's kernel counted in a second.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counted {
    /// Steal by CPU, in ns, in steps of a tick; empty where the kernel does not count it.
    pub steal_ns: Vec<(u32, u64)>,
    /// Callbacks of the hypervisor (the HYP row of /proc/interrupts), which asynchronous page faults end with.
    pub callbacks: u64,
    /// What the kernel's memory management did.
    pub memory: MemoryWork,
}

/// What the kernel's memory management did in a second, in events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryWork {
    /// Huge pages made or split.
    pub huge_pages: u64,
    /// Memory compacted while somebody waited.
    pub compactions: u64,
    /// Memory reclaimed while somebody waited.
    pub reclaims: u64,
    /// Pages read back from swap, and other faults with I/O.
    pub swapped: u64,
}

impl MemoryWork {
    /// Whether there was any.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// Something the host knows of the VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostEvent {
    /// When, on the guest's clock.
    pub at_ns: u64,
    /// What.
    pub kind: HostEventKind,
}

/// What happened to the VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostEventKind {
    /// Its vCPUs were stopped.
    Stop,
    /// They run again.
    Resume,
    /// They run again, on the destination, before all memory is there: what was last visited before is still missing.
    PostcopyBegins,
    /// All memory is there.
    PostcopyEnds,
    /// The guest's clock was found to have stood still or leapt.
    ClockStep,
}

/// One visit that took longer than the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongVisit {
    /// The CPU of its writer.
    pub cpu: u32,
    /// When it began.
    pub start_ns: u64,
    /// How long it took.
    pub len_ns: u64,
    /// When its page had been visited before; none where pages carry no stamps.
    pub last_visited_ns: Option<u64>,
    /// Visits of this writer that had written by then.
    pub writes: u64,
}
