//! Runs made by hand, whose cost is known.

use super::{away::availability, *};
use crate::{
    lab::timeline::fixture::{FixtureData, Story},
    record::{Body, Gap, GapFeatures},
};
use proptest::prelude::*;

mod asked;

fn of(data: &FixtureData) -> Analysis {
    let data = data.data();
    Analysis::of(&data, &Timeline::of(&data))
}

fn stage(analysis: &Analysis, name: PhaseName) -> &StageCost {
    analysis.stages.iter().find(|stage| stage.name == name).unwrap()
}

#[test]
fn a_run_that_nothing_disturbs_before_its_switch_is_as_fast_as_its_baseline() {
    let analysis = of(&Story::precopy().run_data());
    assert_eq!(analysis.baseline_reason, None);
    let slowdown = stage(&analysis, PhaseName::Precopy).slowdown.clone().unwrap();
    for ratio in slowdown.service.iter().chain([&slowdown.rate]).filter(|ratio| ratio.ratio.is_some()) {
        let ([low, high], found) = (ratio.bounds.unwrap(), ratio.ratio.unwrap());
        assert!((found - 1.0).abs() < 0.05 && low <= 1.01 * found && found <= 1.01 * high, "{ratio:?}");
    }
}

#[test]
fn a_quantile_with_too_few_visits_has_a_reason_and_no_ratio() {
    let mut data = Story { rate: 100, ..Story::precopy() }.run_data();
    data.remarks.clear();
    let slowdown = stage(&of(&data), PhaseName::Precopy).slowdown.clone().unwrap();
    let p999 = slowdown.response.last().unwrap();
    assert_eq!((p999.of, p999.ratio, p999.bounds), ("p999", None, None));
    assert!(p999.reason.is_some());
}

#[test]
fn what_the_guests_clock_cannot_tell_has_a_reason_and_no_ratio_and_the_rest_is_told() {
    let coarse = Story { clock_step_ns: Some(4_000_250), ..Story::precopy() }.run_data();
    let analysis = of(&coarse);
    assert_eq!(analysis.baseline_reason, None);
    let precopy = stage(&analysis, PhaseName::Precopy).slowdown.as_ref().unwrap();
    let p50 = &precopy.service[0];
    assert_eq!((p50.of, p50.ratio), ("p50", None));
    assert!(p50.reason.as_ref().is_some_and(|reason| reason.contains("too coarse")), "{p50:?}");
    assert!(precopy.rate.ratio.is_some());
    let timeline = coarse.timeline();
    let figures = &timeline.phase(PhaseName::Baseline).unwrap().figures;
    assert!(figures.service_ns.is_some_and(|service| service.count > 0 && service.p50.is_none()));
}

#[test]
fn a_baseline_that_changes_halfway_is_compared_with_nothing() {
    let mut data = Story::precopy().run_data();
    for arrival in data.arrivals.iter_mut().take(40) {
        if let Body::Interval(interval) = &mut arrival.record.body {
            interval.writes /= 2;
        }
    }
    let analysis = of(&data);
    assert!(analysis.baseline_reason.as_ref().is_some_and(|reason| reason.contains("disagree")));
    assert_eq!(analysis.baseline_pages_per_s, None);
    assert!(analysis.lost_reason.as_ref().is_some_and(|reason| reason.contains("% of its visits late")));
    assert!(stage(&analysis, PhaseName::Precopy).slowdown.as_ref().unwrap().rate.ratio.is_none());
}

#[test]
fn a_blackout_alone_loses_its_own_length() {
    let lost = of(&Story::precopy().run_data()).lost.unwrap();
    assert!((lost.full_stop_s - 0.4).abs() < 0.02, "{lost:?}");
}

#[test]
fn where_no_vcpu_ran_at_all_the_worst_window_is_nothing() {
    let analysis = of(&Story::precopy().run_data());
    let worst = stage(&analysis, PhaseName::Blackout).availability.iter().map(|window| window.worst);
    assert_eq!(worst.collect::<Vec<f64>>(), [0.0, 0.0]);
}

#[test]
fn the_longest_gaps_are_in_the_order_of_the_lengths_that_are_told() {
    // By the guest's clock, which stands still in the blackout, the second is 20 ms long.
    let story = Story { away: vec![(3000.0, 3100.0), (5990.0, 6410.0)], ..Story::precopy() };
    let longest = of(&story.run_data()).longest;
    let told: Vec<f64> = longest.iter().map(|gap| gap.span.length_s()).collect();
    assert!(told.is_sorted_by(|one, other| one >= other), "{told:?}");
    assert!((told[0] - 0.42).abs() < 0.002 && (told[1] - 0.1).abs() < 0.002, "{told:?}");
}

#[test]
fn classes_and_running_time_add_up_to_the_wall() {
    for story in [Story::precopy(), Story::auto_converge(), Story::post_copy()] {
        for stage in of(&story.run_data()).stages {
            let time = stage.time.unwrap();
            let lost_s: f64 = time.lost().map(|(_, lost_s, _)| lost_s).sum();
            assert!((time.running_s + lost_s - time.wall_s).abs() <= 1e-6 * time.wall_s, "{time:?}");
        }
    }
}

#[test]
fn the_worst_window_is_found_wherever_it_lies() {
    let down = [Span::new(1.0, 1.05), Span::new(1.06, 1.08), Span::new(3.0, 3.3)];
    let worst: Vec<f64> =
        availability(&down, Span::new(0.0, 2.0)).iter().map(|window| window.worst).collect();
    for (found, truth) in worst.iter().zip([0.0, 0.3, 0.93]) {
        assert!((found - truth).abs() < 1e-9, "{worst:?}");
    }
}

#[test]
fn a_load_that_is_steady_after_the_switch_has_settled_and_a_short_end_says_so() {
    let long = of(&Story { end_ms: 14_000, ..Story::precopy() }.run_data()).settling;
    assert!(long.after_s.is_some_and(|after_s| after_s < 1.0), "{long:?}");
    let short = of(&Story::precopy().run_data()).settling;
    assert!(short.reason.is_some_and(|reason| reason.contains("only")), "{:?}", short.after_s);
}

#[test]
fn a_known_stream_of_faults_gives_the_known_numbers() {
    let story = Story::post_copy();
    let waits = of(&story.run_data()).postcopy.unwrap();
    let lengths: Vec<f64> = story.away.iter().map(|(start, end)| end - start).collect();
    let sum_ms: f64 = lengths.iter().sum();
    let faults = waits.faults.unwrap();
    assert_eq!((faults.count, waits.qemu_requests), (100, Some(100)));
    assert!((faults.total_ns as f64 / 1e6 - sum_ms).abs() < 0.001 * sum_ms, "{faults:?}");
    assert!(
        (faults.max_ns.unwrap() as f64 / 1e6 - lengths.iter().fold(0.0, |most, one| one.max(most))).abs()
            < 0.01
    );
    // Both vCPUs stood still each time, one for its page and the other with it.
    let fault_ms = waits.guest_fault_ns.unwrap() as f64 / 1e6;
    assert!((fault_ms - 2.0 * sum_ms).abs() < 0.01 * sum_ms, "{fault_ms} ms, {sum_ms} ms twice");
    assert_eq!((waits.guest_count, waits.disagreements), (Some(200), Vec::new()));
}

#[test]
fn waits_that_no_canary_saw_are_faults_where_the_hypervisor_called_back_and_pages_written_since_the_mark_never()
 {
    let mut data = Story::post_copy().run_data();
    let found = |data: &FixtureData| of(data).postcopy.unwrap().faults.unwrap();
    for arrival in &mut data.arrivals {
        if let Body::Stall(stall) = &mut arrival.record.body {
            stall.earlier = u64::from(stall.page % 4 == 0);
        }
    }
    assert_eq!(found(&data).count, 75);
    let mut lost = data.clone();
    lost.arrivals.retain(|arrival| !matches!(arrival.record.body, Body::Gap(_)));
    let waits = of(&lost).postcopy.unwrap();
    assert_eq!((waits.faults, waits.guest_count), (None, None), "the records of gaps are missing");
    assert!(waits.faults_reason.unwrap().contains("gap records are missing"));
    data.blind(|_| true);
    assert_eq!(found(&data).count, 0, "writers slept and vCPUs ran");
    for arrival in &mut data.arrivals {
        if let Body::Interval(interval) = &mut arrival.record.body {
            interval.callbacks = Some(1);
        }
    }
    let told = found(&data);
    assert_eq!((told.count, told.async_count), (75, 75), "they waited");
}

#[test]
fn without_a_mark_faults_are_not_guessed_at_and_differences_from_qemu_are_said() {
    let mut data = Story::post_copy().run_data();
    data.arrivals.retain(|arrival| !matches!(arrival.record.body, Body::Mark(_) | Body::Stall(_)));
    let waits = of(&data).postcopy.unwrap();
    assert_eq!((&waits.faults, waits.guest_count), (&None, Some(200)));
    assert!(waits.faults_reason.is_some_and(|reason| reason.contains("mark")));
    assert_eq!(waits.disagreements.len(), 2, "{:?}", waits.disagreements);
}

#[test]
fn fewer_faults_than_requests_fit_and_more_do_not() {
    let asked_for = |requests| {
        let mut data = Story::post_copy().run_data();
        data.run.source.as_mut().unwrap().ram.as_mut().unwrap().postcopy_requests = Some(requests);
        of(&data).postcopy.unwrap().disagreements
    };
    assert_eq!(asked_for(200), Vec::<String>::new());
    assert_eq!(asked_for(95), Vec::<String>::new());
    assert!(matches!(&asked_for(80)[..], [one] if one.contains("more than the pages QEMU asked for")));
}

#[test]
fn a_known_stop_is_known_time_and_so_is_a_known_law() {
    let time = |story: &Story, name| stage(&of(&story.run_data()), name).time.unwrap();
    for frozen_clock in [true, false] {
        let found = time(&Story { frozen_clock, ..Story::precopy() }, PhaseName::Blackout);
        assert!((found.of(GapClass::Blackout) - 0.8).abs() < 0.01, "two vCPUs, 400 ms: {found:?}");
        assert!(found.running_s < 0.01);
    }
    let story = Story::auto_converge();
    let found = time(&story, PhaseName::Precopy);
    let slept_s: f64 = story.away.iter().map(|(start, end)| (end - start) / 1e3).sum();
    assert!((found.of(GapClass::Throttle) - 2.0 * slept_s).abs() < 0.02 * slept_s, "{found:?}, {slept_s} s");
    let sure = found.lost().find(|(class, ..)| *class == GapClass::Throttle).unwrap().2.unwrap();
    assert!(sure > 0.9, "on the host's word: {sure}");
}

#[test]
fn a_rhythm_that_no_throttle_of_the_host_explains_is_no_throttle() {
    let story = Story { throttle: Vec::new(), ..Story::auto_converge() };
    let found = stage(&of(&story.run_data()), PhaseName::Precopy).time.unwrap();
    assert!(found.of(GapClass::Throttle) < 1e-9 && found.of(GapClass::VmPause) > 1.0, "{found:?}");
}

#[test]
fn half_the_rate_for_two_seconds_loses_one_and_a_gib_takes_its_pages_over_the_rate() {
    let mut data = Story { blackout: None, completed_ms: None, ..Story::precopy() }.run_data();
    let slow = Story::precopy().mono_ns(2000.0)..Story::precopy().mono_ns(4000.0);
    for arrival in &mut data.arrivals {
        if let Body::Interval(interval) = &mut arrival.record.body
            && slow.contains(&interval.start_ns)
        {
            interval.writes /= 2;
        }
    }
    let analysis = of(&data);
    let lost = analysis.lost.unwrap();
    assert!((lost.full_stop_s - 1.0).abs() < 0.02, "{lost:?}");
    assert!((lost.pages / 2560.0 - 1.0).abs() < 0.02, "{lost:?}");
    let baseline = stage(&analysis, PhaseName::Baseline).ms_per_gib.unwrap();
    assert!((baseline / (262_144.0 / 2560.0 * 1e3) - 1.0).abs() < 0.01, "{baseline}");
}

#[test]
fn visits_that_take_three_times_as_long_are_a_slowdown_of_three() {
    use crate::histogram::Counts;
    let mut data = Story::precopy().run_data();
    let from_ns = Story::precopy().mono_ns(0.0);
    for arrival in &mut data.arrivals {
        if let Body::Interval(interval) = &mut arrival.record.body
            && interval.start_ns >= from_ns
        {
            let mut slower = Counts::default();
            for (value_ns, count) in Counts::unpack(&interval.service_hist).unwrap().occupied() {
                slower.record_n(value_ns * 3, count);
            }
            interval.service_hist = slower.pack();
        }
    }
    let slowdown = stage(&of(&data), PhaseName::Precopy).slowdown.clone().unwrap();
    for ratio in slowdown.service.iter().filter(|ratio| ratio.of != "p999") {
        let ([low, high], found) = (ratio.bounds.unwrap(), ratio.ratio.unwrap());
        let beside = low <= 1.01 * found && found <= 1.01 * high;
        assert!((found - 3.0).abs() < 0.06 && beside, "{ratio:?}");
    }
    assert!((slowdown.rate.ratio.unwrap() - 1.0).abs() < 0.01);
}

#[test]
fn settling_begins_where_the_last_bad_stretch_ends() {
    let mut data = Story { end_ms: 16_000, ..Story::precopy() }.run_data();
    let bad = Story::precopy().mono_ns(6500.0)..Story::precopy().mono_ns(8500.0);
    for arrival in &mut data.arrivals {
        if let Body::Interval(interval) = &mut arrival.record.body
            && bad.contains(&interval.start_ns)
        {
            interval.response_ns.p99 = Some(1_000_000_000);
        }
    }
    let settling = of(&data).settling;
    // 5 % of the 50 intervals of 5 s may be bad: two of them.
    assert!(settling.after_s.is_some_and(|after_s| (1.7..2.3).contains(&after_s)), "{settling:?}");
}

#[test]
fn the_gap_at_the_start_of_a_migration_is_of_class_setup_on_the_hosts_word_alone() {
    for cpus in [1, 2] {
        let story = Story { cpus, away: vec![(1.0, 99.0)], setup: Some((0.5, 101.0)), ..Story::precopy() };
        let analysis = of(&story.run_data());
        let setup = analysis.setup.unwrap();
        assert!((setup.span.length_s() - 0.1005).abs() < 1e-4, "by QEMU's stamps: {setup:?}");
        assert_eq!((setup.qemu_setup_ns, setup.longest_gap_ns), (Some(100_000_000), Some(98_000_000)));
        let time = stage(&analysis, PhaseName::Precopy).time.unwrap();
        assert!((time.of(GapClass::Setup) - 0.098 * f64::from(cpus)).abs() < 1e-3, "{time:?}");
        assert!(analysis.longest.iter().any(|gap| gap.class == GapClass::Setup && gap.confidence > 0.9));
        // Without the host's word it is what the guest alone can tell of it.
        let untold = of(&Story { setup: None, ..story }.run_data());
        assert_eq!(untold.setup, None);
        assert!(untold.longest.iter().all(|gap| gap.class != GapClass::Setup));
    }
}

#[test]
fn a_gap_beside_the_set_up_is_not_of_it_and_a_set_up_that_failed_is_none() {
    let story = Story { away: vec![(160.0, 190.0)], setup: Some((0.5, 101.0)), ..Story::precopy() };
    let analysis = of(&story.run_data());
    assert_eq!(analysis.setup.unwrap().longest_gap_ns, Some(0));
    assert!(analysis.longest.iter().all(|gap| gap.class != GapClass::Setup));
    let mut data = story.run_data();
    for line in &mut data.qemu {
        match &mut line.body {
            crate::record::QemuBody::Event { data, .. } if data["status"] == "active" => {
                data["status"] = "failed".into();
            }
            crate::record::QemuBody::Sample(sample) => sample.setup_time_ms = None,
            _ => {}
        }
    }
    data.run.source.as_mut().unwrap().setup_time_ms = None;
    assert_eq!(of(&data).setup, None);
}

#[test]
fn the_same_run_gives_the_same_figures() {
    let data = Story::precopy().run_data();
    assert_eq!(of(&data), of(&data));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_gaps_there_are_classes_and_running_time_add_up_to_the_wall(
        gaps in prop::collection::vec((0u32..4, 0u64..40_000_000_000, 0u64..3_000_000_000, 0u64..9), 0..60),
        frozen_clock: bool,
    ) {
        let story = Story { begin_ms: -2000, interval_ms: 500, frozen_clock, ..Story::precopy() };
        let mut data = story.run_data();
        let begin_ns = story.mono_ns(-4000.0);
        let like = data.arrivals[1].clone();
        for (cpu, start_ns, len_ns, minflt) in gaps {
            let features = GapFeatures { minflt: minflt / 8, ..GapFeatures::default() };
            let gap = Gap { cpu, start_ns: begin_ns + start_ns, len_ns, class: GapClass::Unknown, features };
            let mut arrival = like.clone();
            arrival.record.body = Body::Gap(gap);
            data.arrivals.push(arrival);
        }
        for stage in of(&data).stages {
            let time = stage.time.unwrap();
            let lost_s: f64 = time.lost().map(|(_, lost_s, _)| lost_s).sum();
            prop_assert!((time.running_s + lost_s - time.wall_s).abs() <= 1e-6 * time.wall_s, "{:?}", time);
            prop_assert!(time.lost().all(|(_, lost_s, _)| lost_s >= -1e-9));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn no_guest_can_make_it_panic(
        times in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>(), any::<u32>()), 1..60)
    ) {
        let mut data = Story { begin_ms: -2000, end_ms: 3000, ..Story::precopy() }.run_data();
        for (arrival, (start, end, count, cpu)) in data.arrivals.iter_mut().rev().zip(times) {
            match &mut arrival.record.body {
                Body::Interval(interval) => {
                    (interval.start_ns, interval.end_ns, interval.writes) = (start, end, count);
                    interval.service_hist = "HISTFA?".into();
                }
                Body::Gap(gap) => (gap.start_ns, gap.len_ns, gap.cpu) = (start, end, cpu),
                _ => arrival.record.mono_ns = start,
            }
        }
        let analysis = of(&data);
        prop_assert!(serde_json::to_string(&analysis).is_ok());
    }
}
