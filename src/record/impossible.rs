//! Numbers that QEMU cannot mean: a counter that ran below zero, or a field that was never filled.

use super::{MigrationSample, RamSample};

/// The longest time in ms: a month.
const MONTH_MS: u64 = 31 * 24 * 3_600_000;
/// The same in ns.
const MONTH_NS: u64 = MONTH_MS * 1_000_000;
/// The most dirty-bitmap syncs of a migration.
const MOST_SYNCS: u64 = 1 << 32;
/// The most bytes: a hundred times what a CPU addresses.
const MOST_BYTES: u64 = 1 << 60;
/// The most pages: as many bytes of them.
const MOST_PAGES: u64 = MOST_BYTES >> 12;
/// The most buckets of a distribution of times: each is twice as long as the one before.
const MOST_BUCKETS: usize = 64;

/// A number, by QEMU's name for it, and the most that it can be.
type Limit<'a> = (&'static str, &'a mut Option<u64>, u64);
/// The same of several numbers.
type Limits<'a> = (&'static str, &'a mut Option<Vec<u64>>, u64);

impl MigrationSample {
    /// The same without the numbers that cannot be, whose names and values are kept in [`Self::impossible`].
    #[must_use]
    pub fn without_impossible(mut self) -> Self {
        // QEMU from 11.0 on says the largest number while it does not know yet, and older ones -1.
        self.expected_downtime_ms = self.expected_downtime_ms.filter(|ms| *ms <= MONTH_MS);
        let mut found = Vec::new();
        let single: [Limit<'_>; 8] = [
            ("cpu-throttle-percentage", &mut self.cpu_throttle_percent, 100),
            ("downtime", &mut self.downtime_ms, MONTH_MS),
            ("setup-time", &mut self.setup_time_ms, MONTH_MS),
            ("total-time", &mut self.total_time_ms, MONTH_MS),
            ("postcopy-blocktime", &mut self.postcopy_blocktime_ms, MONTH_MS),
            ("postcopy-latency", &mut self.postcopy_latency_ns, MONTH_NS),
            ("postcopy-non-vcpu-latency", &mut self.postcopy_non_vcpu_latency_ns, MONTH_NS),
            ("remaining", &mut self.remaining_bytes, MOST_BYTES),
        ];
        for (name, field, most) in single.into_iter().chain(self.ram.iter_mut().flat_map(of_ram)) {
            let value = field.take_if(|value| *value > most);
            found.extend(value.map(|value| format!("{name} {value}")));
        }
        let several: [Limits<'_>; 3] = [
            ("postcopy-vcpu-blocktime", &mut self.postcopy_vcpu_blocktime_ms, MONTH_MS),
            ("postcopy-vcpu-latency", &mut self.postcopy_vcpu_latency_ns, MONTH_NS),
            ("postcopy-latency-dist", &mut self.postcopy_latency_dist, MOST_PAGES),
        ];
        for (name, field, most) in several {
            let odd = field.iter().flatten().copied().find(|value| *value > most);
            found.extend(odd.map(|value| format!("{name} {value}")));
            field.take_if(|_| odd.is_some());
        }
        let long = self.postcopy_latency_dist.take_if(|counts| counts.len() > MOST_BUCKETS);
        found.extend(long.map(|counts| format!("postcopy-latency-dist of {} numbers", counts.len())));
        self.impossible.append(&mut found);
        self
    }
}

fn of_ram(ram: &mut RamSample) -> [Limit<'_>; 12] {
    [
        ("transferred", &mut ram.transferred_bytes, MOST_BYTES),
        ("remaining", &mut ram.remaining_bytes, MOST_BYTES),
        ("total", &mut ram.total_bytes, MOST_BYTES),
        ("duplicate", &mut ram.duplicate_pages, MOST_PAGES),
        ("normal", &mut ram.normal_pages, MOST_PAGES),
        ("dirty-pages-rate", &mut ram.dirty_pages_per_s, MOST_PAGES),
        ("dirty-sync-count", &mut ram.dirty_sync_count, MOST_SYNCS),
        ("postcopy-requests", &mut ram.postcopy_requests, MOST_PAGES),
        ("pages-per-second", &mut ram.pages_per_s, MOST_PAGES),
        ("precopy-bytes", &mut ram.precopy_bytes, MOST_BYTES),
        ("downtime-bytes", &mut ram.downtime_bytes, MOST_BYTES),
        ("postcopy-bytes", &mut ram.postcopy_bytes, MOST_BYTES),
    ]
}
