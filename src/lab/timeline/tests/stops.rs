//! Guests that were stopped by hand before they were migrated: what came before tells nothing of the clocks after it.

use super::within;
use crate::{
    lab::timeline::{Blackout, PhaseName, fixture::Story},
    record::{CycleFigures, Milestone, MilestoneName, QemuBody, QemuLine, Side},
};

/// Pre-copy as ever, with a stop of `from` to `until` before it.
fn stopped(from: f64, until: f64) -> Story {
    Story { begin_ms: -12_000, stops: vec![(from, until)], ..Story::precopy() }
}

/// What the source's QEMU told at that moment.
fn event(story: &Story, at_ms: f64, name: &str) -> QemuLine {
    let body = QemuBody::Event { event: name.into(), qemu_real_us: None, data: serde_json::Value::Null };
    QemuLine { host_ns: story.host_ns(at_ms), side: Side::Source, body }
}

fn off_ms(found_ns: Option<i128>, truth_ns: u64) -> f64 {
    (found_ns.unwrap() - i128::from(truth_ns)) as f64 / 1e6
}

#[test]
fn a_stop_before_the_migration_hides_no_blackout() {
    for frozen_clock in [true, false] {
        let blackout = Story { frozen_clock, ..stopped(-9000.0, -4000.0) }.run_data().timeline().blackout;
        within(blackout.estimate_ns, 400.0, 1.0);
        let step_ms = blackout.offset_step_ns.unwrap() as f64 / 1e6;
        assert!((step_ms - if frozen_clock { 400.0 } else { 0.0 }).abs() < 1.0, "{step_ms}");
        within(blackout.common_gap_ns, if frozen_clock { 0.0 } else { 400.0 }, 0.001);
    }
}

#[test]
fn a_stop_shorter_than_the_reach_before_the_migration_is_no_part_of_the_blackout() {
    let story = stopped(-2000.0, -1000.0);
    let switch_ns = story.run_data().axis().switch_mono_ns();
    assert!(off_ms(switch_ns, story.mono_ns(6000.0)).abs() < 1.0, "{switch_ns:?}");
    within(story.run_data().timeline().blackout.estimate_ns, 400.0, 1.0);
}

#[test]
fn a_stop_within_reach_of_the_switch_is_no_part_of_the_blackout() {
    // By the guest's clock all of it lies within three seconds of the switch, and so does the time before the stop.
    within(stopped(-2000.0, 4000.0).run_data().timeline().blackout.estimate_ns, 400.0, 1.0);
    // By the host's as well: here QEMU must have told of it.
    let story = stopped(4000.0, 5500.0);
    let mut data = story.run_data();
    data.qemu.extend([event(&story, 4000.0, "STOP"), event(&story, 5500.0, "RESUME")]);
    within(data.timeline().blackout.estimate_ns, 400.0, 1.0);
}

#[test]
fn a_stop_by_hand_during_the_migration_is_not_the_switch() {
    let story = stopped(4000.0, 5500.0);
    let mut data = story.run_data();
    data.qemu.extend([event(&story, 4000.0, "STOP"), event(&story, 5500.0, "RESUME")]);
    let by_hand = Milestone { name: MilestoneName::Stop, host_ns: story.host_ns(4000.0) };
    let first = data.run.milestones.iter().position(|milestone| milestone.name == MilestoneName::Stop);
    data.run.milestones.insert(first.unwrap(), by_hand);
    let blackout = data.timeline().blackout;
    within(blackout.estimate_ns, 400.0, 1.0);
    within(blackout.stop_to_resume_ns, 400.0, 1.0);
}

#[test]
fn stamps_on_both_sides_of_a_stop_lie_where_the_host_saw_them() {
    let story = Story {
        begin_ms: -14_000,
        stops: vec![(-12_000.0, -11_000.0), (-8000.0, -3000.0)],
        ..Story::precopy()
    };
    let axis = story.run_data().axis();
    for at_ms in [-13_500.0, -12_150.0, -10_900.0, -9000.0, -8150.0, -2900.0, 0.0, 5900.0, 6500.0, 9000.0] {
        let found_s = axis.guest_s(story.mono_ns(at_ms)).unwrap();
        assert!((found_s - at_ms / 1000.0).abs() < 0.002, "{at_ms} ms became {found_s} s");
        let side = if at_ms < 6000.0 { Side::Source } else { Side::Destination };
        let back_ns = axis.guest_ns(at_ms / 1000.0, side).map(i128::from);
        assert!(off_ms(back_ns, story.mono_ns(at_ms)).abs() < 2.0, "{at_ms} ms became {back_ns:?}");
    }
    // In the stop the clock shows what it showed at its begin, as nearly as the last record tells it.
    let stood_ns = axis.guest_ns(-5.0, Side::Source).map(i128::from);
    assert!((-101.0..1.0).contains(&off_ms(stood_ns, story.mono_ns(-8000.0))), "{stood_ns:?}");
}

#[test]
fn a_guest_that_said_nothing_at_last_is_placed_by_the_last_it_said() {
    let story = stopped(-9000.0, -4000.0);
    let mut data = story.run_data();
    let silent = story.host_ns(1000.0)..story.host_ns(6000.0);
    data.arrivals.retain(|arrival| !silent.contains(&arrival.host_ns));
    let switch_ns = data.axis().switch_mono_ns();
    assert!(off_ms(switch_ns, story.mono_ns(6000.0)).abs() < 1.0, "{switch_ns:?}");
}

#[test]
fn a_record_that_came_late_makes_no_other_one_late() {
    let story = stopped(-8960.0, -4000.0);
    for late_ms in [20.0, 300.0] {
        let mut data = story.run_data();
        // The last one before each of both stops, with none after it.
        for stop in [-8960.0, 6000.0] {
            let late = story.host_ns(stop - late_ms)..story.host_ns(stop);
            data.arrivals.retain(|arrival| !late.contains(&arrival.host_ns));
            let last = data.arrivals.iter_mut().rfind(|arrival| arrival.host_ns < late.start).unwrap();
            last.host_ns += late.end - late.start;
        }
        let axis = data.axis();
        assert!(off_ms(axis.switch_mono_ns(), story.mono_ns(6000.0)).abs() < 2.0, "{axis:?}");
        for at_ms in [-11_000.0, -9500.0, -3000.0, 5500.0, 6500.0] {
            let found_s = axis.guest_s(story.mono_ns(at_ms)).unwrap();
            assert!((found_s - at_ms / 1000.0).abs() < 0.002, "{at_ms} ms became {found_s} s");
        }
    }
}

#[test]
fn a_source_that_goes_on_after_its_last_record_hides_none() {
    let story = Story::precopy();
    let mut data = story.run_data();
    let before = data.axis();
    data.qemu.push(event(&story, 6200.0, "RESUME"));
    assert_eq!(data.axis(), before);
}

#[test]
fn a_guest_that_was_saved_and_restored_is_placed_by_the_clock_of_its_time_and_has_a_baseline_before_it() {
    let story = stopped(-9000.0, -4000.0);
    let mut data = story.run_data();
    data.run.milestones.clear();
    (data.run.source, data.run.destination) = (None, None);
    let began_ns = story.host_ns(-9000.0);
    data.run.cycles = vec![CycleFigures { number: 1, began_ns, ..CycleFigures::default() }];
    let axis = data.axis();
    // Before the stop, after it, and after the guest went to the other side: each record where it came.
    let read = data.data();
    for stamp in &read.records.stamps {
        let found_ns = axis.guest_to_host_ns(stamp.mono_ns);
        assert!(off_ms(found_ns, stamp.host_ns).abs() < 50.0, "{stamp:?}: {found_ns:?}");
    }
    let timeline = data.timeline();
    assert_eq!(timeline.blackout, Blackout::default());
    let names: Vec<PhaseName> = timeline.phases.iter().map(|phase| phase.name).collect();
    assert_eq!(names, [PhaseName::Baseline, PhaseName::Run]);
    assert!((timeline.phases[0].figures.span.length_s() - 3.0).abs() < 0.2, "{:?}", timeline.phases[0]);
}
