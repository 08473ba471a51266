//! Loads that are not constant: what was planned is no loss, and what was lost of it is.

use super::{of, stage};
use crate::lab::{
    analysis::{Against, Analysis, SettledBy, StageCost},
    timeline::{
        PhaseName,
        fixture::{Asked, Story},
    },
};
use crate::record::{Arrival, Body, Latency};

/// Every kind of load that has a schedule.
fn scheduled() -> Vec<Asked> {
    vec![
        Asked::Constant,
        Asked::Burst { on_ms: 200, off_ms: 800 },
        Asked::Burst { on_ms: 10, off_ms: 30 },
        Asked::Burst { on_ms: 700, off_ms: 1900 },
        Asked::Poisson,
        Asked::Reads { percent: 2 },
        Asked::Reads { percent: 25 },
        Asked::Reads { percent: 90 },
        // A rise before the migration, a pause, and a fall after it.
        Asked::Rates(vec![(-500.0, 5120), (1000.0, 0), (2500.0, 1280), (8000.0, 512)]),
        Asked::Ramp { from_ms: -2000.0, over_ms: 9000.0, to: 10_240 },
        Asked::Ramp { from_ms: 1000.0, over_ms: 12_000.0, to: 256 },
    ]
}

fn story(asked: &Asked) -> Story {
    Story { asked: asked.clone(), end_ms: 16_000, ..Story::precopy() }
}

/// The share of its time that a stage lost.
fn lost_share(stage: &StageCost) -> f64 {
    let lost = stage.lost.unwrap_or_else(|| panic!("{stage:?}"));
    lost.full_stop_s / lost.covered_s
}

fn is_one_load(asked: &Asked) -> bool {
    !matches!(asked, Asked::Rates(_) | Asked::Ramp { .. })
}

#[test]
fn what_one_interval_told_of_a_second_another_does_not_tell_again() {
    let mut data = story(&Asked::Constant).run_data();
    let lost = |data: &_| stage(&of(data), PhaseName::Precopy).lost.unwrap();
    let once = lost(&data);
    let twice_told = |arrival: Arrival| match arrival.record.body {
        Body::Interval(_) => vec![arrival.clone(), arrival],
        _ => vec![arrival],
    };
    data.arrivals = data.arrivals.into_iter().flat_map(twice_told).collect();
    let twice = lost(&data);
    assert!((twice.covered_s - once.covered_s).abs() < 1e-6, "{once:?}, {twice:?}");
}

#[test]
fn undisturbed_no_load_loses_work_but_in_the_blackout_and_each_is_steady_and_settles() {
    for (asked, frozen_clock) in scheduled().iter().zip([true, false].into_iter().cycle()) {
        let analysis = of(&Story { frozen_clock, ..story(asked) }.run_data());
        let share = lost_share(stage(&analysis, PhaseName::Precopy));
        assert!(share < 0.01, "{asked:?} lost {share} of its pre-copy");
        let after = lost_share(stage(&analysis, PhaseName::After));
        assert!(after < 0.01, "{asked:?} lost {after} after it");
        let settling = &analysis.settling;
        assert!(settling.after_s.is_some_and(|after_s| after_s < 2.5), "{asked:?}: {settling:?}");
        let by = if is_one_load(asked) { SettledBy::RateAndResponse } else { SettledBy::RateAndBacklog };
        assert_eq!(settling.by, Some(by), "{asked:?}");
        compared(asked, &analysis);
        if is_one_load(asked) && frozen_clock {
            // What was asked for on the mean: while its clock stands still the guest's schedule asks for nothing.
            let lost = stage(&analysis, PhaseName::Blackout).lost.unwrap();
            assert!((lost.full_stop_s - 0.4).abs() < 0.02, "{asked:?}: {lost:?}");
        }
    }
}

#[test]
fn writers_that_are_6_ms_late_at_each_intervals_end_have_settled_whatever_the_load() {
    const LATE_MS: u64 = 6;
    for asked in scheduled() {
        let story = story(&asked);
        let mut data = story.run_data();
        let mut owed = 0;
        for arrival in &mut data.arrivals {
            let Body::Interval(interval) = &mut arrival.record.body else { continue };
            let offered = interval.offered.unwrap();
            let late = match asked {
                Asked::Burst { on_ms, off_ms } => {
                    (story.rate * u64::from(on_ms + off_ms) * LATE_MS / u64::from(on_ms) / 1000).min(offered)
                }
                _ => offered * LATE_MS / 100,
            };
            interval.writes = (interval.writes + owed).saturating_sub(late);
            interval.backlog = interval.backlog.map(|backlog| backlog + late);
            owed = late;
        }
        let settling = of(&data).settling;
        assert!(settling.after_s.is_some_and(|after_s| after_s < 2.5), "{asked:?}: {settling:?}");
    }
}

/// A baseline of any load that stays the same is steady and its ratios are one; another load is held against nothing.
fn compared(asked: &Asked, analysis: &Analysis) {
    let slowdown = stage(analysis, PhaseName::Precopy).slowdown.clone().unwrap();
    if is_one_load(asked) {
        assert_eq!(analysis.baseline_reason, None, "{asked:?}");
        let p50 = &slowdown.service[0];
        assert!(p50.ratio.is_some_and(|ratio| (ratio - 1.0).abs() < 0.1), "{asked:?}: {p50:?}");
    } else {
        let reason = slowdown.response[0].reason.as_deref();
        assert!(slowdown.response[0].ratio.is_none(), "{asked:?}");
        assert!(reason.is_some_and(|reason| reason.contains("not the baseline's")), "{reason:?}");
    }
    if analysis.baseline_reason.is_none() {
        let rate = slowdown.rate.ratio;
        assert!(rate.is_some_and(|rate| (rate - 1.0).abs() < 0.01), "{asked:?}: {:?}", slowdown.rate);
    }
}

#[test]
fn a_stop_loses_what_was_asked_for_in_it_and_a_planned_rise_hides_nothing() {
    // The stop begins and ends with an interval, so that none of it is made up in the interval that it fell into.
    let stopped = |asked: Asked| {
        let story =
            Story { away: vec![(2500.0, 2900.0)], blackout: None, completed_ms: None, ..story(&asked) };
        let analysis = of(&story.run_data());
        let pages = stage(&analysis, PhaseName::Precopy).lost.unwrap().pages;
        (pages, (2500..2900).map(|step| story.due(step)).sum::<f64>())
    };
    for asked in [
        Asked::Constant,
        Asked::Reads { percent: 75 },
        Asked::Rates(vec![(-500.0, 512), (2000.0, 10_240)]),
        Asked::Ramp { from_ms: -500.0, over_ms: 8000.0, to: 10_240 },
        // The stop lies in its pause.
        Asked::Burst { on_ms: 400, off_ms: 2100 },
        Asked::Rates(vec![(2000.0, 0), (3000.0, 2560)]),
    ] {
        let (lost, due) = stopped(asked.clone());
        assert!((lost - due).abs() <= 0.05 * due + 30.0, "{asked:?}: lost {lost}, were due {due}");
    }
}

#[test]
fn without_a_schedule_work_is_held_against_the_baseline_and_only_while_the_load_is_the_same() {
    let slowed = |asked| {
        let mut data = story(&asked).run_data();
        let slow = Story::precopy().mono_ns(2000.0)..Story::precopy().mono_ns(4000.0);
        for arrival in &mut data.arrivals {
            if let Body::Interval(interval) = &mut arrival.record.body
                && slow.contains(&interval.start_ns)
            {
                interval.writes /= 2;
            }
        }
        data
    };
    let data = slowed(Asked::Max);
    let lost = stage(&of(&data), PhaseName::Precopy).lost.unwrap();
    assert_eq!(lost.against, Against::Baseline);
    assert!((lost.full_stop_s - 1.0).abs() < 0.02, "{lost:?}");

    // Another pattern from 1 s on: as fast as it can, and nobody knows how fast that was.
    let mut data = data;
    let plan = data.arrivals.iter().find_map(|arrival| match &arrival.record.body {
        Body::Hello(hello) => Some(hello.plan.load()),
        _ => None,
    });
    let other = crate::plan::Load { pattern: crate::plan::PatternSpec::Random, ..plan.unwrap() };
    let mut order = data.arrivals[1].clone();
    order.record.mono_ns = Story::precopy().mono_ns(1000.0);
    order.record.body = Body::Load(other);
    data.arrivals.push(order);
    let analysis = of(&data);
    let precopy = stage(&analysis, PhaseName::Precopy);
    assert_eq!(precopy.lost, None);
    assert!(precopy.lost_reason.as_ref().is_some_and(|reason| reason.contains("no schedule")), "{precopy:?}");
    assert!(analysis.lost.is_none() && analysis.lost_reason.is_some(), "{:?}", analysis.lost);
    assert!(analysis.settling.after_s.is_none() && analysis.settling.reason.is_some());
    assert!(precopy.slowdown.as_ref().unwrap().rate.ratio.is_none());
}

#[test]
fn how_long_a_gib_takes_is_said_of_a_rate_that_is_one() {
    let told = |asked| {
        let analysis: Analysis = of(&story(&asked).run_data());
        let stage = stage(&analysis, PhaseName::Precopy);
        (stage.ms_per_gib, stage.ms_per_gib_reason.clone())
    };
    assert!(told(Asked::Constant).0.is_some());
    assert!(told(Asked::Burst { on_ms: 10, off_ms: 30 }).0.is_some());
    for (asked, reason) in [
        (Asked::Burst { on_ms: 200, off_ms: 800 }, "bursts"),
        (Asked::Rates(vec![(1000.0, 0)]), "changed"),
        (Asked::Ramp { from_ms: -9000.0, over_ms: 30_000.0, to: 5000 }, "changed"),
    ] {
        let (figure, said) = told(asked.clone());
        assert!(
            figure.is_none() && said.as_ref().is_some_and(|said| said.contains(reason)),
            "{asked:?}: {said:?}"
        );
    }
}

#[test]
fn a_baseline_that_is_late_itself_lends_its_share_and_one_that_is_very_late_tells_nothing() {
    // Every fifth interval leaves so much of its visits to the next one, all the time.
    let late = |percent: u64| {
        let mut data = story(&Asked::Constant).run_data();
        let intervals = data.arrivals.iter_mut().filter_map(|arrival| match &mut arrival.record.body {
            Body::Interval(interval) => Some(interval),
            _ => None,
        });
        let mut owed = 0;
        for (interval, index) in intervals.zip(0u64..) {
            interval.writes += std::mem::take(&mut owed);
            if index.is_multiple_of(5) {
                owed = interval.writes * percent / 100;
                interval.writes -= owed;
            }
        }
        of(&data)
    };
    let some = late(20);
    assert!(lost_share(stage(&some, PhaseName::Precopy)) < 0.01, "{:?}", some.lost);
    let precopy = late(80);
    let precopy = stage(&precopy, PhaseName::Precopy);
    assert!(precopy.lost_reason.as_ref().is_some_and(|reason| reason.contains("16 %")), "{precopy:?}");
}

#[test]
fn what_the_guests_clock_could_not_tell_has_no_ratio_and_settles_by_its_backlog() {
    // 10 ms, where the quickest 99 % of all responses take 60 us.
    let story = Story { clock_step_ns: Some(10_000_000), ..story(&Asked::Constant) };
    let mut data = story.run_data();
    for arrival in &mut data.arrivals {
        if let Body::Interval(interval) = &mut arrival.record.body {
            let none = |latency: Latency| Latency { count: latency.count, ..Latency::default() };
            interval.service_ns = none(interval.service_ns);
            interval.response_ns = none(interval.response_ns);
        }
    }
    let analysis = of(&data);
    let slowdown = stage(&analysis, PhaseName::Precopy).slowdown.clone().unwrap();
    assert!(slowdown.response[2].ratio.is_none(), "{slowdown:?}");
    assert!(slowdown.response[2].reason.as_ref().is_some_and(|reason| reason.contains("clock")));
    assert!(slowdown.rate.ratio.is_some());
    assert_eq!(analysis.settling.by, Some(SettledBy::RateAndBacklog));
    assert!(analysis.settling.after_s.is_some());
    let timeline = data.timeline();
    let precopy = timeline.phase(PhaseName::Precopy).unwrap().figures.response_ns.unwrap();
    assert!(precopy.p99.is_none() && precopy.count > 0, "{precopy:?}");
}
