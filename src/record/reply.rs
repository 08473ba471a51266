//! From QEMU's answer to `query-migrate` to a sample. Whatever is missing or of another type is absent.

use super::{MigrationSample, RamSample};
use serde_json::Value;
use std::cell::RefCell;

impl MigrationSample {
    /// What is known of a reply to `query-migrate`, of any QEMU version.
    pub fn of_reply(answer: &Value) -> Self {
        let fields = Fields { answer, impossible: RefCell::default() };
        let ram = answer.get("ram").filter(|ram| ram.is_object());
        let ram = ram.map(|answer| Fields { answer, impossible: RefCell::default() });
        let sample = Self {
            reply: None,
            status: fields.text("status"),
            total_time_ms: fields.number("total-time"),
            setup_time_ms: fields.number("setup-time"),
            downtime_ms: fields.number("downtime"),
            // Where QEMU has measured no bandwidth yet it can say -1.
            expected_downtime_ms: answer.get("expected-downtime").and_then(Value::as_u64),
            cpu_throttle_percent: fields.number("cpu-throttle-percentage"),
            postcopy_blocktime_ms: fields.number("postcopy-blocktime"),
            postcopy_vcpu_blocktime_ms: fields.numbers("postcopy-vcpu-blocktime"),
            postcopy_latency_ns: fields.number("postcopy-latency"),
            postcopy_latency_dist: fields.numbers("postcopy-latency-dist"),
            postcopy_vcpu_latency_ns: fields.numbers("postcopy-vcpu-latency"),
            postcopy_non_vcpu_latency_ns: fields.number("postcopy-non-vcpu-latency"),
            remaining_bytes: fields.number("remaining"),
            error: fields.text("error-desc"),
            ram: ram.as_ref().map(Fields::ram),
            impossible: Vec::new(),
        };
        let impossible =
            [Some(fields), ram].into_iter().flatten().flat_map(|part| part.impossible.into_inner());
        Self { impossible: impossible.collect(), ..sample }.without_impossible()
    }
}

/// The fields of an answer, or of a part of it.
struct Fields<'a> {
    answer: &'a Value,
    /// The numbers among them that count nothing.
    impossible: RefCell<Vec<String>>,
}

impl Fields<'_> {
    fn number(&self, key: &str) -> Option<u64> {
        let value = self.answer.get(key).filter(|value| value.is_number())?;
        if value.as_u64().is_none() {
            self.impossible.borrow_mut().push(format!("{key} {value}"));
        }
        value.as_u64()
    }

    fn numbers(&self, key: &str) -> Option<Vec<u64>> {
        let values = self.answer.get(key)?.as_array()?;
        let odd = values.iter().find(|value| value.is_number() && value.as_u64().is_none());
        self.impossible.borrow_mut().extend(odd.map(|value| format!("{key} {value}")));
        values.iter().map(Value::as_u64).collect()
    }

    /// A figure that may have a fraction.
    fn measure(&self, key: &str) -> Option<f64> {
        let value = self.answer.get(key)?;
        let figure = value.as_f64()?;
        if figure < 0.0 {
            self.impossible.borrow_mut().push(format!("{key} {value}"));
        }
        Some(figure).filter(|figure| *figure >= 0.0)
    }

    fn text(&self, key: &str) -> Option<String> {
        self.answer.get(key).and_then(Value::as_str).map(str::to_owned)
    }

    fn ram(&self) -> RamSample {
        RamSample {
            transferred_bytes: self.number("transferred"),
            remaining_bytes: self.number("remaining"),
            total_bytes: self.number("total"),
            duplicate_pages: self.number("duplicate"),
            normal_pages: self.number("normal"),
            dirty_pages_per_s: self.number("dirty-pages-rate"),
            dirty_sync_count: self.number("dirty-sync-count"),
            postcopy_requests: self.number("postcopy-requests"),
            mbps: self.measure("mbps"),
            pages_per_s: self.number("pages-per-second"),
            precopy_bytes: self.number("precopy-bytes"),
            downtime_bytes: self.number("downtime-bytes"),
            postcopy_bytes: self.number("postcopy-bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sample(reply: &Value) -> MigrationSample {
        MigrationSample::of_reply(reply)
    }

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
        assert_eq!(
            (read.postcopy_latency_ns, read.postcopy_latency_dist),
            (Some(51_234), Some(vec![0, 1, 2]))
        );
        assert_eq!(read.ram, None);
    }

    #[test]
    fn what_is_missing_or_of_another_type_is_absent() {
        assert_eq!(sample(&json!({})), MigrationSample::default());
        assert_eq!(sample(&json!(null)), MigrationSample::default());
        let odd =
            sample(&json!({"status": 7, "downtime": "1", "ram": [], "postcopy-vcpu-blocktime": [1, "x"]}));
        assert_eq!(odd, MigrationSample::default());
    }

    #[test]
    fn a_number_that_cannot_be_is_absent_and_named() {
        let read = sample(&json!({
            "status": "active", "cpu-throttle-percentage": 4_000_000_000_u64, "downtime": -1, "setup-time": 4,
            "expected-downtime": i64::MAX, "total-time": u64::MAX, "ram": {"dirty-sync-count": u64::MAX, "remaining": -5}
        }));
        assert_eq!(
            (read.cpu_throttle_percent, read.downtime_ms, read.total_time_ms, read.setup_time_ms),
            (None, None, None, Some(4))
        );
        assert_eq!(read.expected_downtime_ms, None, "not known yet, which is nothing to tell of");
        assert_eq!(read.ram.map(|ram| (ram.dirty_sync_count, ram.remaining_bytes)), Some((None, None)));
        assert_eq!(
            read.impossible,
            [
                "downtime -1",
                "remaining -5",
                "cpu-throttle-percentage 4000000000",
                "total-time 18446744073709551615",
                "dirty-sync-count 18446744073709551615",
            ]
        );
    }

    #[test]
    fn of_several_numbers_and_of_sizes_those_that_cannot_be_are_absent_and_named_too() {
        let read = sample(&json!({
            "postcopy-vcpu-blocktime": [5, -1], "postcopy-vcpu-latency": [u64::MAX], "postcopy-latency": u64::MAX,
            "postcopy-latency-dist": vec![1; 65], "remaining": u64::MAX,
            "ram": {"remaining": u64::MAX - 4095, "dirty-pages-rate": u64::MAX, "normal": 7}
        }));
        let ram = read.ram.unwrap();
        assert_eq!((read.postcopy_vcpu_blocktime_ms, read.postcopy_latency_dist), (None, None));
        assert_eq!((ram.remaining_bytes, ram.dirty_pages_per_s, ram.normal_pages), (None, None, Some(7)));
        let names = read.impossible.join(", ");
        assert_eq!(
            names,
            "postcopy-vcpu-blocktime -1, postcopy-latency 18446744073709551615, remaining 18446744073709551615, \
             remaining 18446744073709547520, dirty-pages-rate 18446744073709551615, \
             postcopy-vcpu-latency 18446744073709551615, postcopy-latency-dist of 65 numbers"
        );
    }

    #[test]
    fn a_number_that_cannot_be_is_named_in_a_list_and_with_a_fraction_too() {
        let read = sample(&json!({
            "postcopy-vcpu-blocktime": [4960, -17], "postcopy-latency-dist": [0, 1.5], "ram": {"mbps": -0.5}
        }));
        assert_eq!((read.postcopy_vcpu_blocktime_ms, read.postcopy_latency_dist), (None, None));
        assert_eq!(read.ram.and_then(|ram| ram.mbps), None);
        assert_eq!(
            read.impossible,
            ["postcopy-vcpu-blocktime -17", "postcopy-latency-dist 1.5", "mbps -0.5"]
        );
        assert_eq!(sample(&json!({"ram": {"mbps": 0}})).ram.and_then(|ram| ram.mbps), Some(0.0));
    }

    #[test]
    fn an_answer_of_qemu_11_1_says_what_is_left_of_devices_too() {
        let read = sample(&json!({"status": "postcopy-device", "remaining": 700, "ram": {"remaining": 600}}));
        assert_eq!(read.status.as_deref(), Some("postcopy-device"));
        assert_eq!((read.remaining_bytes, read.ram.unwrap().remaining_bytes), (Some(700), Some(600)));
    }

    #[test]
    fn a_failure_keeps_its_description() {
        let read =
            sample(&json!({"status": "failed", "error-desc": "Unable to write to socket: Broken pipe"}));
        assert_eq!(read.error.as_deref(), Some("Unable to write to socket: Broken pipe"));
    }
}
