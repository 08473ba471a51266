//! Plans that ask for kinds of memory, on a machine that has a little of each.

use super::*;

fn machine() -> Machine {
    let huge = HugePages { free_2m_bytes: Some(64 << 20), free_1g_bytes: None };
    let node = |id, mib: u64| Node { id, available_bytes: mib << 20, huge };
    let nodes = vec![node(0, 768), Node { huge: HugePages::default(), ..node(2, 256) }];
    let stock = Stock { huge, nodes, lock_limit_bytes: Some(8 << 20) };
    Machine { available_bytes: 1 << 30, cpus: 2, stock }
}

fn plan(memory: &str, pages: &str, numa: Option<&str>, lock: bool) -> Plan {
    let numa = numa.map(|text| text.parse().unwrap());
    let kind = MemoryKind { pages: pages.parse().unwrap(), numa, lock, ..MemoryKind::default() };
    Plan { memory: memory.parse().unwrap(), kind, ..Plan::default() }
}

fn fault(memory: &str, pages: &str, numa: Option<&str>, lock: bool) -> String {
    check(&plan(memory, pages, numa, lock), &machine()).unwrap_err().to_string()
}

#[test]
fn a_share_of_huge_pages_is_of_the_free_ones_and_in_whole_pages() {
    let checked = check(&plan("50%", "2M", None, false), &machine()).unwrap();
    assert_eq!(checked.memory_bytes, 32 << 20);
    let checked = check(&plan("5M", "2M", None, false), &machine()).unwrap();
    assert_eq!(checked.memory_bytes, 4 << 20);
    assert_eq!(check(&plan("100%", "2M", None, false), &machine()).unwrap().memory_bytes, 64 << 20);
}

#[test]
fn a_pool_too_small_is_named_with_the_pages_to_add() {
    let message = fault("100M", "2M", None, false);
    assert!(
        message.contains("hugepages-2048kB/nr_hugepages by 18 ") && message.contains("at most --memory 64M"),
        "{message}"
    );
    let message = fault("1G", "1G", None, false);
    assert!(message.contains("--pages 1G is not there") && message.contains("thp"), "{message}");
}

#[test]
fn a_node_bounds_what_can_be_had_and_one_that_is_not_there_is_named() {
    assert!(check(&plan("300M", "4k", Some("0"), false), &machine()).is_ok());
    let message = fault("300M", "4k", Some("2"), false);
    assert!(message.contains("256.0 MiB"), "{message}");
    let message = fault("8M", "4k", Some("1"), false);
    assert!(message.contains("--numa 1 is not there") && message.contains("[0, 2]"), "{message}");
    assert!(check(&plan("8M", "2M", Some("2"), false), &machine()).is_err(), "no huge pages there");
}

#[test]
fn a_lock_limit_is_named_with_the_remedy_and_binds_only_who_locks() {
    assert!(check(&plan("16M", "4k", None, false), &machine()).is_ok());
    assert!(check(&plan("8M", "4k", None, true), &machine()).is_ok());
    let message = fault("16M", "4k", None, true);
    assert!(message.contains("8.0 MiB") && message.contains("ulimit -l"), "{message}");
}
