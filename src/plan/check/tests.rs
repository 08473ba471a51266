//! Plans that a machine cannot run, or only with a warning.

use super::super::{HugePages, Stock};
use super::*;

const MACHINE: Machine = Machine {
    available_bytes: 1 << 30,
    cpus: 2,
    stock: Stock {
        huge: HugePages { free_2m_bytes: None, free_1g_bytes: None },
        huge_is_limited: false,
        nodes: Vec::new(),
        bound: Vec::new(),
        lock_limit_bytes: None,
    },
};

#[test]
fn the_default_plan_takes_one_writer_per_vcpu() {
    let checked = check(&Plan::default(), &MACHINE).unwrap();
    assert_eq!((checked.threads, checked.pages()), (2, PageCount(131_072)));
    assert_eq!(checked.target_pages_per_s, Some(25_600));
}

#[test]
fn memory_that_is_not_there_is_refused_with_what_is_and_the_flag() {
    let plan = Plan { memory: "2G".parse().unwrap(), ..Plan::default() };
    let message = check(&plan, &MACHINE).unwrap_err().to_string();
    assert!(
        message.contains("2G") && message.contains("1.0 GiB") && message.contains("--memory 967M"),
        "{message}"
    );
}

#[test]
fn a_share_of_all_memory_leaves_the_reserve_and_is_refused() {
    let plan = Plan { memory: "100%".parse().unwrap(), ..Plan::default() };
    assert!(check(&plan, &MACHINE).is_err());
    let plan = Plan { memory: "90%".parse().unwrap(), ..Plan::default() };
    assert!(check(&plan, &MACHINE).is_ok());
}

#[test]
fn what_is_taken_of_private_memory_is_regions_and_tables_and_no_shared_memory() {
    let taken = |plan: &Plan| check(plan, &MACHINE).unwrap().private_bytes(2);
    let anon = Plan { memory: "64M".parse().unwrap(), ..Plan::default() };
    let shared =
        Plan { kind: MemoryKind { backing: Backing::Shared, ..MemoryKind::default() }, ..anon.clone() };
    assert_eq!(taken(&anon) - taken(&shared), 64 << 20);
    assert!((5 << 20..8 << 20).contains(&taken(&shared)), "{}", taken(&shared));
}

#[test]
fn more_writers_than_cpus_are_warned_of() {
    assert_eq!(crowded(2, 2), None);
    let said = crowded(1000, 2).unwrap();
    assert!(said.contains("1000 writers share 2 CPUs") && said.contains("--threads"), "{said}");
}

#[test]
fn every_fault_is_named_at_once() {
    let plan = Plan {
        memory: "1".parse().unwrap(),
        threads: Some(0),
        interval: Nanos::from_ms(1),
        duration: Some(Nanos(0)),
        catch_up: 0,
        ..Plan::default()
    };
    let faults = check(&plan, &MACHINE).unwrap_err();
    assert_eq!(faults.0.len(), 5, "{faults}");
}
