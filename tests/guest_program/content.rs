//! What pages hold, measured from outside the process: in its backing file, in its memory, and by other compressors.

use super::{end, failure, intervals, records, spawn, sully};
use flate2::{Compression, write::ZlibEncoder};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Child;
use sully::clock::{Clock, Monotonic};
use sully::content::Stamp;
use sully::record::{CorruptionCounts, End, Record};

const PAGE: usize = 4096;
const STAMP: usize = 40;
/// What migration sends at once.
const PACKET_PAGES: usize = 128;

/// What a run leaves in its backing file, and what it says of itself.
struct Left {
    bytes: Vec<u8>,
    records: Vec<Record>,
}

impl Left {
    /// Of 8 MiB, two writers.
    fn by(arguments: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (region, report) = (dir.path().join("region"), dir.path().join("out"));
        sully(&format!(
            "run -m 8M -t 2 --baseline 0s {arguments} --backing file:{} --report file:{}",
            region.display(),
            report.display()
        ))
        .assert()
        .success();
        Self { bytes: std::fs::read(&region).unwrap(), records: records(&report) }
    }

    fn pages(&self) -> Vec<&[u8]> {
        self.bytes.chunks(PAGE).collect()
    }

    fn end(&self) -> &End {
        end(&self.records)
    }
}

fn stamp(page: &[u8]) -> Option<Stamp> {
    let mut words = page.chunks(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap()));
    let words = std::array::from_fn(|_| words.next().unwrap());
    Stamp::is_whole(&words).then(|| Stamp::of(&words))
}

/// Percent of the bytes that level 1 of a compressor saves.
fn saved(compressed: usize, bytes: &[u8]) -> f64 {
    100.0 - 100.0 * compressed as f64 / bytes.len() as f64
}

fn zlib(bytes: &[u8]) -> f64 {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(1));
    encoder.write_all(bytes).unwrap();
    saved(encoder.finish().unwrap().len(), bytes)
}

fn zstd(bytes: &[u8]) -> f64 {
    saved(zstd::bulk::compress(bytes, 1).unwrap().len(), bytes)
}

/// The least and the most that is saved of the pages, or of the packets of pages.
fn range(bytes: &[u8], pages: usize, saved: fn(&[u8]) -> f64) -> (f64, f64) {
    let shares = bytes.chunks(pages * PAGE).map(saved);
    shares.fold((f64::MAX, f64::MIN), |(least, most), share| (least.min(share), most.max(share)))
}

fn compresses_by(percent: f64, bytes: &[u8], case: &str) {
    for (name, compressor) in [("zlib", zlib as fn(&[u8]) -> f64), ("zstd", zstd)] {
        for pages in [1, PACKET_PAGES] {
            let (least, most) = range(bytes, pages, compressor);
            println!("{case}: {name} -1, packets of {pages}: {least:.1} to {most:.1} %");
            assert!(
                least >= percent - 5.0 && most <= percent + 5.0,
                "{case} {name} {pages}: {least} to {most}"
            );
        }
    }
    let distinct: HashSet<&[u8]> = bytes.chunks(PAGE).collect();
    assert_eq!(distinct.len(), bytes.len() / PAGE, "{case}: no two pages alike");
}

#[test]
fn pages_compress_by_what_was_asked_for_alone_and_in_packets_and_no_two_are_alike() {
    for percent in [25, 50, 75] {
        for how in ["", "-w page", "--verify off", "-w 200 --verify off"] {
            let left = Left::by(&format!("-c compress:{percent} {how} -r max -d 200ms"));
            assert!(left.end().totals.writes > 2048, "every page was visited");
            compresses_by(f64::from(percent), &left.bytes, &format!("compress:{percent} {how}"));
        }
    }
}

#[test]
fn the_ends_of_the_scale_are_met_too_and_random_pages_do_not_compress() {
    for percent in [1, 95] {
        let left = Left::by(&format!("-c compress:{percent} -r max -d 200ms"));
        compresses_by(f64::from(percent), &left.bytes, &format!("compress:{percent}"));
    }
    for content in ["random", "delta:64", "same"] {
        let left = Left::by(&format!("-c {content} -w 8 -r max -d 200ms"));
        for compressor in [zlib, zstd] {
            let (least, most) = range(&left.bytes, PACKET_PAGES, compressor);
            assert!(most < 1.0, "{content}: {least} to {most}");
        }
    }
}

#[test]
fn one_byte_over_and_over_is_all_a_page_holds_beyond_its_stamp() {
    for (content, byte) in [("zero", 0), ("fill:0xa5", 0xa5)] {
        for write in ["8", "page"] {
            let bare = Left::by(&format!("-c {content} -w {write} --verify off -r max -d 100ms"));
            assert!(bare.bytes.iter().all(|found| *found == byte), "{content}");
            assert!(bare.end().totals.writes > 2048);
            let stamped = Left::by(&format!("-c {content} -w {write} -r max -d 100ms"));
            for page in stamped.pages() {
                assert!(stamp(page).is_some_and(|stamp| stamp.generation > 0));
                assert!(page[STAMP..].iter().all(|found| *found == byte), "{content}");
            }
        }
    }
}

fn changed(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).filter(|(one, other)| one != other).count()
}

#[test]
fn a_visit_changes_exactly_as_many_bytes_as_a_delta_says() {
    for bytes in [1usize, 64, 4056] {
        // Fewer visits than pages, one after the other: each page is visited once or not at all.
        let load = format!("-c delta:{bytes} -p sequential");
        let before = Left::by(&format!("{load} -r 0 -d 50ms"));
        let after = Left::by(&format!("{load} -r 500p/s -d 500ms"));
        let mut visited = 0;
        for (one, other) in before.pages().into_iter().zip(after.pages()) {
            let visits = usize::from(stamp(other).unwrap().generation);
            assert!(visits <= 1);
            assert_eq!(changed(&one[STAMP..], &other[STAMP..]), visits * bytes);
            visited += visits as u64;
        }
        assert!(visited > 0 && visited == after.end().totals.writes, "{visited}");
    }
}

#[test]
fn without_stamps_a_delta_is_all_that_changes() {
    let load = "-c delta:16 -p sequential --verify off";
    let before = Left::by(&format!("{load} -r 0 -d 50ms"));
    let after = Left::by(&format!("{load} -r 500p/s -d 500ms"));
    let changes: Vec<usize> =
        before.pages().into_iter().zip(after.pages()).map(|(one, other)| changed(one, other)).collect();
    let visited = changes.iter().filter(|bytes| **bytes == 16).count();
    assert!(changes.iter().all(|bytes| [0, 16].contains(bytes)));
    assert_eq!(visited as u64, after.end().totals.writes);
}

#[test]
fn visits_that_keep_what_is_there_change_nothing_and_their_stamps_are_checked_still() {
    for write in ["8", "page"] {
        let load = format!("-c same --verify off -w {write}");
        let (before, after) =
            (Left::by(&format!("{load} -r 0 -d 50ms")), Left::by(&format!("{load} -r max -d 100ms")));
        assert!(before.bytes == after.bytes && after.end().totals.writes > 2048);
        let left = Left::by(&format!("-c same -w {write} -r max -d 200ms -i 50ms"));
        for page in left.pages() {
            assert_eq!(stamp(page).map(|stamp| stamp.generation), Some(0), "as it was filled");
        }
        let totals = &left.end().totals;
        assert_eq!((totals.corruptions, totals.pages_swept), (Some(CorruptionCounts::default()), Some(2048)));
        assert!(totals.writes > 2048);
        let intervals = intervals(&left.records);
        let untold = |writes: u64, unique: Option<u64>| writes == 0 || unique.is_none();
        assert!(intervals.iter().all(|interval| untold(interval.writes, interval.pages_unique)));
    }
}

#[test]
fn as_many_pages_are_copies_as_were_asked_for_after_many_visits_too() {
    for (share, content) in [(40.0, "random"), (12.5, "compress:50"), (100.0, "random"), (0.0, "random")] {
        for write in ["8", "page"] {
            let left = Left::by(&format!(
                "-c {content} --dedup {share}% --verify off -w {write} -p random -r max -d 200ms"
            ));
            assert!(left.end().totals.writes > 2048);
            let mut alike: HashMap<&[u8], usize> = HashMap::new();
            left.pages().into_iter().for_each(|page| *alike.entry(page).or_default() += 1);
            let copies: usize = alike.values().filter(|pages| **pages > 1).sum();
            let measured = 100.0 * copies as f64 / 2048.0;
            println!("{content} --dedup {share}% -w {write}: {measured:.2} %, {} contents", alike.len());
            assert!((measured - share).abs() < 0.25, "{content} {share} {write}: {measured}");
        }
    }
    let (code, message) = failure("run -m 8M --dedup 40%");
    assert_eq!(code, Some(2));
    assert!(message.contains("--dedup 40%") && message.contains("--verify off"), "{message}");
}

#[test]
fn what_contradicts_itself_is_refused_with_the_way_out() {
    for (flags, way_out) in [
        ("-c delta:16 -w page", "leave --write out"),
        ("-c compress:100", "compress:PERCENT"),
        ("-c fill:300", "0 to 255"),
    ] {
        let (code, message) = failure(&format!("run -m 8M -d 50ms {flags}"));
        assert_eq!(code, Some(2), "{message}");
        assert!(message.contains(way_out), "{message}");
    }
}

/// A run that goes on until it is dropped, seen from outside while it does.
struct Running {
    child: Child,
    _dir: tempfile::TempDir,
}

impl Running {
    /// Returns once it has written its first interval: all pages are filled then, and visited.
    fn of(arguments: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let report = dir.path().join("out");
        let child =
            spawn(&format!("run {arguments} --baseline 0s -i 50ms --report file:{}", report.display()));
        let is_told = || std::fs::read_to_string(&report).is_ok_and(|text| text.contains("\"interval\""));
        assert!(until(is_told), "no interval");
        Self { child, _dir: dir }
    }

    fn proc(&self, name: &str) -> std::path::PathBuf {
        Path::new("/proc").join(self.child.id().to_string()).join(name)
    }

    /// Where its only mapping of this length is.
    fn mapping(&self, bytes: u64) -> Range<u64> {
        let maps = std::fs::read_to_string(self.proc("maps")).unwrap();
        let ranges = maps.lines().filter_map(|line| {
            let (start, end) = line.split(' ').next()?.split_once('-')?;
            Some(u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?)
        });
        let mut ranges = ranges.filter(|range| range.end - range.start == bytes);
        let range = ranges.next().unwrap();
        assert_eq!(ranges.next(), None, "{maps}");
        range
    }

    fn memory(&self, range: &Range<u64>) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap()];
        std::fs::File::open(self.proc("mem")).unwrap().read_exact_at(&mut bytes, range.start).unwrap();
        bytes
    }

    /// How many bytes of its mapping of `file` were stored to since the file was last written to its disk.
    fn dirty_bytes(&self, file: &Path) -> u64 {
        let maps = std::fs::read_to_string(self.proc("smaps")).unwrap();
        let (_, entry) = maps.split_once(file.to_str().unwrap()).unwrap();
        let fields = entry.lines().take_while(|line| !line.starts_with("VmFlags"));
        let dirty = fields
            .filter(|line| ["Shared_Dirty:", "Private_Dirty:"].iter().any(|name| line.starts_with(name)));
        dirty.map(|line| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024).sum()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether it comes true within 20 s.
fn until(is_so: impl Fn() -> bool) -> bool {
    let end_ns = Monotonic.now_ns() + 20_000_000_000;
    while !is_so() {
        if Monotonic.now_ns() > end_ns {
            return false;
        }
        Monotonic.sleep_until(Monotonic.now_ns() + 5_000_000);
    }
    true
}

#[test]
fn memory_compresses_while_it_is_written_as_it_does_at_the_end() {
    let running = Running::of("-m 6M -c compress:50 -w page -r max -t 1");
    let memory = running.memory(&running.mapping(6 << 20));
    compresses_by(50.0, &memory, "in memory");
}

#[test]
fn pages_that_keep_what_they_hold_are_dirty_to_the_kernel() {
    // On a disk: the kernel then notices every page that is stored to, so that it can write it back.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = dir.path().join("region");
    let running =
        Running::of(&format!("-m 6M -c same --verify off -r max -t 1 --backing file:{}", file.display()));
    running.signal(Signal::SIGSTOP);
    assert!(until(|| std::fs::read_to_string(running.proc("stat")).unwrap().contains(") T ")));
    std::fs::File::open(&file).unwrap().sync_all().unwrap();
    let before = std::fs::read(&file).unwrap();
    if running.dirty_bytes(&file) > 0 {
        eprintln!(
            "SKIPPED: pages_that_keep_what_they_hold_are_dirty_to_the_kernel: {} is on no disk that is written back",
            dir.path().display()
        );
        return;
    }
    running.signal(Signal::SIGCONT);
    assert!(until(|| running.dirty_bytes(&file) == 6 << 20), "{} bytes", running.dirty_bytes(&file));
    assert!(std::fs::read(&file).unwrap() == before, "dirty, and the same");
}
