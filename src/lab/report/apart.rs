//! Each vCPU and each region apart, stage by stage: what figures over all of them hide.

use super::{
    table::{ABSENT, Table},
    words::{percent, quantile, seconds},
};
use crate::{
    lab::{
        analysis::{Analysis, CpuCost, Ratio, RegionCost, Slowdown},
        figure::{figure, short},
        timeline::nanos,
    },
    record::{GapClass, Latency},
};

/// The most rows that are told of either; the JSON has all.
const ROWS: usize = 64;

/// A row for each vCPU of each stage; none where there is one vCPU.
pub fn per_cpu(analysis: &Analysis) -> Table {
    let all = || analysis.stages.iter().flat_map(|stage| stage.cpus.iter().map(move |own| (stage.name, own)));
    let seen = |class: &GapClass| all().any(|(_, own)| own.time.of(*class) > 0.0);
    let classes: Vec<GapClass> = GapClass::ALL.into_iter().filter(seen).collect();
    let mut table =
        Table::with_head("Per vCPU: time lost by class", &["stage", "vCPU", "lost", "share", "longest gap"]);
    table.head.extend(classes.iter().map(|class| class.name().replace('_', " ")));
    let row = |own: &CpuCost| {
        let lost_s = own.time.all_lost_s();
        let share = (own.time.wall_s > 0.0).then(|| lost_s / own.time.wall_s);
        let mut row = vec![own.cpu.to_string(), seconds(lost_s), percent(share)];
        row.push(if nanos(own.longest_s) == 0 { "none".into() } else { seconds(own.longest_s) });
        row.extend(classes.iter().map(|class| seconds(own.time.of(*class))));
        row
    };
    let rows = all().map(|(name, own)| [vec![name.title().to_owned()], row(own)].concat());
    table.rows = rows.take(ROWS).collect();
    table.note = left_out(all().count());
    table
}

/// A row for each region of each stage; none where there is one region.
pub fn per_region(analysis: &Analysis, untold_ns: Option<u64>) -> Table {
    let all =
        || analysis.stages.iter().flat_map(|stage| stage.regions.iter().map(move |own| (stage.name, own)));
    let head = ["stage", "region", "vCPUs", "a second", "p50", "p99", "p50", "p99", "p50", "p99"];
    let mut table = Table::with_head("Per region", &head);
    let group = |name: &str, columns| (name.to_owned(), columns);
    table.groups = vec![
        group("", 3),
        group("done", 1),
        group("service", 2),
        group("response", 2),
        group("response, times baseline", 2),
    ];
    let row = |own: &RegionCost| {
        let of = |latency, field: fn(Latency) -> Option<u64>| quantile(latency, field, untold_ns);
        let cpus: Vec<String> = own.cpus.iter().map(u32::to_string).collect();
        let unit = if own.computes { "units" } else { "visits" };
        let done = own.done_per_s.map_or_else(|| ABSENT.into(), |done| format!("{} {unit}", short(done)));
        let mut row = vec![own.name.clone(), cpus.join(","), done];
        row.extend([of(own.service_ns, |own| own.p50), of(own.service_ns, |own| own.p99)]);
        row.extend([of(own.response_ns, |own| own.p50), of(own.response_ns, |own| own.p99)]);
        row.extend(["p50", "p99"].map(|of| ratio(own.slowdown.as_ref(), of)));
        row
    };
    let rows = all().map(|(name, own)| [vec![name.title().to_owned()], row(own)].concat());
    table.rows = rows.take(ROWS).collect();
    table.note =
        "A unit is a fixed piece of computing that touches no memory; units are in no figure of pages. n/a: \
                  analysis.json has each reason."
            .to_owned()
            + &left_out(all().count());
    table
}

fn left_out(rows: usize) -> String {
    if rows > ROWS { format!(" {} rows more are in analysis.json.", rows - ROWS) } else { String::new() }
}

fn ratio(slowdown: Option<&Slowdown>, of: &str) -> String {
    let is_it = |ratio: &&Ratio| ratio.of == of;
    match slowdown.map(|slowdown| slowdown.response.iter().find(is_it).and_then(|own| own.ratio)) {
        None => ABSENT.into(),
        Some(None) => "n/a".into(),
        Some(Some(ratio)) if ratio < 99.95 => figure(ratio, 2),
        Some(Some(ratio)) => short(ratio),
    }
}

#[cfg(test)]
pub mod tests;
