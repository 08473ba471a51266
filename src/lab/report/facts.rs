//! What a run ran on, how its stream arrived, and how it was judged.

use super::words::{accelerator, signed_time, time};
use super::{headline::outcome, measured, table::Table};
use crate::{
    lab::{
        rundir::{CollectedSession, RunData},
        timeline::Timeline,
    },
    plan::{PARAMETERS, Parameter, Plan},
    record::{Accelerator, ClockFacts, ClockPair, Hello, OtherMachine, Outcome, unresolved_ns},
    units::{ByteSize, Nanos, shown},
};
use serde_json::Value;

/// Said wherever figures of an emulated guest are shown.
pub const EMULATED: &str = "The guest's CPUs were emulated (TCG): absolute speeds and latencies under emulation do not \
                            count; shares, shapes and what QEMU did to the guest do.";

/// The longest name of a clocksource that is shown; the kernel's have at most 32.
const CLOCKSOURCE_CHARS: usize = 32;

/// Whether the guest was emulated.
pub fn is_emulated(data: &RunData) -> bool {
    data.run.provenance.accelerator == Some(Accelerator::Tcg)
}

/// The verdict in one line.
pub fn verdict(data: &RunData) -> String {
    if data.is_unjudged() {
        return "n/a: nobody judges a session that was only collected".into();
    }
    let verdict = &data.run.verdict;
    if data.audit.claims.verdict {
        return "n/a: run.json contradicts itself".into();
    }
    let reasons = verdict.reasons.join("; ");
    let word = outcome(verdict.outcome);
    if reasons.is_empty() { word.into() } else { format!("{word}: {reasons}") }
}

/// What it ran on and how its stream arrived.
pub fn facts(data: &RunData) -> Table {
    let hello = data.records.hello.as_deref();
    let mut table = Table::of_facts("The run");
    table.fact("directory", data.dir_name.clone());
    match (&data.session, &data.run.measured) {
        (_, Some(measured)) => {
            table.fact("date", date(data.run.clock.real_ns));
            measured::facts(&mut table, data, measured);
        }
        (Some(session), None) => collected(&mut table, session, data.run.clock.real_ns, hello),
        (None, None) => driven(&mut table, data),
    }
    if let Some(hello) = hello {
        table.fact("load", load(hello));
        table.fact("canaries", canaries(hello));
        table.fact("clock", clock(&hello.clock));
    }
    if !data.is_unjudged() {
        let provenance = &data.run.provenance;
        let cpus = provenance.host_cpus.map_or_else(|| "n/a".into(), |cpus| cpus.to_string());
        let model = known(&provenance.host_cpu_model);
        table.fact("host", format!("{cpus} x {model}, Linux {}", known(&provenance.host_kernel)));
        if let Some(other) = &provenance.other_machine {
            table.fact("destination", destination(other, data.run.clock));
        }
        table.fact("sully", known(&provenance.version));
    }
    table.fact("stream", stream(data));
    table
}

/// The other machine, and how its wall clock stood to this one's when the guest went on there.
fn destination(other: &OtherMachine, ours: ClockPair) -> String {
    let cpus = other.cpus.map_or_else(|| "n/a".into(), |cpus| cpus.to_string());
    let clock = other.clock.map(|theirs| {
        let here = i128::from(ours.real_ns) + i128::from(theirs.mono_ns) - i128::from(ours.mono_ns);
        let ahead =
            i64::try_from(i128::from(theirs.real_ns) - here).map_or_else(|_| "n/a".into(), signed_time);
        format!("its clock {ahead} from this one's, ± {}", time(Some(theirs.error_ns)))
    });
    let why = || format!("its clock n/a: {}", known(other.clock_reason.as_deref().unwrap_or_default()));
    format!(
        "{}, {cpus} x {}, Linux {}, QEMU {}; {}",
        known(&other.address),
        known(&other.cpu_model),
        known(&other.kernel),
        known(&other.qemu_version),
        clock.unwrap_or_else(why)
    )
}

/// What a session was collected from. What ran it only QEMU could say.
fn collected(table: &mut Table, session: &CollectedSession, real_ns: u64, hello: Option<&Hello>) {
    let date = if real_ns > 0 { format!("{}, by the guest's clock", date(real_ns)) } else { "n/a".into() };
    table.fact("date", date);
    table.fact("collected from", known(&session.sockets.join(", ")));
    table.fact("accelerator, QEMU, host", "n/a: nobody asked QEMU");
    let guest = hello.map_or_else(|| "n/a: its hello came before the collector".into(), measured::guest);
    table.fact("guest", guest);
}

/// What a run that the lab drove ran on.
fn driven(table: &mut Table, data: &RunData) {
    let provenance = &data.run.provenance;
    table.fact("date", date(data.run.clock.real_ns));
    let accelerator = provenance.accelerator.map_or("n/a", accelerator);
    let reason =
        provenance.accelerator_reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    table.fact("accelerator", format!("{accelerator}{reason}"));
    table.fact("QEMU", known(&provenance.qemu_version));
    let kernel = known(&provenance.guest_kernel);
    table.fact("guest", format!("{kernel}, {} memory", known(&provenance.guest_memory)));
    table.fact("migration", migration(&data.run.scenario));
}

/// A moment as people write it, UTC: days to a date as in Hinnant's `civil_from_days`.
pub fn date(real_ns: u64) -> String {
    let seconds = real_ns / 1_000_000_000;
    if seconds == 0 {
        return "n/a".into();
    }
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) =
        if month < 10 { (year + era * 400, month + 3) } else { (year + era * 400 + 1, month - 9) };
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{:02} UTC", second % 60)
}

/// How the guest was to be migrated, from the scenario as it was resolved.
fn migration(scenario: &Value) -> String {
    let of = |key: &str| scenario.get("migration").and_then(|own| own.get(key));
    let link = |key: &str| scenario.get("link").and_then(|own| own.get(key)).and_then(Value::as_str);
    let text = |key: &str| match of(key) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let is_on = |key: &str| of(key).and_then(Value::as_bool) == Some(true);
    let mut parts = Vec::new();
    parts.extend(text("bandwidth").map(|link| format!("link {link}")));
    parts.extend(link("kind").filter(|kind| *kind != "unix").map(str::to_owned));
    parts.extend(link("delay").map(|delay| format!("delay {delay} each way")));
    parts.extend(text("downtime_limit").map(|limit| format!("downtime limit {limit}")));
    if is_on("auto_converge") {
        let level = |key: &str| text(key).unwrap_or_else(|| "?".into());
        let [from, by, to] = ["throttle_initial", "throttle_increment", "throttle_max"].map(level);
        parts.push(format!("auto-converge from {from} % by {by} to {to} %"));
    }
    if is_on("postcopy") {
        let after = text("postcopy_after").unwrap_or_else(|| "?".into());
        parts.push(format!("post-copy after {after}{}", if is_on("preempt") { " with preempt" } else { "" }));
    }
    for key in ["capabilities", "parameters"] {
        let given = of(key).and_then(Value::as_object).into_iter().flatten();
        parts.extend(given.map(|(name, value)| format!("{name} = {value}")));
    }
    let steps = of("when").and_then(Value::as_array).map_or(0, Vec::len);
    if steps > 0 {
        parts.push(super::words::counted(steps as u64, "step in the middle", "steps in the middle"));
    }
    if parts.is_empty() { "n/a".into() } else { parts.join(", ") }
}

fn known(text: &str) -> String {
    if text.is_empty() { "n/a".into() } else { text.to_owned() }
}

fn load(hello: &Hello) -> String {
    let plan = &hello.plan;
    let writers = super::words::counted(u64::from(plan.threads), "writer", "writers");
    let memory = ByteSize(plan.memory_bytes).human();
    let memory = match plan.regions.len() {
        0 => memory,
        regions => format!("{memory} in {}", super::words::counted(regions as u64, "region", "regions")),
    };
    let usual = Plan::default();
    let unusual = |parameter: &Parameter| {
        let text =
            plan.text(parameter.name).filter(|text| usual.text(parameter.name).as_ref() != Some(text))?;
        Some(parameter.said.replace("{}", &text) + ", ")
    };
    let others: String =
        PARAMETERS.iter().filter(|parameter| !parameter.said.is_empty()).filter_map(unusual).collect();
    format!("{memory} at {}, {}, {others}{writers}", plan.rate, plan.pattern)
}

fn canaries(hello: &Hello) -> String {
    let facts = &hello.self_facts;
    let cpus = super::words::counted(hello.cpus.len() as u64, "vCPU", "vCPUs");
    let urgency = if facts.canary_realtime { "realtime" } else { "not realtime" };
    let (Some(period), Some(threshold)) = (facts.canary_period_ns, facts.gap_threshold_ns) else {
        return "none: gaps, stalls and throttle are not told".into();
    };
    let time = |ns| time(Some(ns));
    format!("{cpus}, every {}, {urgency}; gaps from {} on", time(period), time(threshold))
}

/// The clock that stamped, and what it cannot tell.
fn clock(clock: &ClockFacts) -> String {
    let time = |ns| time(Some(ns));
    let source =
        clock.clocksource.as_ref().map_or_else(String::new, |source| format!(", clocksource {source}"));
    let step =
        clock.step_ns.map_or_else(|| "steps n/a".into(), |step_ns| format!("steps of {}", time(step_ns)));
    let timer =
        clock.timer_step_ns.map_or_else(String::new, |step_ns| format!(", timers {} apart", time(step_ns)));
    let untold_ns = clock.step_ns.map_or(0, unresolved_ns);
    let untold = if untold_ns > 0 {
        format!("; latencies up to {} are not told", time(untold_ns))
    } else {
        String::new()
    };
    format!("{}{source}, {step}, {} a reading{timer}{untold}", known(&clock.kind), time(clock.read_ns))
}

/// The audit of the guest's stream in words.
fn stream(data: &RunData) -> String {
    let audit = &data.run.stream;
    if audit.records == 0 && data.records.count() == 0 {
        return "none: no record came".into();
    }
    let sound = if audit.is_sound() && data.audit.stream.is_empty() { "sound" } else { "NOT sound" };
    let more = |count: u64, what: &str| if count > 0 { format!(", {count} {what}") } else { String::new() };
    format!(
        "{sound}: {} records, {} missing, {} double, {} torn{}{}{}{}{}",
        audit.records,
        audit.holes,
        audit.doubles,
        audit.torn,
        more(audit.unknown, "of unknown type"),
        more(audit.replayed, "sent again on request"),
        more(audit.dropped_by_guest, "given up by the guest"),
        more(audit.unwritten, "not kept: the file was full"),
        if data.audit.stream.is_empty() {
            String::new()
        } else {
            format!("; {}", data.audit.stream.join("; "))
        },
    )
}

/// What the lab did on its own account, what became of the guest's clock, and what could not be worked out.
pub fn notes(data: &RunData, timeline: &Timeline) -> Vec<String> {
    let clock = clock_notes(data, timeline);
    data.run.provenance.notes.iter().chain(&timeline.remarks).cloned().chain(clock).collect()
}

/// What went wrong with the guest's clock on the way.
fn clock_notes(data: &RunData, timeline: &Timeline) -> Vec<String> {
    let (records, axis) = (&data.records, &timeline.axis);
    let at = |mono_ns| axis.guest_s(mono_ns).map_or_else(String::new, |at_s| format!(" at {at_s:.1} s"));
    let step = records.clock_step.as_ref().map(|step| {
        format!(
            "The counter that stamped the guest's records was wrong by {}{}: its CLOCK_MONOTONIC stamps from then on.",
            Nanos(step.shown_ns.abs_diff(step.true_ns)).human(),
            at(step.true_ns)
        )
    });
    let other = records.clocksource.as_ref().map(|other| {
        let first = records.hello.as_ref().and_then(|hello| hello.clock.clocksource.as_deref());
        format!(
            "The guest's kernel went over from the clocksource {} to {} by{}: times before and after may differ.",
            shown(first.unwrap_or("n/a"), CLOCKSOURCE_CHARS),
            shown(&other.name, CLOCKSOURCE_CHARS),
            at(other.mono_ns).strip_prefix(" at").unwrap_or(" then")
        )
    });
    step.into_iter().chain(other).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        lab::timeline::fixture::Story,
        record::{Body, ClockStep},
    };
    use serde_json::json;

    #[test]
    fn a_guest_whose_clock_was_wrong_or_another_says_so_in_the_notes() {
        let mut told = Story::precopy().run_data();
        assert!(clock_notes(&told.data(), &told.timeline()).is_empty());
        let mut step = told.arrivals[0].clone();
        step.record.body = Body::ClockStep(ClockStep { shown_ns: 7_000_000, true_ns: 5_000_000 });
        let beats = told.arrivals.iter_mut().filter_map(|arrival| match &mut arrival.record.body {
            Body::Heartbeat(beat) => Some(beat),
            _ => None,
        });
        beats.skip(9).for_each(|beat| beat.clocksource = Some("hpet".into()));
        told.arrivals.push(step);
        let notes = clock_notes(&told.data(), &told.timeline());
        assert!(notes[0].contains("wrong by 2.00 ms"), "{notes:?}");
        assert!(notes[1].contains("from the clocksource n/a to hpet by "), "{notes:?}");
        assert!(notes[1].contains(" s: times") && notes.len() == 2, "{notes:?}");
    }

    #[test]
    fn moments_are_written_as_dates() {
        for (seconds, said) in [
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_709_251_199, "2024-02-29 23:59:59 UTC"),
            (1_735_689_600, "2025-01-01 00:00:00 UTC"),
            (4_107_542_399, "2100-02-28 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(date(seconds * 1_000_000_000), said);
        }
        assert_eq!(date(0), "n/a");
    }

    #[test]
    fn the_clock_is_said_with_its_step_and_what_it_cannot_tell() {
        let fine = ClockFacts {
            kind: "tsc".into(),
            hz: 2_000_000_000,
            read_ns: 24,
            step_ns: Some(20),
            timer_step_ns: Some(61_000),
            clocksource: Some("kvm-clock".into()),
        };
        let said = "tsc, clocksource kvm-clock, steps of 20 ns, 24 ns a reading, timers 61.0 µs apart";
        assert_eq!(clock(&fine), said);
        let coarse = ClockFacts { step_ns: Some(4_000_000), timer_step_ns: None, ..fine };
        assert!(clock(&coarse).ends_with("24 ns a reading; latencies up to 6.00 ms are not told"));
        let old = ClockFacts { step_ns: None, ..coarse };
        assert_eq!(clock(&old), "tsc, clocksource kvm-clock, steps n/a, 24 ns a reading");
    }

    #[test]
    fn what_the_migration_was_given_is_said_and_what_it_did_without_is_not() {
        let scenario = |postcopy: bool| {
            json!({"migration": {"bandwidth": "36M/s", "downtime_limit": "400ms", "auto_converge": true,
                "throttle_initial": 30, "throttle_increment": 20, "throttle_max": 99, "postcopy": postcopy,
                "postcopy_after": "first-pass", "preempt": true}})
        };
        let plain = "link 36M/s, downtime limit 400ms, auto-converge from 30 % by 20 to 99 %";
        assert_eq!(migration(&scenario(false)), plain);
        assert_eq!(migration(&scenario(true)), format!("{plain}, post-copy after first-pass with preempt"));
        let own = json!({"migration": {"capabilities": {"xbzrle": true}, "parameters": {"multifd-channels": 2},
            "when": [{"after": "3s", "do": "cancel"}]}});
        assert_eq!(migration(&own), "xbzrle = true, multifd-channels = 2, 1 step in the middle");
        assert_eq!(migration(&json!({})), "n/a");
    }
}
