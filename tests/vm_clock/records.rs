//! The records of a guest that moves, from the sockets of both sides.

use crate::vms::SECOND_NS;
use std::sync::Arc;
use std::time::Duration;
use sully::lab::collect::{Desk, Links};
use sully::lab::hostclock;
use sully::lab::rundir::{Limits, RecordsFile};
use sully::lab::vm::Qemu;
use sully::record::{Arrival, Body, Heartbeat, Hello, Interval, Side};
use tokio::time::timeout;

/// What came so far.
pub struct Records {
    desk: Arc<Desk>,
    /// In the order of their numbers.
    arrivals: Vec<Arrival>,
    _links: Links,
    _dir: tempfile::TempDir,
}

impl Records {
    /// Listens to the VM of each side, from the first byte on.
    pub async fn of(vms: &[(&Qemu, Side)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = RecordsFile::new(dir.path().join("records.ndjson"), Limits::ALL);
        let desk = Arc::new(Desk::of_one_vm(file));
        let mut links = Links::new(Arc::clone(&desk));
        for (vm, side) in vms {
            links.attend(vm.port_socket(), Some(*side));
            timeout(Duration::from_secs(10), desk.until_connected(&[*side], true)).await.unwrap();
        }
        Self { desk, arrivals: Vec::new(), _links: links, _dir: dir }
    }

    /// Takes in what comes for so long.
    pub async fn listen(&mut self, span_ns: u64) {
        let end_ns = hostclock::mono_ns() + span_ns;
        loop {
            let left = Duration::from_nanos(end_ns.saturating_sub(hostclock::mono_ns()));
            let changed = timeout(left, self.desk.changed()).await;
            self.arrivals.extend(self.desk.take_fresh());
            self.arrivals.sort_by_key(|arrival| arrival.record.seq);
            if changed.is_err() {
                return;
            }
        }
    }

    /// Waits for the first record, and until it has all the guest can tell of its clock.
    pub async fn hello(&mut self) -> Hello {
        let limit_ns = hostclock::mono_ns() + 90 * SECOND_NS;
        while self.arrivals.is_empty() {
            assert!(hostclock::mono_ns() < limit_ns, "the guest sent no record");
            self.listen(SECOND_NS / 10).await;
        }
        match &self.arrivals[0].record.body {
            Body::Hello(hello) => (**hello).clone(),
            other => panic!("the first record is {}", other.type_name()),
        }
    }

    /// All records, which must follow each other without a hole.
    pub fn whole(&self) -> &[Arrival] {
        assert!(self.arrivals.iter().map(|arrival| arrival.record.seq).eq(0..self.arrivals.len() as u64));
        &self.arrivals
    }

    /// The heartbeats of a side, each with its own stamp.
    pub fn beats(&self, side: Side) -> Vec<(u64, &Heartbeat)> {
        let own = self.whole().iter().filter(|arrival| arrival.side == side);
        own.filter_map(|arrival| match &arrival.record.body {
            Body::Heartbeat(beat) => Some((arrival.record.mono_ns, beat)),
            _ => None,
        })
        .collect()
    }

    /// The intervals of both sides.
    pub fn intervals(&self) -> Vec<&Interval> {
        let found = self.whole().iter().filter_map(|arrival| match &arrival.record.body {
            Body::Interval(interval) => Some(&**interval),
            _ => None,
        });
        found.collect()
    }
}
