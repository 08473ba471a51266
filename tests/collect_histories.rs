//! Random histories of VMs under one collector: snapshots, restores, clones, `loadvm`, migrations, broken connections and
//! collectors that begin anew. Every record of every life is kept, once, and apart from those of other lives.
//!
//! Guest and collector are the real ones, without their sockets. The random histories are the same each time; with SULLY_HISTORIES=N
//! in the environment they are N others.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod histories;

use histories::{SOCKETS, Turn, World};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use std::collections::BTreeMap;
use std::path::Path;
use sully::record::{Arrival, Body, Record};

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let (guest, state) = (0..SOCKETS, any::<prop::sample::Index>().prop_map(|index| index.index(8)));
    let turn = prop_oneof![
        6 => (guest.clone(), 1u64..6).prop_map(|(guest, count)| Turn::Says(guest, count)),
        6 => (guest.clone(), prop_oneof![1usize..500, Just(100_000)]).prop_map(|(guest, most)| Turn::Sends(guest, most)),
        4 => guest.clone().prop_map(Turn::Hears),
        2 => (1u64..3000).prop_map(Turn::Waits),
        2 => Just(Turn::Syncs),
        1 => guest.clone().prop_map(Turn::Breaks),
        2 => guest.clone().prop_map(Turn::Saves),
        2 => (guest.clone(), state.clone()).prop_map(|(guest, state)| Turn::Restores(guest, state)),
        1 => (guest.clone(), state).prop_map(|(guest, state)| Turn::Loads(guest, state)),
        1 => (guest.clone(), guest).prop_map(|(from, to)| Turn::Moves(from, to)),
        1 => Just(Turn::Restarts),
    ];
    prop::collection::vec(turn, 0..120)
}

/// A directory: what it branched off from and where, and what each of its numbers says.
#[derive(Debug)]
struct Kept {
    parent: Option<(String, u64)>,
    records: BTreeMap<u64, Record>,
}

fn kept(out: &Path) -> BTreeMap<String, Kept> {
    let dirs = std::fs::read_dir(out).unwrap().map(|entry| entry.unwrap());
    let read = dirs.map(|dir| {
        let text = std::fs::read_to_string(dir.path().join("records.ndjson")).unwrap_or_default();
        let mut records = BTreeMap::new();
        for line in text.lines() {
            let arrival: Arrival = serde_json::from_str(line).unwrap();
            let before = records.insert(arrival.record.seq, arrival.record);
            assert_eq!(before, None, "kept once");
        }
        let about: serde_json::Value =
            serde_json::from_slice(&std::fs::read(dir.path().join("session.json")).unwrap()).unwrap();
        let parent =
            about["parent"].as_str().map(|name| (name.to_owned(), about["parent_seq"].as_u64().unwrap()));
        (dir.file_name().into_string().unwrap(), Kept { parent, records })
    });
    read.collect()
}

/// What a life said: what it shares with its parent, and its own.
fn said(dirs: &BTreeMap<String, Kept>, name: &str) -> BTreeMap<u64, u64> {
    let Kept { parent, records } = &dirs[name];
    let mut all = match parent {
        Some((parent, seq)) => said(dirs, parent).into_iter().filter(|(number, _)| number < seq).collect(),
        None => BTreeMap::new(),
    };
    all.extend(records.iter().filter_map(|(seq, record)| match &record.body {
        Body::Heartbeat(beat) => Some((*seq, beat.real_ns)),
        _ => None,
    }));
    all
}

/// What is wrong after a history, if anything.
fn fault_of(turns: &[Turn]) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(dir.path());
    for turn in turns {
        world.turn(turn, dir.path());
    }
    let lives = match world.ends() {
        Ok(lives) => lives,
        Err(faults) => return Some(faults),
    };
    let dirs = kept(dir.path());
    let told: Vec<Vec<u64>> = dirs.keys().map(|name| said(&dirs, name).into_values().collect()).collect();
    // A life that ended where another began is that one's beginning.
    let lost = lives.iter().find(|life| !told.iter().any(|told| told.starts_with(life)));
    lost.map(|life| format!("{life:?} is in none of {told:?}"))
}

/// The same histories each time, or as many others as the environment's SULLY_HISTORIES asks for.
fn config() -> ProptestConfig {
    let asked = std::env::var("SULLY_HISTORIES").ok().map(|count| count.parse().unwrap());
    ProptestConfig {
        cases: asked.unwrap_or(300),
        rng_seed: if asked.is_some() { RngSeed::Random } else { RngSeed::Fixed(7) },
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

#[test]
fn every_life_is_kept_whole_once_and_apart() {
    let checked = TestRunner::new(config()).run(&turns(), |turns| {
        let fault = fault_of(&turns);
        prop_assert!(fault.is_none(), "{}", fault.unwrap_or_default());
        Ok(())
    });
    checked.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_clone_beside_a_branch_is_not_taken_for_it() {
    let turns = [
        Turn::Saves(0),
        Turn::Says(0, 1),
        Turn::Restores(3, 0),
        Turn::Says(0, 1),
        Turn::Loads(3, 0),
        Turn::Saves(0),
        Turn::Says(3, 1),
        Turn::Sends(3, 100_000),
        Turn::Says(0, 1),
        Turn::Restores(1, 1),
        Turn::Breaks(3),
    ];
    assert_eq!(fault_of(&turns), None);
}

#[test]
fn a_state_of_the_first_life_on_a_connection_of_another_is_not_filed_there() {
    let turns = [
        Turn::Saves(0),
        Turn::Restores(2, 0),
        Turn::Says(0, 5),
        Turn::Sends(0, 100_000),
        Turn::Saves(2),
        Turn::Moves(2, 3),
        Turn::Saves(3),
        Turn::Saves(0),
        Turn::Loads(1, 0),
        Turn::Sends(1, 100_000),
        Turn::Says(1, 1),
        Turn::Sends(1, 82),
        Turn::Restores(2, 3),
        Turn::Breaks(1),
        Turn::Saves(0),
        Turn::Restores(1, 0),
        Turn::Saves(0),
        Turn::Saves(0),
        Turn::Loads(2, 5),
        Turn::Breaks(2),
    ];
    assert_eq!(fault_of(&turns), None);
}

#[test]
fn a_state_that_was_loaded_and_says_nothing_new_is_no_double() {
    let turns =
        [Turn::Saves(0), Turn::Sends(0, 1), Turn::Loads(0, 0), Turn::Sends(0, 100_000), Turn::Breaks(0)];
    assert_eq!(fault_of(&turns), None);
}

#[test]
fn a_life_that_took_its_name_from_one_socket_and_spoke_on_another_knows_where_it_began() {
    let turns = [
        Turn::Saves(0),
        Turn::Says(0, 1),
        Turn::Restores(0, 0),
        Turn::Hears(0),
        Turn::Moves(0, 1),
        Turn::Sends(1, 100_000),
        Turn::Moves(1, 0),
        Turn::Says(0, 2),
    ];
    assert_eq!(fault_of(&turns), None);
}

#[test]
fn a_state_that_was_loaded_behind_what_another_life_sent_goes_on_from_that() {
    let turns = [
        Turn::Saves(0),
        Turn::Restores(1, 0),
        Turn::Saves(0),
        Turn::Hears(0),
        Turn::Loads(2, 0),
        Turn::Restarts,
        Turn::Restores(0, 0),
        Turn::Says(2, 1),
        Turn::Sends(2, 82),
        Turn::Saves(2),
        Turn::Loads(1, 2),
        Turn::Says(0, 1),
        Turn::Says(1, 1),
    ];
    assert_eq!(fault_of(&turns), None);
}

#[test]
fn what_a_guest_sent_before_it_heard_the_collector_is_not_let_go_of() {
    let turns = [
        Turn::Says(0, 1),
        Turn::Saves(0),
        Turn::Restores(0, 0),
        Turn::Says(0, 1),
        Turn::Sends(0, 100_000),
        Turn::Hears(0),
        Turn::Moves(0, 2),
        Turn::Says(2, 1),
    ];
    assert_eq!(fault_of(&turns), None);
}

#[test]
fn a_state_that_was_loaded_when_it_had_sent_what_another_life_kept_is_apart() {
    let turns = [
        Turn::Saves(0),
        Turn::Loads(0, 0),
        Turn::Restores(2, 0),
        Turn::Says(0, 1),
        Turn::Sends(0, 100_000),
        Turn::Saves(0),
        Turn::Loads(0, 1),
        Turn::Says(0, 1),
    ];
    assert_eq!(fault_of(&turns), None);
}

#[test]
fn what_came_in_part_before_a_migration_is_not_acknowledged_away() {
    let turns = [
        Turn::Sends(0, 1),
        Turn::Says(0, 1),
        Turn::Saves(0),
        Turn::Restores(1, 0),
        Turn::Sends(1, 100_000),
        Turn::Says(1, 1),
        Turn::Waits(300),
        Turn::Hears(0),
        Turn::Moves(1, 2),
        Turn::Sends(2, 82),
        Turn::Saves(0),
        Turn::Says(0, 1),
        Turn::Syncs,
        Turn::Waits(197),
    ];
    assert_eq!(fault_of(&turns), None);
}

#[test]
fn a_connection_that_heard_only_the_end_of_a_life_makes_no_hole_in_another() {
    let turns = [
        Turn::Says(0, 1),
        Turn::Sends(0, 1),
        Turn::Saves(0),
        Turn::Hears(0),
        Turn::Sends(0, 426),
        Turn::Sends(0, 341),
        Turn::Sends(0, 134),
        Turn::Restores(2, 0),
        Turn::Says(2, 3),
        Turn::Sends(2, 100_000),
        Turn::Sends(0, 100_000),
        Turn::Restarts,
        Turn::Says(2, 1),
        Turn::Sends(2, 82),
        Turn::Moves(2, 1),
    ];
    assert_eq!(fault_of(&turns), None);
}

#[test]
fn a_guest_that_moves_on_before_it_hears_the_collector_makes_no_hole_in_another_life() {
    let turns = [
        Turn::Saves(0),
        Turn::Says(0, 1),
        Turn::Restores(0, 0),
        Turn::Says(0, 3),
        Turn::Moves(0, 3),
        Turn::Sends(3, 100_000),
        Turn::Says(3, 1),
        Turn::Moves(3, 2),
        Turn::Sends(2, 82),
        Turn::Restarts,
    ];
    assert_eq!(fault_of(&turns), None);
}

#[test]
fn a_life_that_took_its_name_late_goes_on_from_what_was_kept_meanwhile() {
    let turns = [
        Turn::Saves(0),
        Turn::Loads(0, 0),
        Turn::Says(0, 1),
        Turn::Waits(2678),
        Turn::Waits(1242),
        Turn::Sends(0, 100_000),
        Turn::Waits(1343),
        Turn::Waits(1451),
        Turn::Waits(2206),
        Turn::Says(0, 1),
    ];
    assert_eq!(fault_of(&turns), None);
}
