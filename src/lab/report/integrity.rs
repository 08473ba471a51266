//! What the page stamps found: whether every page still held what had been written there.

use super::{
    table::{ABSENT, Table},
    words::counted,
};
use crate::{
    lab::rundir::RunData,
    record::{Corruption, PageVerdict, Totals},
    units::PAGE_BYTES,
};

/// So many corrupt pages are listed; `records.ndjson` holds them all.
const LISTED: usize = 20;

/// The totals of the guest's last record.
fn totals(data: &RunData) -> Option<&Totals> {
    data.records.end.as_ref().map(|end| &end.totals)
}

/// What a guest found that was told to look, and goes on.
fn looked(data: &RunData) -> Option<PageVerdict> {
    data.run.measured.as_ref()?.pages.filter(|_| totals(data).is_none())
}

/// The corrupt pages that it counts, by its last record or when it was told to look.
fn counted_pages(data: &RunData) -> Option<u64> {
    let last = totals(data).and_then(|totals| totals.corruptions).map(|counts| counts.sum());
    last.or_else(|| looked(data).map(|found| found.corrupt))
}

/// How many pages were looked at in the end, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sweep {
    swept: u64,
    pages: u64,
}

/// The sweep at the end; none where no page was looked at, or where it cannot be: more than there are.
fn sweep(data: &RunData) -> Option<Sweep> {
    if let Some(PageVerdict { looked_at, of, .. }) = looked(data).filter(|found| found.looked_at > 0) {
        return (looked_at <= of).then_some(Sweep { swept: looked_at, pages: of });
    }
    let swept = totals(data)?.pages_swept.filter(|swept| *swept > 0)?;
    let pages = data.records.hello.as_ref().map_or(swept, |hello| hello.memory.bytes / PAGE_BYTES);
    (swept <= pages).then_some(Sweep { swept, pages })
}

/// Whether pages were lost, in a sentence; none where nobody knows.
pub fn sentence(data: &RunData) -> Option<String> {
    let counts = totals(data).and_then(|totals| totals.corruptions);
    let told = data.records.corruptions.len() as u64;
    match (counted_pages(data), sweep(data)) {
        (Some(0), Some(Sweep { swept, pages })) => Some(if swept == pages {
            format!("No page was lost: all {swept} held what was last written there.")
        } else {
            format!(
                "{swept} of {pages} pages were looked at in the end, and held what was last written there."
            )
        }),
        (Some(0), None) => None,
        (Some(count), _) => {
            let found = counts.map_or_else(|| count.to_string(), |counts| counts.to_string());
            Some(format!("The guest found corrupt pages: {found}."))
        }
        (None, _) if told > 0 => Some(format!(
            "The guest told of {} before it fell silent.",
            counted(told, "corrupt page", "corrupt pages")
        )),
        (None, _) => None,
    }
}

/// How many corrupt pages the guest told of, at least; none where no page was looked at.
pub fn corrupt_pages(data: &RunData) -> Option<u64> {
    let told = data.records.corruptions.len() as u64;
    let counted = counted_pages(data).map_or(told, |counted| counted.max(told));
    (counted > 0 || sweep(data).is_some()).then_some(counted)
}

/// How many pages were lost, for a cell of a table.
pub fn cell(data: &RunData) -> String {
    match (counted_pages(data), data.records.corruptions.len(), sweep(data)) {
        (Some(0), _, Some(Sweep { swept, .. })) => format!("none of {swept}"),
        (Some(0), _, None) | (None, 0, _) => ABSENT.into(),
        (Some(count), ..) => count.to_string(),
        (None, told, _) => format!("{told} or more"),
    }
}

/// What the stamps found; none where pages had no stamps.
pub fn integrity(data: &RunData) -> Option<Table> {
    let (told, counted_pages) = (data.records.corruptions.len(), counted_pages(data));
    let counts = totals(data).and_then(|totals| totals.corruptions);
    if told == 0 && counted_pages.is_none() {
        return None;
    }
    let mut table = Table::of_facts("Page stamps: whether every page held what was last written there");
    let found = match counted_pages {
        Some(0) => "none".into(),
        Some(count) => counts.map_or_else(|| count.to_string(), |counts| counts.to_string()),
        None => format!("{} told of before the guest fell silent", counted(told as u64, "page", "pages")),
    };
    table.fact("corrupt", found);
    if let Some(Sweep { swept, pages }) = sweep(data) {
        let all = if swept == pages { String::new() } else { format!(" of {pages}") };
        table.fact("looked at in the end", counted(swept, "page", "pages") + &all);
    }
    for corruption in data.records.corruptions.iter().take(LISTED) {
        let Corruption { page, kind, expected, found } = corruption;
        table.fact(&format!("page {page}"), format!("{}: expected {expected}; found {found}", kind.name()));
    }
    if told > LISTED {
        table.fact("and", format!("{} more", counted((told - LISTED) as u64, "page", "pages")));
    }
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        lab::timeline::fixture::Story,
        record::{Body, CorruptionCounts, CorruptionKind, End, EndReason, Latency},
    };

    #[test]
    fn that_no_page_was_lost_is_said_where_all_were_looked_at_and_what_was_lost_is_counted() {
        let with = |stale: u64, swept: Option<u64>| {
            let mut data = Story::precopy().run_data();
            let corruptions = Some(CorruptionCounts { stale, ..CorruptionCounts::default() });
            let mut last = data.arrivals[0].clone();
            last.record.body = Body::End(Box::new(End {
                reason: EndReason::Stop,
                detail: None,
                totals: Totals { corruptions, pages_swept: swept, ..Totals::default() },
                service_ns: Latency::default(),
                response_ns: Latency::default(),
                service_hist: String::new(),
                response_hist: String::new(),
                records_dropped: 0,
            }));
            data.arrivals.push(last);
            let data = data.data();
            (sentence(&data), cell(&data))
        };
        let whole = "No page was lost: all 32768 held what was last written there.";
        assert_eq!(with(0, Some(32768)), (Some(whole.into()), "none of 32768".into()));
        assert_eq!(with(0, None), (None, ABSENT.into()), "visits were checked, the rest nobody looked at");
        let some = "100 of 32768 pages were looked at in the end, and held what was last written there.";
        assert_eq!(with(0, Some(100)), (Some(some.into()), "none of 100".into()));
        for swept in [0, 32769, 1 << 63] {
            assert_eq!(with(0, Some(swept)), (None, ABSENT.into()), "{swept}");
        }
        assert_eq!(
            with(3, Some(32768)),
            (Some("The guest found corrupt pages: 3 stale.".into()), "3".into())
        );
    }

    #[test]
    fn corrupt_pages_are_listed_with_what_was_expected_even_without_an_end() {
        let mut data = Story::precopy().run_data();
        let quiet = data.data();
        let nothing = (integrity(&quiet), sentence(&quiet), cell(&quiet));
        assert_eq!(nothing, (None, None, ABSENT.into()), "pages without stamps");
        let arrival = data.arrivals[0].clone();
        for page in 0..30 {
            let mut told = arrival.clone();
            told.record.body = Body::Corruption(Corruption {
                page,
                kind: CorruptionKind::Stale,
                expected: format!("page {page}, visit 9"),
                found: format!("page {page}, visit 7, at 5 ns"),
            });
            data.arrivals.push(told);
        }
        let data = data.data();
        let rows = integrity(&data).unwrap().rows;
        assert_eq!(sentence(&data).unwrap(), "The guest told of 30 corrupt pages before it fell silent.");
        assert_eq!(cell(&data), "30 or more");
        assert_eq!(rows[0][1], "30 pages told of before the guest fell silent");
        assert_eq!(rows[4], ["page 3", "stale: expected page 3, visit 9; found page 3, visit 7, at 5 ns"]);
        assert_eq!(rows.last().unwrap()[1], "10 pages more");
    }
}
