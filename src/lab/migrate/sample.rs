//! From QEMU's answer to `query-migrate` to a sample. Whatever is missing or of another type is absent.

use crate::record::{MigrationSample, RamSample};
use serde_json::Value;

/// What `query-migrate` answered, of any QEMU version.
pub fn sample(answer: &Value) -> MigrationSample {
    let number = |key: &str| answer.get(key).and_then(Value::as_u64);
    let text = |key: &str| answer.get(key).and_then(Value::as_str).map(str::to_owned);
    MigrationSample {
        status: text("status"),
        total_time_ms: number("total-time"),
        setup_time_ms: number("setup-time"),
        downtime_ms: number("downtime"),
        expected_downtime_ms: number("expected-downtime"),
        cpu_throttle_percent: number("cpu-throttle-percentage"),
        postcopy_blocktime_ms: number("postcopy-blocktime"),
        postcopy_vcpu_blocktime_ms: answer
            .get("postcopy-vcpu-blocktime")
            .and_then(Value::as_array)
            .and_then(|vcpus| vcpus.iter().map(Value::as_u64).collect()),
        error: text("error-desc"),
        ram: answer.get("ram").filter(|ram| ram.is_object()).map(ram),
    }
}

fn ram(answer: &Value) -> RamSample {
    let number = |key: &str| answer.get(key).and_then(Value::as_u64);
    RamSample {
        transferred_bytes: number("transferred"),
        remaining_bytes: number("remaining"),
        total_bytes: number("total"),
        duplicate_pages: number("duplicate"),
        normal_pages: number("normal"),
        dirty_pages_per_s: number("dirty-pages-rate"),
        dirty_sync_count: number("dirty-sync-count"),
        postcopy_requests: number("postcopy-requests"),
        mbps: answer.get("mbps").and_then(Value::as_f64),
        pages_per_s: number("pages-per-second"),
        precopy_bytes: number("precopy-bytes"),
        downtime_bytes: number("downtime-bytes"),
        postcopy_bytes: number("postcopy-bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_of_qemu_7_2_while_it_throttles_is_read_whole() {
        let read = sample(&json!({
            "expected-downtime": 300, "status": "active", "setup-time": 4, "total-time": 5120,
            "cpu-throttle-percentage": 50,
            "ram": {"total": 285_745_152, "postcopy-requests": 0, "dirty-sync-count": 4, "multifd-bytes": 0,
                "pages-per-second": 10_230, "downtime-bytes": 0, "page-size": 4096, "remaining": 41_234_432,
                "postcopy-bytes": 0, "mbps": 335.5, "transferred": 201_234_567, "dirty-sync-missed-zero-copy": 0,
                "precopy-bytes": 201_234_000, "duplicate": 40_000, "dirty-pages-rate": 9_000, "skipped": 0,
                "normal-bytes": 163_840_000, "normal": 40_000}
        }));
        assert_eq!((read.status.as_deref(), read.cpu_throttle_percent), (Some("active"), Some(50)));
        assert_eq!((read.downtime_ms, read.total_time_ms), (None, Some(5120)));
        let ram = read.ram.unwrap();
        assert_eq!((ram.remaining_bytes, ram.dirty_sync_count), (Some(41_234_432), Some(4)));
        assert_eq!((ram.dirty_pages_per_s, ram.mbps), (Some(9_000), Some(335.5)));
    }

    #[test]
    fn a_destination_of_qemu_10_tells_its_blocktime_beside_fields_nobody_knows_yet() {
        let read = sample(&json!({
            "status": "completed", "postcopy-blocktime": 4960, "postcopy-vcpu-blocktime": [4960, 17],
            "postcopy-latency": 51_234, "postcopy-latency-dist": [0, 1, 2], "dirty-limit-ring-full-time": 0,
            "vfio": {"transferred": 1}
        }));
        assert_eq!(read.postcopy_blocktime_ms, Some(4960));
        assert_eq!(read.postcopy_vcpu_blocktime_ms, Some(vec![4960, 17]));
        assert_eq!(read.ram, None);
    }

    #[test]
    fn what_is_missing_or_of_another_type_is_absent() {
        assert_eq!(sample(&json!({})), MigrationSample::default());
        assert_eq!(sample(&json!(null)), MigrationSample::default());
        let odd =
            sample(&json!({"status": 7, "downtime": -1, "ram": [], "postcopy-vcpu-blocktime": [1, "x"]}));
        assert_eq!(odd, MigrationSample::default());
    }

    #[test]
    fn a_failure_keeps_its_description() {
        let read =
            sample(&json!({"status": "failed", "error-desc": "Unable to write to socket: Broken pipe"}));
        assert_eq!(read.error.as_deref(), Some("Unable to write to socket: Broken pipe"));
    }
}
