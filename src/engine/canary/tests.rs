//! Canaries on a clock moved by hand.

use super::*;
use crate::{clock::Fake, record::GapSummary, tally::GapCounts};

const T0_NS: u64 = 1_000_000_000;
const NEVER_NS: u64 = u64::MAX;

/// A clock that tells the canary to stop once it shows `end_ns`.
#[derive(Clone)]
struct Ending {
    clock: Fake,
    control: Arc<Control>,
    end_ns: u64,
}

impl Clock for Ending {
    fn now_ns(&self) -> u64 {
        self.clock.now_ns()
    }

    fn sleep_until(&self, deadline_ns: u64) {
        self.clock.sleep_until(deadline_ns);
        if deadline_ns >= self.end_ns {
            self.control.stop();
        }
    }
}

/// A clock on which every sleep ends 150 us late.
#[derive(Clone)]
struct Late(Fake);

impl Clock for Late {
    fn now_ns(&self) -> u64 {
        self.0.now_ns()
    }

    fn sleep_until(&self, deadline_ns: u64) {
        self.0.sleep_until(deadline_ns + 150_000);
    }
}

const FINE: Wakes = Wakes { beats: Beats::of(0), tick_ns: 0, asked_ns: BEAT_NS };

fn watched(clock: Fake, span_ns: u64) -> (Vec<RawGap>, GapSummary) {
    watched_at(clock, span_ns, FINE)
}

fn watched_at(clock: Fake, span_ns: u64, wakes: Wakes) -> (Vec<RawGap>, GapSummary) {
    let control = Arc::new(Control::default());
    let clock = Ending { clock, control: Arc::clone(&control), end_ns: T0_NS + span_ns };
    let tally = GapTally::new();
    run(
        &clock,
        (&control, &ThreadProbe::open(), &tally),
        Watch::new(T0_NS, NEVER_NS, THRESHOLD_FLOOR_NS, wakes),
    );
    (std::iter::from_fn(|| tally.take()).collect(), tally.counts().since(&GapCounts::default()))
}

#[test]
fn a_quiet_machine_has_no_gaps() {
    let (gaps, summary) = watched(Fake::new(T0_NS, 100), 2_000_000_000);
    assert_eq!(
        (gaps.len(), summary),
        (0, GapSummary { threshold_ns: THRESHOLD_FLOOR_NS, ..GapSummary::default() })
    );
}

#[test]
fn an_absence_is_found_where_and_as_long_as_it_was() {
    let (at_ns, len_ns) = (T0_NS + 300_400_000, 40_000_000);
    let (gaps, summary) = watched(Fake::new(T0_NS, 100).with_pause(at_ns, len_ns), 500_000_000);
    let [gap] = gaps[..] else { panic!("{gaps:?}") };
    assert!(gap.len_ns.abs_diff(len_ns) <= BEAT_NS / 2 + 1000, "{gap:?}");
    assert!(gap.start_ns.abs_diff(at_ns) <= BEAT_NS / 2 + 1000, "{gap:?}");
    assert_eq!((summary.count, summary.total_ns), (1, gap.len_ns));
}

#[test]
fn an_absence_that_begins_while_the_canary_is_awake_is_found_and_what_a_reading_takes_is_none() {
    let len_ns = 40_000_000;
    for number in [300, 301, 309, 310] {
        let wake_ns = (0..number).fold(T0_NS, |at_ns, _| Beats::of(0).next_ns(at_ns));
        let (gaps, _) = watched(Fake::new(T0_NS, 100).with_pause(wake_ns + 50, len_ns), 500_000_000);
        let [gap] = gaps[..] else { panic!("wake {number}: {gaps:?}") };
        assert_eq!((gap.start_ns, gap.len_ns), (wake_ns, len_ns + 100), "wake {number}");
    }
    let watch = Watch::new(T0_NS, NEVER_NS, THRESHOLD_FLOOR_NS, FINE);
    let after_ns = THRESHOLD_FLOOR_NS + 1;
    assert_eq!(watch.held_ns(T0_NS, T0_NS + after_ns, false), Some(after_ns));
    assert_eq!(watch.held_ns(T0_NS, T0_NS + after_ns, true), None);
}

#[test]
fn the_length_is_unbiased_for_absences_longer_than_the_period() {
    // A hundred absences of 3 ms that begin everywhere within the period.
    let len_ns = 3_000_000;
    let clock = (0..100u64).fold(Fake::new(T0_NS, 100), |clock, number| {
        clock.with_pause(T0_NS + 5_000 + number * (20 * BEAT_NS + BEAT_NS / 100), len_ns)
    });
    let (gaps, summary) = watched(clock, 2_200_000_000);
    assert_eq!(gaps.len(), 100);
    let mean_ns = summary.total_ns / 100;
    assert!(mean_ns.abs_diff(len_ns) < 30_000, "{mean_ns}");
}

#[test]
fn the_length_is_unbiased_for_shorter_absences_that_are_seen() {
    // Absences of 0.4 ms, of which those that cover a deadline are seen: late is 0.1 to 0.4 ms, by half too little.
    let mut watch = Watch::new(T0_NS, NEVER_NS, THRESHOLD_FLOOR_NS, FINE);
    let lates = (0..4000u64).map(|step| step * 100);
    let found = lates.filter_map(|late_ns| watch.late_ns(T0_NS, T0_NS + late_ns));
    let found: Vec<u64> = found.map(|late_ns| length_ns(late_ns, None, BEAT_NS)).collect();
    assert!(found.iter().all(|len_ns| (200_000..=800_000).contains(len_ns)));
    // Seen are those that were later than 100 us: on average 250 us late, so 500 us long.
    let mean_ns = found.iter().sum::<u64>() / found.len() as u64;
    assert!(mean_ns.abs_diff(500_000) < 1000, "{mean_ns}");
}

#[test]
fn stops_at_whole_ms_are_as_long_on_average_whenever_they_begin() {
    let (stops, len_ns) = (200u64, 10_000_000);
    for phase_us in [0, 130, 470, 800, 990] {
        let clock = (0..stops).fold(Fake::new(T0_NS, 100), |clock, number| {
            clock.with_pause(T0_NS + 5_000_000 + phase_us * 1000 + number * 20_000_000, len_ns)
        });
        let (_, summary) = watched(clock, 4_100_000_000);
        assert_eq!(summary.count, stops);
        let mean_ns = summary.total_ns / stops;
        assert!(mean_ns.abs_diff(len_ns) < 30_000, "{phase_us} us: {mean_ns}");
    }
}

#[test]
fn a_canary_that_waited_in_the_run_queue_lost_what_it_came_late_and_no_more() {
    assert_eq!(length_ns(300_000, Some(290_000), BEAT_NS), 300_000);
    assert_eq!(length_ns(300_000, Some(140_000), BEAT_NS), 600_000);
    assert_eq!(length_ns(30_000_000, None, BEAT_NS), 30_000_000 + BEAT_NS / 2);
}

#[test]
fn the_threshold_follows_the_baseline_between_its_bounds() {
    for (usual_ns, threshold) in [(5_000, 100_000), (100_000, 300_000), (40_000_000, 1_000_000)] {
        let mut watch = Watch::new(T0_NS, 1_000_000, THRESHOLD_FLOOR_NS, FINE);
        for wake in 0..1000 {
            watch.late_ns(T0_NS + wake, T0_NS + wake + usual_ns.min(900_000));
        }
        assert_eq!(watch.threshold_ns, THRESHOLD_FLOOR_NS, "as long as the baseline lasts");
        watch.late_ns(T0_NS + 50_000_000, T0_NS + 50_000_000);
        let found = watch.threshold_ns;
        assert!(found.abs_diff(threshold) <= threshold / 100, "{usual_ns}: {found}");
    }
}

#[test]
fn without_a_baseline_the_threshold_stays() {
    let mut watch = Watch::new(T0_NS, 0, 150_000, FINE);
    assert_eq!(watch.late_ns(T0_NS, T0_NS + 150_000), None);
    assert!(watch.late_ns(T0_NS, T0_NS + 150_001).is_some());
}

#[test]
fn a_host_on_which_every_wake_is_late_does_not_make_every_wake_a_gap() {
    let threshold_ns = rehearse(&Late(Fake::new(T0_NS, 100)), Beats::of(0), &Control::default());
    assert!(threshold_ns.abs_diff(450_000) < 4_500, "{threshold_ns}");
    assert_eq!(rehearse(&Fake::new(T0_NS, 100), Beats::of(0), &Control::default()), THRESHOLD_FLOOR_NS);
}

/// A clock whose timers wake with ticks, and which shows whole ticks only or all there is.
fn coarse(tick_ns: u64, is_clock_fine: bool) -> Fake {
    let clock = Fake::new(T0_NS, 100);
    if is_clock_fine { clock.waking(tick_ns) } else { clock.ticking(tick_ns) }
}

#[test]
fn a_tick_is_no_gap_and_a_stop_of_many_is_one_as_long_as_it_was() {
    for (tick_ns, is_clock_fine) in
        [1_000_000, 4_000_250, 10_000_000].into_iter().flat_map(|tick_ns| [(tick_ns, true), (tick_ns, false)])
    {
        let wakes = Wakes { tick_ns, ..FINE };
        let (gaps, summary) = watched_at(coarse(tick_ns, is_clock_fine), 2_000_000_000, wakes);
        assert_eq!((gaps.len(), summary.threshold_ns), (0, tick_ns / 2 * 3), "{tick_ns} {is_clock_fine}");
        let (at_ns, len_ns) = (T0_NS + 301_400_000, 300_000_000);
        let clock = coarse(tick_ns, is_clock_fine).with_pause(at_ns, len_ns);
        let (gaps, _) = watched_at(clock, 2_000_000_000, wakes);
        let [gap] = gaps[..] else { panic!("{tick_ns} {is_clock_fine}: {gaps:?}") };
        assert!(gap.len_ns.abs_diff(len_ns) <= tick_ns, "{tick_ns} {is_clock_fine}: {gap:?}");
    }
}

#[test]
fn at_a_tick_the_length_is_unbiased_too() {
    let (tick_ns, len_ns) = (4_000_000, 30_000_000);
    let clock = (0..100u64).fold(coarse(tick_ns, true), |clock, number| {
        clock.with_pause(T0_NS + 5_000 + number * (20 * tick_ns + tick_ns / 100), len_ns)
    });
    let (gaps, summary) = watched_at(clock, 11_000_000_000, Wakes { tick_ns, ..FINE });
    assert_eq!(gaps.len(), 100);
    let mean_ns = summary.total_ns / 100;
    assert!(mean_ns.abs_diff(len_ns) < 200_000, "{mean_ns}");
}

#[test]
fn the_quickest_of_the_canaries_tells_what_timers_can_do() {
    let canary = |timer_step_ns| Canary {
        cpu: 0,
        tally: Arc::new(GapTally::new()),
        realtime: true,
        timer_step_ns,
        thread: None,
    };
    assert_eq!(tick_ns(&[canary(9_000_000), canary(70_000)]), 0, "one is on a busy CPU");
    assert_eq!(tick_ns(&[canary(4_100_000), canary(3_990_000)]), 3_990_000);
    assert_eq!(tick_ns(&[]), 0);
}

#[test]
fn faults_that_are_made_for_our_own_sake_are_not_the_guests() {
    let (control, probe) = (Control::default(), ThreadProbe::open());
    // Kept, so that the pages of each are new.
    let mut kept = Vec::new();
    let mut counted = |makes_faults: bool| {
        let base = Base::read(&control, &probe);
        if makes_faults {
            control.makes_faults();
        }
        kept.push(std::hint::black_box(vec![1u8; 1 << 20]));
        base.turn(&control, &probe).0.minflt
    };
    assert!(counted(false) > 0);
    assert_eq!(counted(true), 0);
    assert!(counted(false) > 0, "what began before it is past doubt");
}

#[test]
fn a_canary_of_a_longer_period_tells_what_is_long_enough_for_it_and_nothing_else() {
    const PERIOD_NS: u64 = 10_000_000;
    let wakes = Wakes { asked_ns: PERIOD_NS, ..FINE };
    for tick_ns in [0, 4_000_000] {
        let wakes = Wakes { tick_ns, ..wakes };
        let period_ns = period_ns(PERIOD_NS, tick_ns);
        // Absences of 5 ms, half a period after each other, as an early throttle makes them: none is told.
        let still = || if tick_ns > 0 { coarse(tick_ns, true) } else { Fake::new(T0_NS, 100) };
        let clock = (0..50u64).fold(still(), |clock, number| {
            clock.with_pause(T0_NS + 3_000_000 + number * 20_100_000, 5_000_000)
        });
        let (gaps, summary) = watched_at(clock, 1_500_000_000, wakes);
        assert_eq!((gaps.len(), summary.threshold_ns), (0, period_ns / 2 * 3), "{gaps:?}");
        let clock = still().with_pause(T0_NS + 503_000_000, 80_000_000);
        let (gaps, _) = watched_at(clock, 1_000_000_000, wakes);
        let [gap] = gaps[..] else { panic!("{gaps:?}") };
        assert!(gap.len_ns.abs_diff(80_000_000) <= period_ns, "{gap:?}");
    }
    assert_eq!(
        (grain_ns(BEAT_NS, 0), grain_ns(PERIOD_NS, 0), grain_ns(PERIOD_NS, 4_000_000)),
        (0, PERIOD_NS, 12_000_000)
    );
}
