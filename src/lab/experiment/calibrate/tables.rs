//! A calibration as a table, on a terminal and in Markdown: what each meter said, and by how much it was off.

use super::reading::{Meter, Moment, PAGES_PER_MIB, Reading};
use super::{CalibratedLoad, Calibration};
use crate::lab::figure::{figure, signed};
use crate::lab::report::Table;
use crate::record::Accelerator;
use std::fmt::Write as _;

/// The meters as columns, in the order they are asked.
const COLUMNS: [(Meter, Moment); 5] = [
    (Meter::PageSampling, Moment::Before),
    (Meter::DirtyBitmap, Moment::Before),
    (Meter::DirtyRing, Moment::Before),
    (Meter::PageSampling, Moment::During),
    (Meter::DirtyPagesRate, Moment::During),
];
/// What a cell holds where there is no figure.
const NONE: &str = "n/a";

/// The whole of it for a terminal.
pub fn text(found: &Calibration, width: usize) -> String {
    let mut text = table(found).to_text(width);
    for reason in reasons(found) {
        let _ = writeln!(text, "  n/a: {reason}");
    }
    text
}

/// The whole of it in Markdown; `plot` names the picture beside it.
pub fn markdown(found: &Calibration, plot: &str) -> String {
    let table = table(found);
    let mut text = format!("# {}\n\n", table.title);
    let names = table.groups.iter().flat_map(|(name, count)| std::iter::repeat_n(name, *count));
    let head = names.zip(&table.head).map(|(group, name)| format!("{group} {name}").trim().to_owned());
    let mut row = |cells: &mut dyn Iterator<Item = String>| {
        let cells: Vec<String> = cells.collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    };
    row(&mut head.into_iter());
    row(&mut table.head.iter().map(|_| "---".to_owned()));
    for cells in &table.rows {
        row(&mut cells.iter().cloned());
    }
    let _ = write!(text, "\n{}\n\n![what the meters said, over what the guest wrote]({plot})\n", table.note);
    for reason in reasons(found) {
        let _ = writeln!(text, "\n- n/a: {reason}");
    }
    text
}

fn table(found: &Calibration) -> Table {
    let how = match found.accelerator {
        Accelerator::Kvm => "KVM",
        Accelerator::Tcg => "emulated",
    };
    let mut table = Table {
        title: format!("QEMU {}, {how}: its dirty-rate meters against the guest's count", found.qemu_version),
        note: "All in MiB/s of different 4 KiB pages; the guest's column is its exact count while the first meter that could be \
               asked measured, and each error is against the count while that meter did. calc-dirty-rate tells whole MiB/s."
            .into(),
        ..Table::default()
    };
    let column = |name: &str, group: &str| (name.to_owned(), group.to_owned());
    let mut columns =
        vec![column("pages", ""), column("pattern", ""), column("asked", ""), column("guest", "")];
    for (meter, moment) in COLUMNS {
        let group = format!("{}, {}", meter.name(), moment.name());
        columns.extend([column("says", &group), column("off by", &group)]);
    }
    for (name, group) in columns {
        table.head.push(name);
        match table.groups.last_mut() {
            Some((last, count)) if *last == group => *count += 1,
            _ => table.groups.push((group, 1)),
        }
    }
    table.rows = found.loads.iter().map(row).collect();
    table
}

fn row(load: &CalibratedLoad) -> Vec<String> {
    let guest = load.readings.iter().find_map(|reading| reading.guest_pages_per_s);
    let mut cells =
        vec![load.pages.clone(), load.pattern.clone(), mib(Some(load.asked_pages_per_s as f64)), mib(guest)];
    for (meter, moment) in COLUMNS {
        let reading = load.readings.iter().find(|reading| reading.meter == meter && reading.moment == moment);
        cells.push(mib(reading.and_then(|reading| reading.meter_pages_per_s)));
        let error = reading.and_then(|reading| reading.error_percent);
        cells.push(error.map_or_else(|| NONE.into(), |error| format!("{} %", signed(error, 1))));
    }
    cells
}

fn mib(pages_per_s: Option<f64>) -> String {
    pages_per_s.map_or_else(|| NONE.into(), |pages| figure(pages / PAGES_PER_MIB, 1))
}

/// Why figures are absent, each reason once, with the meters it is about.
fn reasons(found: &Calibration) -> Vec<String> {
    let mut reasons: Vec<(String, Vec<Meter>)> = Vec::new();
    let all = found.loads.iter().flat_map(|load| &load.readings);
    for (reading, reason) in all.filter_map(|reading| Some((reading, reading.reason.clone()?))) {
        let known = reasons.iter_mut().find(|(known, _)| *known == reason);
        match known {
            Some((_, meters)) if meters.contains(&reading.meter) => {}
            Some((_, meters)) => meters.push(reading.meter),
            None => reasons.push((reason, vec![reading.meter])),
        }
    }
    let said = |(reason, meters): (String, Vec<Meter>)| {
        let meters: Vec<&str> = meters.into_iter().map(Meter::name).collect();
        format!("{}: {reason}", meters.join(", "))
    };
    let mut said: Vec<String> = reasons.into_iter().map(said).collect();
    if found.interrupted {
        said.push("the loads after these: it was interrupted".into());
    }
    said.extend(found.failed.iter().map(|why| format!("the loads after these: {why}")));
    said
}

/// The readings that have both figures: what was counted, and what was said.
pub(super) fn points(found: &Calibration) -> impl Iterator<Item = (&Reading, f64, f64)> {
    let all = found.loads.iter().flat_map(|load| &load.readings);
    all.filter_map(|reading| Some((reading, reading.guest_pages_per_s?, reading.meter_pages_per_s?)))
}
