//! What the page stamps found: whether every page still held what had been written there.

use super::{table::Table, words::counted};
use crate::{
    lab::rundir::RunData,
    record::{Body, Corruption},
};

/// So many corrupt pages are listed; `records.ndjson` holds them all.
const LISTED: usize = 20;

/// The corrupt pages that the guest told of, in the order it found them.
pub fn corruptions(data: &RunData) -> impl Iterator<Item = &Corruption> {
    data.arrivals.iter().filter_map(|arrival| match &arrival.record.body {
        Body::Corruption(corruption) => Some(corruption),
        _ => None,
    })
}

/// What the stamps found; none where pages had no stamps.
pub fn integrity(data: &RunData) -> Option<Table> {
    let end = data.arrivals.iter().rev().find_map(|arrival| match &arrival.record.body {
        Body::End(end) => Some(&end.totals),
        _ => None,
    });
    let (told, counts) = (corruptions(data).count(), end.and_then(|totals| totals.corruptions));
    if told == 0 && counts.is_none() {
        return None;
    }
    let mut table = Table::of_facts("Page stamps: whether every page held what was last written there");
    let found = match counts {
        Some(counts) if counts.sum() > 0 => counts.to_string(),
        Some(_) => "none".into(),
        None => format!("{} told of before the guest fell silent", counted(told as u64, "page", "pages")),
    };
    table.fact("corrupt", found);
    if let Some(swept) = end.and_then(|totals| totals.pages_swept) {
        table.fact("looked at in the end", counted(swept, "page", "pages"));
    }
    for corruption in corruptions(data).take(LISTED) {
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
    use crate::{lab::timeline::fixture::Story, record::CorruptionKind};

    #[test]
    fn corrupt_pages_are_listed_with_what_was_expected_even_without_an_end() {
        let mut data = Story::precopy().run_data();
        assert_eq!(integrity(&data), None, "pages without stamps");
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
        let rows = integrity(&data).unwrap().rows;
        assert_eq!(rows[0][1], "30 pages told of before the guest fell silent");
        assert_eq!(rows[4], ["page 3", "stale: expected page 3, visit 9; found page 3, visit 7, at 5 ns"]);
        assert_eq!(rows.last().unwrap()[1], "10 pages more");
    }
}
