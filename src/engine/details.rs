//! The details of a run, one record each: gaps of the canaries, corrupt pages, visits that took too long.

use super::{CORRUPTION_RECORDS, Engine, finds};
use crate::{
    clock::{Clock, Monotonic},
    diagnose::classify,
    probe::StealProbe,
    record::{Corruption, Gap, Stall, is_resolved},
    tally::{RING_RECORDS, Told},
};

impl Engine {
    /// Moves the gap records that came since the last call to `into`, at most as many as the rings hold, and judges
    /// them together for the next snapshot; those that ended just now with the next call, unless all has ended. Steal is
    /// read as well.
    pub fn take_gaps(&mut self, into: &mut Vec<Gap>) {
        let first_fresh = into.len();
        // Before the rings are read: what is not in them yet may have ended since.
        let now_ns = Monotonic.now_ns();
        for canary in &self.canaries {
            for _ in 0..RING_RECORDS {
                let Some(gap) = canary.tally.take() else { break };
                into.push(Gap {
                    cpu: canary.cpu,
                    start_ns: gap.start_ns,
                    len_ns: gap.len_ns,
                    class: classify(gap.len_ns, &gap.features),
                    features: gap.features,
                });
            }
        }
        // The kernel writes all of its counters down for each reading: once is enough.
        let steal_ms = self.steal.as_ref().and_then(StealProbe::read_ms);
        self.steal_seen_ms = steal_ms;
        let fresh = into.get(first_fresh..).unwrap_or_default();
        if !fresh.is_empty() {
            self.callbacks_seen = self.callbacks.read();
        }
        let canaries = self.canaries.len();
        self.diagnosis.take_in(fresh, canaries, steal_ms, now_ns);
        if self.stopped_ns.is_some() {
            self.diagnosis.judge_all(canaries, steal_ms, now_ns);
        }
    }

    /// Moves what writers found since the last call: corrupt pages, at most [`CORRUPTION_RECORDS`] in all, and visits that
    /// took too long.
    pub fn take_finds(&mut self, corruptions: &mut Vec<Corruption>, stalls: &mut Vec<Stall>) {
        for writer in &self.writers {
            let Some(tally) = &writer.stamps else { continue };
            for _ in 0..RING_RECORDS {
                match tally.take() {
                    Some(Told::Corrupt(find)) if self.corruptions_told < CORRUPTION_RECORDS => {
                        self.corruptions_told += 1;
                        corruptions.push(finds::corruption(&find));
                    }
                    Some(Told::Long(visit)) if is_resolved(visit.len_ns, self.clock.step_ns()) => {
                        stalls.push(finds::stall(writer.on, &visit));
                    }
                    Some(Told::Corrupt(_) | Told::Long(_)) => {}
                    None => break,
                }
            }
        }
        if !stalls.is_empty() {
            self.callbacks_seen = self.callbacks.read();
        }
    }
}
