//! Plans that ask for kinds of memory, on a machine that has a little of each.

use super::*;

fn machine() -> Machine {
    let huge = HugePages { free_2m_bytes: Some(64 << 20), free_1g_bytes: None };
    let node = |id, mib: u64| Node { id, available_bytes: mib << 20, huge };
    let nodes = vec![node(0, 768), Node { huge: HugePages::default(), ..node(2, 256) }];
    let stock = Stock { huge, nodes, lock_limit_bytes: Some(8 << 20), ..Stock::default() };
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
    let none = || Machine {
        available_bytes: 1 << 30,
        stock: Stock {
            huge: HugePages { free_2m_bytes: Some(0), ..HugePages::default() },
            ..Stock::default()
        },
        ..machine()
    };
    let message = check(&plan("75%", "2M", None, false), &none()).unwrap_err().to_string();
    assert!(message.contains("nr_hugepages by 384 ") && message.contains("--memory 100%"), "{message}");
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
fn a_policy_that_binds_bounds_what_can_be_had_unless_a_node_is_named() {
    let bound = |ids: &[u32]| {
        let mut machine = machine();
        machine.stock.bound = ids.to_vec();
        machine
    };
    let asked = |memory, numa, machine: &Machine| check(&plan(memory, "4k", numa, false), machine);
    let message = asked("300M", None, &bound(&[2])).unwrap_err().to_string();
    assert!(message.contains("256.0 MiB are available"), "{message}");
    assert_eq!(asked("75%", None, &bound(&[2])).unwrap().memory_bytes, 192 << 20);
    assert!(asked("300M", Some("0"), &bound(&[2])).is_ok(), "what is asked goes before what is inherited");
    assert!(asked("900M", None, &bound(&[0, 2])).is_ok());
    // The second region finds what the first leaves of the node.
    let region = |name: &str| RegionAsked {
        name: name.into(),
        settings: settings(&[("memory", "150M")]),
        ..RegionAsked::default()
    };
    let both = Plan { regions: vec![region("one"), region("two")], ..Plan::default() };
    let message = check(&both, &bound(&[2])).unwrap_err().to_string();
    assert!(message.contains("region 'two': --memory 150M is not there: 106.0 MiB"), "{message}");
    assert!(check(&both, &machine()).is_ok());
}

#[test]
fn a_pool_that_a_cgroup_limits_is_not_to_be_refilled() {
    let mut limited = machine();
    limited.stock.huge_is_limited = true;
    let message = check(&plan("100M", "2M", None, false), &limited).unwrap_err().to_string();
    assert!(message.contains("raise hugetlb.2MB.max") && !message.contains("nr_hugepages"), "{message}");
}

#[test]
fn a_lock_limit_is_named_with_the_remedy_and_binds_only_who_locks() {
    assert!(check(&plan("16M", "4k", None, false), &machine()).is_ok());
    assert!(check(&plan("8M", "4k", None, true), &machine()).is_ok());
    let message = fault("16M", "4k", None, true);
    assert!(message.contains("8.0 MiB") && message.contains("ulimit -l"), "{message}");
}

/// A machine with so much ordinary memory and as many CPUs, and 1 GiB of free huge pages.
fn small(available_mib: u64, cpus: u32) -> Machine {
    let huge = HugePages { free_2m_bytes: Some(1 << 30), free_1g_bytes: Some(1 << 30) };
    let stock = Stock { huge, ..Stock::default() };
    Machine { available_bytes: available_mib << 20, cpus, stock }
}

#[test]
fn three_quarters_of_a_small_guest_leave_room_for_tables_and_system() {
    // What a guest of 256 MiB has left once it is up.
    for cpus in [1, 2, 4] {
        let checked = check(&plan("75%", "4k", None, false), &small(200, cpus)).unwrap();
        assert_eq!(checked.memory_bytes, 150 << 20);
    }
}

#[test]
fn more_writers_than_a_small_machine_has_room_for_are_refused_and_the_flag_is_named() {
    let many = |verify| Plan { threads: Some(1024), verify, ..plan("75%", "4k", None, false) };
    let message = check(&many(true), &small(512, 2)).unwrap_err().to_string();
    assert!(message.contains("fewer --threads (there are 2 CPUs)"), "{message}");
    assert!(message.contains("tables and stacks take 427."), "{message}");
    let message = check(&many(true), &small(256, 2)).unwrap_err().to_string();
    assert!(!message.contains("at most --memory"), "no memory is little enough: {message}");
    // Without stamps there is neither their ledger nor their tables.
    let most = |verify| {
        let refused = check(&Plan { memory: "100%".parse().unwrap(), ..many(verify) }, &small(4096, 2));
        let message = refused.unwrap_err().to_string();
        let (_, most) = message.split_once("at most --memory ").unwrap();
        most.split_once('M').unwrap().0.parse::<u64>().unwrap()
    };
    let (with, without) = (most(true), most(false));
    assert!((68..73).contains(&(without - with)), "{without} {with}");
}

#[test]
fn huge_pages_need_ordinary_memory_for_their_tables() {
    // A ledger of 1 GiB and notes for it take at most 1.5 MiB, and two writers with two canaries 1.5 MiB.
    assert!(check(&plan("100%", "2M", None, false), &small(28, 2)).is_ok());
    for pages in ["2M", "1G"] {
        let message = check(&plan("100%", pages, None, false), &small(25, 2)).unwrap_err().to_string();
        assert!(
            message.contains("of ordinary memory") && message.contains("out of the pool of huge pages"),
            "{message}"
        );
    }
}

#[test]
fn tables_are_charged_to_the_whole_machine_and_not_to_the_node() {
    // The node has 256 MiB, 24 of them in reserve; tables of 1024 writers would take more than all of it.
    let many = Plan { threads: Some(1024), ..plan("232M", "4k", Some("2"), false) };
    assert!(check(&many, &machine()).is_ok());
    let few = Plan { threads: Some(1), ..plan("233M", "4k", Some("2"), false) };
    assert!(check(&few, &machine()).is_err());
}

#[test]
fn interleaving_needs_nodes_that_are_named() {
    let interleaved = plan("8M", "4k", Some("interleave"), false);
    assert!(check(&interleaved, &machine()).is_ok());
    let message = check(&interleaved, &small(512, 2)).unwrap_err().to_string();
    assert!(message.contains("--numa interleave is not there"), "{message}");
}
