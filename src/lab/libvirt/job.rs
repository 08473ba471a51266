//! What `virsh domjobinfo --rawstats` says of a migration, in the words of QEMU's `query-migrate`, from which libvirt has it.

use serde_json::{Map, Value, json};

/// How a job stands.
#[derive(Debug, Clone, PartialEq)]
pub enum JobStatistics {
    /// There is none, or none that is a migration.
    None,
    /// A migration goes on, or is over: what QEMU would have answered.
    Migration(Value),
}

/// libvirt's name of a number, and QEMU's, in the answer itself or in its part `ram`.
const NAMES: [(&str, &str, bool); 12] = [
    ("time_elapsed", "total-time", false),
    ("setup_time", "setup-time", false),
    ("auto_converge_throttle", "cpu-throttle-percentage", false),
    ("memory_total", "total", true),
    ("memory_processed", "transferred", true),
    ("memory_remaining", "remaining", true),
    ("memory_constant", "duplicate", true),
    ("memory_normal", "normal", true),
    ("memory_dirty_rate", "dirty-pages-rate", true),
    ("memory_iteration", "dirty-sync-count", true),
    ("memory_postcopy_requests", "postcopy-requests", true),
    ("memory_page_size", "page-size", true),
];

/// libvirt's numbers of the operations that migrate a domain to this host, and from it.
const MIGRATIONS: [&str; 2] = ["4", "5"];

/// What virsh printed; a line that is no number with a name is passed over.
pub fn job_of(text: &str) -> JobStatistics {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    let pairs: Vec<(&str, &str)> = pairs.map(|(name, value)| (name.trim(), value.trim())).collect();
    let find = |name: &str| pairs.iter().find(|(own, _)| *own == name).map(|(_, value)| *value);
    let status = match find("Job type") {
        // With --rawstats virsh prints the number of libvirt's enumeration.
        Some("1" | "2" | "Unbounded" | "Bounded") => "active",
        Some("3" | "Completed") => "completed",
        Some("4" | "Failed") => "failed",
        Some("5" | "Cancelled") => "cancelled",
        _ => return JobStatistics::None,
    };
    if find("operation").is_some_and(|operation| !MIGRATIONS.contains(&operation)) {
        return JobStatistics::None;
    }
    let number = |name: &str| find(name)?.split_whitespace().next()?.parse::<u64>().ok();
    let (mut answer, mut ram) = (Map::new(), Map::new());
    answer.insert("status".into(), status.into());
    for (own, of_qemu, is_ram) in NAMES {
        if let Some(value) = number(own) {
            let part = if is_ram { &mut ram } else { &mut answer };
            part.insert(of_qemu.into(), value.into());
        }
    }
    // While it goes on, libvirt means by it what QEMU expects.
    let downtime = if status == "active" { "expected-downtime" } else { "downtime" };
    if let Some(value) = number("downtime") {
        answer.insert(downtime.into(), value.into());
    }
    if let Some(bytes_per_s) = number("memory_bps") {
        ram.insert("mbps".into(), json!(bytes_per_s as f64 * 8.0 / 1e6));
    }
    // A throttle that libvirt remembers of a migration that is over throttles nothing.
    if status != "active" || answer.get("cpu-throttle-percentage") == Some(&json!(0)) {
        answer.remove("cpu-throttle-percentage");
    }
    if !ram.is_empty() {
        answer.insert("ram".into(), ram.into());
    }
    JobStatistics::Migration(answer.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::MigrationSample;

    const RUNNING: &str = "Job type: 2\n\noperation: 5\n  time_elapsed: 1234\n  downtime: 300\n  memory_total: 1048576
  memory_processed: 4096\n  memory_remaining: 2048\n  memory_dirty_rate: 77\n  memory_iteration: 3\n  memory_bps: 1000000
  auto_converge_throttle: 20\n  setup_time: 5\n";

    fn sample(text: &str) -> MigrationSample {
        match job_of(text) {
            JobStatistics::Migration(answer) => MigrationSample::of_reply(&answer),
            JobStatistics::None => panic!("{text}"),
        }
    }

    #[test]
    fn a_migration_under_way_reads_as_qemus_own_answer() {
        let running = sample(RUNNING);
        assert_eq!((running.status.as_deref(), running.total_time_ms), (Some("active"), Some(1234)));
        assert_eq!((running.downtime_ms, running.expected_downtime_ms), (None, Some(300)));
        assert_eq!(running.cpu_throttle_percent, Some(20));
        let ram = running.ram.unwrap();
        assert_eq!((ram.dirty_sync_count, ram.remaining_bytes, ram.mbps), (Some(3), Some(2048), Some(8.0)));
    }

    #[test]
    fn one_that_is_over_has_its_downtime_and_no_throttle() {
        let over = sample(&RUNNING.replace("type: 2", "type: 3"));
        assert_eq!((over.status.as_deref(), over.downtime_ms), (Some("completed"), Some(300)));
        assert_eq!(over.cpu_throttle_percent, None);
    }

    #[test]
    fn no_job_and_another_job_are_no_migration() {
        assert_eq!(job_of("Job type: 0\n\n"), JobStatistics::None);
        assert_eq!(job_of("Job type: 2\noperation: 6\n"), JobStatistics::None);
        assert_eq!(job_of(""), JobStatistics::None);
    }
}
