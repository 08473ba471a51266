//! What a run ran on, how its stream arrived, and how it was judged.

use super::{headline::outcome, table::Table};
use crate::{
    lab::{rundir::RunData, timeline::Timeline},
    plan::ContentSpec,
    record::{Accelerator, Body, Hello, Outcome},
    units::ByteSize,
};

/// Said wherever figures of an emulated guest are shown.
pub const EMULATED: &str = "The guest's CPUs were emulated (TCG): absolute speeds and latencies under emulation do not \
                            count; shares, shapes and what QEMU did to the guest do.";

/// Whether the guest was emulated.
pub fn is_emulated(data: &RunData) -> bool {
    data.run.provenance.accelerator == Accelerator::Tcg
}

/// The verdict in one line.
pub fn verdict(data: &RunData) -> String {
    let verdict = &data.run.verdict;
    let reasons = verdict.reasons.join("; ");
    let word = outcome(verdict.outcome);
    if reasons.is_empty() { word.into() } else { format!("{word}: {reasons}") }
}

/// What it ran on and how its stream arrived.
pub fn facts(data: &RunData) -> Table {
    let provenance = &data.run.provenance;
    let mut table = Table::of_facts("The run");
    table.fact("directory", data.dir_name.clone());
    let accelerator = match provenance.accelerator {
        Accelerator::Kvm => "KVM",
        Accelerator::Tcg => "TCG (emulation)",
    };
    let reason =
        provenance.accelerator_reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    table.fact("accelerator", format!("{accelerator}{reason}"));
    table.fact("QEMU", known(&provenance.qemu_version));
    let kernel = known(&provenance.guest_kernel);
    table.fact("guest", format!("{kernel}, {} memory", known(&provenance.guest_memory)));
    let mut hellos = data.arrivals.iter().filter_map(|arrival| match &arrival.record.body {
        Body::Hello(hello) => Some(hello),
        _ => None,
    });
    if let Some(hello) = hellos.next() {
        table.fact("load", load(hello));
        table.fact("canaries", canaries(hello));
    }
    let (cpus, model) = (provenance.host_cpus, known(&provenance.host_cpu_model));
    table.fact("host", format!("{cpus} x {model}, Linux {}", known(&provenance.host_kernel)));
    table.fact("sully", known(&provenance.version));
    table.fact("stream", stream(data));
    table
}

fn known(text: &str) -> String {
    if text.is_empty() { "n/a".into() } else { text.to_owned() }
}

fn load(hello: &Hello) -> String {
    let plan = &hello.plan;
    let writers = super::words::counted(u64::from(plan.threads), "writer", "writers");
    let reads = match plan.reads.millionths() {
        0 => String::new(),
        _ => format!(", {} of the visits only read", plan.reads),
    };
    let content =
        if plan.content == ContentSpec::Random { String::new() } else { format!(", {}", plan.content) };
    let dedup = match plan.dedup.millionths() {
        0 => String::new(),
        _ => format!(", {} of the pages copies", plan.dedup),
    };
    let memory = ByteSize(plan.memory_bytes).human();
    let memory = match plan.regions.len() {
        0 => memory,
        regions => format!("{memory} in {}", super::words::counted(regions as u64, "region", "regions")),
    };
    format!("{memory} at {}, {}{content}{dedup}{reads}, {writers}", plan.rate, plan.pattern)
}

fn canaries(hello: &Hello) -> String {
    let facts = &hello.self_facts;
    let cpus = super::words::counted(hello.cpus.len() as u64, "vCPU", "vCPUs");
    let urgency = if facts.canary_realtime { "realtime" } else { "not realtime" };
    let (period, threshold) = (facts.canary_period_ns, facts.gap_threshold_ns);
    let time = |ns| super::words::time(Some(ns));
    format!("{cpus}, every {}, {urgency}; gaps from {} on", time(period), time(threshold))
}

/// The audit of the guest's stream in words.
fn stream(data: &RunData) -> String {
    let audit = &data.run.stream;
    let sound = if audit.is_sound() { "sound" } else { "NOT sound" };
    let more = |count: u64, what: &str| if count > 0 { format!(", {count} {what}") } else { String::new() };
    format!(
        "{sound}: {} records, {} missing, {} double, {} torn{}{}{}{}",
        audit.records,
        audit.holes,
        audit.doubles,
        audit.torn,
        more(audit.unknown, "of unknown type"),
        more(audit.replayed, "sent again on request"),
        more(audit.dropped_by_guest, "given up by the guest"),
        more(audit.unwritten, "not kept: the file was full"),
    )
}

/// What the lab did on its own account, and what could not be worked out.
pub fn notes(data: &RunData, timeline: &Timeline) -> Vec<String> {
    data.run.provenance.notes.iter().chain(&timeline.remarks).cloned().collect()
}

/// The last words of both consoles, where the run did not end well.
pub fn consoles(data: &RunData) -> Vec<(&'static str, &[String])> {
    if data.run.verdict.outcome == Outcome::Passed {
        return Vec::new();
    }
    let both = [
        ("The source's console ended with", data.source_console.as_slice()),
        ("The destination's console ended with", data.destination_console.as_slice()),
    ];
    both.into_iter().filter(|(_, lines)| !lines.is_empty()).collect()
}
