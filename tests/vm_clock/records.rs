//! The records of a guest that moves, from the sockets of both sides.

use crate::vms::SECOND_NS;
use std::time::Duration;
use sully::lab::collect::{Joiner, Piece, Port, PortMessage};
use sully::lab::hostclock;
use sully::lab::vm::Qemu;
use sully::record::{Arrival, Body, Heartbeat, Hello, Interval, Side};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// What came so far.
pub struct Records {
    messages: mpsc::Receiver<PortMessage>,
    joiner: Joiner,
    arrivals: Vec<Arrival>,
    _ports: Vec<Port>,
}

impl Records {
    /// Listens to the VM of each side, from the first byte on.
    pub async fn of(vms: &[(&Qemu, Side)]) -> Self {
        let (sink, messages) = mpsc::channel(256);
        let mut ports = Vec::new();
        for (vm, side) in vms {
            ports.push(Port::connect(vm.port_socket(), *side, sink.clone()).await.unwrap());
        }
        Self { messages, joiner: Joiner::default(), arrivals: Vec::new(), _ports: ports }
    }

    /// Takes in what comes for so long.
    pub async fn listen(&mut self, span_ns: u64) {
        let end_ns = hostclock::mono_ns() + span_ns;
        loop {
            let left = Duration::from_nanos(end_ns.saturating_sub(hostclock::mono_ns()));
            let Ok(message) = timeout(left, self.messages.recv()).await else { return };
            let arrivals = &mut self.arrivals;
            let mut keep = |piece: Piece| match piece {
                Piece::Record(arrival) => arrivals.push(*arrival),
                other => panic!("what is no record came: {other:?}"),
            };
            match message.expect("one of both ports is open") {
                PortMessage::Bytes { side, host_ns, bytes } => {
                    self.joiner.bytes(host_ns, side, &bytes, &mut keep);
                }
                PortMessage::Closed(Side::Source) => self.joiner.source_closed(&mut keep),
                PortMessage::Closed(_) | PortMessage::Drained(_) => {}
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
