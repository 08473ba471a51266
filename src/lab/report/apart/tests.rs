//! vCPUs and regions apart: none has what is another's.

use super::super::{bystander::bystanders, html, text};
use crate::{
    histogram::Counts,
    lab::{
        analysis::{Analysis, RegionCost, StageCost},
        timeline::{
            PhaseName, Timeline,
            fixture::{FixtureData, Story},
        },
        view::RunView,
    },
    plan::{self, Machine, Plan, PlannedRegion, RegionAsked, Stock},
    record::{Body, Gap, Latency, RegionInterval},
};

fn of(data: &FixtureData) -> Analysis {
    let data = data.data();
    Analysis::of(&data, &Timeline::of(&data))
}

fn stage(analysis: &Analysis, name: PhaseName) -> &StageCost {
    analysis.stages.iter().find(|stage| stage.name == name).unwrap()
}

/// A run whose vCPU 0 is dirtied and whose vCPU 1 computes: what it computes takes 50 us a unit before the migration and 200 us
/// while it lasts, and vCPU 1 has but the second of the two stretches in which vCPUs were away.
pub fn run() -> FixtureData {
    let mut data = Story { away: vec![(1000.0, 1300.0), (2000.0, 2500.0)], ..Story::precopy() }.run_data();
    let region = |name: &str, compute, said: &[(&str, &str)]| RegionAsked {
        name: name.into(),
        compute,
        settings: plan::settings(said),
        ..RegionAsked::default()
    };
    let regions = vec![
        region("dirties", None, &[("memory", "128M"), ("cpus", "0")]),
        region("computes", Some(100), &[("cpus", "1")]),
    ];
    let machine = Machine { available_bytes: 1 << 30, cpus: 2, stock: Stock::default() };
    let planned = plan::check(&Plan { regions, ..Plan::default() }, &machine).unwrap().regions;
    let mut first_ns = None;
    for arrival in &mut data.arrivals {
        match &mut arrival.record.body {
            Body::Hello(hello) => hello.plan.regions.clone_from(&planned),
            Body::Gap(gap) if gap.cpu == 0 => _ = first_ns.get_or_insert(gap.start_ns),
            Body::Interval(interval) => {
                let mut units = Counts::default();
                units.record_n(if interval.phase == "baseline" { 50_000 } else { 200_000 }, 100);
                let dirties = RegionInterval {
                    name: "dirties".into(),
                    writes: Some(interval.writes),
                    reads: Some(0),
                    offered: interval.offered,
                    service_ns: interval.service_ns,
                    response_ns: interval.response_ns,
                    service_hist: Some(interval.service_hist.clone()),
                    response_hist: Some(interval.response_hist.clone()),
                    ..RegionInterval::default()
                };
                let computes = RegionInterval {
                    name: "computes".into(),
                    units: Some(100),
                    offered: Some(100),
                    service_ns: Latency::of(&units, 0),
                    response_ns: Latency::of(&units, 0),
                    service_hist: Some(units.pack()),
                    response_hist: Some(units.pack()),
                    ..RegionInterval::default()
                };
                interval.regions = vec![dirties, computes];
                // The first stretch is one vCPU's alone.
                if let Some(gaps) =
                    interval.gaps.as_mut().filter(|gaps| gaps.max_ns.abs_diff(300_000_000) < 5_000_000)
                {
                    (gaps.count, gaps.total_ns) = (1, gaps.max_ns);
                }
            }
            _ => {}
        }
    }
    let is_spared = |gap: &Gap| gap.cpu == 1 && Some(gap.start_ns) == first_ns;
    data.arrivals.retain(|arrival| !matches!(&arrival.record.body, Body::Gap(gap) if is_spared(gap)));
    data
}

#[test]
fn each_vcpu_lost_what_its_own_canary_saw_and_all_of_them_the_sum() {
    let mut data = run();
    data.remarks.clear();
    let (data, timeline) = (data.data(), data.timeline());
    let analysis = Analysis::of(&data, &timeline);
    let precopy = stage(&analysis, PhaseName::Precopy);
    let lost: Vec<f64> = precopy.cpus.iter().map(|own| own.time.all_lost_s()).collect();
    assert!((lost[0] - 0.8).abs() < 0.02 && (lost[1] - 0.5).abs() < 0.02, "{lost:?}");
    assert!(precopy.cpus.iter().all(|own| (own.longest_s - 0.5).abs() < 0.01), "{:?}", precopy.cpus);
    for stage in &analysis.stages {
        let sum: f64 = stage.cpus.iter().map(|own| own.time.all_lost_s()).sum();
        let all = stage.time.as_ref().unwrap();
        assert!((sum - all.all_lost_s()).abs() < 1e-6 && stage.cpus.len() == 2, "{:?}", stage.name);
    }
    let told = bystanders(&data, &analysis);
    assert_eq!(told.iter().map(|own| (own.cpu, own.dirties)).collect::<Vec<_>>(), [(0, true), (1, false)]);
    // The blackout of 400 ms is everybody's.
    assert!((told[0].lost_s - 1.2).abs() < 0.03 && (told[1].lost_s - 0.9).abs() < 0.03, "{told:?}");
}

#[test]
fn each_region_has_its_own_latencies_and_slowdown() {
    let analysis = of(&run());
    let [baseline, precopy] = [PhaseName::Baseline, PhaseName::Precopy].map(|name| stage(&analysis, name));
    let p50 = |cost: &RegionCost| cost.service_ns.unwrap().p50.unwrap();
    let [dirties, computes] = &precopy.regions[..] else { panic!("{:?}", precopy.regions) };
    assert_eq!((&*dirties.name, dirties.computes, &dirties.cpus[..]), ("dirties", false, &[0][..]));
    assert_eq!((&*computes.name, computes.computes, &computes.cpus[..]), ("computes", true, &[1][..]));
    assert!(p50(&baseline.regions[1]).abs_diff(50_000) < 1000 && p50(computes).abs_diff(200_000) < 2000);
    assert!(p50(dirties) < 1000, "{dirties:?}");
    let ratio = |cost: &RegionCost| cost.slowdown.as_ref().unwrap().service[0].ratio.unwrap();
    assert!((ratio(computes) - 4.0).abs() < 0.1 && (ratio(dirties) - 1.0).abs() < 0.1);
    assert_eq!((&baseline.regions[0].slowdown, &baseline.regions[0].reason), (&None, &None));
}

#[test]
fn a_region_whose_histograms_found_no_room_has_a_reason_and_no_latency() {
    let mut data = run();
    for arrival in &mut data.arrivals {
        if let Body::Interval(interval) = &mut arrival.record.body {
            interval.regions[1].service_hist = None;
        }
    }
    let analysis = of(&data);
    let computes = &stage(&analysis, PhaseName::Precopy).regions[1];
    assert_eq!((computes.service_ns, &computes.slowdown), (None, &None));
    assert!(computes.reason.as_ref().unwrap().contains("histograms") && computes.done_per_s.is_some());
}

/// What the report tells of the region that computes, after `change` to it in the first interval of the migration.
fn without(change: fn(&mut Vec<RegionInterval>)) -> RegionCost {
    let mut data = run();
    for arrival in &mut data.arrivals {
        if let Body::Interval(interval) = &mut arrival.record.body {
            change(&mut interval.regions);
        }
    }
    stage(&of(&data), PhaseName::Precopy).regions[1].clone()
}

#[test]
fn a_region_that_intervals_do_not_tell_of_has_a_reason_and_no_figure() {
    let changes: [fn(&mut Vec<RegionInterval>); 4] = [
        |regions| regions.clear(),
        |regions| drop(regions.pop()),
        |regions| regions[1].name = "another".into(),
        |regions| regions[1].units = None,
    ];
    for change in changes {
        let told = without(change);
        assert_eq!((told.done_per_s, told.service_ns, &told.slowdown), (None, None, &None));
        assert!(told.reason.unwrap().contains("do not tell of the region"));
    }
    let most = without(|regions| regions[1].units = Some(u64::MAX));
    assert!(most.done_per_s.unwrap() > 1e18, "and the largest counts overflow nothing");
}

#[test]
fn a_vcpu_whose_memory_is_held_and_not_visited_or_only_read_dirtied_nothing() {
    let dirties = |change: fn(&mut PlannedRegion)| {
        let mut data = run();
        for arrival in &mut data.arrivals {
            if let Body::Hello(hello) = &mut arrival.record.body {
                let region = &mut hello.plan.regions[1];
                (region.compute, region.share) = (None, 1);
                change(region);
            }
        }
        bystanders(&data.data(), &of(&data)).iter().map(|own| own.dirties).collect::<Vec<_>>()
    };
    assert_eq!(dirties(|_| {}), [true; 0], "both dirty");
    assert_eq!(dirties(|region| region.share = 0), [true, false]);
    assert_eq!(dirties(|region| region.access.reads = Some("100%".parse().unwrap())), [true, false]);
}

#[test]
fn a_report_says_what_the_vcpu_lost_that_dirtied_nothing_and_one_without_regions_says_nothing_of_it() {
    let said = |data: &FixtureData| text(&[RunView::new(data.data())], 110);
    let told = said(&run());
    let words = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("vCPU 1, which dirtied nothing, lost"), "{words}");
    assert!(words.contains("vCPU 0, which dirtied, lost 1.2"), "{words}");
    assert!(told.contains("Per vCPU: time lost by class") && told.contains("Per region"), "{told}");
    let page = html(&[RunView::new(run().data())]).unwrap();
    assert!(page.contains("Per vCPU: time lost by class") && page.contains("vCPU 1, which dirtied nothing"));
    let plain = said(&Story::precopy().run_data());
    assert!(!plain.contains("Per region") && !plain.contains("which dirtied nothing"), "{plain}");
    let single = said(&Story { cpus: 1, ..Story::precopy() }.run_data());
    assert!(!single.contains("Per vCPU"), "{single}");
}
