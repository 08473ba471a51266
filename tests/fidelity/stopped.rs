//! V10: a VM that QEMU stops and lets go on, its clock standing still meanwhile.

use super::machine::{MS, Machine, SECOND, is_long, lab_and_image};
use super::run;
use super::say::{Row, median};
use serde_json::Value;
use sully::lab::qmp::QmpEvent;
use sully::lab::rundir::{RECORDS_FILE, RunData};
use sully::lab::timeline::{Blackout, Timeline};
use sully::record::{
    Accelerator, Arrival, ClockPair, Milestone, MilestoneName, Outcome, Provenance, Run, Side, StreamAudit,
    Verdict,
};

/// How far from a stop records still tell, on each side.
const REACH_NS: u64 = 3 * SECOND;

#[test]
fn v10_a_stop_by_qemu_is_as_long_as_qemu_says() {
    run(async {
        let row = |cpus: u32, len_ms: u64| Row {
            test: "V10",
            injection: format!("QMP stop, cont after {len_ms} ms, {cpus} vCPU"),
            demand: "within 2 ms or 2 %",
        };
        let Some((_, image)) = lab_and_image(&row(1, 0)) else { return };
        let (lengths, rounds): (&[u64], usize) =
            if is_long() { (&[50, 100, 200, 500, 1000, 2000, 5000], 3) } else { (&[50, 500, 2000], 1) };
        // `make test` has no time for both.
        let cpus: &[u32] = if std::env::var_os("SULLY_FIDELITY").is_some() { &[1, 2] } else { &[1] };
        for cpus in cpus {
            let mut machine = Machine::boot(&image, *cpus, "-m 16M -r 2M/s --baseline 1s -i 100ms").await;
            machine.listen(2 * SECOND + REACH_NS).await;
            for len_ms in lengths {
                let mut found = Vec::new();
                for _ in 0..rounds {
                    found.extend(stop(&mut machine, *len_ms).await);
                }
                told(&row(*cpus, *len_ms), *len_ms as f64, &found);
            }
            machine.end().await;
        }
    });
}

/// What was found of one stop and how long it was, in ms.
struct Found {
    ms: f64,
    true_ms: f64,
    /// What the lab's report would say, which looks at QEMU's events, too.
    report_ms: f64,
}

fn told(row: &Row<'_>, len_ms: f64, found: &[Found]) {
    if found.is_empty() {
        eprintln!("SKIPPED: {}, {}: the guest's records came too late to tell", row.test, row.injection);
        return;
    }
    let offs: Vec<f64> = found.iter().map(|one| one.ms - one.true_ms).collect();
    let worst =
        offs.iter().copied().fold(0.0, |worst: f64, off| if off.abs() > worst.abs() { off } else { worst });
    let reports: Vec<f64> = found.iter().map(|one| one.report_ms - one.true_ms).collect();
    let note = format!(
        "off, the worst of {}; median {:.2}; the report's estimate {:.2}",
        found.len(),
        median(&offs).unwrap(),
        median(&reports).unwrap()
    );
    row.got(worst, "ms", &note, worst.abs() <= (0.02 * len_ms).max(2.0));
    assert!(worst.abs() <= 50.0 + 0.1 * len_ms, "{}: {worst} ms", row.injection);
}

/// None where the machine was too busy for the lab to tell.
async fn stop(machine: &mut Machine, len_ms: u64) -> Option<Found> {
    machine.tell("stop", Value::Null).await;
    let stop = machine.event("STOP").await;
    machine.listen(len_ms * MS).await;
    machine.tell("cont", Value::Null).await;
    let resume = machine.event("RESUME").await;
    machine.listen(REACH_NS + 200 * MS).await;
    let blackout = blackout(&machine.arrivals, &stop, &resume);
    let step_ns = blackout.offset_step_ns?;
    let gap_ns = blackout.common_gap_ns.filter(|_| !blackout.gap_is_beside()).unwrap_or(0);
    Some(Found {
        ms: (step_ns as f64 + gap_ns as f64) / 1e6,
        true_ms: (resume.qemu_real_us? - stop.qemu_real_us?) as f64 / 1e3,
        report_ms: blackout.estimate_ns? as f64 / 1e6,
    })
}

/// The lab's own figure, for a run in which the guest stood still between these two.
fn blackout(arrivals: &[Arrival], stop: &QmpEvent, resume: &QmpEvent) -> Blackout {
    let near = stop.host_ns - REACH_NS..resume.host_ns + REACH_NS;
    let hello = arrivals[0].clone();
    let moved = arrivals[1..].iter().filter(|arrival| near.contains(&arrival.host_ns)).cloned();
    // Each stop before this one put the guest's clock further back: the hello tells of the clocks as they were.
    let moved = moved.map(|arrival| Arrival {
        side: if arrival.host_ns >= resume.host_ns { Side::Destination } else { Side::Source },
        ..arrival
    });
    let milestone = |name, host_ns| Milestone { name, host_ns };
    let run = Run {
        schema: Run::SCHEMA,
        name: "stopped".into(),
        scenario: Value::Null,
        provenance: Provenance { accelerator: Some(Accelerator::Tcg), ..Provenance::default() },
        clock: ClockPair { mono_ns: 0, real_ns: 0 },
        milestones: vec![
            milestone(MilestoneName::Migrate, near.start),
            milestone(MilestoneName::Stop, stop.host_ns),
            milestone(MilestoneName::Resume, resume.host_ns),
        ],
        stream: StreamAudit::default(),
        source: None,
        destination: None,
        cycles: Vec::new(),
        measured: None,
        verdict: Verdict { outcome: Outcome::Passed, reasons: Vec::new() },
    };
    let dir = tempfile::tempdir().unwrap();
    let lines =
        std::iter::once(hello).chain(moved).map(|arrival| serde_json::to_string(&arrival).unwrap() + "\n");
    std::fs::write(dir.path().join(RECORDS_FILE), lines.collect::<String>()).unwrap();
    Timeline::of(&RunData::of(dir.path(), run).unwrap()).blackout
}
