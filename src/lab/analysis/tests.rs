//! Runs made by hand, whose cost is known.

use super::{away::availability, *};
use crate::{lab::timeline::fixture::Story, record::Body};
use proptest::prelude::*;

fn of(data: &RunData) -> Analysis {
    Analysis::of(data, &Timeline::of(data))
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
fn a_baseline_that_changes_halfway_is_compared_with_nothing() {
    let mut data = Story::precopy().run_data();
    for arrival in data.arrivals.iter_mut().take(40) {
        if let Body::Interval(interval) = &mut arrival.record.body {
            interval.writes /= 2;
        }
    }
    let analysis = of(&data);
    assert!(analysis.baseline_reason.as_ref().is_some_and(|reason| reason.contains("disagree")));
    assert_eq!((analysis.lost, analysis.baseline_pages_per_s), (None, None));
    assert!(stage(&analysis, PhaseName::Precopy).slowdown.as_ref().unwrap().rate.ratio.is_none());
}

#[test]
fn a_blackout_alone_loses_its_own_length() {
    let lost = of(&Story::precopy().run_data()).lost.unwrap();
    assert!((lost.full_stop_s - 0.4).abs() < 0.02, "{lost:?}");
}

#[test]
fn classes_and_running_time_add_up_to_the_wall() {
    for story in [Story::precopy(), Story::auto_converge(), Story::post_copy()] {
        for stage in of(&story.run_data()).stages {
            let time = stage.time.unwrap();
            let lost_s = time.blackout_s + time.guest_sched_s + time.guest_fault_s + time.unknown_s;
            assert!((time.running_s + lost_s - time.wall_s).abs() <= 0.01 * time.wall_s, "{time:?}");
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
fn post_copys_waits_stand_beside_qemus_and_differences_are_said() {
    let waits = of(&Story::post_copy().run_data()).postcopy.unwrap();
    assert_eq!((waits.guest_count, waits.qemu_requests), (200, Some(100)));
    assert_eq!(waits.disagreements.len(), 1, "{waits:?}");
}

#[test]
fn the_same_run_gives_the_same_figures() {
    let data = Story::precopy().run_data();
    assert_eq!(of(&data), of(&data));
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
