//! What the guest felt: the costs of a run as tables.

use super::{
    apart::{per_cpu, per_region},
    table::{ABSENT, Table},
    words::{at, percent, seconds, time},
};
use crate::{
    lab::{
        analysis::{Against, Analysis, Ratio, SettledBy, StageCost, TimeByClass},
        figure::{figure, short, signed},
        timeline::{PhaseName, nanos},
    },
    record::GapClass,
};

/// All tables of costs; one that would say nothing is left out.
pub fn felt(analysis: &Analysis, emulated: bool, untold_ns: Option<u64>) -> Vec<Table> {
    let all = [
        Some(slowdown(analysis)),
        Some(costs(analysis)),
        lost_by_class(analysis),
        Some(per_cpu(analysis)),
        Some(per_region(analysis, untold_ns)),
        Some(longest(analysis)),
        link_share(analysis),
        waits(analysis),
        waits_by_length(analysis),
        Some(tax(analysis, emulated)),
    ];
    all.into_iter().flatten().filter(|table| !table.rows.is_empty()).collect()
}

fn slowdown(analysis: &Analysis) -> Table {
    let mut table = Table::with_head(
        "What the guest felt: times the baseline, with 95 % bounds",
        &["stage", "of", "p50", "p90", "p99", "p99.9"],
    );
    table.note = match &analysis.baseline_reason {
        Some(reason) => format!("No ratios: {reason}."),
        None => "Bounds by a moving-block bootstrap within this run: they say nothing about another run. n/a: too few \
                 visits, or the baseline's halves disagree there; analysis.json has each reason."
            .into(),
    };
    for stage in &analysis.stages {
        let Some(slowdown) = &stage.slowdown else { continue };
        for (of, ratios) in [("service", &slowdown.service), ("response", &slowdown.response)] {
            let mut row = vec![stage.name.title().to_owned(), of.to_owned()];
            row.extend(ratios.iter().map(ratio));
            table.rows.push(row);
        }
        let rate = [stage.name.title().to_owned(), "rate".to_owned(), ratio(&slowdown.rate)];
        table.rows.push(rate.into_iter().chain([ABSENT; 3].map(str::to_owned)).collect());
    }
    table
}

fn ratio(ratio: &Ratio) -> String {
    let digits = |value: f64| if value < 99.95 { figure(value, 2) } else { short(value) };
    match (ratio.ratio, ratio.bounds) {
        (Some(value), Some([low, high])) => format!("{} ({}-{})", digits(value), digits(low), digits(high)),
        (Some(value), None) => digits(value),
        (None, _) => "n/a".into(),
    }
}

fn costs(analysis: &Analysis) -> Table {
    let head = ["stage", "work lost", "of it measured", "1 GiB takes", "10 ms", "100 ms", "1 s"];
    let mut table = Table::with_head("Work lost, and the worst windows", &head);
    let is_run = analysis.stages.iter().any(|stage| stage.name == PhaseName::Run);
    table.groups = vec![(String::new(), 4), ("least time a vCPU ran in".into(), 3)];
    let (settled, total) = (settled(analysis, is_run), total(analysis, is_run));
    table.note = format!(
        "{settled}{total} Work lost as time in which nothing is done at all. Windows cannot see gaps below the \
         canaries' threshold."
    );
    table.rows.extend(analysis.stages.iter().map(cost_row));
    table
}

/// When the load was steady again; of a session that was collected, after its blackout.
fn settled(analysis: &Analysis, is_run: bool) -> String {
    let is_told = analysis.stages.iter().any(|stage| stage.name == PhaseName::Blackout);
    let since = match (is_run, is_told) {
        (false, _) => "the migration's end",
        (true, true) => "the blackout",
        (true, false) => "the guest went to another socket",
    };
    let by = match analysis.settling.by {
        Some(SettledBy::RateAndBacklog) => ", by rate and backlog alone",
        _ => "",
    };
    match (analysis.settling.after_s, &analysis.settling.reason) {
        (Some(after_s), _) if nanos(after_s) == 0 => format!("Settled at once after {since}{by}."),
        (Some(after_s), _) => format!("Settled {} after {since}{by}.", seconds(after_s)),
        (None, Some(reason)) => format!("Settling: n/a, {reason}."),
        (None, None) => String::new(),
    }
}

/// What was lost in all.
fn total(analysis: &Analysis, is_run: bool) -> String {
    let from = if is_run { "baseline's end" } else { "migration's start" };
    match (&analysis.lost, &analysis.lost_reason) {
        (Some(lost), _) => {
            let of = match lost.against {
                Against::Schedule => "the scheduled work",
                Against::Baseline => "the baseline's work",
            };
            let lost_ns = nanos(lost.full_stop_s);
            let time = if lost_ns == 0 { "nothing".into() } else { time(Some(lost_ns)) };
            format!(" From the {from} on {time} of {of} was lost.")
        }
        (None, Some(reason)) => format!(" Work lost: n/a, {reason}."),
        (None, None) => String::new(),
    }
}

fn cost_row(stage: &StageCost) -> Vec<String> {
    let window = |index: usize| percent(stage.availability.get(index).map(|window| window.worst));
    let lost = |of: fn(&crate::lab::analysis::Lost) -> f64| {
        stage.lost.as_ref().map_or_else(|| ABSENT.into(), |lost| seconds(of(lost)))
    };
    vec![
        stage.name.title().to_owned(),
        lost(|lost| lost.full_stop_s),
        lost(|lost| lost.covered_s),
        time(stage.ms_per_gib.map(|ms| nanos(ms / 1e3))),
        window(0),
        window(1),
        window(2),
    ]
}

/// Classes that took no time in any stage have no column.
fn lost_by_class(analysis: &Analysis) -> Option<Table> {
    let times: Vec<(&StageCost, &TimeByClass)> =
        analysis.stages.iter().map(|stage| Some((stage, stage.time.as_ref()?))).collect::<Option<_>>()?;
    let seen = |class: &GapClass| times.iter().any(|(_, time)| time.of(*class) > 0.0);
    let classes: Vec<GapClass> = GapClass::ALL.into_iter().filter(seen).collect();
    let mut table =
        Table::with_head("Time lost by class, sum over vCPUs", &["stage", "vCPU time", "running"]);
    table.head.extend(classes.iter().map(|class| class.name().replace('_', " ")));
    table.note =
        "Classes and running time add up to the vCPU time. In brackets: how sure the verdicts are, 0 to 1, \
                  weighted by time."
            .into();
    table.note.extend(times.iter().find_map(|(stage, time)| busy(stage.name, time)));
    for (stage, time) in &times {
        let mut row = vec![stage.name.title().to_owned(), seconds(time.wall_s), seconds(time.running_s)];
        row.extend(time.lost().filter(|(class, ..)| classes.contains(class)).map(
            |(_, lost_s, confidence)| {
                let sure =
                    confidence.map_or_else(String::new, |confidence| format!(" ({})", figure(confidence, 2)));
                seconds(lost_s) + &sure
            },
        ));
        table.rows.push(row);
    }
    Some(table)
}

/// A host is busy where it keeps the vCPUs away for more of their time.
const BUSY_SHARE: f64 = 0.05;
/// The same where nothing tells whose the gaps are: a guest that is idle now and then has some of its own.
const UNTOLD_SHARE: f64 = 0.25;

/// That the host was busy, or most likely was, where a stage that no migration is part of shows it.
fn busy(stage: PhaseName, time: &TimeByClass) -> Option<String> {
    let host = (time.of(GapClass::HostSteal) + time.of(GapClass::HostOther)) / time.wall_s;
    let untold = host + time.of(GapClass::Unknown) / time.wall_s;
    if !matches!(stage, PhaseName::Baseline | PhaseName::After) {
        return None;
    }
    let (said, share) = match () {
        () if host >= BUSY_SHARE => ("The host was busy", host),
        () if untold >= UNTOLD_SHARE => ("The host was most likely busy, though nothing proves it", untold),
        () => return None,
    };
    Some(format!(
        " {said}: in the stage {} the vCPUs were away for {} of their time without a migration, so figures of this run say as much of \
         the host as of the migration.",
        stage.title(),
        percent(Some(share))
    ))
}

fn longest(analysis: &Analysis) -> Table {
    let head = ["from", "length", "vCPU", "whose", "sure"];
    let mut table = Table::with_head("The longest gaps, the longest first", &head);
    table.note = "From and length by the host's clock: a gap in which the guest's clock stood still is longer by that."
        .into();
    for gap in &analysis.longest {
        let cpu = if gap.common { format!("{}, all", gap.cpu) } else { gap.cpu.to_string() };
        table.rows.push(vec![
            at(gap.span.start_s),
            seconds(gap.span.length_s()),
            cpu,
            gap.class.name().replace('_', " "),
            figure(gap.confidence, 2),
        ]);
    }
    table
}

fn tax(analysis: &Analysis, emulated: bool) -> Table {
    let head = ["pass", "from", "quick visits", "in 0.5-5 us", "more than before", "mean longer by"];
    let mut table = Table::with_head("The dirty log's tax: quick visits (up to 5 us) in each pass", &head);
    table.note = if emulated {
        "Against the baseline. Under emulation it is the cost of QEMU's own way to note a first write, not that of a \
         write-protected page."
    } else {
        "Against the baseline. After each sync the first write into a page costs a fault or a logged exit."
    }
    .into();
    // What is finer comes of adding up, not of visits.
    let sound = |shift: f64| (shift * 1000.0).round() / 1000.0;
    let points = |shift: Option<f64>| {
        shift.map_or_else(|| ABSENT.into(), |shift| format!("{} points", signed(sound(shift * 100.0), 1)))
    };
    let ns = |shift: Option<f64>| {
        shift.map_or_else(|| ABSENT.into(), |shift| format!("{} ns", signed(sound(shift), 0)))
    };
    for tax in analysis.dirty_log_tax.iter().filter(|tax| tax.visits > 0) {
        table.rows.push(vec![
            tax.pass.to_string(),
            at(tax.span.start_s),
            tax.visits.to_string(),
            percent(tax.band_share),
            points(tax.band_shift),
            ns(tax.mean_shift_ns),
        ]);
    }
    table
}

/// How near a load that is tied to the link came to its share.
fn link_share(analysis: &Analysis) -> Option<Table> {
    let share = analysis.link_share.as_ref()?;
    let mut table = Table::of_facts("The load's share of the link, before the switch");
    table.fact("asked", format!("{} %", figure(share.asked_percent, 1)));
    let achieved = match (share.achieved_percent, &share.reason) {
        (Some(percent), _) => {
            let apart = percent - share.asked_percent;
            format!("{} % ({} points)", figure(percent, 1), signed(apart, 1))
        }
        (None, reason) => format!("n/a: {}", reason.as_deref().unwrap_or("not told")),
    };
    table.fact("distinct pages of what was sent", achieved);
    Some(table)
}

/// The guest's waits beside QEMU's in buckets of the same length, where QEMU tells them.
fn waits_by_length(analysis: &Analysis) -> Option<Table> {
    let waits = analysis.postcopy.as_ref()?;
    let qemu = waits.qemu_dist.as_ref()?;
    let guest = waits.guest_dist.as_ref();
    let head = ["from", "below", "guest: faults", "QEMU: pages"];
    let mut table = Table::with_head("Post-copy: waits by their length", &head);
    table.note = "QEMU counts pages of all memory from the request to the arrival; the guest visits that waited for one.".into();
    let at = |counts: Option<&Vec<u64>>, bucket: usize| {
        counts.map(|counts| counts.get(bucket).copied().unwrap_or(0))
    };
    for bucket in 0..qemu.len().max(guest.map_or(0, Vec::len)) {
        let (guest, qemu) = (at(guest, bucket), at(Some(qemu), bucket));
        if [guest, qemu].into_iter().flatten().all(|count| count == 0) {
            continue;
        }
        let count = |count: Option<u64>| count.map_or_else(|| ABSENT.into(), |count| count.to_string());
        table.rows.push(vec![edge(bucket), edge(bucket + 1), count(guest), count(qemu)]);
    }
    Some(table)
}

/// Two to the power of `power`, in us; a dash for what no time is as long as.
fn edge(power: usize) -> String {
    let us = u32::try_from(power).ok().and_then(|power| 1u64.checked_shl(power));
    time(us.and_then(|us| us.checked_mul(1000)))
}

fn waits(analysis: &Analysis) -> Option<Table> {
    let waits = analysis.postcopy.as_ref()?;
    let mut table = Table::of_facts("Post-copy: waits the guest saw, and how they fit QEMU's count");
    let requests = waits.qemu_requests.map_or_else(|| "n/a".into(), |requests| requests.to_string());
    match (&waits.faults, &waits.faults_reason) {
        (Some(faults), _) => {
            let count = format!("{} (QEMU: {requests} pages asked for, in all memory)", faults.count);
            table.fact("guest: faults by page history", count);
            let [p50, p99, max, total] =
                [faults.p50_ns, faults.p99_ns, faults.max_ns, Some(faults.total_ns)].map(time);
            table.fact("guest: faults' p50, p99, longest, sum", format!("{p50}, {p99}, {max}, {total}"));
            if faults.async_count > 0 {
                let sum = time(Some(faults.async_ns));
                table.fact("guest: of them asynchronous", format!("{}, {sum}", faults.async_count));
            }
            if faults.unsure_count > 0 {
                table.fact("guest: pages written between mark and stop", faults.unsure_count.to_string());
            }
        }
        (None, Some(reason)) => table.fact("guest: faults by page history", format!("n/a: {reason}")),
        (None, None) => {}
    }
    let blocktime = time(waits.qemu_vcpu_blocktime_ns);
    table.fact(
        "guest: gaps that are post-copy faults",
        format!("{} (QEMU: {blocktime} of vCPU blocktime)", time(waits.guest_fault_ns)),
    );
    table.fact(
        "guest: gaps in the stage",
        waits.guest_count.map_or_else(|| "n/a: gap records are missing".into(), |count| count.to_string()),
    );
    table.fact("guest: median gap", time(waits.guest_p50_ns));
    let apart = &waits.disagreements;
    table.fact(
        "fit",
        if apart.is_empty() { "no figures differ by more than 10 %".into() } else { apart.join("; ") },
    );
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::edge;

    #[test]
    fn a_bucket_begins_where_it_does_and_what_no_time_is_as_long_as_is_a_dash() {
        assert_eq!([0, 10, 20].map(edge), ["1.00 µs", "1.02 ms", "1.05 s"]);
        assert_eq!([54, 55, 60, 63, 64, usize::MAX].map(edge)[1..], [super::ABSENT; 5]);
    }
}
