//! What palettes put into pages, looked at page by page.

use super::*;

fn paints(content: &str, write_bytes: u64, stamped: bool) -> Paints {
    Paints {
        content: content.parse().unwrap(),
        write_bytes,
        stamped,
        dedup: Share::default(),
        common_seed: 7,
    }
}

fn pages(palette: &mut Palette, count: u64) -> Vec<[u64; PAGE_WORDS]> {
    let filled = |position| {
        let mut page = [u64::MAX; PAGE_WORDS];
        palette.fill(PageIndex(position), &mut page);
        page
    };
    (0..count).map(filled).collect()
}

/// Does what a visit does beyond the stamp.
fn visit(palette: &mut Palette, position: u64, page: &mut [u64; PAGE_WORDS]) {
    match palette.stroke(PageIndex(position)) {
        Stroke::Put(first, words) => page[first..first + words.len()].copy_from_slice(words),
        Stroke::Flip(places, changes) => {
            places.iter().zip(changes).for_each(|(place, change)| page[usize::from(*place)] ^= change);
        }
        Stroke::Again(..) => {}
    }
}

fn bytes(page: &[u64; PAGE_WORDS]) -> Vec<u8> {
    page.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

#[test]
fn a_visit_writes_as_much_as_was_asked_for_and_the_stamp_at_least() {
    for (content, write, stamped, expected) in [
        ("random", 8, false, None),
        ("random", 8, true, None),
        ("random", 40, true, None),
        ("random", 48, true, Some((5, 1))),
        ("compress:50", 4096, true, Some((5, 507))),
        ("random", 16, false, Some((1, 1))),
        ("zero", 8, true, None),
        ("zero", 8, false, Some((0, 1))),
        ("fill:9", 4096, false, Some((0, 512))),
    ] {
        let mut palette = Palette::new(paints(content, write, stamped), 1);
        let drawn = palette.paints().then(|| match palette.stroke(PageIndex(0)) {
            Stroke::Put(first, words) => (first, words.len()),
            stroke => panic!("{stroke:?}"),
        });
        assert_eq!(drawn, expected, "{content} {write} {stamped}");
    }
}

#[test]
fn every_visit_of_random_content_writes_something_else_and_pages_are_never_zero() {
    let mut palette = Palette::new(paints("random", 4096, false), 1);
    let mut drawn = pages(&mut palette, 50);
    assert!(drawn.iter().all(|page| page[0] & FILLED != 0));
    let mut page = drawn[0];
    for _ in 0..50 {
        visit(&mut palette, 0, &mut page);
        drawn.push(page);
    }
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn.len(), 100);
}

#[test]
fn zeros_and_bytes_stay_what_they_are_however_often_they_are_visited() {
    for (content, byte) in [("zero", 0), ("fill:0xa5", 0xa5)] {
        let mut palette = Palette::new(paints(content, 4096, false), 1);
        for (position, page) in pages(&mut palette, 3).iter_mut().enumerate() {
            visit(&mut palette, position as u64, page);
            assert!(bytes(page).iter().all(|found| *found == byte), "{content}");
        }
    }
}

#[test]
fn a_delta_changes_as_many_bytes_as_were_asked_for_and_they_are_scattered() {
    for (count, stamped) in [(1, true), (64, false), (2048, true), (2048, false)] {
        let mut palette = Palette::new(paints(&format!("delta:{count}"), 8, stamped), 1);
        let mut page = pages(&mut palette, 1)[0];
        for _ in 0..20 {
            let before = bytes(&page);
            visit(&mut palette, 0, &mut page);
            let after = bytes(&page);
            let changed: Vec<usize> = (0..4096).filter(|at| before[*at] != after[*at]).collect();
            assert_eq!(changed.len(), count);
            assert!(!stamped || changed[0] >= STAMP_WORDS * 8, "the stamp is not touched");
            assert!(changed.windows(2).all(|pair| pair[1] - pair[0] <= 2 * 4096 / count), "scattered evenly");
        }
    }
}

#[test]
fn the_same_stays_the_same() {
    let mut palette = Palette::new(paints("same", 4096, false), 1);
    assert!(palette.paints() && !palette.is_plain());
    assert_eq!(palette.stroke(PageIndex(3)), Stroke::Again(0, 512));
}

#[test]
fn so_many_pages_are_alike_as_were_asked_for_and_stay_so() {
    let alike = Paints { dedup: "30%".parse().unwrap(), ..paints("random", 64, false) };
    // Two writers with seeds of their own share the pages that are alike.
    let (mut one, mut other) = (Palette::new(alike, 1), Palette::new(alike, 2));
    let mut filled = pages(&mut one, 4000);
    filled.extend(pages(&mut other, 4000));
    for (position, page) in filled.iter_mut().enumerate() {
        visit(&mut one, position as u64 % 4000, page);
    }
    let mut template = [0; PAGE_WORDS];
    Filler::new(7).draw(&mut template);
    let common = filled.iter().filter(|page| **page == template).count();
    assert!((2200..2600).contains(&common), "{common} of 8000");
    filled.sort_unstable();
    filled.dedup();
    assert_eq!(filled.len(), 8000 - common + 1, "all others differ");
}

#[cfg(feature = "host")]
#[test]
fn compression_saves_what_was_asked_for_page_by_page_and_packet_by_packet_before_and_after_visits() {
    for percent in [0u8, 25, 50, 75, 99] {
        for (stamped, write) in [(false, 4096), (true, 1024), (true, 8)] {
            let mut palette = Palette::new(paints(&format!("compress:{percent}"), write, stamped), 1);
            let mut packet = pages(&mut palette, 128);
            for (position, page) in packet.iter_mut().enumerate() {
                let saved = saved_percent(&bytes(page));
                assert!((saved - f64::from(percent)).abs() <= 5.0, "{percent}: {saved} of a filled page");
                visit(&mut palette, position as u64, page);
                let saved = saved_percent(&bytes(page));
                assert!((saved - f64::from(percent)).abs() <= 5.0, "{percent}: {saved} of a visited page");
            }
            let whole: Vec<u8> = packet.iter().flat_map(bytes).collect();
            let saved = saved_percent(&whole);
            assert!((saved - f64::from(percent)).abs() <= 5.0, "{percent}: {saved} of a packet");
            packet.sort_unstable();
            packet.dedup();
            assert_eq!(packet.len(), 128, "no two pages are alike");
        }
    }
}

/// What zlib saves at level 1, in percent.
#[cfg(feature = "host")]
fn saved_percent(plain: &[u8]) -> f64 {
    use std::io::Write as _;
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(1));
    zlib.write_all(plain).unwrap();
    100.0 - 100.0 * zlib.finish().unwrap().len() as f64 / plain.len() as f64
}
