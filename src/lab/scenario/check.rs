//! Whether the values of a scenario go together: every fault at once, each with its remedy.

use super::{LoadSpec, Scenario, cycle, link_rate, plan_file, when};
use crate::plan::{Backing, Numa, PageSize, Plan, is_write};
use crate::units::{Nanos, PAGE_BYTES, shown};

/// What the kernel and the guest program need beside the load, in bytes: less than this does not boot.
pub(super) const GUEST_FLOOR_BYTES: u64 = 96 << 20;
/// The longest name of a scenario, in bytes.
const NAME_LIMIT: usize = 100;
/// What is mistaken most often of a size.
const BARE: &str = "a number without a unit is bytes";
/// The shortest time that a guest is given to boot.
const HELLO_FLOOR: Nanos = Nanos::from_secs(1);
/// The most runs that are made until one names corrupt pages.
const TRIES_LIMIT: u32 = 20;
/// The longest any wait of a scenario may be.
const LONGEST: Nanos = Nanos::from_secs(24 * 3600);
/// The shortest interval `sully run` takes.
const INTERVAL_FLOOR: Nanos = Nanos::from_ms(20);
/// The longest the lab can do with: a load is steady after three of them, which are waited for a minute.
const INTERVAL_CEILING: Nanos = Nanos::from_secs(10);
/// Arguments of QEMU that a scenario cannot give, and what to do instead.
const OWN_ARGUMENTS: [(&str, &str); 7] = [
    ("-m", "vm.memory says it"),
    ("-smp", "vm.cpus says it"),
    ("-accel", "--accel says it"),
    ("-name", "nobody needs another"),
    ("-incoming", "only the destination has it"),
    ("-daemonize", "the lab waits for QEMU's end"),
    ("-S", "the guest must run to be measured"),
];

/// Every fault of the scenario as a sentence that names the value and the way out.
pub fn check(scenario: &Scenario) -> Vec<String> {
    let mut faults = Vec::new();
    name(scenario, &mut faults);
    vm(scenario, &mut faults);
    kind(scenario, &mut faults);
    throttle(scenario, &mut faults);
    times(scenario, &mut faults);
    let (load, migration) = (&scenario.load.asked, &scenario.migration);
    faults.extend(pacing(load));
    faults.extend(plan_file::faults(scenario));
    faults.extend(cycle::faults(scenario));
    for fault in load.visit_faults() {
        faults.push(format!("load as the guest is told it: {}; {}", fault.what, fault.remedy));
    }
    faults.extend(scenario.link.faults());
    faults.extend(link_rate::faults(scenario));
    faults.extend(when::faults(&migration.when, migration.timeout));
    faults.extend(when::value_faults(&migration.parameters, &migration.when));
    if migration.preempt && !migration.may_postcopy() {
        faults.push("migration.preempt = true needs migration.postcopy = true".into());
    }
    if scenario.expect.postcopy == Some(true) && !migration.may_postcopy() {
        faults.push("expect.postcopy = true cannot be met: set migration.postcopy = true".into());
    }
    if scenario.expect.corruption == Some(true) && !load.verify {
        faults.push(
            "expect.corruption = true cannot be met: pages are checked with load.verify = true only".into(),
        );
    }
    let tries = scenario.expect.tries;
    if !(1..=TRIES_LIMIT).contains(&tries) {
        faults.push(format!("expect.tries = {tries} cannot be: expected 1 to {TRIES_LIMIT} runs"));
    } else if tries > 1 && scenario.expect.corruption != Some(true) {
        faults.push(format!(
            "expect.tries = {tries} is for runs that are to name corrupt pages: set expect.corruption = true, or leave it \
             out (--repeat {tries} makes so many runs)"
        ));
    }
    if scenario.expect.throttled == Some(true) && !migration.may_throttle() {
        faults.push("expect.throttled = true cannot be met: set migration.auto_converge = true".into());
    }
    faults
}

/// Why a run cannot be called so, where the name is made of a scenario's and of what tells its runs apart.
pub fn too_long(name: &str) -> Option<String> {
    (name.len() > NAME_LIMIT)
        .then(|| format!("{name} is too long a name for a run: at most {NAME_LIMIT} letters"))
}

/// The name becomes part of a path, so it must not be able to leave its directory.
fn name(scenario: &Scenario, faults: &mut Vec<String>) {
    let part_is_good = |part: &str| {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        !part.is_empty() && !part.starts_with('.') && part.bytes().all(good)
    };
    if scenario.name.len() > NAME_LIMIT || !scenario.name.split('/').all(part_is_good) {
        let shown = shown(&scenario.name, 60);
        faults.push(format!(
            "name = \"{shown}\" cannot name a directory: expected letters, digits, - _ . and / between parts, \
             for example smoke/precopy"
        ));
    }
}

/// What is wrong with the pacing, each fault as a sentence that names the way out.
fn pacing(load: &Plan) -> impl Iterator<Item = String> {
    let key = |name: &str| format!("load.{} = ", name.replace('-', "_"));
    load.load().pacing_faults(key).into_iter().map(|(what, remedy)| format!("{what}; {remedy}"))
}

fn vm(scenario: &Scenario, faults: &mut Vec<String>) {
    let (vm, load) = (&scenario.vm, &scenario.load);
    if !(1..=255).contains(&vm.cpus) {
        faults.push(format!("vm.cpus = {} cannot be: a VM has 1 to 255 vCPUs", vm.cpus));
    }
    for (argument, way_out) in OWN_ARGUMENTS {
        let bare = |text: &str| text.trim_start_matches('-').to_owned();
        if vm.qemu_args.iter().any(|given| given.starts_with('-') && bare(given) == bare(argument)) {
            faults.push(format!(
                "vm.qemu_args has {argument}, which the lab gives QEMU itself: leave it out, {way_out}"
            ));
        }
    }
    let absent = |part: &Plan| part.cpus.as_ref().and_then(|cpus| cpus.numbers().iter().max().copied());
    for (region, part) in load.asked.parts() {
        if let Some(cpu) = absent(&part).filter(|cpu| *cpu >= vm.cpus) {
            faults.push(format!(
                "{region}cpus names CPU {cpu}, and with vm.cpus = {} there are 0 to {}: raise vm.cpus, or name another",
                vm.cpus,
                vm.cpus.saturating_sub(1)
            ));
        }
    }
    let asked_bytes = asked_bytes(scenario);
    let needed = asked_bytes.saturating_add(GUEST_FLOOR_BYTES);
    if vm.memory.0 < GUEST_FLOOR_BYTES {
        faults.push(format!(
            "vm.memory = {} is too little: the guest needs 96M beside its load; expected a size, for example 256M; {BARE}",
            vm.memory
        ));
    } else if vm.memory.0 < needed {
        faults.push(format!(
            "load.{} does not fit into vm.memory = {}: the guest needs 96M beside it; lower it \
             or raise vm.memory to {}M",
            memory(load, asked_bytes),
            vm.memory,
            needed.div_ceil(1 << 20)
        ));
    }
    if !is_write(load.asked.write_bytes) {
        faults.push(format!(
            "load.write_bytes = {} cannot be: a visit writes whole words, a multiple of 8 from 8 to 4096",
            load.asked.write_bytes
        ));
    }
    let least_bytes = PAGE_BYTES * u64::from(load.asked.threads.unwrap_or(vm.cpus));
    if asked_bytes < least_bytes {
        faults.push(format!(
            "load.{} is less than one page of 4096 bytes for each writer: expected a size, for example 64M; {BARE}",
            memory(load, asked_bytes)
        ));
    }
}

/// What says how much memory the load takes, and how much that is.
fn memory(load: &LoadSpec, asked_bytes: u64) -> String {
    match (&load.plan, load.asked.regions.len()) {
        (Some(_), _) => format!("plan, which asks for {}M,", asked_bytes >> 20),
        (None, 0) => format!("memory = {}", load.asked.memory),
        (None, _) => format!("region, which asks for {}M altogether,", asked_bytes >> 20),
    }
}

/// The load's memory, a share being of what is beside the kernel and the guest program; the guest itself knows better.
fn asked_bytes(scenario: &Scenario) -> u64 {
    scenario.load.memory_bytes(scenario.vm.memory.0.saturating_sub(GUEST_FLOOR_BYTES))
}

/// What the image can give: it has no disk, and nobody fills a pool of huge pages in it.
fn kind(scenario: &Scenario, faults: &mut Vec<String>) {
    let load = &scenario.load.asked;
    if load.kind.pages.is_pooled() {
        faults.push(format!(
            "load.pages = {} cannot be: the image has no pool of huge pages; use thp",
            load.kind.pages
        ));
    }
    if matches!(load.kind.backing, Backing::File(_)) {
        faults.push(format!(
            "load.backing = {} cannot be: the image has no disk; use shared",
            load.kind.backing
        ));
    }
    let has_nodes = scenario.vm.qemu_args.iter().any(|argument| argument == "-numa");
    if let Some(Numa::Node(node)) = load.kind.numa.filter(|numa| *numa != Numa::Node(0) && !has_nodes) {
        faults.push(format!(
            "load.numa = {node} cannot be: the VM has one node, which is 0, unless vm.qemu_args gives it others by -numa"
        ));
    }
    if load.kind.pages == PageSize::Transparent && asked_bytes(scenario) < load.kind.pages.bytes() {
        faults.push(format!("load.memory = {} is less than one huge page: ask for 2M or more", load.memory));
    }
}

fn throttle(scenario: &Scenario, faults: &mut Vec<String>) {
    let migration = &scenario.migration;
    let levels = [
        ("throttle_initial", migration.throttle_initial),
        ("throttle_increment", migration.throttle_increment),
        ("throttle_max", migration.throttle_max),
    ];
    for (key, level) in levels {
        if !(1..=99).contains(&level) {
            faults.push(format!("migration.{key} = {level} cannot be: QEMU takes 1 to 99 percent"));
        }
    }
    if migration.throttle_max < migration.throttle_initial {
        faults.push(format!(
            "migration.throttle_max = {} is below migration.throttle_initial = {}: raise the one or lower the other",
            migration.throttle_max, migration.throttle_initial
        ));
    }
}

fn times(scenario: &Scenario, faults: &mut Vec<String>) {
    let (load, migration) = (&scenario.load.asked, &scenario.migration);
    if load.interval < INTERVAL_FLOOR {
        faults.push(format!("load.interval = {} is too short: at least {INTERVAL_FLOOR}", load.interval));
    }
    if load.interval > INTERVAL_CEILING {
        faults.push(format!(
            "load.interval = {} is too long: the lab looks at several before and after the migration, each of at most \
             {INTERVAL_CEILING}",
            load.interval
        ));
    }
    let times = [
        ("vm.hello_within", scenario.vm.hello_within),
        ("load.baseline", load.baseline),
        ("migration.downtime_limit", migration.downtime_limit),
        ("migration.timeout", migration.timeout),
        ("migration.settle", migration.settle),
    ];
    for (key, time) in times {
        if time > LONGEST {
            faults.push(format!("{key} = {time} is too long: at most {LONGEST}"));
        }
    }
    if scenario.vm.hello_within < HELLO_FLOOR {
        faults.push(format!(
            "vm.hello_within = {} is too short for any guest to boot: at least {HELLO_FLOOR}",
            scenario.vm.hello_within
        ));
    }
    if migration.timeout == Nanos(0) {
        faults.push("migration.timeout = 0s ends every migration at once: for example 120s".into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::scenario::parse;
    use crate::plan::MemoryAmount;
    use crate::units::ByteSize;

    #[test]
    fn every_fault_is_said_at_once() {
        let mut scenario = Scenario { name: "../etc".into(), ..Scenario::default() };
        scenario.vm.cpus = 0;
        scenario.vm.qemu_args = ["-cpu", "max", "--m", "1G"].map(String::from).to_vec();
        scenario.load.asked.memory = MemoryAmount::Bytes(ByteSize::mib(300));
        scenario.load.asked.write_bytes = 12;
        scenario.migration.preempt = true;
        scenario.migration.throttle_initial = 100;
        scenario.expect.postcopy = Some(true);
        scenario.load.asked.reads = "100%".parse().unwrap();
        scenario.load.asked.content = "delta:5".parse().unwrap();
        scenario.load.asked.dedup = "5%".parse().unwrap();
        scenario.load.asked.interval = Nanos::from_secs(3600);
        (scenario.vm.hello_within, scenario.expect.tries) = (Nanos(0), 3);
        let faults = check(&scenario).join("\n");
        for part in [
            "../etc",
            "--reads 100%",
            "--content delta:5",
            "--dedup 5%",
            "load.write_bytes = 12",
            "load.interval = 1h is too long",
            "vm.cpus = 0",
            "vm.hello_within = 0s",
            "expect.tries = 3 is for runs that are to name corrupt pages",
            "vm.qemu_args has -m",
            "load.memory = 300M",
            "preempt",
            "throttle_initial = 100",
            "expect",
        ] {
            assert!(faults.contains(part), "{part} in {faults}");
        }
    }

    #[test]
    fn a_cpu_that_the_vm_has_not_is_named_with_its_region() {
        let region = "[[load.region]]\nname = \"a\"\nmemory = \"8M\"\ncpus = \"0-2\"\n";
        let said = parse(&format!("[vm]\ncpus = 2\n{region}"), "x").unwrap_err().to_string();
        assert!(
            said.contains("region 'a': cpus names CPU 2, and with vm.cpus = 2 there are 0 to 1"),
            "{said}"
        );
        assert!(parse(&format!("[vm]\ncpus = 3\n{region}"), "x").is_ok());
    }

    #[test]
    fn names_stay_within_their_directory() {
        for name in ["..", "a/../b", "/etc", "a//b", "", ".hidden", "a b", "a\n"] {
            let scenario = Scenario { name: name.into(), ..Scenario::default() };
            assert_eq!(check(&scenario).len(), 1, "{name:?}");
        }
        assert!(check(&Scenario::default()).is_empty());
    }

    #[test]
    fn a_pacing_that_cannot_be_is_refused_with_the_keys_and_the_way_out() {
        let said = |load: &str| parse(load, "x").unwrap_err().to_string();
        let message = said("[load]\nrate = \"max\"\npace = \"poisson\"\ncatch_up = 0\n");
        for part in ["load.pace = poisson", "load.rate = max", "load.rate = 100M/s", "load.catch_up = 0"] {
            assert!(message.contains(part), "{message}");
        }
        assert!(said("[load]\npace = \"burst\"\n").contains("burst:ON/OFF"));
        assert!(said("[load]\nbacklog = \"drop\"\n").contains("repay or shed"));
    }
}
