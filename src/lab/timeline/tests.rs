//! Runs made by hand, whose truth is known, told back by the timeline.

use super::{
    fixture::{FixtureData, Story},
    *,
};
use crate::record::{Body, Gap, GapClass, GapFeatures, MilestoneName};
use proptest::prelude::*;

mod collected;
mod late;
mod stops;

fn within(found: Option<u64>, truth_ms: f64, tolerance_ms: f64) {
    let found_ms = found.map(|ns| ns as f64 / 1e6);
    let near = found_ms.is_some_and(|found| (found - truth_ms).abs() <= tolerance_ms);
    assert!(near, "{found_ms:?} ms, should be {truth_ms} ± {tolerance_ms}");
}

fn names(timeline: &Timeline) -> Vec<PhaseName> {
    timeline.phases.iter().map(|phase| phase.name).collect()
}

#[test]
fn a_blackout_that_the_guest_clock_slept_through_is_found_in_the_offset() {
    let blackout = Story::precopy().run_data().timeline().blackout;
    within(blackout.estimate_ns, 400.0, 1.0);
    within(blackout.stop_to_resume_ns, 400.0, 0.001);
    assert_eq!((blackout.qemu_downtime_ns, blackout.common_gap_ns), (Some(310_000_000), Some(0)));
}

#[test]
fn a_blackout_that_the_guest_clock_ran_through_is_found_in_the_gaps_of_all_vcpus() {
    let story = Story { frozen_clock: false, ..Story::precopy() };
    let blackout = story.run_data().timeline().blackout;
    within(blackout.estimate_ns, 400.0, 1.0);
    within(blackout.common_gap_ns, 400.0, 0.001);
    assert!(blackout.offset_step_ns.is_some_and(|step| step.abs() < 1_000_000));
}

#[test]
fn what_a_coarse_clock_cannot_tell_is_in_what_a_blackout_may_be_off() {
    let blackout = |step_ns| {
        let story = Story { clock_step_ns: Some(step_ns), ..Story::precopy() };
        story.run_data().timeline().blackout
    };
    let (fine, coarse) = (blackout(20), blackout(10_000_000));
    assert_eq!(coarse.error_ns, fine.error_ns.map(|error_ns| error_ns + 15_000_000));
    let (untold, reason) = (blackout(40_000_000), "it could be off by 60.0 ms");
    assert!(untold.estimate_ns.is_none() && untold.reason.is_some_and(|own| own.ends_with(reason)));
}

#[test]
fn a_wall_clock_that_somebody_set_at_the_switch_is_told() {
    let mut data = Story::precopy().run_data();
    assert_eq!(data.timeline().blackout.wall_clock_step_ns, Some(0));
    assert_eq!(data.timeline().blackout.disruption_told, None);
    for arrival in &mut data.arrivals {
        if let Body::Heartbeat(beat) = &mut arrival.record.body {
            let moved = arrival.side == crate::record::Side::Destination;
            beat.real_ns += if moved { 400_000_000 } else { 0 };
            beat.disruptions = Some(u64::from(moved));
        }
    }
    let blackout = data.timeline().blackout;
    assert_eq!((blackout.wall_clock_step_ns, blackout.disruption_told), (Some(400_000_000), Some(true)));
}

#[test]
fn what_the_guests_clock_lost_is_told_by_the_hypervisors_whoever_was_held_up_between_the_two_readings() {
    for lost_ns in [400_000_000, 0] {
        let mut data = Story::precopy().run_data();
        assert_eq!(data.timeline().blackout.ptp_step_ns, None, "no such clock");
        for (arrival, count) in data.arrivals.iter_mut().zip(0u64..) {
            let moved = arrival.side == crate::record::Side::Destination;
            if let Body::Heartbeat(beat) = &mut arrival.record.body {
                let true_ns = 1_700_000_000_000_000_000 + arrival.record.mono_ns;
                let held_up_ns = if count.is_multiple_of(3) { 0 } else { 5_000_000 + count };
                beat.ptp_ns = Some(true_ns + if moved { lost_ns } else { 0 } - held_up_ns);
            }
        }
        let found = data.timeline().blackout.ptp_step_ns;
        assert_eq!(found, i64::try_from(lost_ns).ok());
    }
}

#[test]
fn a_throttle_sleep_that_ends_at_a_blackout_the_clock_slept_through_is_not_added_to_it() {
    let mut data = Story::precopy().run_data();
    let switch_ns = u64::try_from(data.axis().switch_mono_ns().unwrap()).unwrap();
    let sleep_ns = 90_000_000;
    let mut sleeping = data.arrivals.clone();
    sleeping.truncate(2);
    for (arrival, cpu) in sleeping.iter_mut().zip(0..) {
        arrival.record.mono_ns = switch_ns;
        let (start_ns, features) = (switch_ns - sleep_ns, GapFeatures::default());
        let gap = Gap { cpu, start_ns, len_ns: sleep_ns, class: GapClass::Unknown, features };
        arrival.record.body = Body::Gap(gap);
        arrival.host_ns = u64::MAX / 2;
    }
    data.arrivals.extend(sleeping);
    let blackout = data.timeline().blackout;
    within(blackout.estimate_ns, 400.0, 1.0);
    within(blackout.common_gap_ns, 90.0, 0.001);
    assert!(blackout.gap_is_beside());
}

#[test]
fn a_gap_that_one_vcpu_alone_saw_is_no_blackout() {
    let mut data = Story { frozen_clock: false, ..Story::precopy() }.run_data();
    let mut lost = data.clone();
    data.blind(|cpu| cpu == 1);
    assert_eq!(data.timeline().blackout.common_gap_ns, Some(0));
    lost.arrivals.retain(|arrival| !matches!(&arrival.record.body, Body::Gap(gap) if gap.cpu == 1));
    let blackout = lost.timeline().blackout;
    assert_eq!((blackout.common_gap_ns, blackout.estimate_ns), (None, None), "its records are missing");
    assert_eq!(blackout.reason.as_deref(), Some("gap records are missing"));
}

#[test]
fn guest_stamps_after_the_switch_lie_where_the_host_saw_them() {
    for frozen_clock in [true, false] {
        let story = Story { frozen_clock, ..Story::precopy() };
        let axis = story.run_data().axis();
        for at_ms in [-4000.0, 0.0, 5900.0, 6500.0, 9000.0] {
            let found_s = axis.guest_s(story.mono_ns(at_ms)).unwrap();
            assert!((found_s - at_ms / 1000.0).abs() < 0.001, "{at_ms} ms became {found_s} s");
        }
    }
}

#[test]
fn stages_follow_each_other_without_a_hole() {
    use PhaseName::{After, Baseline, Blackout, Postcopy, Precopy};
    let timeline = Story::post_copy().run_data().timeline();
    assert_eq!(names(&timeline), [Baseline, Precopy, Blackout, Postcopy, After]);
    for pair in timeline.phases.windows(2) {
        assert!((pair[0].figures.span.end_s - pair[1].figures.span.start_s).abs() < 1e-9);
    }
    let postcopy = timeline.phase(Postcopy).unwrap().figures.span;
    assert!((postcopy.start_s - 5.1).abs() < 1e-6 && (postcopy.end_s - 11.2).abs() < 1e-6);
}

#[test]
fn a_run_that_never_migrated_is_all_baseline() {
    let mut data = Story::precopy().run_data();
    data.run.milestones.retain(|milestone| milestone.name == MilestoneName::Hello);
    let timeline = data.timeline();
    assert_eq!((names(&timeline), timeline.migration_ns), (vec![PhaseName::Baseline], None));
}

#[test]
fn a_migration_that_never_came_to_its_switch_ends_in_pre_copy() {
    let story = Story { blackout: None, completed_ms: None, ..Story::auto_converge() };
    let timeline = story.run_data().timeline();
    assert_eq!(names(&timeline), [PhaseName::Baseline, PhaseName::Precopy]);
    assert_eq!((timeline.migration_ns, timeline.blackout.estimate_ns), (None, None));
}

#[test]
fn an_empty_run_has_no_figures_at_all() {
    let mut data = Story::precopy().run_data();
    (data.arrivals, data.qemu, data.run.milestones) = (Vec::new(), Vec::new(), Vec::new());
    let timeline = data.timeline();
    assert!(timeline.phases.is_empty() && timeline.throttle.is_empty() && timeline.guest.is_empty());
    assert_eq!(timeline.dirty_rate, None);
}

#[test]
fn the_guest_loses_what_qemu_throttles_at_every_level() {
    let timeline = Story::auto_converge().run_data().timeline();
    let percents: Vec<_> = timeline.throttle.iter().map(|level| level.percent).collect();
    assert_eq!(percents[..3], [None, Some(20), Some(30)]);
    assert_eq!(percents.len(), 9);
    for level in &timeline.throttle {
        let lost = level.figures.gaps.unwrap().share * 100.0;
        let percent = level.percent.unwrap_or(0) as f64;
        assert!((lost - percent).abs() < 3.0, "{percent} % by QEMU, {lost} % by the guest");
    }
}

#[test]
fn the_rate_of_an_undisturbed_stage_is_what_was_asked() {
    let timeline = Story::auto_converge().run_data().timeline();
    let baseline = &timeline.phase(PhaseName::Baseline).unwrap().figures;
    let (asked, achieved) = (baseline.asked_pages_per_s.unwrap(), baseline.achieved_pages_per_s.unwrap());
    assert!((achieved / asked - 1.0).abs() < 0.01, "{achieved} of {asked}");
    let gaps = baseline.gaps.unwrap();
    assert_eq!((gaps.count, gaps.total_ns), (0, 0));
}

#[test]
fn post_copy_stalls_are_the_gaps_between_resume_and_completion() {
    let story = Story::post_copy();
    let postcopy = story.run_data().timeline().postcopy.unwrap();
    let truth_ms: f64 = story.away.iter().map(|(start, end)| end - start).sum();
    within(postcopy.guest_stall_ns, truth_ms * f64::from(story.cpus), truth_ms * 0.01);
    within(postcopy.guest_longest_stall_ns, 50.0, 0.1);
    assert_eq!(postcopy.requests, Some(100));
    assert_eq!(Story::precopy().run_data().timeline().postcopy, None);
}

#[test]
fn where_gap_records_were_dropped_the_sums_of_the_intervals_count() {
    let mut data = Story::post_copy().run_data();
    let whole = data.timeline().postcopy.unwrap().guest_stall_ns.unwrap();
    data.arrivals.retain(|arrival| !matches!(arrival.record.body, Body::Gap(_)));
    data.run.stream.dropped_by_guest = 200;
    let timeline = data.timeline();
    within(timeline.postcopy.as_ref().unwrap().guest_stall_ns, whole as f64 / 1e6, whole as f64 / 1e8);
    assert!(
        timeline
            .remarks
            .iter()
            .any(|remark| remark == "200 gaps have no record: gap figures come from the intervals' sums")
    );
}

#[test]
fn a_gap_counts_in_each_interval_by_its_own_part() {
    let story = Story { away: vec![(1050.0, 1250.0)], blackout: None, ..Story::precopy() };
    let timeline = story.run_data().timeline();
    let lost_s: f64 = timeline.guest.iter().map(|at| at.gap_share.unwrap() * at.span.length_s()).sum();
    assert!((lost_s - 0.2).abs() < 0.001, "{lost_s}");
}

#[test]
fn an_interval_that_holds_a_blackout_is_lost_but_for_what_the_guest_clock_saw() {
    // The interval begins with the blackout of 400 ms. A clock that stands still still has its 100 ms to go; one that
    // runs on has them behind it, and the interval ends as soon as the guest is back.
    for (frozen_clock, truth) in [(true, 400.0 / 500.0), (false, 400.0 / 401.0)] {
        let timeline = Story { frozen_clock, ..Story::precopy() }.run_data().timeline();
        let most = timeline.guest.iter().filter_map(|at| at.gap_share).fold(0.0, f64::max);
        assert!((most - truth).abs() < 0.005, "{most}, should be {truth}");
    }
}

#[test]
fn a_guest_without_canaries_has_no_gap_figures() {
    let mut data = Story::precopy().run_data();
    for arrival in &mut data.arrivals {
        if let Body::Interval(interval) = &mut arrival.record.body {
            interval.gaps = None;
        }
    }
    let timeline = data.timeline();
    assert!(timeline.phases.iter().all(|phase| phase.figures.gaps.is_none()));
    assert!(timeline.guest.iter().all(|point| point.gap_share.is_none()));
}

#[test]
fn a_histogram_that_cannot_be_read_is_counted_and_hides_nothing_else() {
    let mut data = Story::precopy().run_data();
    for arrival in &mut data.arrivals {
        if let Body::Interval(interval) = &mut arrival.record.body {
            interval.service_hist = "?".into();
        }
    }
    let timeline = data.timeline();
    let baseline = &timeline.phase(PhaseName::Baseline).unwrap().figures;
    assert!(baseline.service_ns.is_none() && baseline.response_ns.is_some());
    assert!(
        timeline.remarks.iter().any(|remark| remark.contains("cannot be read")),
        "{:?}",
        timeline.remarks
    );
}

#[test]
fn a_pass_lasts_until_the_next_one_is_counted() {
    let timeline = Story::auto_converge().run_data().timeline();
    assert_eq!((timeline.pass_count, timeline.passes.len()), (Some(11), 11));
    let second = &timeline.passes[1];
    assert_eq!((second.number, second.dirty_pages_per_s), (2, Some(12_800)));
    assert!((second.span.length_s() - 2.0).abs() < 1e-6);
    assert_eq!(timeline.dirty_rate.unwrap().highest_pages_per_s, 12_800);
}

#[test]
fn syncs_within_a_pass_are_not_told_as_passes() {
    let told = |version: &str, converges: bool, longest_s: f64| {
        let mut data = Story::auto_converge().run_data();
        data.run.provenance.qemu_version = version.into();
        data.run.scenario = serde_json::json!({ "migration": { "auto_converge": converges } });
        let mut passes = data.timeline().passes;
        passes[0].span.end_s = passes[0].span.start_s + 20.0;
        passes[4].span.end_s = passes[4].span.start_s + longest_s;
        qemu::why_no_passes(&data.data(), &passes).is_some()
    };
    assert!(told("10.0.13 (Debian)", true, 5.5));
    assert!(!told("10.0.13 (Debian)", true, 2.5), "no pass was so long");
    assert!(!told("10.0.13 (Debian)", false, 5.5), "only auto-converge does");
    assert!(!told("9.1.0", true, 5.5));
    assert!(told("", true, 5.5), "nobody knows which it is");
}

#[test]
fn where_passes_cannot_be_told_the_syncs_are() {
    let mut data = Story::auto_converge().run_data();
    data.run.provenance.qemu_version = "11.1.3".into();
    data.run.scenario = serde_json::json!({ "migration": { "auto_converge": true } });
    for line in &mut data.qemu {
        if let crate::record::QemuBody::Sample(sample) = &mut line.body {
            let count = sample.ram.as_mut().unwrap().dirty_sync_count.as_mut().unwrap();
            *count = (*count).min(3);
        }
    }
    let timeline = data.timeline();
    assert_eq!((timeline.sync_count, timeline.pass_count), (Some(11), None));
    assert!(timeline.pass_reason.is_some());
}

proptest! {
    #[test]
    fn no_stamp_of_a_guest_panics(stamps in prop::collection::vec(any::<u64>(), 8), length in any::<u64>()) {
        let mut data = SHORT.with(FixtureData::clone);
        for (arrival, stamp) in data.arrivals.iter_mut().zip(stamps) {
            arrival.record.mono_ns = stamp;
            if let Body::Interval(interval) = &mut arrival.record.body {
                (interval.start_ns, interval.end_ns) = (stamp, length);
            }
        }
        prop_assert!(data.timeline().phases.iter().all(|phase| phase.figures.span.length_s() > 0.0));
    }
}

std::thread_local! {
    /// A run of a third of a second, made once.
    static SHORT: FixtureData = Story { end_ms: 0, begin_ms: -300, blackout: None, ..Story::precopy() }.run_data();
}
