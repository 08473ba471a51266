//! Levels that a throttle was raised to, and pauses that only look like one.

use super::*;
use rand::{Rng, SeedableRng};
use rand_xoshiro::SplitMix64;

const MS: u64 = 1_000_000;
/// When the level changes.
const RAISED_NS: u64 = 5_000 * MS;

/// At least `low`, below `high`.
fn between(dice: &mut SplitMix64, low: u64, high: u64) -> u64 {
    low + dice.next_u64() % (high - low)
}

/// Four seconds of a throttle whose last sleep ends at [`RAISED_NS`], as canaries see it.
fn throttled(percent: u64, dice: &mut SplitMix64) -> Vec<Stop> {
    let period_ns = SLICE_NS * 100 / (100 - percent);
    let sleep_ns = period_ns - SLICE_NS;
    let stop = |index: u64| Stop {
        end_ns: RAISED_NS - index * period_ns,
        len_ns: sleep_ns + index * 7_919 % MS - MS / 2,
    };
    let mut stops: Vec<Stop> = (0..4_000 * MS / period_ns).map(stop).collect();
    for stop in &mut stops {
        stop.end_ns += between(dice, 0, 300_000);
    }
    stops
}

/// A stop of `len_ns` that begins `ran_ns` after the throttle's last sleep.
fn then(ran_ns: u64, len_ns: u64) -> Stop {
    Stop { end_ns: RAISED_NS + ran_ns + len_ns, len_ns }
}

/// What is told just after the last of these stops.
fn told(stops: &[Stop]) -> Option<u64> {
    let end_ns = stops.iter().map(|stop| stop.end_ns).max().unwrap_or(0);
    throttle(stops, &[], end_ns + MS).map(|found| found.percent)
}

#[test]
fn the_first_sleep_of_a_throttle_that_was_raised_tells_its_level() {
    let mut dice = SplitMix64::seed_from_u64(1);
    for before in [20, 30, 50, 60, 80, 90, 96] {
        let stops = throttled(before, &mut dice);
        let first = then(SLICE_NS - MS, 989_500_000 + between(&mut dice, 0, 5 * MS));
        let all = [&stops[..], &[first]].concat();
        assert_eq!(told(&all), Some(99), "from {before} %");
        let verdict = throttle(&all, &[], first.end_ns + SLICE_NS).unwrap();
        assert_eq!((verdict.period_ns, verdict.score_percent), (1_000 * MS, 45));
        // The only canary may have been ready to run when the VM was stopped.
        assert_eq!(throttle(&stops, &[first], first.end_ns + MS).map(|found| found.percent), Some(99));
    }
}

#[test]
fn a_long_stop_that_was_not_due_or_has_no_levels_length_or_came_alone_tells_none() {
    let mut dice = SplitMix64::seed_from_u64(2);
    let throttled = throttled(80, &mut dice);
    let with = |more: &[Stop]| told(&[&throttled[..], more].concat());
    assert_eq!(with(&[then(SLICE_NS, 990 * MS)]), Some(99));
    // As two canaries saw it that woke 3 ms late from the sleep before, and 5 and 2 ms late from this one.
    assert_eq!(with(&[then(SLICE_NS - 3 * MS, 993_500_000)]), Some(99));
    for (ran_ms, len_ms) in [(14, 990), (2, 990), (10, 988), (10, 998), (10, 700), (10, 2_000)] {
        assert_ne!(with(&[then(ran_ms * MS, len_ms * MS)]), Some(99), "{len_ms} ms after {ran_ms}");
    }
    assert_eq!(told(&[then(SLICE_NS, 990 * MS)]), None);
}

#[test]
fn what_follows_takes_the_level_back() {
    let mut dice = SplitMix64::seed_from_u64(3);
    let mut stops = throttled(80, &mut dice);
    let long = then(SLICE_NS, 990 * MS);
    stops.push(long);
    // Nothing for more than the period.
    assert_ne!(throttle(&stops, &[], long.end_ns + 1_020 * MS).map(|found| found.percent), Some(99));
    // The throttle as it was before.
    stops.push(Stop { end_ns: long.end_ns + 50 * MS, len_ns: 40 * MS });
    assert_ne!(told(&stops), Some(99));
}

#[test]
fn two_long_stops_with_a_slice_in_between_are_one_and_with_more_or_less_they_are_none() {
    let pair = |len_ns: u64, between_ns: u64| {
        let end_ns = 5_000 * MS;
        let stops = [end_ns, end_ns + between_ns + len_ns].map(|end_ns| Stop { end_ns, len_ns });
        throttle(&stops, &[], stops[1].end_ns + MS).map(|found| (found.percent, found.law))
    };
    assert_eq!(pair(990 * MS, 10 * MS), Some((99, ThrottleLaw::Qemu)));
    assert_eq!(pair(491 * MS, 9 * MS), Some((98, ThrottleLaw::Qemu)));
    for (len_ms, between_ms) in [(990, 13), (990, 2), (990, 300), (300, 10), (2_300, 10)] {
        assert_eq!(pair(len_ms * MS, between_ms * MS), None, "{len_ms} ms, {between_ms} in between");
    }
    let uneven = [(5_000, 990), (5_700, 690)].map(|(end, len)| Stop { end_ns: end * MS, len_ns: len * MS });
    assert_eq!(throttle(&uneven, &[], 5_701 * MS), None);
    // One of them may look like the guest's own wait; two are just that.
    let [one, two] = [5_000, 6_000].map(|end| Stop { end_ns: end * MS, len_ns: 990 * MS });
    assert_eq!(throttle(&[two], &[one], 6_001 * MS).map(|found| found.percent), Some(99));
    assert_eq!(throttle(&[], &[one, two], 6_001 * MS), None);
}

/// How many of `count` pauses of a length by `draw` are taken for a level, that come at any time of a throttle.
fn mistaken(percent: u64, count: u64, mut draw: impl FnMut(&mut SplitMix64) -> u64) -> u64 {
    let mut dice = SplitMix64::seed_from_u64(percent);
    let throttled = throttled(percent, &mut dice);
    let sleep_ns = SLICE_NS * percent / (100 - percent);
    let mistaken = |_: &u64| {
        let (at_ns, len_ns) = (between(&mut dice, 0, SLICE_NS + sleep_ns), draw(&mut dice));
        // One that begins in a sleep makes that longer: it came when it was due.
        let asleep_ns = at_ns.saturating_sub(SLICE_NS);
        let stop = then(at_ns.min(SLICE_NS), len_ns.saturating_add(asleep_ns));
        raised(&[&throttled[..], &[stop]].concat(), &[], stop.end_ns + MS).is_some()
    };
    (0..count).filter(mistaken).count() as u64
}

/// 10 ms to 2 s, all as likely.
fn any_length(dice: &mut SplitMix64) -> u64 {
    between(dice, 10 * MS, 2_000 * MS)
}

/// 10 ms to 2 s, each octave as likely.
fn any_octave(dice: &mut SplitMix64) -> u64 {
    let octaves = between(dice, 0, 7_644) as f64 / 1_000.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "10 ms to 2 s")]
    let len_ns = (10e6 * octaves.exp2()) as u64;
    len_ns
}

#[test]
fn of_pauses_beside_a_throttle_less_than_one_in_200_is_taken_for_a_level() {
    let count = 20_000;
    for percent in [20, 50, 80, 90] {
        for found in [mistaken(percent, count, any_length), mistaken(percent, count, any_octave)] {
            println!("{percent} %: {found} of {count}");
            assert!((1..count / 200).contains(&found), "{percent} %: {found} of {count}");
        }
    }
}
