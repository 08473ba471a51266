//! Real memory of every kind that this machine has.

use super::*;
use crate::{plan::Numa, units::PageIndex};
use std::{fs, path::Path};

#[test]
fn a_filled_region_is_resident_and_each_page_holds_its_own() {
    let (region, mut slices) = Region::map(PageCount(1001), 3).unwrap();
    assert_eq!(region.resident().unwrap(), PageCount(0));
    let mut number = 0;
    for slice in &mut slices {
        slice
            .fill(|words| {
                number += 1;
                words.fill(number);
            })
            .unwrap();
    }
    assert_eq!(region.resident().unwrap(), region.pages());
    let read: Vec<u64> = slices
        .iter()
        .flat_map(|slice| (0..slice.pages().0).map(|page| slice.read(PageIndex(page))))
        .collect();
    assert!(read.into_iter().eq(1..=1001));
}

#[test]
fn a_write_changes_its_own_page_alone() {
    let (_region, mut slices) = Region::map(PageCount(8), 2).unwrap();
    slices[1].write(PageIndex(2), 7);
    let words = |slice: &Slice| (0..4).map(|page| slice.read(PageIndex(page))).collect::<Vec<_>>();
    assert_eq!((words(&slices[0]), words(&slices[1])), (vec![0; 4], vec![0, 0, 7, 0]));
}

#[test]
#[should_panic(expected = "outside a slice of 4 pages")]
fn a_page_outside_the_slice_is_refused() {
    let (_region, mut slices) = Region::map(PageCount(8), 2).unwrap();
    slices[0].write(PageIndex(4), 7);
}

#[test]
fn the_memory_outlives_the_region_while_a_slice_is_held() {
    let (region, mut slices) = Region::map(PageCount(4), 1).unwrap();
    drop(region);
    slices[0].write(PageIndex(3), 9);
    assert_eq!(slices[0].read(PageIndex(3)), 9);
}

#[test]
fn more_than_the_kernel_maps_is_refused_with_the_flag_to_change() {
    let message = Region::map(PageCount(1 << 50), 1).unwrap_err().to_string();
    assert!(message.contains("--memory") && message.contains("4611686018427387904"), "{message}");
}

/// Memory of a kind as the command line has it.
fn kind(pages: &str, backing: &str) -> MemoryKind {
    let (pages, backing) = (pages.parse().unwrap(), backing.parse().unwrap());
    MemoryKind { pages, backing, ..MemoryKind::default() }
}

/// Maps and fills; every page's words are its number.
fn filled(pages: u64, writers: u32, kind: &MemoryKind) -> Result<(Region, Vec<Slice>), RegionError> {
    let (region, mut slices) = Region::map_as(PageCount(pages), writers, kind, &[0])?;
    let mut number = 0;
    for slice in &mut slices {
        slice.fill(|words| {
            number += 1;
            words.fill(number);
        })?;
    }
    Ok((region, slices))
}

fn skip(why: &str) {
    println!("SKIPPED: {why}");
}

#[test]
fn every_backing_holds_what_is_written_and_is_resident_in_small_pages() {
    let directory = tempfile::tempdir().unwrap();
    let file = format!("file:{}", directory.path().join("region").display());
    for backing in ["anon", "shared", &file] {
        let (region, mut slices) = filled(1001, 3, &kind("4k", backing)).unwrap();
        let (found, warning) = region.inspect().unwrap();
        assert_eq!((found.resident, warning), (PageCount(1001), None), "{backing}");
        assert!(matches!(found.huge_bytes, None | Some(0)), "{backing}");
        slices[1].write(PageIndex(0), 7);
        assert_eq!((slices[1].read(PageIndex(0)), slices[1].read(PageIndex(1))), (7, 336), "{backing}");
    }
}

#[test]
fn what_is_stored_stands_in_the_backing_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("region");
    let (_region, mut slices) = filled(64, 2, &kind("4k", &format!("file:{}", path.display()))).unwrap();
    slices[1].write(PageIndex(3), 4711);
    let bytes = fs::read(&path).unwrap();
    let word = |page: usize| u64::from_ne_bytes(bytes[page * 4096..page * 4096 + 8].try_into().unwrap());
    assert_eq!((bytes.len(), word(0), word(34), word(35), word(63)), (64 * 4096, 1, 35, 4711, 64));
}

#[test]
fn a_file_that_was_made_for_a_region_that_cannot_be_is_removed_and_one_that_is_kept_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("region");
    let on_no_node =
        MemoryKind { numa: Some(Numa::Node(1000)), ..kind("4k", &format!("file:{}", path.display())) };
    assert!(Region::map_as(PageCount(64), 1, &on_no_node, &[0]).is_err());
    assert!(!path.exists());
    let usual = MemoryKind { numa: None, ..on_no_node };
    for _ in 0..2 {
        let (mut region, _slices) = filled(64, 1, &usual).unwrap();
        region.keep_file();
        drop(region);
        assert_eq!(fs::metadata(&path).unwrap().len(), 64 * 4096);
    }
}

#[test]
fn helpers_make_pages_and_change_none() {
    let cpu = (0..1024).find(|cpu| {
        nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)).unwrap().is_set(*cpu).unwrap()
    });
    let cpu = u32::try_from(cpu.unwrap()).unwrap();
    // CPUs that are not there cost nothing but their help.
    for idle in [vec![cpu], vec![cpu; 3], vec![1023], vec![u32::MAX, cpu]] {
        let (region, mut slices) = Region::map(PageCount(10 * 512 + 7), 2).unwrap();
        let mut number = 0;
        for slice in &mut slices {
            slice.lend(idle.clone());
            slice
                .fill(|words| {
                    number += 1;
                    words.fill(number);
                })
                .unwrap();
        }
        assert_eq!(region.resident().unwrap(), region.pages());
        let pages =
            slices.iter().flat_map(|slice| (0..slice.pages().0).map(|page| slice.words(PageIndex(page))));
        assert!(pages.eq((1..=region.pages().0).map(|number| [number; 512])));
    }
}

#[test]
fn transparent_huge_pages_back_the_whole_region_where_the_machine_has_them() {
    let Some(mode) = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").ok() else {
        return skip("this kernel has no transparent huge pages");
    };
    for backing in ["anon", "shared"] {
        // Three writers: their borders lie within huge pages.
        let (region, _slices) = filled(8 * 512, 3, &kind("thp", backing)).unwrap();
        match region.inspect() {
            Ok((found, None)) => assert_eq!(found.huge_bytes, Some(16 << 20), "{backing}"),
            Ok((found, Some(warning))) => {
                assert!(found.huge_bytes < Some(16 << 20) && warning.contains("only"), "{warning}");
            }
            // Where the administrator switched them off, the remedy is named.
            Err(error) => {
                let off = mode.contains("[never]") || backing == "shared";
                assert!(off && error.to_string().contains("transparent_hugepage/enabled"), "{error}");
                skip(&format!("no transparent huge pages for {backing} memory here"));
            }
        }
    }
}

#[test]
fn memory_for_huge_pages_begins_at_one_and_a_backing_file_at_its_first_byte() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("region");
    let file = format!("file:{}", path.display());
    for backing in ["anon", "shared", &file] {
        let (region, mut slices) = match filled(512, 1, &kind("thp", backing)) {
            Err(RegionError::Refused { .. }) => return skip("this kernel has no transparent huge pages"),
            mapped => mapped.unwrap(),
        };
        assert!(region.range().start.is_multiple_of(2 << 20), "{backing}");
        slices[0].write(PageIndex(0), 4711);
        if path.exists() {
            assert_eq!(fs::read(&path).unwrap()[..8], 4711u64.to_ne_bytes());
        }
    }
}

#[test]
fn nobody_may_touch_what_lies_beside_anonymous_memory() {
    for pages in ["4k", "thp"] {
        let (region, _slices) = filled(512, 1, &kind(pages, "anon")).unwrap();
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let rights = |address: u64| {
            let of = |line: &str| {
                let (range, rest) = line.split_once(' ')?;
                let (start, end) = range.split_once('-')?;
                let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
                (start..end).contains(&address).then(|| rest[..4].to_owned())
            };
            maps.lines().find_map(of).unwrap_or_default()
        };
        let Range { start, end } = region.range();
        assert_eq!([start - 1, start, end - 1, end].map(rights), ["---p", "rw-p", "rw-p", "---p"], "{pages}");
    }
}

/// Huge pages added to the pool for one test, and taken away again.
struct Pool {
    before: String,
}

impl Pool {
    const COUNT: &str = "/proc/sys/vm/nr_hugepages";

    fn with(pages: u64) -> Option<Self> {
        let before = fs::read_to_string(Self::COUNT).ok()?;
        let wanted = before.trim().parse::<u64>().ok()? + pages;
        fs::write(Self::COUNT, wanted.to_string()).ok()?;
        let pool = Self { before };
        (fs::read_to_string(Self::COUNT).ok()?.trim() == wanted.to_string()).then_some(pool)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let _ = fs::write(Self::COUNT, &self.before);
    }
}

#[test]
fn huge_pages_from_the_pool_back_all_of_the_region_and_a_pool_too_small_is_said() {
    let Some(_pool) = Pool::with(8) else {
        return skip("the pool of huge pages cannot be filled here (not root, or no memory)");
    };
    for backing in ["anon", "shared"] {
        let (region, _slices) = filled(4 * 512, 3, &kind("2M", backing)).unwrap();
        let (found, warning) = region.inspect().unwrap();
        assert_eq!((found.huge_bytes, found.resident), (Some(8 << 20), PageCount(2048)), "{backing}");
        assert_eq!(warning, None);
    }
    let message = Region::map_as(PageCount(512 << 20), 1, &kind("2M", "anon"), &[]).unwrap_err().to_string();
    assert!(message.contains("--memory"), "{message}");
}

#[test]
fn memory_lies_on_the_node_it_was_bound_to_and_a_node_that_is_not_there_is_refused() {
    let on = |numa| MemoryKind { numa: Some(numa), ..MemoryKind::default() };
    match filled(1024, 2, &on(Numa::Node(0))) {
        Err(RegionError::Refused { cause: Errno::ENOSYS | Errno::EPERM, .. }) => {
            return skip("this kernel has no NUMA, or forbids mbind");
        }
        bound => {
            let (found, _) = bound.unwrap().0.inspect().unwrap();
            assert_eq!(found.node_bytes, [(0, 4 << 20)]);
        }
    }
    let (region, _slices) = filled(1024, 2, &on(Numa::Interleave)).unwrap();
    assert_eq!(region.inspect().unwrap().0.node_bytes, [(0, 4 << 20)]);
    let message = filled(1024, 2, &on(Numa::Node(1000))).unwrap_err().to_string();
    assert!(message.contains("--numa is refused") && message.contains("cpuset"), "{message}");
}

/// `VmLck` of this process in bytes.
fn locked_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let row = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
    row.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn locked_memory_is_locked_until_the_region_is_gone() {
    let lock = MemoryKind { lock: true, ..MemoryKind::default() };
    let (region, slices) = match filled(512, 1, &lock) {
        Err(RegionError::Refused { cause: Errno::EPERM | Errno::ENOMEM, .. }) => {
            return skip("RLIMIT_MEMLOCK is below 2 MiB here");
        }
        locked => locked.unwrap(),
    };
    assert!(locked_bytes() >= 2 << 20);
    drop((region, slices));
    assert_eq!(locked_bytes(), 0);
}

#[test]
fn a_file_system_that_fills_up_is_an_error_and_no_signal() {
    let full = Path::new("/dev/shm");
    if !full.is_dir() {
        return skip("there is no /dev/shm");
    }
    // Longer than the file when it is touched: what a full file system does to a store.
    let directory = tempfile::tempdir_in(full).unwrap();
    let path = directory.path().join("region");
    let kind = kind("4k", &format!("file:{}", path.display()));
    let (_region, slices) = Region::map_as(PageCount(2048), 1, &kind, &[]).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(4 << 20).unwrap();
    match slices[0].populate(512 * 2) {
        Ok(()) => skip("this kernel cannot touch memory for us (before 5.14)"),
        Err(error) => assert!(error.to_string().contains("--memory"), "{error}"),
    }
}

#[test]
fn several_regions_of_different_kinds_stand_side_by_side_and_are_told_apart() {
    let kinds = [kind("4k", "anon"), kind("4k", "shared"), kind("4k", "anon")];
    let mut regions: Vec<_> = kinds.iter().map(|kind| filled(1024, 2, kind).unwrap()).collect();
    for (number, (_, slices)) in (10..).zip(&mut regions) {
        slices[1].write(PageIndex(511), number);
    }
    let second = regions.remove(1);
    drop(second);
    for ((region, slices), last) in regions.iter().zip([10, 12]) {
        let (found, warning) = region.inspect().unwrap();
        assert_eq!((found.resident, warning), (PageCount(1024), None));
        assert_eq!((slices[0].read(PageIndex(0)), slices[1].read(PageIndex(511))), (1, last));
    }
}
