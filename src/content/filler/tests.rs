//! What pages hold and visits write, content by content.

use super::*;
use crate::content::is_visited;
use proptest::prelude::*;

const PAGE: PageIndex = PageIndex(3);

fn filler(content: &str, write_bytes: u64, stamped: bool) -> PageFiller {
    PageFiller::new(write_bytes, stamped, 1).of(content.parse().unwrap())
}

fn filled(filler: &mut PageFiller, page: PageIndex) -> [u64; PAGE_WORDS] {
    let mut words = [0; PAGE_WORDS];
    filler.fill(page, &mut words);
    words
}

fn stroke(filler: &mut PageFiller, page: PageIndex) -> Option<(usize, Vec<u64>)> {
    let mut drawn = None;
    filler.stroke(page, |from, words| drawn = Some((from, words.to_vec())));
    drawn
}

/// The figures were computed by a second implementation, from the published SplitMix64 and xoshiro256++.
#[test]
fn the_same_seed_gives_the_same_content_for_ever() {
    let words = filled(&mut filler("random", 8, true), PAGE);
    assert_eq!(words[..3], [0xcfc5_d07f_6f03_c29b, 0xbf42_4132_963f_e08d, 0x19a3_7d57_57aa_f520]);
    assert_eq!(phrase(3, PageIndex(7)), 0x6baa_7868_1a99_f995);
    let mut flipped = Vec::new();
    filler("delta:4", 8, true).flips(|word, bits| flipped.push((word, bits)));
    assert_eq!(flipped, [(107, 0x9b << 48), (226, 0x8d << 24), (271, 0x21 << 8), (479, 0xd7 << 48)]);
    let copies = Copies::new(Share::from_millionths(50_000), 1);
    let held: Vec<u64> = (0..100).filter(|page| copies.holds(PageIndex(*page))).collect();
    assert_eq!((held, copies.first()), (vec![12, 32, 52, 72, 92], 0x910a_2dec_8902_5cc0));
}

#[test]
fn a_visit_writes_as_much_as_was_asked_for_and_the_stamp_at_least() {
    for (write, stamped, expected) in [
        (8, false, None),
        (8, true, None),
        (40, true, None),
        (48, true, Some((5, 1))),
        (4096, true, Some((5, 507))),
        (16, false, Some((1, 1))),
        (4096, false, Some((1, 511))),
    ] {
        for content in ["random", "zero", "fill:7", "compress:50"] {
            let drawn = stroke(&mut filler(content, write, stamped), PAGE);
            assert_eq!(
                drawn.map(|(from, words)| (from, words.len())),
                expected,
                "{content} {write} {stamped}"
            );
        }
    }
}

#[test]
fn every_visit_writes_something_else() {
    for content in ["random", "compress:50"] {
        let mut filler = filler(content, 4096, true);
        let mut drawn: Vec<_> = (0..100).map(|_| stroke(&mut filler, PAGE)).collect();
        drawn.sort();
        drawn.dedup();
        assert_eq!(drawn.len(), 100);
    }
}

#[test]
fn a_byte_over_and_over_is_all_there_is_in_the_page_and_in_what_is_written() {
    for (content, word) in [("zero", 0), ("fill:7", 0x0707_0707_0707_0707)] {
        let mut filler = filler(content, 4096, false);
        assert_eq!(filled(&mut filler, PAGE), [word; PAGE_WORDS]);
        assert_eq!(filler.touch(PAGE), Touch::Word(word));
        assert_eq!(stroke(&mut filler, PAGE), Some((1, vec![word; 511])));
    }
}

#[test]
fn only_what_takes_more_than_a_stamp_or_a_new_first_word_is_not_plain() {
    for (content, write, stamped, plain) in [
        ("random", 8, true, true),
        ("random", 8, false, true),
        ("compress:50", 8, false, true),
        ("zero", 8, true, true),
        ("zero", 8, false, false),
        ("random", 48, true, false),
        ("delta:5", 8, true, false),
        ("same", 8, true, false),
    ] {
        assert_eq!(filler(content, write, stamped).is_plain(), plain, "{content} {write} {stamped}");
    }
    let half = "50%".parse().unwrap();
    assert!(!filler("random", 8, false).with_copies(half, 1).is_plain());
    assert!(filler("random", 8, true).with_copies(half, 1).is_plain(), "stamps make every page another");
}

#[test]
fn what_stays_is_stored_again_as_far_as_a_visit_writes() {
    for (write, stamped, words) in [(8, true, 5), (64, true, 8), (8, false, 1), (4096, false, 512)] {
        assert_eq!(filler("same", write, stamped).touch(PAGE), Touch::Keep(words));
    }
}

#[test]
fn a_delta_flips_bytes_and_paints_nothing() {
    let mut filler = filler("delta:9", 8, true);
    assert_eq!((filler.touch(PAGE), stroke(&mut filler, PAGE)), (Touch::Flip, None));
    let mut flips = 0;
    filler.flips(|word, bits| {
        assert!(word >= STAMP_WORDS && bits != 0);
        flips += 1;
    });
    assert_eq!(flips, 9);
}

#[test]
fn copies_are_filled_and_painted_alike_by_every_writer() {
    let share = "40%".parse().unwrap();
    for content in ["random", "compress:50"] {
        let mut palettes = [1, 2].map(|seed| {
            PageFiller::new(4096, false, seed).of(content.parse().unwrap()).with_copies(share, 9)
        });
        let pages = (0..100).map(PageIndex);
        let copies: Vec<PageIndex> = pages.filter(|page| palettes[0].touch(*page) == Touch::Copy).collect();
        assert_eq!(copies.len(), 40);
        let first = filled(&mut palettes[0], copies[0]);
        for filler in &mut palettes {
            for page in &copies {
                assert_eq!(filled(filler, *page), first);
                assert_eq!(stroke(filler, *page), Some((1, first[1..].to_vec())));
            }
        }
    }
}

proptest! {
    #[test]
    fn filled_pages_are_never_zero_and_never_alike(seed: u64, percent in 1u8..=95) {
        for content in [ContentSpec::Random, ContentSpec::Compress(percent), ContentSpec::Same] {
            let mut filler = PageFiller::new(8, false, seed).of(content);
            let (one, other) = (filled(&mut filler, PageIndex(0)), filled(&mut filler, PageIndex(1)));
            prop_assert!(!is_visited(one[0]) && !is_visited(other[0]));
            prop_assert!(one.iter().zip(&other).filter(|(a, b)| a == b).count() < 3);
        }
    }
}
