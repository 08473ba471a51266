//! An engine with one writer that does nothing until it is given a load: what benches of whole visits start from.

use std::error::Error;
use sully::{
    engine::Engine,
    plan::{self, Checked, MemoryAmount, Plan},
    probe,
    units::{ByteSize, Rate},
};

/// Over so much memory, its writer on `cpu`; whether its visits are timed, and whether they are stamped.
pub fn engine(
    memory_mib: u64,
    (timed, stamped): (bool, bool),
    cpu: u32,
) -> Result<(Checked, Engine), Box<dyn Error>> {
    let plan = Plan {
        memory: MemoryAmount::Bytes(ByteSize::mib(memory_mib)),
        rate: Rate::PagesPerSecond(0),
        threads: Some(1),
        verify: stamped,
        latency: timed,
        ..Plan::default()
    };
    let plan = plan::check(&plan, &probe::machine()?)?;
    let mut engine = Engine::start(&plan, &[cpu])?;
    engine.open_gate();
    Ok((plan, engine))
}
