//! Plans that a machine cannot run, or only with a warning.

use super::super::{HugePages, RegionAsked, Stock};
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
    assert_eq!(crowded(2, 2, false), None);
    let named = crowded(2, 1, true).unwrap();
    assert!(named.contains("2 writers share 1 CPU:") && !named.contains("--threads out"), "{named}");
    let said = crowded(1000, 2, false).unwrap();
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

#[test]
fn what_cannot_be_dirtied_first_is_told_with_what_can() {
    let told = |dirty| {
        let plan = Plan { memory: "8M".parse().unwrap(), dirty: Some(ByteSize(dirty)), ..Plan::default() };
        check(&plan, &MACHINE).map_or_else(|faults| faults.to_string(), |_| String::new())
    };
    assert_eq!(told(8 << 20), "");
    assert!(told(0).contains("leave --dirty out") && told(5000).contains("for example --dirty 8K"));
    for too_much in [(8 << 20) + 1, 16 << 20, u64::MAX] {
        let said = told(too_much);
        assert!(said.contains("expected 1 to 2048") && said.contains("give at most --dirty 8M"), "{said}");
    }
}

#[test]
fn cpus_that_the_program_may_not_run_on_are_named_with_those_that_it_may() {
    let region = |name: &str, cpus: &str, memory| RegionAsked {
        name: name.into(),
        settings: super::super::parameter::settings(&[("cpus", cpus), ("memory", memory)]),
        ..RegionAsked::default()
    };
    let told = |plan: &Plan| {
        let checked = check(plan, &MACHINE).unwrap();
        checked.pinnable(&[0, 1, 3]).map_or_else(|faults| faults.to_string(), |()| String::new())
    };
    let alone = told(&Plan { cpus: Some("0,2,9".parse().unwrap()), ..Plan::default() });
    assert!(alone.starts_with("--cpus 0,2,9: this program may not run on 2,9 here"), "{alone}");
    assert!(alone.contains("0-1,3") && alone.contains("leave --cpus out"), "{alone}");
    let regions = vec![region("a", "3", "8M"), region("b", "1,77", "8M")];
    let own = told(&Plan { regions, ..Plan::default() });
    assert!(own.starts_with("region 'b': --cpus 1,77: ") && !own.contains("'a'"), "{own}");
    assert_eq!(told(&Plan { cpus: Some("0-1,3".parse().unwrap()), ..Plan::default() }), "");
}
