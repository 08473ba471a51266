//! V9: auto-converge by a real QEMU that migrates into nothing, and V3 before it does.

use super::machine::{MS, Machine, SECOND, is_long, lab_and_image};
use super::run;
use super::say::{self, Row, median};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::Path};
use sully::lab::hostclock;
use sully::record::{Interval, Throttle, ThrottleLaw};

/// A stretch in which QEMU's throttle stood at one percent, host time.
#[derive(Debug, Clone, Copy)]
struct Level {
    percent: u64,
    from_ns: u64,
    to_ns: u64,
}

/// QEMU throttles no harder.
const LAST_PERCENT: u64 = 99;

impl Level {
    /// How far back a verdict under it looks.
    const fn window_ns(&self) -> u64 {
        if self.percent > 90 { 7 * SECOND / 2 } else { SECOND }
    }
}

#[test]
fn v9_real_auto_converge_is_told_level_by_level() {
    run(async {
        let row = Row { test: "V9", injection: "auto-converge".into(), demand: "" };
        let Some((_, image)) = lab_and_image(&row) else { return };
        // `make test` has no time for both.
        let cpus: &[u32] = if std::env::var_os("SULLY_FIDELITY").is_some() { &[1, 2] } else { &[2] };
        for cpus in cpus {
            // A guest may get so little of a busy machine that nothing can be told; not three times.
            let mut is_told = false;
            for _ in 0..3 {
                is_told = one_run(&image, *cpus).await;
                if is_told {
                    break;
                }
            }
            assert!(is_told, "{cpus} vCPU: no level of auto-converge was told in any of three tries");
        }
    });
}

/// Whether any level was told in one migration.
async fn one_run(image: &Path, cpus: u32) -> bool {
    let mut machine = Machine::boot(image, cpus, "-m 16M -r 40M/s --baseline 2s -i 100ms").await;
    machine.listen(if is_long() { 60 } else { 6 } * SECOND).await;
    let migrates_ns = hostclock::mono_ns();
    let levels = auto_converge(&mut machine).await;
    before(&machine, cpus, migrates_ns);
    let count = levels.into_iter().filter(|level| told(&machine, cpus, *level)).count();
    machine.end().await;
    count > 0
}

/// Migrates to nowhere until the throttle is at its end; the levels that lasted.
async fn auto_converge(machine: &mut Machine) -> Vec<Level> {
    let on = |name: &str| json!({ "capability": name, "state": true });
    machine.tell("migrate-set-capabilities", json!({ "capabilities": [on("auto-converge")] })).await;
    let (first, step, limit_s) = if is_long() { (20, 10, 240) } else { (30, 30, 60) };
    // Fast until all memory was sent once, then so slow that a pass over the region takes 3 s. At the last level writers
    // dirty 1.6 MB/s at most: slower than that, or the migration is over before the level can be judged.
    let throttle = json!({
        "cpu-throttle-initial": first, "cpu-throttle-increment": step, "downtime-limit": 1, "max-bandwidth": 100 << 20
    });
    machine.tell("migrate-set-parameters", throttle).await;
    machine.tell("migrate", json!({ "uri": "exec:cat>/dev/null" })).await;
    let (began_ns, mut mib_per_s, mut levels) = (hostclock::mono_ns(), 100, Vec::<Level>::new());
    loop {
        machine.listen(40 * MS).await;
        let sample = machine.tell("query-migrate", Value::Null).await;
        let now_ns = hostclock::mono_ns();
        let percent = sample["cpu-throttle-percentage"].as_u64().unwrap_or(0);
        let is_sent = sample["ram"]["dirty-sync-count"].as_u64() >= Some(2);
        let wanted = [(percent >= LAST_PERCENT, 1), (is_sent, 5)]
            .iter()
            .find(|(is_due, _)| *is_due)
            .map_or(100, |(_, wanted)| *wanted);
        if wanted < mib_per_s {
            machine.tell("migrate-set-parameters", json!({ "max-bandwidth": wanted << 20 })).await;
            mib_per_s = wanted;
        }
        match levels.last_mut() {
            Some(level) if level.percent == percent => level.to_ns = now_ns,
            _ => levels.push(Level { percent, from_ns: now_ns, to_ns: now_ns }),
        }
        let last = levels[levels.len() - 1];
        let at_end = last.percent >= LAST_PERCENT && now_ns - last.from_ns > 12 * SECOND;
        if at_end || sample["status"] != "active" && is_sent || now_ns - began_ns > limit_s * SECOND {
            break;
        }
    }
    let lasting =
        |level: &Level| level.percent > 0 && level.to_ns - level.from_ns >= level.window_ns() + SECOND;
    levels.into_iter().filter(lasting).collect()
}

/// The guest under its load before anybody migrates it.
fn before(machine: &Machine, cpus: u32, migrates_ns: u64) {
    let intervals = machine.intervals();
    let calm: Vec<_> = intervals.iter().filter(|(end_ns, _)| *end_ns < migrates_ns).collect();
    let told = calm.iter().filter(|(_, interval)| interval.throttle.is_some()).count();
    let injection = format!("nothing, an emulated guest of {cpus} vCPUs under its load");
    let row = Row { test: "V3", injection, demand: "no throttle" };
    row.got(told as f64, "verdicts", &format!("in {} intervals", calm.len()), told == 0);
}

/// Whether the level was told.
fn told(machine: &Machine, cpus: u32, level: Level) -> bool {
    let intervals = machine.intervals();
    let under = |from_ns: u64| {
        let within = move |end_ns: u64| (from_ns..=level.to_ns).contains(&end_ns);
        intervals
            .iter()
            .filter(move |(end_ns, _)| within(*end_ns))
            .map(|(end_ns, interval)| (*end_ns, *interval))
    };
    let off = |interval: &Interval| interval.throttle.map(|found| percent(&found) - level.percent as f64);
    let onset = under(level.from_ns).find(|(_, interval)| off(interval).is_some_and(|off| off.abs() <= 3.0));
    // Intervals whose whole window lies under the level.
    let whole = || under(level.from_ns + level.window_ns());
    let percents: Vec<f64> =
        whole().filter_map(|(_, one)| one.throttle).map(|found| percent(&found)).collect();
    let worst = whole().filter_map(|(_, one)| off(one)).map(f64::abs).fold(0.0, f64::max);
    let mut classes = BTreeMap::new();
    for (class, ms) in under(level.from_ns).flat_map(|(_, one)| one.stall_ms.iter().flatten()) {
        *classes.entry(class.as_str()).or_insert(0) += ms;
    }
    for (class, ms) in classes {
        say::cell("emulation", "throttle", class, ms);
    }
    let injection = format!("auto-converge at {} %, {cpus} vCPU", level.percent);
    let row = Row { test: "V9", injection, demand: "median within 2, each within 3, onset 1.5 s" };
    let Some(middle) = median(&percents) else {
        let intervals = whole().count();
        row.none(&match intervals {
            0 => "the guest got so little of its CPU that no interval came in time".to_owned(),
            _ => format!("none in {intervals} intervals"),
        });
        return false;
    };
    let onset_s = onset.map_or(f64::INFINITY, |(end_ns, _)| (end_ns - level.from_ns) as f64 / 1e9);
    // Before its first interval comes a guest can say nothing.
    let first = under(level.from_ns).next();
    let first_s = first.map_or(f64::INFINITY, |(end_ns, _)| (end_ns - level.from_ns) as f64 / 1e9);
    let note = format!(
        "{} of {} intervals, worst off by {worst:.1}, onset {onset_s:.2} s, the first interval after {first_s:.2} s",
        percents.len(),
        whole().count()
    );
    let holds = (middle - level.percent as f64).abs() <= 2.0 && worst <= 3.0 && onset_s <= 1.5;
    row.got(middle, "%", &note, holds);
    assert!((middle - level.percent as f64).abs() <= 15.0, "{}: {percents:?}", row.injection);
    true
}

/// The percent to a tenth of a point, where the law lets the period say it.
fn percent(throttle: &Throttle) -> f64 {
    match throttle.law {
        ThrottleLaw::Qemu => 100.0 * (1.0 - 1e7 / throttle.period_ns as f64),
        ThrottleLaw::Unknown => throttle.percent as f64,
    }
}
