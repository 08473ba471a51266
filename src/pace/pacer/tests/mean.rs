//! The mean rate of what writers really do, from 100 to 2 million visits a second: what they are released to do, pauses
//! among it.

use super::*;

/// Visits done by all writers together, in a run so long that it has at least 1000 and at most 4 million of them, and
/// the visits that the rate asks for in that time.
fn done_and_asked(rate: u64, pace: PaceSpec, writers: u32, pauses: &[(u64, u64)]) -> (u64, u64) {
    let seconds = (4_000_000 / rate).clamp(1, 10);
    let done = (0..writers).map(|writer| {
        let part = Part { pace, writer, writers, ..part(rate) };
        visits(&carry_out(&part, pauses, seconds * SECOND_NS))
    });
    (done.sum(), seconds * rate)
}

#[test]
fn the_mean_rate_is_within_a_thousandth_from_100_to_2_million_a_second_at_every_pace() {
    let burst = PaceSpec::Burst { on: Nanos::from_ms(200), off: Nanos::from_ms(300) };
    for rate in [100, 1_000, 12_345, 200_000, 2_000_000] {
        for (pace, writers) in [(PaceSpec::Constant, 1), (PaceSpec::Poisson, 3), (burst, 2)] {
            let (done, asked) = done_and_asked(rate, pace, writers, &[]);
            assert!(done.abs_diff(asked) * 1000 <= asked, "{pace} {rate} of {writers}: {done} for {asked}");
        }
    }
}

#[test]
fn pauses_that_were_made_up_for_take_nothing_off_the_mean_rate() {
    for rate in [100, 25_600, 400_000] {
        // Away for a tenth of the first two seconds.
        let pauses: Vec<(u64, u64)> =
            (0..20).map(|n| (n * 100_000_000, n * 100_000_000 + 10_000_000)).collect();
        let (done, asked) = done_and_asked(rate, PaceSpec::Constant, 2, &pauses);
        assert!(done.abs_diff(asked) * 1000 <= asked, "{rate}: {done} for {asked}");
    }
}

#[test]
fn a_rate_that_is_off_by_a_fifth_of_a_percent_would_be_noticed() {
    let (done, asked) = done_and_asked(100_200, PaceSpec::Constant, 1, &[]);
    let wanted = asked / 1002 * 1000;
    assert!(done.abs_diff(wanted) * 1000 > wanted, "{done} for {wanted}");
}
