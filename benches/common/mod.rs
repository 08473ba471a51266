//! The parts of a visit, each in a loop of its own over pages that were drawn before, and the bare loops that they are
//! held against. What all parts together come to is measured where they are put together: in the engine.

use std::{error::Error, str::FromStr};
use sully::{
    clock::{Clock, Counting, Keeper, Monotonic},
    content::{Ledger, PageFiller, Touch},
    pace::BATCH,
    pattern::{self, AddressPattern},
    plan::{ContentSpec, PatternSpec, WORD_BYTES},
    region::{Region, Slice},
    tally::{StampTally, VisitTally},
    units::{PAGE_BYTES, PageCount, PageIndex},
};

/// As many stamps are asked for at a time, one such group ahead, as the engine asks for.
const TOGETHER: usize = 8;

/// The sequence that `name` names, over so many pages.
pub fn order(name: &str, pages: u64) -> Result<Box<dyn AddressPattern>, Box<dyn Error>> {
    Ok(pattern::pattern(PatternSpec::from_str(name)?, PageCount(pages), 1))
}

/// The next `visits` pages of a sequence, in batches as a writer draws them.
pub fn draw(order: &mut dyn AddressPattern, visits: usize) {
    let mut pages = [PageIndex(0); BATCH];
    for first in (0..visits).step_by(BATCH) {
        order.fill(&mut pages[..BATCH.min(visits - first)]);
        std::hint::black_box(&pages);
    }
}

/// Memory, and the pages of it that are to be visited, in order.
pub struct Ground {
    _region: Region,
    slice: Slice,
    pages: Vec<PageIndex>,
}

impl Ground {
    /// So many pages, every one of them touched, and `visits` of them in the order that `pattern` names.
    pub fn new(pages: u64, pattern: &str, visits: usize) -> Result<Self, Box<dyn Error>> {
        let (region, slices) = Region::map(PageCount(pages), 1)?;
        let mut slice = slices.into_iter().next().ok_or("a region without a slice")?;
        slice.fill(|words| words.fill(1))?;
        let mut drawn = vec![PageIndex(0); visits];
        order(pattern, pages)?.fill(&mut drawn);
        Ok(Self { _region: region, slice, pages: drawn })
    }

    /// One store into each page, and nothing else.
    pub fn store(&mut self) {
        for page in &self.pages {
            self.slice.write(*page, 1);
        }
    }

    /// One word of each page read, changed and written, and nothing else.
    pub fn read_modify_write(&mut self) {
        for page in &self.pages {
            let word = self.slice.read(*page);
            self.slice.write(*page, word + 1);
        }
    }
}

/// Pages with stamps.
pub struct Stamped {
    ground: Ground,
    ledger: Ledger,
    tally: StampTally,
}

impl Stamped {
    /// The pages of `ground`, stamped.
    pub fn new(mut ground: Ground) -> Result<Self, Box<dyn Error>> {
        let ledger = Ledger::new(1, PageIndex(0), ground.slice.pages());
        let mut page = PageIndex(0);
        ground.slice.fill(|words| {
            let stamp = ledger.filled(page);
            words[..stamp.len()].copy_from_slice(&stamp);
            page.0 += 1;
        })?;
        Ok(Self { ground, ledger, tally: StampTally::new() })
    }

    /// The stamp of each page is checked and renewed.
    pub fn renew(&mut self) {
        let (slice, pages) = (&mut self.ground.slice, &self.ground.pages);
        for (index, page) in pages.iter().enumerate() {
            if index.is_multiple_of(TOGETHER) {
                pages.iter().skip(index + TOGETHER).take(TOGETHER).for_each(|page| slice.prefetch(*page));
            }
            let checked = self.ledger.visit(*page, &slice.words(*page), 1, 1);
            slice.put(*page, &checked.stamp);
            self.tally.visited(1, checked.again);
            assert_eq!(checked.corrupt, None, "a stamp that nobody broke");
        }
    }
}

/// Pages with a content, written whole.
pub struct Painted {
    ground: Ground,
    filler: PageFiller,
}

impl Painted {
    /// The pages of `ground`, with the content that `name` names.
    pub fn new(ground: Ground, name: &str) -> Result<Self, Box<dyn Error>> {
        let content = ContentSpec::from_str(name)?;
        let write_bytes = if matches!(content, ContentSpec::Delta(_)) { WORD_BYTES } else { PAGE_BYTES };
        Ok(Self { ground, filler: PageFiller::new(write_bytes, true, 1).of(content) })
    }

    /// What a visit of each page writes beyond its stamp.
    pub fn paint(&mut self) {
        let (slice, filler) = (&mut self.ground.slice, &mut self.filler);
        for page in &self.ground.pages {
            match filler.touch(*page) {
                Touch::Keep(words) => slice.keep(*page, words),
                Touch::Flip => filler.flips(|word, bits| slice.flip(*page, word, bits)),
                _ => filler.stroke(*page, |from, words| slice.put_at(*page, from, words)),
            }
        }
    }
}

/// A clock and what it tells into.
pub struct Timed {
    _keeper: Keeper,
    clock: Counting,
    tally: VisitTally,
}

impl Timed {
    /// The cycle counter, once it is known.
    ///
    /// # Errors
    /// When two seconds do not do: the counter of this machine is not to be trusted.
    pub fn new() -> Result<Self, Box<dyn Error>> {
        const TRIES: u32 = 20;
        const APART_NS: u64 = 100_000_000;
        let mut keeper = Keeper::new(true);
        for _ in 0..TRIES {
            Monotonic.sleep_until(Monotonic.now_ns() + APART_NS);
            keeper.check();
            if keeper.hz().is_some() {
                return Ok(Self { clock: keeper.clock(), _keeper: keeper, tally: VisitTally::new() });
            }
        }
        Err("the cycle counter of this machine cannot be trusted".into())
    }

    /// So many visits that do nothing are timed: one reading each, and the count of how long it took.
    pub fn time(&self, visits: usize) {
        let mut start_ns = self.clock.now_ns();
        for _ in 0..visits {
            self.tally.open(start_ns);
            let end_ns = self.clock.now_ns();
            self.tally.close(start_ns, end_ns, u64::MAX);
            start_ns = end_ns;
        }
        self.tally.idle();
    }
}
