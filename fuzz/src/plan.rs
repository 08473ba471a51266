//! What people ask of the guest program: the values of its flags, and plan files.

use super::{are_fit_to_print, is_fit_to_print};
use std::fmt::{Debug, Display};
use std::str::FromStr;
use sully::lab::scenario::{Bandwidth, Trigger};
use sully::plan::{
    Backing, BacklogPolicy, Checked, ClockChoice, ContentSpec, Faults, HugePages, Machine, MemoryAmount,
    MemoryKind, Node, Numa, PaceSpec, PageSize, PatternSpec, Plan, PlanFile, Stock, check,
};
use sully::units::{ByteSize, Nanos, Rate, Share};

/// Lines of text as they stand on a command line: what is read prints to the same value, and any plan is answered.
pub fn plan_text(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut plan = Plan::default();
    for line in text.lines().take(32) {
        each::<ByteSize>(line, |_| ());
        each::<Bandwidth>(line, |_| ());
        each::<Trigger>(line, |_| ());
        each::<Nanos>(line, |span| (plan.interval, plan.duration, plan.baseline) = (span, Some(span), span));
        each::<Rate>(line, |rate| plan.rate = rate);
        each::<Share>(line, |share| (plan.reads, plan.dedup) = (share, share));
        each::<PatternSpec>(line, |pattern| plan.pattern = pattern);
        each::<PaceSpec>(line, |pace| plan.pace = pace);
        each::<BacklogPolicy>(line, |backlog| plan.backlog = backlog);
        each::<ContentSpec>(line, |content| plan.content = content);
        each::<ClockChoice>(line, |clock| plan.clock = clock);
        each::<MemoryAmount>(line, |memory| plan.memory = memory);
        each::<PageSize>(line, |pages| plan.kind = MemoryKind { pages, ..plan.kind.clone() });
        each::<Backing>(line, |backing| plan.kind = MemoryKind { backing, ..plan.kind.clone() });
        each::<Numa>(line, |numa| plan.kind = MemoryKind { numa: Some(numa), ..plan.kind.clone() });
        if let Ok(number) = line.parse() {
            (plan.threads, plan.catch_up, plan.write_bytes) = (Some(number), number, u64::from(number));
        }
        is_answered(&plan);
    }
}

/// A plan file, as the flag `--plan` takes it: it makes a plan that is answered, or its faults are said.
pub fn plan_file(bytes: &[u8]) {
    match PlanFile::parse(&String::from_utf8_lossy(bytes)) {
        Ok(file) => is_answered(&file.plan()),
        Err(faults) => are_fit_to_print(&Faults(faults).to_string()),
    }
}

/// On every machine a plan is refused with what is wrong, or made to one that reaches the host as it is.
fn is_answered(plan: &Plan) {
    for available_bytes in [0, 1 << 30, u64::MAX] {
        match check(plan, &machine(available_bytes)) {
            Ok(checked) => {
                let told = serde_json::to_vec(&checked).expect("a plan is written");
                assert_eq!(serde_json::from_slice::<Checked>(&told).ok().as_ref(), Some(&checked));
            }
            Err(faults) => are_fit_to_print(&faults.to_string()),
        }
    }
}

fn each<T: FromStr<Err: Display> + Display + Debug + PartialEq>(text: &str, take: impl FnOnce(T)) {
    match text.parse::<T>() {
        Ok(value) => {
            let printed = value.to_string();
            assert_eq!(printed.parse::<T>().ok().as_ref(), Some(&value), "'{text}' prints as '{printed}'");
            take(value);
        }
        Err(error) => is_fit_to_print(&error.to_string()),
    }
}

pub fn machine(available_bytes: u64) -> Machine {
    let huge = HugePages { free_2m_bytes: Some(available_bytes), free_1g_bytes: None };
    let node = Node { id: 0, available_bytes, huge };
    let stock =
        Stock { huge, nodes: vec![node], lock_limit_bytes: Some(available_bytes), ..Stock::default() };
    Machine { available_bytes, cpus: 2, stock }
}
