//! What is found of a plan on this machine, and how each finding is marked.

use super::*;
use std::collections::BTreeMap;

fn findings(plan: Plan, targets: &[&str]) -> Findings {
    let targets = targets.iter().map(|text| text.parse().unwrap()).collect();
    check(&Options { plan, targets, token: None, labels: BTreeMap::new() }).unwrap()
}

fn text(plan: Plan, targets: &[&str]) -> String {
    findings(plan, targets).to_string()
}

fn marks(text: &str, name: &str) -> Vec<String> {
    let own = text.lines().filter(|line| line.starts_with(&format!("{name} ")));
    own.map(|line| line.split_whitespace().nth(1).unwrap().to_owned()).collect()
}

fn small() -> Plan {
    Plan { memory: "8M".parse().unwrap(), ..Plan::default() }
}

#[test]
fn a_small_plan_is_possible_anywhere_and_every_matter_has_its_line() {
    let found = findings(small(), &[]);
    assert!(found.is_possible(), "{found}");
    let names: Vec<&str> = found.0.iter().map(|line| line.name).collect();
    let expected = [
        "memory", "pages", "numa", "lock", "backing", "writers", "kernel", "pinning", "canaries", "clock",
        "timers", "port", "oom",
    ];
    assert_eq!(names, expected);
}

#[test]
fn each_fault_stands_in_its_line_with_its_remedy() {
    let mut plan = Plan { memory: "999999G".parse().unwrap(), threads: Some(0), ..small() };
    plan.interval = Nanos(1);
    plan.kind.numa = Some(Numa::Node(4711));
    plan.kind.backing = Backing::File("/nonexistent/region".into());
    let text = text(plan, &["virtio:org.none.0", "file:/nonexistent/records"]);
    for name in ["memory", "numa", "writers", "backing", "port", "report", "plan"] {
        assert_eq!(marks(&text, name), ["FAULT"], "{name}\n{text}");
    }
    for remedy in ["at most --memory", "leave --numa out", "virtserialport", "100ms"] {
        assert!(text.contains(remedy), "{remedy}\n{text}");
    }
    assert_eq!(marks(&text, "pinning"), ["ok"], "what is fine stays ok\n{text}");
}

#[test]
fn cpus_that_are_not_there_are_a_fault_and_writers_are_held_against_those_that_are_named() {
    let missing = text(Plan { cpus: Some("0,1023".parse().unwrap()), threads: Some(1), ..small() }, &[]);
    assert_eq!(marks(&missing, "pinning"), ["FAULT"], "{missing}");
    assert!(
        missing.contains("may not run on 1023 here") && missing.contains("leave --cpus out"),
        "{missing}"
    );
    let crowded = text(Plan { cpus: Some("0".parse().unwrap()), threads: Some(2), ..small() }, &[]);
    assert_eq!(marks(&crowded, "writers"), ["poor"], "{crowded}");
    assert!(crowded.contains("2 writers share 1 CPU:"), "{crowded}");
    let region = |name: &str, compute, said: &[(&str, &str)]| plan::RegionAsked {
        name: name.into(),
        compute,
        settings: plan::settings(said),
        ..plan::RegionAsked::default()
    };
    let regions =
        vec![region("a", None, &[("memory", "8M"), ("cpus", "0")]), region("b", Some(9), &[("cpus", "0")])];
    let together = text(Plan { memory: Plan::default().memory, regions, ..small() }, &[]);
    assert_eq!(marks(&together, "writers"), ["ok", "ok", "poor"], "{together}");
}

#[test]
fn what_is_available_is_what_there_is_of_the_kind_and_on_the_nodes() {
    let huge = plan::HugePages { free_2m_bytes: Some(8 << 20), free_1g_bytes: None };
    let node = |id, mib: u64| plan::Node { id, available_bytes: mib << 20, huge };
    let nodes = vec![node(0, 600), node(1, 200)];
    let stock = plan::Stock { huge, nodes, bound: vec![1], ..plan::Stock::default() };
    let machine = Machine { available_bytes: 800 << 20, cpus: 2, stock };
    let mut plan = Plan { memory: "75%".parse().unwrap(), ..Plan::default() };
    assert_eq!(memory(&plan, &machine), "150.0 MiB asked for, 200.0 MiB available");
    plan.kind.pages = PageSize::Huge2M;
    assert_eq!(memory(&plan, &machine), "6.0 MiB asked for, 8.0 MiB available");
    plan.kind = plan::MemoryKind { numa: Some(Numa::Node(0)), ..plan::MemoryKind::default() };
    assert_eq!(memory(&plan, &machine), "450.0 MiB asked for, 600.0 MiB available");
}

#[test]
fn a_counter_that_is_insisted_on_is_said_to_stamp() {
    let text = text(Plan { clock: ClockChoice::Tsc, ..small() }, &[]);
    let mark = if cycles().is_some() { "ok" } else { "FAULT" };
    assert_eq!(marks(&text, "clock"), [mark], "{text}");
    assert!(text.contains("--clock tsc"), "{text}");
}

#[test]
fn a_check_makes_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let mut plan = small();
    plan.kind.backing = Backing::File(directory.path().join("region"));
    let report = format!("file:{}", directory.path().join("records").display());
    assert!(findings(plan, &[&report]).is_possible());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}
