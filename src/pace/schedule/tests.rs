//! What holds at every pace: a reader's count and the writer's starts are the same schedule, and its mean is the rate.

use super::*;
use crate::units::{Nanos, Rate};
use proptest::prelude::*;

const SECOND_NS: u64 = 1_000_000_000;
const T0_NS: u64 = 77;

fn paces() -> [PaceSpec; 3] {
    let burst = PaceSpec::Burst { on: Nanos::from_ms(200), off: Nanos::from_ms(300) };
    [PaceSpec::Constant, PaceSpec::Poisson, burst]
}

fn schedule(rate: u64, pace: PaceSpec, writer: u32, writers: u32) -> Schedule {
    let part = Part { pace, writer, writers, ..Part::whole(Rate::PagesPerSecond(rate)) };
    Schedule::new(T0_NS, &part).unwrap()
}

#[test]
fn neither_a_rate_of_zero_nor_the_maximum_has_a_schedule() {
    assert_eq!(Schedule::new(0, &Part::whole(Rate::PagesPerSecond(0))), None);
    assert_eq!(Schedule::new(0, &Part::whole(Rate::Max)), None);
}

#[test]
fn ten_seconds_have_exactly_the_rate_at_every_pace_and_ten_minutes_too() {
    for pace in paces() {
        for rate in [100, 1_000, 12_345, 25_600, 2_000_000] {
            for (writers, seconds) in [(1, 10), (3, 10), (64, 10), (4, 600)] {
                let at_ns = T0_NS + seconds * SECOND_NS;
                let offered = (0..writers).map(|writer| schedule(rate, pace, writer, writers).offered(at_ns));
                assert_eq!(offered.sum::<u64>(), rate * seconds, "{pace} {rate} {writers} {seconds}");
            }
        }
    }
}

#[test]
fn writers_have_equal_shares_at_every_pace() {
    for pace in paces() {
        let offered = (0..7).map(|writer| schedule(10_000, pace, writer, 7).offered(T0_NS + 10 * SECOND_NS));
        assert!(offered.clone().max().unwrap() - offered.min().unwrap() <= 1, "{pace}");
    }
}

#[test]
fn a_burst_is_even_while_on_and_silent_while_off() {
    let burst = schedule(1000, paces()[2], 0, 1);
    let offered = |ms: u64| burst.offered(T0_NS + ms * 1_000_000);
    assert_eq!([100, 200, 350, 500, 600, 1000].map(offered), [250, 500, 500, 500, 750, 1000]);
    let mut starts = burst.starts();
    let mut previous_ns = starts.peek();
    for _ in 1..500 {
        starts.step();
        assert_eq!(starts.peek() - previous_ns, 400_000);
        previous_ns = starts.peek();
    }
    starts.step();
    assert_eq!(starts.peek(), T0_NS + 500_000_000);
}

proptest! {
    #[test]
    fn a_reader_counts_what_the_writer_is_given(
        rate in 1u64..5_000, pace in 0usize..3, writers in 1u32..5, writer in 0u32..5,
        elapsed_ns in 0u64..3_000_000_000
    ) {
        let schedule = schedule(rate, paces()[pace], writer % writers, writers);
        let mut starts = schedule.starts();
        let (mut due, mut previous_ns) = (0, 0);
        while starts.peek() < T0_NS + elapsed_ns {
            prop_assert!(starts.peek() >= previous_ns);
            previous_ns = starts.peek();
            due += 1;
            starts.step();
        }
        prop_assert_eq!(schedule.offered(T0_NS + elapsed_ns), due);
        let mut found = schedule.starts();
        found.seek(T0_NS + elapsed_ns);
        for _ in 0..50 {
            prop_assert_eq!(found.peek(), starts.peek());
            found.step();
            starts.step();
        }
    }

    #[test]
    fn what_was_offered_never_becomes_less(
        rate in 1..=Rate::LIMIT_PAGES_PER_S, pace in 0usize..3, writers in 1u32..1024,
        from_ns in 0..1u64 << 62, step_ns in 0u64..10_000_000_000
    ) {
        let schedule = schedule(rate, paces()[pace], writers - 1, writers);
        prop_assert!(schedule.offered(from_ns) <= schedule.offered(from_ns + step_ns));
    }
}
