//! The tables of one run: what the guest measured beside what QEMU said.

use super::{
    table::{ABSENT, Table},
    words::{at, count, mib, mib_per_s, percent, quantile, seconds, signed_time, time},
};
use crate::{
    lab::rundir::RunData,
    lab::timeline::{Figures, GapFigures, PhaseName, Timeline},
    record::Latency,
};

/// All tables of measurements, in the order they are read; a table that would say nothing is left out.
pub fn tables(data: &RunData, timeline: &Timeline) -> Vec<Table> {
    // What is saved and restored does not migrate.
    let migrates = data.run.cycles.is_empty();
    let all = [
        Some(stages(timeline)),
        throttle(timeline, data.session.is_some()),
        postcopy(timeline),
        migrates.then(|| blackout(timeline)),
        migrates.then(|| copying(timeline)),
    ];
    all.into_iter().flatten().filter(|table| !table.rows.is_empty()).collect()
}

fn stages(timeline: &Timeline) -> Table {
    let head = [
        "stage", "time", "asked", "done", "p50", "p99", "max", "p50", "p99", "max", "longest", "total",
        "share",
    ];
    let mut table = Table::with_head("What the guest measured, by stage", &head);
    let group = |name: &str, columns| (name.to_owned(), columns);
    table.groups = vec![
        group("", 2),
        group("MiB/s", 2),
        group("service", 3),
        group("response", 3),
        group("vCPU gaps", 3),
    ];
    table.note = "Service: from a visit's actual start to its end; response: from the start its schedule intended. \
                  Gaps: total over all vCPUs, share of the time of all vCPUs. Visits belong to the stage in which \
                  the middle of their interval lies: a blackout's latencies are those of the interval it fell into."
        .into();
    for phase in &timeline.phases {
        table.rows.push(stage_row(phase.name, &phase.figures, timeline.untold_ns()));
    }
    table
}

fn stage_row(name: PhaseName, figures: &Figures, untold_ns: Option<u64>) -> Vec<String> {
    let latency = |latency: Option<Latency>| {
        let of = |field: fn(Latency) -> Option<u64>| quantile(latency, field, untold_ns);
        [of(|latency| latency.p50), of(|latency| latency.p99), of(|latency| latency.max)]
    };
    // Nothing runs in a blackout, whatever rate its interval shows, and what canaries can tell of it depends on their
    // clock: it has a table of its own.
    let ran = name != PhaseName::Blackout;
    let gaps = figures.gaps.filter(|_| ran);
    let rate = |rate: Option<f64>| mib_per_s(rate.filter(|_| ran));
    let mut row = vec![name.title().to_owned(), seconds(figures.span.length_s())];
    row.extend([rate(figures.asked_pages_per_s), rate(figures.achieved_pages_per_s)]);
    row.extend(latency(figures.service_ns));
    row.extend(latency(figures.response_ns));
    row.extend([longest(gaps), time(gaps.map(|gaps| gaps.total_ns))]);
    row.push(percent(gaps.map(|gaps| gaps.share)));
    row
}

/// The longest gap; none at all is no gap of 0.
fn longest(gaps: Option<GapFigures>) -> String {
    if gaps.is_some_and(|gaps| gaps.count == 0) {
        "none".into()
    } else {
        time(gaps.map(|gaps| gaps.longest_ns))
    }
}

fn throttle(timeline: &Timeline, is_collected: bool) -> Option<Table> {
    timeline.throttle.iter().find(|level| level.percent.is_some())?;
    let (title, first, note) = if is_collected {
        (
            "Throttle: what the guest found beside what it lost",
            "throttle found",
            "By the rhythm of the vCPUs' gaps, at each interval's end; QEMU's own percentages are n/a.",
        )
    } else {
        (
            "Auto-converge: QEMU's throttle beside what the guest lost",
            "QEMU's throttle",
            "Both over the same time, in the order it happened; QEMU is asked ten times a second.",
        )
    };
    let head = [first, "from", "for", "guest's gap share", "longest gap", "done MiB/s", "response p99"];
    let mut table = Table::with_head(title, &head);
    table.note = note.into();
    for level in &timeline.throttle {
        let figures = &level.figures;
        table.rows.push(vec![
            level.percent.map_or_else(|| "none yet".into(), |percent| format!("{percent} %")),
            at(figures.span.start_s),
            seconds(figures.span.length_s()),
            percent(figures.gaps.map(|gaps| gaps.share)),
            longest(figures.gaps),
            mib_per_s(figures.achieved_pages_per_s),
            quantile(figures.response_ns, |response| response.p99, timeline.untold_ns()),
        ]);
    }
    Some(table)
}

fn postcopy(timeline: &Timeline) -> Option<Table> {
    let postcopy = timeline.postcopy.as_ref()?;
    let mut table = Table::of_facts("Post-copy: QEMU's blocktime beside the guest's stalls");
    let vcpus = postcopy.qemu_vcpu_blocktime_ns.as_ref();
    let each = vcpus.filter(|vcpus| vcpus.len() > 1).map_or_else(String::new, |vcpus| {
        let each: Vec<String> = vcpus.iter().map(|vcpu| time(Some(*vcpu))).collect();
        format!(" ({})", each.join(", "))
    });
    let sum = vcpus.map(|vcpus| vcpus.iter().fold(0, |sum: u64, vcpu| sum.saturating_add(*vcpu)));
    table.fact("QEMU: vCPU blocktime, sum over vCPUs", absent(time(sum) + &each));
    table.fact("guest: total gap time, sum over vCPUs", absent(time(postcopy.guest_stall_ns)));
    table.fact("guest: longest stall", absent(time(postcopy.guest_longest_stall_ns)));
    table.fact("QEMU: blocktime, all vCPUs at once", absent(time(postcopy.qemu_blocktime_ns)));
    table.fact("QEMU: pages asked for", absent(count(postcopy.requests)));
    if postcopy.qemu_latency_ns.is_some() {
        table.fact("QEMU: a page took, on average", absent(time(postcopy.qemu_latency_ns)));
    }
    Some(table)
}

fn blackout(timeline: &Timeline) -> Table {
    let blackout = &timeline.blackout;
    let mut table = Table::of_facts("Downtime: how long the guest ran on neither side");
    let all = [blackout.qemu_downtime_ns, blackout.stop_to_resume_ns, blackout.estimate_ns];
    if all.iter().all(Option::is_none) && blackout.reason.is_none() {
        return table;
    }
    table.fact("QEMU's downtime", absent(time(blackout.qemu_downtime_ns)));
    let seen_error = blackout.stop_to_resume_error_ns.filter(|_| blackout.stop_to_resume_ns.is_some());
    let seen_error = seen_error.map_or_else(String::new, |error| format!(" ± {}", time(Some(error))));
    table.fact("QEMU's STOP to RESUME", absent(time(blackout.stop_to_resume_ns)) + &seen_error);
    let parts = match (blackout.offset_step_ns, blackout.common_gap_ns) {
        (Some(_), Some(gap)) if gap > 0 && blackout.gap_is_beside() => {
            format!(" (step between their clocks; beside it a gap of all vCPUs: {})", time(Some(gap)))
        }
        (Some(step), Some(gap)) => {
            let gap = if gap == 0 { "none seen".into() } else { time(Some(gap)) };
            let step = if step < 0 { signed_time(step) } else { time(u64::try_from(step).ok()) };
            format!(" (step between their clocks: {step}; gap of all vCPUs: {gap})")
        }
        _ => String::new(),
    };
    let error = blackout.error_ns.map_or_else(String::new, |error| format!(" ± {}", time(Some(error))));
    let untold = blackout.reason.as_ref().map_or_else(|| "n/a".into(), |reason| format!("n/a: {reason}"));
    let told = blackout.estimate_ns.map_or(untold, |estimate| time(Some(estimate)) + &error + &parts);
    table.fact("guest and host together", told);
    if let Some(disagreement) = &blackout.disagreement {
        table.fact("figures disagree", disagreement.clone());
    }
    if let Some(step_ns) = blackout.wall_clock_step_ns {
        let set = format!("set by {}", signed_time(step_ns));
        table.fact("guest's wall clock", if step_ns.abs() < 1_000_000 { "not set".into() } else { set });
    }
    if let Some(step_ns) = blackout.ptp_step_ns {
        table
            .fact("guest's clock lost", format!("{}, by the hypervisor's clock (PTP)", signed_time(step_ns)));
    }
    if let Some(told) = blackout.disruption_told {
        table.fact("vmclock", if told { "told the guest of a disruption" } else { "told the guest nothing" });
    }
    table
}

fn copying(timeline: &Timeline) -> Table {
    let mut table = Table::of_facts("Copying, by QEMU's count");
    if timeline.qemu.is_empty() && timeline.sync_count.is_none() {
        return table;
    }
    table.fact("migration", absent(time(timeline.migration_ns)));
    if let Some(setup) = &timeline.setup {
        let gap = match (setup.longest_gap_ns, setup.reason) {
            (Some(0), _) => "none seen".into(),
            (None, Some(reason)) => format!("n/a, {reason}"),
            (gap, _) => absent(time(gap)),
        };
        let qemu = absent(time(setup.qemu_setup_ns));
        let took = seconds(setup.span.length_s());
        table.fact(
            "set-up",
            format!("{took} (QEMU's setup-time: {qemu}); longest gap of a vCPU in it: {gap}"),
        );
    }
    match timeline.pass_reason.zip(timeline.sync_count) {
        Some((reason, syncs)) => {
            table.fact("passes", format!("n/a: {reason}"));
            table.fact("syncs of the dirty bitmap", syncs.to_string());
        }
        None => table.fact("passes", absent(count(timeline.pass_count))),
    }
    let rate = timeline.dirty_rate.map_or_else(
        || ABSENT.to_owned(),
        |rate| {
            let mib = |pages: u64| mib_per_s(Some(pages as f64));
            format!(
                "median {}, highest {} MiB/s",
                mib(rate.median_pages_per_s),
                mib(rate.highest_pages_per_s)
            )
        },
    );
    table.fact("dirty rate", absent(rate));
    table.fact("sent", absent(mib(timeline.sent_bytes)));
    table
}

/// The passes one by one; long, so the page alone shows it.
pub fn passes(timeline: &Timeline) -> Option<Table> {
    let (title, first) =
        if timeline.pass_reason.is_some() { ("Sync by sync", "sync") } else { ("Pass by pass", "pass") };
    let head = [first, "from", "for", "to send MiB", "sent MiB", "dirty rate MiB/s"];
    let mut table = Table::with_head(title, &head);
    let bare = |bytes: Option<u64>| mib(bytes).trim_end_matches(" MiB").to_owned();
    for pass in &timeline.passes {
        table.rows.push(vec![
            pass.number.to_string(),
            at(pass.span.start_s),
            seconds(pass.span.length_s()),
            bare(pass.remaining_bytes),
            bare(pass.sent_bytes),
            mib_per_s(pass.dirty_pages_per_s.map(|pages| pages as f64)),
        ]);
    }
    (!table.rows.is_empty()).then_some(table)
}

/// In prose a dash alone would be taken for a sign: say it.
fn absent(value: String) -> String {
    if value == ABSENT { "n/a".into() } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::{
        timeline::{Blackout, fixture::Story},
        view::RunView,
    };

    #[test]
    fn what_a_run_did_not_have_gets_no_table() {
        let titles = |story: &Story| -> String {
            let run = RunView::new(story.run_data().data());
            tables(run.data(), run.timeline()).iter().map(|table| table.title.clone() + "\n").collect()
        };
        let precopy = titles(&Story::precopy());
        assert!(!precopy.contains("Auto-converge") && !precopy.contains("Post-copy"), "{precopy}");
        assert!(titles(&Story::auto_converge()).contains("Auto-converge"));
        assert!(titles(&Story::post_copy()).contains("Post-copy"));
    }

    #[test]
    fn a_switch_whose_length_cannot_be_told_has_the_reason() {
        let mut timeline = Story::precopy().run_data().timeline();
        timeline.blackout = Blackout { reason: Some("records came too late".into()), ..Blackout::default() };
        let rows = blackout(&timeline).rows;
        assert_eq!(rows[0], ["QEMU's downtime", "n/a"]);
        assert_eq!(rows[2], ["guest and host together", "n/a: records came too late"]);
        timeline.blackout = Blackout::default();
        assert!(blackout(&timeline).rows.is_empty(), "there was no switch");
    }

    #[test]
    fn rows_have_a_cell_for_each_column() {
        for story in [Story::precopy(), Story::auto_converge(), Story::post_copy()] {
            let run = RunView::new(story.run_data().data());
            for table in tables(run.data(), run.timeline()) {
                let columns = if table.head.is_empty() { 2 } else { table.head.len() };
                assert!(table.rows.iter().all(|row| row.len() == columns), "{}", table.title);
                let grouped: usize = table.groups.iter().map(|(_, columns)| columns).sum();
                assert!(table.groups.is_empty() || grouped == columns, "{}", table.title);
            }
        }
    }

    #[test]
    fn what_the_guests_clock_lost_has_a_row_only_where_the_hypervisor_told_it() {
        let mut timeline = Story::precopy().run_data().timeline();
        let row = |timeline: &Timeline| {
            let rows = blackout(timeline).rows;
            rows.into_iter().find(|row| row[0] == "guest's clock lost").map(|row| row[1].clone())
        };
        assert_eq!(row(&timeline), None);
        timeline.blackout.ptp_step_ns = Some(-12_000);
        assert_eq!(row(&timeline).unwrap(), "-12.0 µs, by the hypervisor's clock (PTP)");
        timeline.blackout.ptp_step_ns = Some(412_340_000);
        assert_eq!(row(&timeline).unwrap(), "+412 ms, by the hypervisor's clock (PTP)");
    }

    #[test]
    fn a_figure_qemu_never_gave_is_said_to_be_absent() {
        let mut data = Story::post_copy().run_data();
        data.run.destination = None;
        let table = postcopy(&data.timeline()).unwrap();
        assert_eq!(table.rows[0][1], "n/a");
    }
}
