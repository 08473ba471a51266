//! What a guest itself says it lost: pages that were corrupt, and records that it gave up.

use crate::record::Body;

/// What a guest itself says it lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GuestLosses {
    /// Corrupt pages that have a record of their own; a guest names the first thousand.
    named: u64,
    /// The most corrupt pages that a sum told of; none where none did.
    counted: Option<u64>,
    records_given_up: Option<u64>,
}

impl GuestLosses {
    /// The types of the records that tell of losses.
    pub const TOLD_BY: [&str; 5] = ["hello", "corruption", "sweep", "reply", "end"];

    /// Takes a record into account.
    pub fn on(&mut self, body: &Body) {
        let counted = match body {
            Body::Hello(hello) => hello.plan.verify.then_some(0),
            Body::Corruption(_) => {
                self.named += 1;
                None
            }
            Body::Sweep(sweep) => sweep.corrupt_pages,
            Body::Reply(reply) => reply.status.as_ref().and_then(|status| status.corrupt_pages),
            Body::End(end) => {
                self.records_given_up = Some(end.records_dropped);
                end.totals.corruptions.map(|counts| counts.sum())
            }
            _ => None,
        };
        self.counted = self.counted.max(counted);
    }

    /// Records that were taken into account are read again: pages are not named twice.
    pub fn read_again(&mut self) {
        self.counted = self.corrupt_pages();
        self.named = 0;
    }

    /// Pages that did not hold what was last written there; absent where pages carry no stamps.
    pub fn corrupt_pages(&self) -> Option<u64> {
        self.counted.max((self.named > 0).then_some(self.named))
    }

    /// Corrupt pages that have a record of their own.
    pub const fn named(&self) -> u64 {
        self.named
    }

    /// Records that the guest gave up because they were not taken in time; absent before its last record.
    pub const fn records_given_up(&self) -> Option<u64> {
        self.records_given_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Arrival;
    use serde_json::json;

    fn after(records: &[serde_json::Value]) -> GuestLosses {
        let mut losses = GuestLosses::default();
        for record in records {
            let mut line = json!({"host_ns": 1, "side": "source", "session": "0000000000000001", "seq": 0,
                "mono_ns": 5});
            line.as_object_mut().unwrap().extend(record.as_object().unwrap().clone());
            let arrival: Arrival = serde_json::from_value(line).unwrap();
            assert!(GuestLosses::TOLD_BY.contains(&arrival.record.body.type_name()));
            losses.on(&arrival.record.body);
        }
        losses
    }

    #[test]
    fn the_guests_own_sums_go_before_the_records_that_name_pages() {
        let page = json!({"type": "corruption", "page": 7, "kind": "stale", "expected": "", "found": ""});
        let sweep =
            |pages: Option<u64>| json!({"type": "sweep", "sweeps": 1, "pages": 9, "corrupt_pages": pages});
        let latency = json!({"count": 0});
        let end = |corruptions: serde_json::Value| {
            json!({"type": "end", "reason": "stop", "service_ns": latency, "response_ns": latency,
                "service_hist": "", "response_hist": "", "records_dropped": 7,
                "totals": {"elapsed_ns": 1, "writes": 1, "self_cpu_ns": 1, "corruptions": corruptions}})
        };
        assert_eq!(after(&[]).corrupt_pages(), None, "nobody knows");
        assert_eq!(after(&[sweep(None)]).corrupt_pages(), None, "pages without stamps");
        assert_eq!(after(&[sweep(Some(0))]).corrupt_pages(), Some(0));
        assert_eq!(after(&[page.clone(), page.clone()]).corrupt_pages(), Some(2));
        let told = after(&[page.clone(), sweep(Some(3)), page.clone()]);
        assert_eq!((told.corrupt_pages(), told.named(), told.records_given_up()), (Some(3), 2, None));
        let told = after(&[page, end(json!({"stale": 3000, "torn": 96}))]);
        assert_eq!((told.corrupt_pages(), told.named(), told.records_given_up()), (Some(3096), 1, Some(7)));
    }
}
