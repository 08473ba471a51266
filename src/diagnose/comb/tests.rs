//! The estimate against generated trains of stops.

use super::*;
use proptest::prelude::*;

const MS: u64 = 1_000_000;

/// Numbers that look random, the same in every run.
struct Dice(u64);

impl Dice {
    /// At least `low`, below `high`.
    fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        low + (self.0 >> 16) % (high - low)
    }

    /// Exponential with a mean of `mean_ns`.
    fn waiting(&mut self, mean_ns: u64) -> u64 {
        let share = self.between(1, 1 << 30) as f64 / f64::from(1u32 << 30);
        whole(-share.ln() * mean_ns as f64)
    }
}

/// Stops of `sleep_ns` once in every `period_ns` for 12 s, as canaries see them: lengths half a period off, ends late.
fn train(sleep_ns: u64, period_ns: u64, seed: u64) -> Vec<Stop> {
    let mut dice = Dice(seed);
    let stops = 12_000 * MS / period_ns;
    let stop = |index: u64| Stop {
        end_ns: 1_000 * MS + index * period_ns + sleep_ns + dice.between(0, 300_000),
        len_ns: (sleep_ns + dice.between(0, MS)).saturating_sub(MS / 2),
    };
    (0..stops).map(stop).collect()
}

/// A verdict each 100 ms from the fourth second on.
fn verdicts(stops: &[Stop]) -> Vec<Throttle> {
    (40..120).filter_map(|tenth| throttle(stops, (1_000 + tenth * 100) * MS)).collect()
}

fn median(found: &[Throttle]) -> u64 {
    let mut percents: Vec<u64> = found.iter().map(|throttle| throttle.percent).collect();
    percents.sort_unstable();
    percents[percents.len() / 2]
}

#[test]
fn qemus_law_is_read_within_a_point() {
    for percent in [5, 10, 20, 30, 50, 70, 80, 90, 95, 99] {
        let period_ns = SLICE_NS * 100 / (100 - percent);
        let found = verdicts(&train(period_ns - SLICE_NS, period_ns, percent));
        assert!(found.len() >= 70, "{percent} %: {} of 80 windows", found.len());
        assert!(median(&found).abs_diff(percent) <= 1, "{percent} %: {found:?}");
        assert!(found.iter().all(|one| one.percent.abs_diff(percent) <= 3), "{percent} %: {found:?}");
        assert!(found.iter().all(|one| one.law == ThrottleLaw::Qemu));
    }
}

#[test]
fn sleeps_from_which_canaries_wake_late_are_read_by_their_period() {
    let mut dice = Dice(5);
    for percent in [20, 30, 50, 60, 70, 80] {
        let (sleep_ns, period_ns) = (10 * MS * percent / (100 - percent), 1_000 * MS / (100 - percent));
        let mut stops = train(sleep_ns, period_ns, percent);
        for stop in &mut stops {
            stop.len_ns += dice.between(1_000_000, 1_900_000);
        }
        let found = verdicts(&stops);
        assert!(found.len() >= 70, "{percent} %: {} of 80 windows", found.len());
        assert!(found.iter().all(|one| one.percent.abs_diff(percent) <= 2), "{percent} %: {found:?}");
    }
}

#[test]
fn another_periodic_law_is_read_within_two_points_and_called_unknown() {
    for percent in [10, 20, 30, 40, 50, 60, 70, 80] {
        let found = verdicts(&train(percent * MS, 100 * MS, percent));
        assert!(found.len() >= 70, "{percent} %: {} of 80 windows", found.len());
        assert!(median(&found).abs_diff(percent) <= 2, "{percent} %: {found:?}");
        assert!(found.iter().all(|one| one.law == ThrottleLaw::Unknown), "{percent} %: {found:?}");
    }
}

#[test]
fn stops_lost_in_noise_do_not_move_the_percent() {
    let mut dice = Dice(3);
    let mut stops = train(10 * MS, 20 * MS, 3);
    stops.retain(|_| dice.between(0, 10) < 8);
    stops.extend((0..500).map(|_| Stop {
        end_ns: dice.between(1_000 * MS, 13_000 * MS),
        len_ns: dice.between(100_000, 30 * MS),
    }));
    let found = verdicts(&stops);
    assert!(found.len() >= 60, "{}", found.len());
    assert!(found.iter().all(|one| one.percent.abs_diff(50) <= 1), "{found:?}");
}

#[test]
fn a_throttle_among_as_many_stops_of_the_same_length_is_told_all_the_same() {
    for percent in [30, 50, 70] {
        let mut dice = Dice(percent);
        let (sleep_ns, period_ns) = (10 * MS * percent / (100 - percent), 1_000 * MS / (100 - percent));
        let mut stops = train(sleep_ns, period_ns, percent);
        // Timers that are set anew each time come a little later each time.
        for (stop, index) in stops.iter_mut().zip(0..) {
            stop.end_ns += index * 50_000;
        }
        stops.retain(|_| dice.between(0, 10) < 9);
        let others = (0..stops.len()).map(|_| Stop {
            end_ns: dice.between(1_000 * MS, 13_000 * MS),
            len_ns: sleep_ns + dice.between(0, MS),
        });
        let others: Vec<Stop> = others.collect();
        assert!(verdicts(&others).is_empty(), "{percent} %");
        stops.extend(others);
        let found = verdicts(&stops);
        assert!(found.len() >= 60, "{percent} %: {} of 80 windows", found.len());
        assert!(found.iter().all(|one| one.percent.abs_diff(percent) <= 2), "{percent} %: {found:?}");
    }
}

/// All verdicts over ten minutes of pauses that `next` makes: time until the next begins, and its length.
fn false_verdicts(mut next: impl FnMut() -> (u64, u64)) -> Vec<Throttle> {
    let (mut stops, mut at_ns, mut found) = (Vec::new(), 0, Vec::new());
    while at_ns < 600_000 * MS {
        let (waiting_ns, len_ns) = next();
        at_ns += waiting_ns + len_ns;
        stops.push(Stop { end_ns: at_ns, len_ns });
    }
    for second in 3..600u64 {
        let now_ns = second * 1_000 * MS;
        let from = stops.partition_point(|stop| stop.end_ns + WINDOW_NS < now_ns);
        let to = stops.partition_point(|stop| stop.end_ns <= now_ns);
        found.extend(throttle(&stops[from..to], now_ns));
    }
    found
}

#[test]
fn poisson_pauses_are_never_a_throttle() {
    for (len_ms, mean_ms) in [(2, 10), (4, 10), (5, 5), (10, 10), (10, 30), (40, 20), (90, 30), (300, 300)] {
        let mut dice = Dice(len_ms);
        let found = false_verdicts(|| (dice.waiting(mean_ms * MS), len_ms * MS));
        assert_eq!(found, [], "{len_ms} ms each {mean_ms} ms");
    }
}

#[test]
fn noise_of_an_idle_machine_is_never_a_throttle() {
    let mut dice = Dice(1);
    let noise = |dice: &mut Dice| 100_000 + dice.waiting(300_000) + dice.waiting(2 * MS) * dice.between(0, 2);
    assert_eq!(false_verdicts(|| (dice.waiting(20 * MS), noise(&mut dice))), []);
}

#[test]
fn a_lone_stop_is_no_throttle() {
    let stops = [Stop { end_ns: 5_000 * MS, len_ns: 990 * MS }];
    assert_eq!(throttle(&stops, 5_100 * MS), None);
    assert_eq!(throttle(&[], 0), None);
}

#[test]
fn the_short_sine_is_near_enough() {
    for step in 0..=1000 {
        let turn = f64::from(step) / 1000.0;
        let (sine, cosine) = sine_cosine(turn);
        let (real_sine, real_cosine) = (turn * std::f64::consts::TAU).sin_cos();
        assert!((sine - real_sine).abs() < 1e-3 && (cosine - real_cosine).abs() < 1e-3, "{turn}");
    }
}

proptest! {
    #[test]
    fn no_stops_panic(stops in prop::collection::vec((any::<u64>(), any::<u64>()), 0..60), now_ns: u64) {
        let stops: Vec<Stop> = stops.into_iter().map(|(end_ns, len_ns)| Stop { end_ns, len_ns }).collect();
        if let Some(found) = throttle(&stops, now_ns) {
            prop_assert!(found.percent <= 100 && found.score_percent <= 100);
        }
    }
}
