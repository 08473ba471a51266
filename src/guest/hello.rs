//! The first record of a session, gathered from the machine, the engine and the plan.

use crate::engine::Facts;
use crate::plan::Checked;
use crate::probe;
use crate::record::{ClockFacts, Hello, SCHEMA, SessionId, tick_ns};
use crate::units::Nanos;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};

/// Who speaks, on what machine, with which plan and at what cost.
pub fn hello(plan: &Checked, cpus: &[u32], facts: Facts) -> Hello {
    let host = probe::host_facts();
    Hello {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").into(),
        boot_id: host.boot_id,
        hostname: host.hostname,
        kernel: host.kernel,
        cpus: cpus.to_vec(),
        mem_total_bytes: host.mem_total_bytes,
        clock: facts.clock,
        interval_ns: plan.interval_ns,
        plan: plan.clone(),
        memory: facts.memory,
        self_facts: facts.self_facts,
        parent: None,
        parent_seq: None,
        labels: BTreeMap::new(),
    }
}

/// What a clock or timers that move with the kernel's tick alone leave untold, in a sentence; none where they do not.
pub fn coarseness(clock: &ClockFacts) -> Option<String> {
    let coarse = |step_ns: Option<u64>| step_ns.filter(|step_ns| tick_ns(*step_ns) > 0);
    let told = [(clock.step_ns, "clock", "latency"), (clock.timer_step_ns, "timers", "gap")]
        .into_iter()
        .filter_map(|(step_ns, of, what)| Some((coarse(step_ns)?, of, what)))
        .map(|(step_ns, of, what)| {
            format!(
                "{of}: steps of {}, no {what} below {} is told; ",
                Nanos(step_ns).human(),
                resolved(step_ns)
            )
        });
    let told: String = told.collect();
    (!told.is_empty()).then(|| told + "what helps says: sully check")
}

/// The least that steps of so many ns tell.
pub(super) fn resolved(step_ns: u64) -> String {
    Nanos(step_ns.saturating_add(step_ns / 2)).human()
}

/// A name for this run that no other run has: the standard library's hash keys are random per process.
pub fn new_session() -> SessionId {
    SessionId(RandomState::new().build_hasher().finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tick_leaves_untold_is_said_once_and_only_there() {
        let clock = |step_ns, timer_step_ns| ClockFacts {
            kind: "monotonic".into(),
            hz: 1_000_000_000,
            read_ns: 40,
            step_ns: Some(step_ns),
            timer_step_ns: Some(timer_step_ns),
            clocksource: None,
        };
        assert_eq!(coarseness(&clock(20, 70_000)), None);
        let both = coarseness(&clock(4_000_250, 4_000_250)).unwrap();
        assert!(both.contains("no latency below 6.00 ms") && both.contains("no gap below 6.00 ms"), "{both}");
        let timers = coarseness(&clock(838, 3_900_000)).unwrap();
        assert!(timers.starts_with("timers") && timers.contains("sully check"), "{timers}");
    }
}
