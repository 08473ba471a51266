//! A counter that the test moves: it tells the time, drifts, jumps and goes back.

use super::*;

const MS: u64 = 1_000_000;
const FINE: Resolution = Resolution { step_ns: 20, read_ns: 20 };

/// A counter of 2 GHz that shows `cycles` at `mono_ns`, read in 60 ns.
fn pair(cycles: u64, mono_ns: u64) -> Pair {
    Pair { cycles, mono_ns, width_ns: 60 }
}

/// A keeper and a clock of a counter of 2 GHz that agrees with the true time; both begin at 1 s.
fn steady() -> (Keeper, Counting) {
    let mut keeper = Keeper::from(Some(pair(0, 1000 * MS)), FINE);
    assert_eq!(keeper.on(pair(600 * MS, 1300 * MS)), None);
    let clock = keeper.clock();
    assert_eq!(read(&clock, 600 * MS, 1300 * MS), 1300 * MS);
    (keeper, clock)
}

/// A reading of the clock when the counter shows `cycles` and the true time is `mono_ns`.
fn read(clock: &Counting, cycles: u64, mono_ns: u64) -> u64 {
    clock.at(cycles, || (mono_ns, cycles))
}

#[test]
fn without_a_counter_or_before_the_first_check_the_clock_shows_the_true_time() {
    for first in [None, Some(pair(0, 0))] {
        let keeper = Keeper::from(first, FINE);
        let clock = keeper.clock();
        assert_eq!([5, 7, 7].map(|mono_ns| read(&clock, 0, mono_ns)), [5, 7, 7]);
        assert_eq!(keeper.hz(), None);
    }
}

#[test]
fn a_counter_that_agrees_is_read_alone() {
    let (keeper, clock) = steady();
    let alone = clock.at(602 * MS, || panic!("a reading a millisecond later is believed"));
    assert_eq!((alone, keeper.hz()), (1301 * MS, Some(2_000_000_000)));
    assert_eq!(read(&clock, 800 * MS, 1400 * MS), 1400 * MS, "a later one is compared, and agrees");
}

#[test]
fn a_clock_steered_by_the_kernel_is_followed_without_a_step_back() {
    let (mut keeper, clock) = steady();
    let (mut last, mut worst) = (0, 0);
    // The kernel lets its clock run 200 millionths faster, then slower.
    let mut mono_ns = 1300 * MS;
    for tenth in 1..=200u64 {
        mono_ns += if tenth <= 100 { 100_020_000 } else { 99_980_000 };
        let cycles = 600 * MS + tenth * 200 * MS;
        assert_eq!(keeper.on(pair(cycles, mono_ns)), None);
        for after in [0, 1, 900, 2000] {
            let now = read(&clock, cycles + after, mono_ns + after / 2);
            assert!(now >= last);
            last = now;
        }
        if tenth % 100 > 3 {
            worst = worst.max(read(&clock, cycles + 2000, mono_ns + 1000).abs_diff(mono_ns + 1000));
        }
    }
    assert!(worst < 1000, "{worst} ns from the true time");
}

#[test]
fn a_kernel_that_turns_from_one_extreme_of_steering_to_the_other_is_no_failure() {
    let (mut keeper, _) = steady();
    let mut mono_ns = 1300 * MS;
    for tenth in 1..=100u64 {
        mono_ns += if tenth % 2 == 0 { 100_045_000 } else { 99_955_000 };
        assert_eq!(keeper.on(pair(600 * MS + tenth * 200 * MS, mono_ns)), None, "check {tenth}");
    }
}

#[test]
fn a_keeper_that_was_kept_from_comparing_for_seconds_is_no_failure() {
    let (mut keeper, clock) = steady();
    // The rate was off by 150 millionths: after two seconds 300 us are missing.
    let now = clock.at(4600 * MS, || (3300 * MS + 300_000, 4600 * MS));
    assert_eq!(now, 3300 * MS);
    assert_eq!(keeper.on(pair(4600 * MS, 3300 * MS + 300_000)), None);
    assert!(keeper.hz().is_some());
}

#[test]
fn a_counter_that_goes_back_is_given_up_for_good_and_no_span_is_negative() {
    let (mut keeper, clock) = steady();
    let before = read(&clock, 602 * MS, 1301 * MS);
    // Another CPU's counter, a second behind.
    let after = read(&clock, (602 * MS).wrapping_sub(2000 * MS), 1301 * MS + 70);
    assert_eq!(after - before, 70);
    assert_eq!(read(&clock, 5000 * MS, 1302 * MS), 1302 * MS, "nor is it believed later");
    let failure = keeper.on(pair(604 * MS, 1302 * MS)).unwrap();
    assert_eq!((failure.shown_ns, failure.true_ns), (301 * MS, 1301 * MS + 70));
    assert_eq!((keeper.on(pair(606 * MS, 1303 * MS)), keeper.hz()), (None, None), "it is told once");
    assert_eq!(read(&keeper.clock(), 0, 1304 * MS), 1304 * MS);
}

#[test]
fn a_counter_that_goes_back_to_before_the_beginning_shows_no_time_in_the_far_future() {
    let (mut keeper, clock) = steady();
    assert_eq!(read(&clock, (602 * MS).wrapping_sub(20_000 * MS), 1301 * MS), 1301 * MS);
    let failure = keeper.on(pair(604 * MS, 1302 * MS)).unwrap();
    assert_eq!(failure, ClockFailure { shown_ns: 0, true_ns: 1301 * MS });
}

#[test]
fn a_counter_that_steps_while_it_is_doubted_is_told_by_the_whole_step() {
    let (mut keeper, clock) = steady();
    // Read before the step, 13 ms late, and compared after it, 1 s back.
    let now = clock.at(604 * MS, || (1315 * MS, (630 * MS).wrapping_sub(2000 * MS)));
    assert_eq!(now, 1315 * MS);
    let failure = keeper.on(pair(604 * MS, 1316 * MS)).unwrap();
    assert_eq!(failure, ClockFailure { shown_ns: 315 * MS, true_ns: 1315 * MS });
}

#[test]
fn a_counter_that_jumps_ahead_makes_no_stall() {
    let (mut keeper, clock) = steady();
    assert_eq!(read(&clock, u64::MAX / 2, 1301 * MS), 1301 * MS);
    assert!(keeper.on(pair(u64::MAX / 2, 1302 * MS)).is_some());
}

#[test]
fn a_jump_too_small_for_a_thread_to_doubt_is_found_by_the_keeper() {
    let (mut keeper, clock) = steady();
    // Half a millisecond: a reading may be that late.
    assert_eq!(read(&clock, 600 * MS + MS, 1300 * MS), 1300 * MS + MS / 2);
    let failure = keeper.on(pair(800 * MS + MS, 1400 * MS)).unwrap();
    assert_eq!(failure, ClockFailure { shown_ns: 1400 * MS + MS / 2, true_ns: 1400 * MS });
    assert_eq!(read(&clock, 800 * MS, 1400 * MS), 1400 * MS);
}

#[test]
fn time_stands_until_it_has_caught_up_when_the_clock_was_ahead() {
    let (mut keeper, clock) = steady();
    let ahead = read(&clock, 600 * MS + MS, 1300 * MS);
    assert!(keeper.on(pair(600 * MS + MS, 1300 * MS)).is_some());
    assert_eq!(read(&clock, 0, 1300 * MS + 5), ahead);
    assert_eq!(read(&clock, 0, 1301 * MS), 1301 * MS);
}

#[test]
fn pairs_that_took_long_or_came_soon_change_nothing() {
    let mut keeper = Keeper::from(Some(pair(0, 0)), FINE);
    assert_eq!(keeper.on(Pair { width_ns: 50_000, ..pair(200 * MS, 100 * MS) }), None);
    assert_eq!(keeper.on(pair(2000, 1000)), None);
    assert_eq!(keeper.hz(), None);
    assert_eq!(keeper.on(pair(400 * MS, 200 * MS)), None);
    assert_eq!(keeper.hz(), Some(2_000_000_000));
}

#[test]
fn on_this_machine_the_clock_agrees_with_the_kernels() {
    let mut keeper = Keeper::new(super::super::is_steady());
    Monotonic.sleep_until(Monotonic.now_ns() + 2 * APART_NS);
    keeper.check();
    if keeper.hz().is_none() {
        eprintln!(
            "SKIPPED: on_this_machine_the_clock_agrees_with_the_kernels: no counter, or a busy machine"
        );
        return;
    }
    let clock = keeper.clock();
    let mut last = 0;
    for _ in 0..100_000 {
        let (before, now, after) = (Monotonic.now_ns(), clock.now_ns(), Monotonic.now_ns());
        assert!(now >= last && (before.saturating_sub(AGREED_NS)..=after + AGREED_NS).contains(&now));
        last = now;
    }
}

/// The line is some milliseconds old, and its rate was taken over 20 ms.
const AGREED_NS: u64 = 20_000;

#[test]
fn beside_a_coarse_clock_the_counter_is_kept_by_its_steps_and_given_up_when_it_is_off_by_several() {
    let coarse = Resolution { step_ns: 4 * MS, read_ns: 40 };
    let mut keeper = Keeper::from(Some(pair(0, 1000 * MS)), coarse);
    assert_eq!(keeper.on(pair(400 * MS, 1200 * MS)), None);
    let clock = keeper.clock();
    // Between two steps the coarse clock shows the last one: 3.9 ms less.
    let between = 400 * MS + 2 * 3_900_000;
    assert_eq!(read(&clock, between, 1200 * MS), 1200 * MS + 3_900_000);
    // The kernel missed a step; then five more.
    assert_eq!(keeper.on(pair(2400 * MS, 2196 * MS)), None);
    assert!(keeper.hz().is_some() && keeper.step_ns() == 0);
    assert!(keeper.on(pair(4400 * MS, 3176 * MS)).is_some());
    assert_eq!((keeper.hz(), keeper.step_ns()), (None, 4 * MS));
}
