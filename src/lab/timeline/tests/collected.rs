//! Sessions that were collected: what their own records tell of blackouts, wherever the guest spoke and whatever its clock did.

use super::{names, within};
use crate::{
    lab::timeline::{PhaseName, Timeline, fixture::Story},
    record::{Body, Side, Throttle, ThrottleLaw},
};

const BOTH: [Side; 2] = [Side::Source, Side::Destination];

/// The only blackout of these stages, from and for so many seconds since the session began.
fn blackout(timeline: &Timeline) -> (f64, f64) {
    use PhaseName::{After, Baseline, Blackout, Run};
    assert_eq!(names(timeline), [Baseline, Run, Blackout, After]);
    let span = timeline.phases[2].figures.span;
    (span.start_s, span.length_s())
}

#[test]
fn the_blackout_of_a_guest_that_went_to_another_socket_is_told_by_its_clock_or_by_its_gaps() {
    for frozen_clock in [true, false] {
        let story = Story { frozen_clock, ..Story::precopy() };
        let timeline = story.session_data(&BOTH).timeline();
        within(timeline.blackout.estimate_ns, 400.0, 1.5);
        assert_eq!(timeline.blackout.stop_to_resume_ns, None, "QEMU said nothing");
        let (start_s, length_s) = blackout(&timeline);
        assert!((start_s - 11.0).abs() < 0.002, "{frozen_clock}: {start_s}");
        assert!((length_s - 0.4).abs() < 0.002, "{frozen_clock}: {length_s}");
        let baseline = timeline.phase(PhaseName::Baseline).unwrap().figures.span;
        assert!((baseline.length_s() - 5.0).abs() < 0.101, "{baseline:?}");
        assert!(timeline.qemu.is_empty() && timeline.passes.is_empty() && timeline.setup.is_none());
    }
}

#[test]
fn the_blackout_of_a_guest_that_kept_its_socket_is_a_step_of_its_clock_or_a_lone_gap() {
    for frozen_clock in [true, false] {
        let story = Story { frozen_clock, ..Story::precopy() };
        let timeline = story.session_data(&[Side::Source]).timeline();
        let (start_s, length_s) = blackout(&timeline);
        assert_eq!(timeline.blackout.by_lone_gap, !frozen_clock);
        assert!((start_s - 11.0).abs() < 0.005, "{frozen_clock}: {start_s}");
        assert!((length_s - 0.4).abs() < 0.005, "{frozen_clock}: {length_s}");
    }
}

#[test]
fn a_stall_before_the_switch_is_no_blackout_where_the_switch_itself_has_no_length_to_tell() {
    use PhaseName::{After, Baseline, Run};
    // The set-up of the migration holds up all vCPUs; no record around the switch came quickly enough.
    let story = Story { away: vec![(1000.0, 1290.0)], blackout: None, ..Story::precopy() };
    let mut data = story.session_data(&[Side::Source]);
    let later = data.arrivals.iter_mut().filter(|arrival| arrival.record.mono_ns >= story.mono_ns(6000.0));
    for (number, arrival) in (0u64..).zip(later) {
        arrival.side = Side::Destination;
        arrival.host_ns += number * 20_000_000;
    }
    let timeline = data.timeline();
    assert!(
        timeline.blackout.estimate_ns.is_none() && timeline.blackout.reason.is_some(),
        "{:?}",
        timeline.blackout
    );
    assert_eq!(names(&timeline), [Baseline, Run, After]);
    let after_s = timeline.phase(After).unwrap().figures.span.start_s;
    assert!((after_s - 11.0).abs() < 0.2, "{after_s}");
}

#[test]
fn a_guest_that_never_stood_still_has_no_blackout_and_neither_has_one_whose_gaps_keep_company() {
    let quiet = Story { blackout: None, ..Story::precopy() };
    let noisy = Story { away: vec![(1000.0, 1100.0), (1500.0, 1580.0)], blackout: None, ..Story::precopy() };
    for story in [quiet, noisy] {
        let timeline = story.session_data(&[Side::Source]).timeline();
        assert_eq!(names(&timeline), [PhaseName::Baseline, PhaseName::Run]);
        assert_eq!(timeline.blackout.estimate_ns, None);
    }
}

#[test]
fn two_blackouts_of_one_session_are_two_stages() {
    use PhaseName::{After, Baseline, Blackout, Run};
    let story = Story { stops: vec![(2000.0, 2300.0)], ..Story::precopy() };
    let timeline = story.session_data(&[Side::Source]).timeline();
    assert_eq!(names(&timeline), [Baseline, Run, Blackout, After, Blackout, After]);
    let lengths: Vec<f64> =
        [2, 4].map(|index: usize| timeline.phases[index].figures.span.length_s()).to_vec();
    assert!((lengths[0] - 0.3).abs() < 0.005 && (lengths[1] - 0.4).abs() < 0.005, "{lengths:?}");
}

#[test]
fn what_a_guest_sends_again_on_the_other_socket_is_no_switch() {
    let story = Story::precopy();
    let mut data = story.session_data(&BOTH);
    let again = data.arrivals.iter().find(|arrival| arrival.record.mono_ns > story.mono_ns(3000.0)).cloned();
    let mut again = again.unwrap();
    (again.side, again.host_ns) = (Side::Destination, story.host_ns(3500.0));
    let place = data.arrivals.iter().position(|arrival| arrival.host_ns > again.host_ns).unwrap();
    data.arrivals.insert(place, again);
    let (start_s, _) = blackout(&data.timeline());
    assert!((start_s - 11.0).abs() < 0.002, "{start_s}");
}

#[test]
fn a_clock_that_drifts_away_by_and_by_has_not_stood_still() {
    let story = Story { blackout: None, end_ms: 40_000, ..Story::precopy() };
    let mut data = story.session_data(&[Side::Source]);
    for arrival in &mut data.arrivals {
        // Half a percent, far more than any clock drifts.
        arrival.host_ns += arrival.record.mono_ns / 200;
    }
    assert_eq!(names(&data.timeline()), [PhaseName::Baseline, PhaseName::Run]);
}

#[test]
fn a_throttle_that_the_guest_found_is_told_as_long_as_it_held() {
    let story = Story { blackout: None, ..Story::precopy() };
    let mut data = story.session_data(&[Side::Source]);
    for arrival in &mut data.arrivals {
        let at_ns = arrival.record.mono_ns;
        if let Body::Interval(interval) = &mut arrival.record.body {
            let percent = match at_ns {
                _ if at_ns <= story.mono_ns(2000.0) || at_ns > story.mono_ns(7000.0) => continue,
                _ if at_ns <= story.mono_ns(2300.0) => 20,
                _ => 50,
            };
            let law = ThrottleLaw::Qemu;
            interval.throttle = Some(Throttle { percent, period_ns: 20_000_000, law, score_percent: 95 });
        }
    }
    let timeline = data.timeline();
    let levels: Vec<_> = timeline.throttle.iter().map(|level| level.percent).collect();
    assert_eq!(levels, [None, Some(50)]);
    let held_s = timeline.throttle[1].figures.span.length_s();
    assert!((held_s - 4.7).abs() < 0.11, "{held_s}");
}
