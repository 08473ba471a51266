//! Guests that have too much to do: what they send comes late, in heaps, and is no edge of a blackout.

use super::within;
use crate::{
    lab::timeline::{
        Blackout,
        fixture::{FixtureData, Story},
    },
    record::{MilestoneName, OtherClock, OtherMachine, QemuBody, QemuLine, Side},
};
use proptest::prelude::*;

const MS: u64 = 1_000_000;

fn blackout(data: &FixtureData) -> Blackout {
    data.timeline().blackout
}

/// Lets what the guest sends on `side` come in heaps, each later than it was sent by what `late_ms` says of its number.
fn in_heaps(data: &mut FixtureData, side: Side, late_ms: impl Fn(u64) -> u64) {
    for arrival in data.arrivals.iter_mut().filter(|arrival| arrival.side == side) {
        let heap = arrival.host_ns / (400 * MS);
        arrival.host_ns = (heap + 1) * 400 * MS + late_ms(heap) * MS;
    }
}

#[test]
fn records_that_came_together_are_one_delivery_however_near_their_stamps_are() {
    let mut data = Story::precopy().run_data();
    in_heaps(&mut data, Side::Destination, |heap| 106 + heap * 37 % 250);
    let found = blackout(&data);
    assert_eq!((found.estimate_ns, found.error_ns, found.offset_step_ns), (None, None, None));
    assert!(found.reason.as_ref().is_some_and(|reason| reason.contains("too late")), "{found:?}");
    within(found.stop_to_resume_ns, 400.0, 0.001);
}

#[test]
fn a_delivery_or_two_tell_nothing() {
    let mut data = Story::precopy().run_data();
    let story = Story::precopy();
    let last = story.host_ns(6450.0);
    data.arrivals.retain(|arrival| arrival.host_ns < last);
    let found = blackout(&data);
    assert!(found.estimate_ns.is_none() && found.reason.is_some(), "{found:?}");
}

#[test]
fn an_estimate_that_nothing_explains_is_said_to_disagree() {
    let mut data = Story::precopy().run_data();
    assert_eq!(blackout(&data).disagreement, None);
    for arrival in data.arrivals.iter_mut().filter(|arrival| arrival.side == Side::Destination) {
        arrival.host_ns += 30 * MS;
    }
    let found = blackout(&data);
    within(found.estimate_ns, 430.0, 1.0);
    assert!(found.disagreement.as_ref().is_some_and(|said| said.contains("430 ms")), "{found:?}");
}

#[test]
fn what_was_found_below_what_the_host_saw_is_in_the_error() {
    let mut data = Story::precopy().run_data();
    let usual_ns = blackout(&data).error_ns.unwrap();
    for arrival in data.arrivals.iter_mut().filter(|arrival| arrival.side == Side::Destination) {
        arrival.host_ns -= 4 * MS;
    }
    let found = blackout(&data);
    within(found.estimate_ns, 400.0, 0.001);
    assert!(found.error_ns.unwrap() >= usual_ns.max(3 * MS), "{usual_ns}: {found:?}");
}

#[test]
fn stop_to_resume_is_as_qemu_stamped_it_and_not_as_it_was_read() {
    let story = Story { setup: Some((0.5, 90.0)), ..Story::precopy() };
    let mut data = story.run_data();
    for (at_ms, read_ms, side, name, milestone) in [
        (6000.0, 12.0, Side::Source, "STOP", MilestoneName::Stop),
        (6400.0, 0.1, Side::Destination, "RESUME", MilestoneName::Resume),
    ] {
        let host_ns = story.host_ns(at_ms + read_ms);
        let qemu_real_us = Some(1_790_000_000_000_000 + story.host_ns(at_ms) / 1000);
        let body = QemuBody::Event { event: name.into(), qemu_real_us, data: serde_json::Value::Null };
        data.qemu.push(QemuLine { host_ns, side, body });
        let own = data.run.milestones.iter_mut().find(|own| own.name == milestone);
        own.unwrap().host_ns = host_ns;
    }
    within(blackout(&data).stop_to_resume_ns, 400.0, 0.01);
    // A wall clock that was set between the two is found out, and what was read counts.
    for line in data.qemu.iter_mut().filter(|line| line.side == Side::Destination) {
        if let QemuBody::Event { qemu_real_us: Some(stamp_us), .. } = &mut line.body {
            *stamp_us += 3_600_000_000;
        }
    }
    within(blackout(&data).stop_to_resume_ns, 388.1, 0.2);
}

#[test]
fn a_destination_on_another_machine_is_joined_by_its_clock_or_not_at_all() {
    /// So far its wall clock is ahead.
    const AHEAD_NS: u64 = 3_600_000_000_000;
    let story = Story { setup: Some((0.5, 90.0)), ..Story::precopy() };
    let mut data = story.run_data();
    let alone = blackout(&data);
    for (at_ms, ahead_ns, side, name) in
        [(6000.0, 0, Side::Source, "STOP"), (6395.0, AHEAD_NS, Side::Destination, "RESUME")]
    {
        let qemu_real_us = Some(1_790_000_000_000_000 + (story.host_ns(at_ms) + ahead_ns) / 1000);
        let body = QemuBody::Event { event: name.into(), qemu_real_us, data: serde_json::Value::Null };
        let host_ns = story.host_ns(if side == Side::Source { 6000.0 } else { 6400.0 });
        data.qemu.push(QemuLine { host_ns, side, body });
    }
    let mono_ns = story.host_ns(7000.0);
    let real_ns = 1_790_000_000_000_000_000 + mono_ns + AHEAD_NS;
    let clock = OtherClock { mono_ns, real_ns, error_ns: 250_000, round_trip_ns: 400_000 };
    data.run.provenance.other_machine =
        Some(Box::new(OtherMachine { clock: Some(clock), ..OtherMachine::default() }));
    let found = blackout(&data);
    within(found.stop_to_resume_ns, 395.0, 0.01);
    assert_eq!(found.stop_to_resume_error_ns, Some(250_000));
    assert_eq!(found.error_ns, alone.error_ns.map(|error_ns| error_ns + 400_000), "the way over the link");
    let reason = Some("its clock was set during the run".to_owned());
    let other =
        OtherMachine { address: "ssh://node2".into(), clock_reason: reason, ..OtherMachine::default() };
    data.run.provenance.other_machine = Some(Box::new(other));
    let untold = blackout(&data);
    assert_eq!((untold.stop_to_resume_ns, untold.estimate_ns), (None, None));
    let reason = untold.reason.unwrap();
    assert!(reason.contains("ssh://node2") && reason.contains("was set during the run"), "{reason}");
}

#[test]
fn a_gap_that_nobody_can_place_is_not_said_to_be_of_the_set_up() {
    let mut data =
        Story { away: vec![(1.0, 99.0)], setup: Some((0.5, 101.0)), ..Story::precopy() }.run_data();
    assert_eq!(data.timeline().setup.unwrap().longest_gap_ns, Some(98 * MS));
    in_heaps(&mut data, Side::Source, |heap| 106 + heap * 37 % 250);
    let setup = data.timeline().setup.unwrap();
    assert!(setup.longest_gap_ns.is_none() && setup.reason.is_some(), "{setup:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// However late a guest's records come: what is told covers the truth, or says that it does not fit.
    #[test]
    fn what_is_told_of_a_late_guest_covers_the_truth(lates in prop::collection::vec(0u64..400, 40)) {
        let mut data = LIGHT.with(FixtureData::clone);
        in_heaps(&mut data, Side::Destination, |heap| lates[usize::try_from(heap % 40).unwrap()]);
        let found = blackout(&data);
        if let (Some(estimate), Some(error)) = (found.estimate_ns, found.error_ns) {
            let covers = estimate.abs_diff(400 * MS) <= error + 5 * MS;
            prop_assert!(covers || found.disagreement.is_some(), "{:?}", found);
        } else {
            prop_assert!(found.reason.is_some());
        }
    }
}

std::thread_local! {
    /// A run that is made once.
    static LIGHT: FixtureData = Story { begin_ms: 2000, rate: 256, ..Story::precopy() }.run_data();
}
