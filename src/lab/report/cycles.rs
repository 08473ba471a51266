//! The saves and restores of a run: what each took, what the guest paid, and whether its pages are right.

use super::{
    table::{ABSENT, Table},
    words::{counted, mib, quantile, time},
};
use crate::{
    lab::{rundir::RunData, timeline::Timeline},
    record::{CycleFigures, ForkFigures, Latency, PageVerdict, Paid},
    units::PAGE_BYTES,
};

/// What a cell holds whose reason stands below.
const NONE: &str = "n/a";
/// A file takes less room than it is long where that is below this share of it, percent.
const HOLES_PERCENT: u128 = 90;

/// What became of a run of saves and restores, in a sentence; none where it has none.
pub fn sentence(data: &RunData) -> Option<String> {
    let cycles = &data.run.cycles;
    cycles.first()?;
    let restored = cycles.iter().filter(|cycle| cycle.restore_ns.is_some()).count() as u64;
    let asked = data.run.scenario.pointer("/cycle/cycles").and_then(serde_json::Value::as_u64);
    let of = asked.filter(|asked| *asked != restored).map(|asked| format!(" of {asked}")).unwrap_or_default();
    let most = |of: fn(&CycleFigures) -> Option<u64>| time(cycles.iter().filter_map(of).max());
    let took = if restored == 0 {
        String::new()
    } else {
        format!(
            ": at most {} to save, {} to restore",
            most(|cycle| cycle.save_ns),
            most(|cycle| cycle.restore_ns)
        )
    };
    let paid = |paid| cycles.iter().filter(|cycle| cycle.paid == Some(paid)).count();
    let who = match (paid(Paid::Eager), paid(Paid::Lazy)) {
        (0, 0) => String::new(),
        (_, 0) => " Eager: the guest found its memory there when it went on.".into(),
        (0, _) => " Lazy: the guest paid as it came to its pages.".into(),
        (eager, lazy) => format!(" Eager in {eager}, lazy in {lazy}."),
    };
    Some(format!("{}{of}{took}.{who}", counted(restored, "save and restore", "saves and restores")))
}

/// A row for each cycle; none where the run has none.
pub fn cycles(data: &RunData, timeline: &Timeline) -> Option<Table> {
    let cycles = &data.run.cycles;
    if cycles.is_empty() {
        return None;
    }
    let head =
        ["", "dirtied", "save", "file", "restore", "first p50", "p99", "max", "recovered", "paid", "pages"];
    let mut table = Table::with_head("Saves and restores", &head);
    table.rows = cycles.iter().map(|cycle| row(cycle, timeline.untold_ns())).collect();
    table.note = note(cycles);
    Some(table)
}

fn row(cycle: &CycleFigures, untold_ns: Option<u64>) -> Vec<String> {
    let first = |of: fn(Latency) -> Option<u64>| match cycle.first_touch {
        // Too few visits, or a clock that cannot tell: the reason knows which.
        Some(first) if of(first).is_none() && cycle.first_touch_reason.is_some() => NONE.into(),
        Some(_) => quantile(cycle.first_touch, of, untold_ns),
        None => absent(cycle.first_touch_reason.as_ref()),
    };
    let paid = match cycle.paid {
        Some(Paid::Eager) => "eager".into(),
        Some(Paid::Lazy) => "lazy".into(),
        None => absent(cycle.paid_reason.as_ref()),
    };
    let recovered =
        cycle.recover_ns.map_or_else(|| absent(cycle.recover_reason.as_ref()), |ns| time(Some(ns)));
    vec![
        cycle.number.to_string(),
        mib(cycle.dirtied_pages.map(|pages| pages.saturating_mul(PAGE_BYTES))),
        time(cycle.save_ns),
        file(cycle),
        time(cycle.restore_ns),
        first(|latency| latency.p50),
        first(|latency| latency.p99),
        first(|latency| latency.max),
        recovered,
        paid,
        all_pages(cycle),
    ]
}

/// What of a file takes room, and its length where that is more.
fn file(cycle: &CycleFigures) -> String {
    let stored = cycle.stored_bytes.zip(cycle.file_bytes);
    let has_holes = |stored, length| u128::from(stored) * 100 < u128::from(length) * HOLES_PERCENT;
    match stored.filter(|(stored, length)| has_holes(*stored, *length)) {
        Some((stored, _)) => {
            format!("{}/{}", mib(Some(stored)).trim_end_matches(" MiB"), mib(cycle.file_bytes))
        }
        None => mib(cycle.file_bytes),
    }
}

/// What became of the pages, of both guests where there are two.
fn all_pages(cycle: &CycleFigures) -> String {
    let Some(own) = cycle.pages else { return ABSENT.into() };
    match &cycle.fork {
        None => pages(own),
        Some(ForkFigures { pages: Some(fork), .. }) if fork.is_right() && own.is_right() => {
            format!("2 x {}", pages(own))
        }
        Some(fork) => {
            format!("{}; fork {}", pages(own), fork.pages.map_or_else(|| ABSENT.into(), pages))
        }
    }
}

fn pages(pages: PageVerdict) -> String {
    let PageVerdict { looked_at, of, corrupt } = pages;
    match corrupt {
        0 if looked_at >= of => format!("{of} right"),
        0 => format!("{looked_at} of {of} right"),
        _ => format!("{corrupt} corrupt"),
    }
}

fn absent(reason: Option<&String>) -> String {
    if reason.is_some() { NONE.into() } else { ABSENT.into() }
}

/// Why what is missing is missing: the first reason of each column, and how many cycles more have one.
fn note(cycles: &[CycleFigures]) -> String {
    let reason = |what: &str, of: fn(&CycleFigures) -> Option<&String>| {
        let mut reasons = cycles.iter().filter_map(|cycle| Some((cycle.number, of(cycle)?)));
        let (number, first) = reasons.next()?;
        let more = match reasons.count() {
            0 => String::new(),
            more => format!("; n/a in {}, too", counted(more as u64, "other", "others")),
        };
        Some(format!("{what} n/a in cycle {number}: {first}{more}."))
    };
    let all = [
        reason("First visits", |cycle| cycle.first_touch_reason.as_ref()),
        // Without first visits nobody knows who paid: that is said already.
        reason("Paid", |cycle| cycle.paid_reason.as_ref().filter(|_| cycle.first_touch.is_some())),
        reason("Recovered", |cycle| cycle.recover_reason.as_ref()),
    ];
    all.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        lab::{timeline::fixture::Story, view::RunView},
        record::SessionId,
    };

    fn cycle() -> CycleFigures {
        let pages = PageVerdict { looked_at: 4096, of: 4096, corrupt: 0 };
        let first = Latency {
            count: 4096,
            p50: Some(4_000),
            p99: Some(90_000),
            max: Some(3_000_000),
            ..Latency::default()
        };
        CycleFigures {
            number: 1,
            dirtied_pages: Some(2048),
            save_ns: Some(300_000_000),
            file_bytes: Some(160 << 20),
            stored_bytes: Some(40 << 20),
            restore_ns: Some(200_000_000),
            first_touch: Some(first),
            paid: Some(Paid::Eager),
            recover_reason: Some("no second was as good".into()),
            pages: Some(pages),
            fork: Some(ForkFigures {
                restore_ns: 1,
                session: SessionId(7),
                is_apart: true,
                pages: Some(pages),
            }),
            ..CycleFigures::default()
        }
    }

    #[test]
    fn a_run_of_cycles_says_what_each_took_and_why_what_is_missing_is_missing() {
        let mut data = Story::precopy().run_data();
        data.run.milestones.clear();
        (data.run.source, data.run.destination) = (None, None);
        data.run.cycles = vec![cycle(), CycleFigures { number: 2, paid: Some(Paid::Lazy), ..cycle() }];
        data.run.scenario = serde_json::json!({ "cycle": { "cycles": 3 } });
        let run = RunView::new(data.data());
        let said = sentence(run.data()).unwrap();
        assert!(said.starts_with("2 saves and restores of 3: at most 300 ms to save, 200 ms"), "{said}");
        assert!(said.ends_with("Eager in 1, lazy in 1."), "{said}");
        let text = cycles(run.data(), run.timeline()).unwrap().to_text(110);
        for part in ["8.00 MiB", "40.0/160 MiB", "90.0 µs", "n/a", "2 x 4096 right"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(
            text.contains("Recovered n/a in cycle 1: no second was as good; n/a in 1 other, too."),
            "{text}"
        );
        assert_eq!(text.matches("as good").count(), 1, "{text}");
        let said = super::super::text(&[run], 110);
        assert!(said.contains("2 saves and restores") && !said.contains("downtime"), "{said}");
        assert!(said.lines().all(|line| line.chars().count() <= 110), "{said}");
    }

    #[test]
    fn a_quantile_of_too_few_visits_is_not_there_and_its_reason_is_said() {
        let few = Latency { count: 200, p50: Some(4_000), max: Some(3_000_000), ..Latency::default() };
        let reason = Some("too few for a p99: 200 visits, 1000 are needed".to_owned());
        let unswept = cycle().fork.map(|fork| ForkFigures { pages: None, ..fork });
        let cycle = CycleFigures {
            first_touch: Some(few),
            first_touch_reason: reason,
            dirtied_pages: Some(u64::MAX),
            stored_bytes: Some(u64::MAX),
            file_bytes: Some(u64::MAX),
            fork: unswept,
            ..cycle()
        };
        let row = row(&cycle, Some(6_000_000));
        assert_eq!(row[5..8], ["4.00 µs", NONE, "3.00 ms"], "{row:?}");
        assert!(row[10].ends_with("; fork -"), "{row:?}");
        assert!(note(&[cycle]).contains("200 visits, 1000 are needed"));
    }

    #[test]
    fn what_a_second_guest_said_is_counted_and_is_in_no_figure() {
        let mut data = Story::precopy().run_data();
        let alone = RunView::new(data.data());
        let figures = |run: &RunView| (run.data().records.intervals.len(), run.data().records.stamps.len());
        let fork: Vec<_> = data.arrivals.iter().take(50).cloned().collect();
        data.arrivals.extend(fork.into_iter().map(|mut arrival| {
            arrival.record.session = SessionId(7);
            arrival
        }));
        let mixed = RunView::new(data.data());
        assert!(mixed.data().audit.sentences().any(|said| said.contains("2 sessions")));
        data.run.cycles = vec![cycle()];
        let told = RunView::new(data.data());
        assert_eq!(told.data().audit.sentences().collect::<Vec<_>>(), [""; 0]);
        assert_eq!(figures(&told), figures(&alone));
    }

    #[test]
    fn the_largest_numbers_that_a_run_directory_may_hold_are_written_and_overflow_nothing() {
        let most = CycleFigures {
            dirtied_pages: Some(u64::MAX),
            file_bytes: Some(u64::MAX),
            stored_bytes: Some(u64::MAX / 2),
            ..cycle()
        };
        let row = row(&most, None);
        assert!(row[1].ends_with(" MiB") && row[3].contains('/'), "{row:?}");
    }

    #[test]
    fn a_run_that_migrates_has_none() {
        let run = RunView::new(Story::precopy().run_data().data());
        assert_eq!((sentence(run.data()), cycles(run.data(), run.timeline())), (None, None));
    }
}
