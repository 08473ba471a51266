//! An interval region by region.

use super::*;

/// What writers of a region did: so many visits that took `ns` each, and one that was given up.
fn region_counts(done: u64, ns: u64) -> RegionCounts {
    let mut service = Counts::default();
    service.record_n(ns, done);
    let latencies = Latencies { response: service.clone(), service };
    RegionCounts { writes: done, reads: 0, due: Due::new(done + 3, done, 1), latencies }
}

/// A plan of regions with these units to compute; none is memory.
fn with_regions(computing: &[Option<u32>]) -> Checked {
    let region = |(index, compute): (usize, &Option<u32>)| plan::RegionAsked {
        name: format!("r{index}"),
        compute: *compute,
        settings: match compute {
            Some(_) => Vec::new(),
            None => plan::settings(&[("memory", "1M"), ("threads", "1")]),
        },
        ..plan::RegionAsked::default()
    };
    let regions = computing.iter().enumerate().map(region).collect();
    let machine = Machine { available_bytes: 1 << 30, cpus: 2, stock: plan::Stock::default() };
    plan::check(&Plan { regions, ..Plan::default() }, &machine).unwrap()
}

#[test]
fn each_region_has_its_own_figures_in_the_order_of_the_plan() {
    let plan = with_regions(&[None, Some(50), None]);
    let regions = vec![region_counts(10, 100), region_counts(20, 5000), region_counts(40, 900_000)];
    let later = Snapshot { regions, ..snapshot(3000, &[], Due::default()) };
    let told = later.interval_since(&snapshot(1000, &[], Due::default()), &plan, "run").regions;
    let counts: Vec<_> =
        told.iter().map(|own| (&*own.name, own.writes, own.units, own.service_ns.count)).collect();
    let expected = [("r0", Some(10), None, 10), ("r1", None, Some(20), 20), ("r2", Some(40), None, 40)];
    assert_eq!(counts, expected);
    let p50: Vec<_> = told.iter().map(|own| own.service_ns.p50.unwrap() / 100).collect();
    assert!(p50[0] == 1 && p50[1].abs_diff(50) <= 1 && p50[2].abs_diff(9000) <= 80, "{p50:?}");
    assert_eq!((told[1].offered, told[1].missed, told[1].backlog), (Some(23), Some(1), Some(2)));
    let packed = told[2].response_hist.as_deref().unwrap();
    assert_eq!(Counts::unpack(packed).unwrap().count(), 40);
    // Without a rate only what computes has a schedule.
    let asked = Course::new(0, checked(Rate::Max).load()).asked_by(3000);
    let flat_out = Snapshot { asked, ..later };
    let earlier = Snapshot { asked: Asked::default(), ..snapshot(0, &[], Due::default()) };
    let told = flat_out.interval_since(&earlier, &plan, "run").regions;
    assert_eq!((told[0].offered, told[1].offered), (None, Some(23)));
}

#[test]
fn histograms_of_regions_take_no_more_room_than_they_may() {
    let plan = with_regions(&[None; 64]);
    let spread = |region: u64| {
        let mut counts = region_counts(1, 100);
        let service = &mut counts.latencies.service;
        (1..400u64).for_each(|step| service.record_n(step * (region + 7) * 1000, step));
        counts
    };
    let regions = (0..64).map(spread).collect();
    let later = Snapshot { regions, ..snapshot(3000, &[], Due::default()) };
    let told = later.interval_since(&snapshot(1000, &[], Due::default()), &plan, "run").regions;
    let length = |packed: &Option<String>| packed.as_ref().map_or(0, String::len);
    let bytes = told.iter().map(|own| length(&own.service_hist) + length(&own.response_hist)).sum::<usize>();
    assert!(bytes <= crate::record::REGION_HISTOGRAMS_BYTES, "{bytes}");
    let with = told.iter().filter(|own| own.service_hist.is_some()).count();
    assert!((4..64).contains(&with), "{with}");
    assert!(told.iter().all(|own| own.service_ns.p99.is_some()), "figures are told all the same");
}
