//! Regions as they are asked for, what becomes of them, and what of a load falls to whom.

use super::super::{
    Backing, HugePages, Machine, PhaseAsked, Plan, Stock, check, number::MOST_SHARE, settings,
};
use super::*;
use proptest::prelude::*;

fn machine() -> Machine {
    let huge = HugePages { free_2m_bytes: Some(64 << 20), free_1g_bytes: None };
    Machine { available_bytes: 1 << 30, cpus: 2, stock: Stock { huge, ..Stock::default() } }
}

fn region(name: &str, memory: &str) -> RegionAsked {
    RegionAsked { name: name.into(), settings: settings(&[("memory", memory)]), ..RegionAsked::default() }
}

/// The region with more of its own.
fn with(mut region: RegionAsked, said: &[(&str, &str)]) -> RegionAsked {
    region.settings.extend(settings(said));
    region
}

fn plan(regions: Vec<RegionAsked>) -> Plan {
    Plan { regions, ..Plan::default() }
}

fn said(plan: &Plan) -> String {
    check(plan, &machine()).unwrap_err().to_string()
}

#[test]
fn a_plan_without_regions_is_one_and_every_writer_has_an_equal_part_of_all() {
    let checked = check(&Plan { threads: Some(3), ..Plan::default() }, &machine()).unwrap();
    assert_eq!((checked.regions.len(), checked.areas().len(), checked.areas()[0].threads), (0, 1, 3));
    for writer in 0..3 {
        let region_share = checked.region_share(writer);
        assert_eq!(
            (region_share.writer, region_share.writers, region_share.load(&checked.load())),
            (writer, 3, checked.load())
        );
    }
}

#[test]
fn what_a_region_leaves_out_is_as_the_plan_says_and_what_it_says_goes_before_everything() {
    let own = [("pattern", "random"), ("threads", "1")];
    let hot = with(RegionAsked { share: Some(3), ..region("hot", "16M") }, &own);
    let huge = with(region("cold", "50%"), &[("pages", "2M")]);
    let idle = RegionAsked { share: Some(0), ..region("idle", "25%") };
    let checked = check(&plan(vec![hot, huge, idle]), &machine()).unwrap();
    let sizes: Vec<u64> = checked.regions.iter().map(|region| region.memory_bytes >> 20).collect();
    assert_eq!((sizes, checked.memory_bytes >> 20), (vec![16, 32, 256], 304));
    assert_eq!((checked.threads, checked.regions[1].kind.pages.bytes()), (5, 2 << 20));
    let load = Load { rate: "1001p/s".parse().unwrap(), ..checked.load() };
    let of = |writer| checked.region_share(writer).load(&load);
    let rates: Vec<String> = [0, 1, 2, 3, 4].map(|writer| of(writer).rate.to_string()).to_vec();
    assert_eq!(rates, ["750p/s", "251p/s", "251p/s", "0", "0"]);
    assert_eq!((of(0).pattern, of(1).pattern), ("random".parse().unwrap(), load.pattern));
    let max = Load { rate: Rate::Max, ..load };
    assert_eq!(
        (checked.region_share(2).load(&max).rate, checked.region_share(4).load(&max).rate),
        (Rate::Max, Rate::PagesPerSecond(0))
    );
    assert_eq!((checked.region_share(2).writer, checked.region_share(2).writers), (1, 2));
}

#[test]
fn what_one_region_locks_another_cannot() {
    let stock = Stock { lock_limit_bytes: Some(24 << 20), ..machine().stock };
    let machine = Machine { stock, ..machine() };
    let two = |lock| {
        let of = |name, lock| with(region(name, "16M"), &[("lock", lock)]);
        check(&plan(vec![of("one", "true"), of("other", lock)]), &machine)
    };
    assert!(two("false").is_ok());
    let said = two("true").unwrap_err().to_string();
    assert!(said.contains("RLIMIT_MEMLOCK"), "{said}");
}

#[test]
fn every_fault_of_every_region_is_said_at_once() {
    let file = |name: &str| with(region(name, "1M"), &[("backing", "file:/x")]);
    let message = said(&Plan {
        memory: "1G".parse().unwrap(),
        ..plan(vec![
            file("a"),
            file("a"),
            RegionAsked { share: Some(2_000_000), ..RegionAsked::default() },
            with(region("big", "2G"), &[("content", "same")]),
        ])
    });
    for part in [
        "--memory 1G is not divided among regions",
        "region 2 'a': the name is taken",
        "region 2 'a': its backing file is another region's too",
        "region 3 '': a name has",
        "region 3 '': it has no memory",
        "region 3 '': its share is above 1000000",
        "region 'big': --memory 2G is not there",
    ] {
        assert!(message.contains(part), "{part}\n{message}");
    }
    let idle = RegionAsked { share: Some(0), ..region("idle", "1M") };
    assert!(said(&plan(vec![idle])).contains("no region has a share"));
    assert!(said(&plan(vec![region("a", "1M"); 65])).contains("65 regions"));
    let crowd = with(region("a", "16M"), &[("threads", "600")]);
    assert!(
        said(&plan(vec![crowd.clone(), RegionAsked { name: "b".into(), ..crowd }]))
            .contains("--threads 1200")
    );
}

#[test]
fn regions_are_held_against_what_those_before_them_leave() {
    assert!(check(&plan(vec![region("a", "400M"), region("b", "400M")]), &machine()).is_ok());
    let message = said(&plan(vec![region("a", "600M"), region("b", "600M")]));
    assert!(message.contains("region 'b': --memory 600M") && !message.contains("region 'a'"), "{message}");
    let huge = |name| with(region(name, "40M"), &[("pages", "2M")]);
    assert!(said(&plan(vec![huge("a"), huge("b")])).contains("region 'b': --memory 40M"));
}

#[test]
fn what_does_not_go_together_in_one_region_is_named_with_it_and_with_its_phase() {
    let drifting = [("pattern", "hotspot:10%/90%/5p/s")];
    let regions = vec![region("cold", "1M"), with(region("hot", "1M"), &drifting)];
    let max = PhaseAsked {
        name: "flat out".into(),
        settings: settings(&[("rate", "max")]),
        ..PhaseAsked::default()
    };
    let message = said(&Plan { phases: vec![max], ..plan(regions.clone()) });
    assert!(message.contains("phase 'flat out', region 'hot': --pattern hotspot"), "{message}");
    let checked = check(&plan(regions), &machine()).unwrap();
    let load = Load { rate: Rate::Max, ..checked.load() };
    assert_eq!((checked.load_faults(&checked.load()).len(), checked.load_faults(&load).len()), (0, 1));
}

#[test]
fn a_region_that_computes_has_no_memory_no_share_and_a_rate_of_its_own_whatever_the_load_says() {
    let settings = settings(&[("cpus", "1")]);
    let still = RegionAsked { name: "still".into(), compute: Some(500), settings, share: None };
    let checked = check(&plan(vec![region("hot", "16M"), still.clone()]), &machine()).unwrap();
    assert_eq!((checked.memory_bytes, checked.threads, checked.regions[1].share), (16 << 20, 3, 0));
    assert_eq!((checked.writer_cpus(&[0, 1]), checked.writer_cpus(&[4, 5])), (vec![0, 1, 1], vec![4, 5, 1]));
    for rate in ["0", "1001p/s", "max"] {
        let (rate, reads) = (rate.parse().unwrap(), "50%".parse().unwrap());
        let ramp = Some(super::super::Ramp { from: Rate::PagesPerSecond(7), over_ns: 1000 });
        let load = Load { rate, reads, ramp, ..checked.load() };
        let [first, second, still] = [0, 1, 2].map(|writer| checked.region_share(writer).load(&load));
        assert_eq!((first.rate, second.rate, first.reads), (load.rate, load.rate, load.reads));
        assert_eq!((still.visit_rate(), still.ramp), (Rate::PagesPerSecond(500), None));
    }
    let alone = said(&plan(vec![still.clone()]));
    assert!(alone.contains("no region has memory: all of them compute"), "{alone}");
    let wrong = |own: RegionAsked| said(&plan(vec![region("hot", "16M"), own]));
    let shared = wrong(RegionAsked { share: Some(1), ..still.clone() });
    assert!(shared.contains("region 2 'still': it computes and has no memory, and says share"), "{shared}");
    let large = wrong(with(still, &[("memory", "1M")]));
    assert!(large.contains("it computes and has no memory, and says memory"), "{large}");
}

#[test]
fn a_region_is_on_its_own_cpus_in_turn_and_has_a_writer_for_each() {
    let own = |name: &str, said: &[(&str, &str)]| with(region(name, "1M"), said);
    let regions = vec![
        own("a", &[("cpus", "2-4")]),
        own("b", &[("threads", "2")]),
        own("c", &[("cpus", "1"), ("threads", "2")]),
    ];
    let checked = check(&Plan { cpus: "0".parse().ok(), ..plan(regions) }, &machine()).unwrap();
    assert_eq!(checked.writer_cpus(&[0, 1, 2, 3, 4]), [2, 3, 4, 0, 0, 1, 1]);
    let one = Plan { cpus: "1".parse().ok(), threads: Some(2), ..Plan::default() };
    let one = check(&one, &machine()).unwrap();
    assert_eq!((one.writer_cpus(&[0, 1]), &one.cpus[..]), (vec![1, 1], &[1][..]));
}

proptest! {
    #[test]
    fn the_regions_together_have_the_whole_rate_and_each_its_share(
        shares in prop::collection::vec(0..=MOST_SHARE, 1..20), rate in 0..=Rate::LIMIT_PAGES_PER_S, from in 0..=Rate::LIMIT_PAGES_PER_S
    ) {
        let all: u64 = shares.iter().map(|share| u64::from(*share)).sum();
        prop_assume!(all > 0);
        let regions: Vec<PlannedRegion> = shares
            .iter()
            .map(|share| PlannedRegion {
                name: String::new(),
                memory_bytes: 4096,
                kind: MemoryKind::default(),
                threads: 1,
                share: *share,
                cpus: Vec::new(),
                compute: None,
                access: AccessOptions::default(),
            })
            .collect();
        let ramp = Some(super::super::Ramp { from: Rate::PagesPerSecond(from), over_ns: 1000 });
        let load = Load { rate: Rate::PagesPerSecond(rate), ramp, ..Plan::default().load() };
        let (mut ends, mut begins) = (0, 0);
        for (writer, share) in (0..).zip(&shares) {
            let own = RegionShare::of(&regions, writer, 0).load(&load);
            let end = own.rate.pages_per_s().unwrap();
            prop_assert!((end * all).abs_diff(rate * u64::from(*share)) < all);
            ends += end;
            begins += own.pages_per_s_after(0).unwrap();
        }
        prop_assert_eq!((ends, begins), (rate, from));
    }
}

#[test]
fn what_is_dirtied_first_is_whole_pages_of_what_is_visited() {
    let asked = |size: &str, regions: Vec<RegionAsked>| {
        let dirty = Some(size.parse().unwrap());
        check(&Plan { dirty, ..plan(regions) }, &machine())
    };
    let checked = asked("512M", vec![]).unwrap();
    assert_eq!((checked.first_load(), checked.held_load()), (checked.load().paused(), checked.load()));
    let held = RegionAsked { share: Some(0), ..region("held", "64M") };
    for (size, regions, named, way_out) in [
        ("513M", vec![], "--dirty 513M: 131328 pages", "more memory"),
        ("0", vec![], "--dirty 0: 0 pages", "1 to 131072"),
        ("4097", vec![], "--dirty 4097 is no whole number", "--dirty 8K"),
        ("9M", vec![held, region("hot", "8M")], "2304 pages", "1 to 2048"),
    ] {
        let said = asked(size, regions).unwrap_err().to_string();
        assert!(said.contains(named) && said.contains(way_out), "{said}");
    }
}

#[test]
fn what_computes_has_nothing_of_the_memory_that_the_plan_says_for_all() {
    let computes = RegionAsked { name: "computes".into(), compute: Some(9), ..RegionAsked::default() };
    let kind =
        MemoryKind { backing: Backing::File("/tmp/region".into()), lock: true, ..MemoryKind::default() };
    let asked = Plan { kind, ..plan(vec![region("memory", "8M"), computes]) };
    let checked = check(&asked, &machine()).unwrap();
    assert!(checked.regions[0].kind.lock && checked.regions[1].kind == MemoryKind::default());
}
