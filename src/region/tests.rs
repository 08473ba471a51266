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
