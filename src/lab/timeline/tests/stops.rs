//! Guests that were stopped by hand before they were migrated: what came before tells nothing of the clocks after it.

use super::within;
use crate::{
    lab::{
        rundir::RunData,
        timeline::{Axis, Timeline, fixture::Story},
    },
    record::{QemuBody, QemuLine, Side},
};

/// Pre-copy as ever, with a stop of `from` to `until` before it.
fn stopped(from: f64, until: f64) -> Story {
    Story { begin_ms: -12_000, stops: vec![(from, until)], ..Story::precopy() }
}

/// The run of `story`, of whose stops QEMU told.
fn told(story: &Story) -> RunData {
    let mut data = story.run_data();
    for (stop, resume) in &story.stops {
        for (at_ms, event) in [(*stop, "STOP"), (*resume, "RESUME")] {
            let (event, data_of_it) = (event.into(), serde_json::Value::Null);
            let body = QemuBody::Event { event, qemu_real_us: 0, data: data_of_it };
            data.qemu.push(QemuLine { host_ns: story.host_ns(at_ms), side: Side::Source, body });
        }
    }
    data
}

fn off_ms(found_ns: Option<i128>, truth_ns: u64) -> f64 {
    (found_ns.unwrap() - i128::from(truth_ns)) as f64 / 1e6
}

#[test]
fn a_stop_before_the_migration_hides_no_blackout() {
    for frozen_clock in [true, false] {
        let blackout = Timeline::of(&Story { frozen_clock, ..stopped(-9000.0, -4000.0) }.run_data()).blackout;
        within(blackout.estimate_ns, 400.0, 1.0);
        let step_ms = blackout.offset_step_ns.unwrap() as f64 / 1e6;
        assert!((step_ms - if frozen_clock { 400.0 } else { 0.0 }).abs() < 1.0, "{step_ms}");
        within(blackout.common_gap_ns, if frozen_clock { 0.0 } else { 400.0 }, 0.001);
    }
}

#[test]
fn a_stop_shorter_than_the_reach_before_the_migration_is_no_part_of_the_blackout() {
    let story = stopped(-2000.0, -1000.0);
    let switch_ns = Axis::of(&story.run_data()).switch_mono_ns();
    assert!(off_ms(switch_ns, story.mono_ns(6000.0)).abs() < 1.0, "{switch_ns:?}");
    within(Timeline::of(&story.run_data()).blackout.estimate_ns, 400.0, 1.0);
}

#[test]
fn a_stop_within_reach_of_the_switch_is_no_part_of_the_blackout() {
    // By the guest's clock all of it lies within three seconds of the switch, and so does the time before the stop.
    within(Timeline::of(&stopped(-2000.0, 4000.0).run_data()).blackout.estimate_ns, 400.0, 1.0);
    // By the host's as well: here QEMU must have told of it.
    within(Timeline::of(&told(&stopped(4000.0, 5500.0))).blackout.estimate_ns, 400.0, 1.0);
}

#[test]
fn stamps_on_both_sides_of_a_stop_lie_where_the_host_saw_them() {
    let story = Story {
        begin_ms: -14_000,
        stops: vec![(-12_000.0, -11_000.0), (-8000.0, -3000.0)],
        ..Story::precopy()
    };
    let axis = Axis::of(&story.run_data());
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
    let switch_ns = Axis::of(&data).switch_mono_ns();
    assert!(off_ms(switch_ns, story.mono_ns(6000.0)).abs() < 1.0, "{switch_ns:?}");
}

#[test]
fn a_record_that_came_late_at_last_makes_no_step() {
    let story = Story::precopy();
    let mut data = story.run_data();
    let before = Axis::of(&data);
    let on_source = data.arrivals.iter_mut().filter(|arrival| arrival.side == Side::Source);
    let last = on_source.max_by_key(|arrival| arrival.record.mono_ns).unwrap();
    last.host_ns += 300_000_000;
    assert_eq!(Axis::of(&data), before);
}
