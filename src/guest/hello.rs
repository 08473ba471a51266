//! The first record of a session, gathered from the machine, the engine and the plan.

use crate::engine::Facts;
use crate::plan::Checked;
use crate::probe;
use crate::record::{Hello, SCHEMA, SessionId};
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
    }
}

/// A name for this run that no other run has: the standard library's hash keys are random per process.
pub fn new_session() -> SessionId {
    SessionId(RandomState::new().build_hasher().finish())
}
