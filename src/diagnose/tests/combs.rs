//! Throttles found in generated gaps, and none where there is none.

use super::scene::{BEGIN, Dice, MS, SECOND, Truth, noise, periodic, qemu_law, random, seen, sight};
use crate::diagnose::{Pause, comb};
use crate::record::{Throttle, ThrottleLaw};

/// The verdict at the end of each second.
fn verdicts(dice: &mut Dice, truths: &[Truth], seconds: u64) -> Vec<Option<Throttle>> {
    let gaps: Vec<_> = truths.iter().zip(0u32..).flat_map(|(truth, cpu)| seen(dice, cpu, truth)).collect();
    let mut pauses: Vec<Pause> = gaps.iter().map(Pause::of).collect();
    pauses.sort_by_key(Pause::end_ns);
    let found = |second| comb(&pauses, BEGIN + second * SECOND, &sight(truths.len()));
    (1..=seconds).map(|second| found(second).map(|comb| comb.throttle)).collect()
}

fn merged(mut one: Truth, other: Truth) -> Truth {
    one.extend(other);
    one.sort_unstable();
    let mut last_end = 0;
    one.retain(|(start, len)| {
        let apart = *start > last_end;
        last_end = if apart { start + len } else { last_end };
        apart
    });
    one
}

#[test]
fn every_percent_of_qemu_is_found_within_a_point_by_its_own_law() {
    for canaries in [1, 2, 4] {
        for percent in 5..=99 {
            let mut dice = Dice::new(percent);
            let (sleep, period) = qemu_law(percent);
            let truth = periodic(&mut dice, sleep, period, 100_000, 9 * SECOND);
            let found = verdicts(&mut dice, &vec![truth; canaries], 8);
            let sure: Vec<Throttle> = found.iter().skip(3).flatten().copied().collect();
            assert!(sure.len() >= 4, "{percent} % on {canaries}: {found:?}");
            for throttle in sure {
                assert_eq!(throttle.law, ThrottleLaw::Qemu, "{percent}");
                assert!(throttle.permille().abs_diff(percent * 10) <= 10, "{percent} %: {throttle:?}");
            }
        }
    }
}

#[test]
fn noise_beside_the_throttle_hides_it_at_worst() {
    let (mut found, mut all) = (0, 0);
    for percent in [10, 20, 30, 50, 70, 80, 90] {
        let mut dice = Dice::new(1000 + percent);
        let (sleep, period) = qemu_law(percent);
        let sleeps = periodic(&mut dice, sleep, period, 400_000, 9 * SECOND);
        let truths: Vec<Truth> =
            (0..2).map(|_| merged(sleeps.clone(), noise(&mut dice, 9 * SECOND, 20))).collect();
        for throttle in verdicts(&mut dice, &truths, 8) {
            all += 1;
            let Some(throttle) = throttle else { continue };
            found += 1;
            assert!(throttle.permille().abs_diff(percent * 10) <= 30, "{percent} %: {throttle:?}");
        }
    }
    assert!(found * 10 >= all * 8, "{found} of {all} windows");
}

#[test]
fn another_law_is_found_without_one() {
    for percent in [10, 20, 30, 40, 60, 70, 80] {
        let mut dice = Dice::new(2000 + percent);
        let truth = periodic(&mut dice, percent * MS, 100 * MS, 100_000, 6 * SECOND);
        let found = verdicts(&mut dice, &[truth.clone(), truth], 5);
        assert!(found.iter().skip(1).all(Option::is_some), "{percent} %: {found:?}");
        for throttle in found.into_iter().flatten() {
            assert_eq!(throttle.law, ThrottleLaw::Unknown, "{percent}");
            assert!(throttle.permille().abs_diff(percent * 10) <= 20, "{percent} %: {throttle:?}");
        }
    }
}

#[test]
fn pauses_at_random_are_never_a_throttle() {
    let mut windows = 0;
    for seed in 0..60 {
        for (run_ms, len_us) in [(10, 2_500), (10, 10_000), (10, 40_000), (10, 90_000), (30, 5_000), (4, 800)]
        {
            let mut dice = Dice::new(3000 + seed);
            let constant = random(&mut dice, 9 * SECOND, run_ms * MS, |_| len_us * 1000);
            let drawn = random(&mut dice, 9 * SECOND, run_ms * MS, |dice| dice.exponential(len_us * 1000));
            for truth in [constant, drawn] {
                let found = verdicts(&mut dice, &[truth.clone(), truth], 8);
                windows += found.len();
                let wrong: Vec<_> = found.iter().flatten().collect();
                assert!(wrong.is_empty(), "seed {seed}, run {run_ms} ms, {len_us} us: {wrong:?}");
            }
        }
    }
    assert!(windows > 5000);
}

#[test]
fn noise_is_never_a_throttle() {
    for seed in 0..200 {
        let mut dice = Dice::new(4000 + seed);
        let per_s = [1, 5, 20, 60, 150, 400][usize::try_from(seed % 6).unwrap()];
        for canaries in [1, 2] {
            let truths: Vec<Truth> = (0..canaries).map(|_| noise(&mut dice, 9 * SECOND, per_s)).collect();
            let found = verdicts(&mut dice, &truths, 8);
            assert!(found.iter().all(Option::is_none), "seed {seed}, {per_s}/s, {canaries}: {found:?}");
        }
    }
}

#[test]
fn ticks_of_250_hz_and_single_stops_are_no_throttle() {
    let mut dice = Dice::new(5);
    let ticks = periodic(&mut dice, 200_000, 4 * MS, 20_000, 5 * SECOND);
    assert!(verdicts(&mut dice, &[ticks], 4).iter().all(Option::is_none));
    for stop_ms in [20, 90, 990] {
        let found = verdicts(&mut dice, &vec![vec![(BEGIN + 500 * MS, stop_ms * MS)]; 2], 4);
        assert!(found.iter().all(Option::is_none), "{found:?}");
    }
}

#[test]
fn sleeps_of_one_vcpu_of_two_are_no_throttle() {
    for percent in [20, 50, 80] {
        let mut dice = Dice::new(6);
        let (sleep, period) = qemu_law(percent);
        let alone = periodic(&mut dice, sleep, period, 50_000, 5 * SECOND);
        assert!(verdicts(&mut dice, &[alone, Truth::new()], 4).iter().all(Option::is_none));
    }
}

#[test]
fn a_throttle_is_told_a_second_after_it_began_and_no_longer_than_a_second_after_it_ended() {
    let mut dice = Dice::new(7);
    let (sleep, period) = qemu_law(50);
    let truth: Truth = periodic(&mut dice, sleep, period, 50_000, 3 * SECOND)
        .into_iter()
        .map(|(start, len)| (start + 2 * SECOND, len))
        .collect();
    let found = verdicts(&mut dice, &[truth.clone(), truth], 7);
    let told: Vec<bool> = found.iter().map(Option::is_some).collect();
    assert_eq!(told, [false, false, true, true, true, false, false]);
}
