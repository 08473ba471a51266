//! Writers whose timers wake with the kernel's tick alone: no rate is lost, and nothing is late or given up because of it.

use super::*;

const TICKS_NS: [u64; 3] = [1_000_000, 4_000_250, 10_000_000];

#[test]
fn the_mean_rate_is_kept_at_every_tick_rate_and_factor() {
    let burst = PaceSpec::Burst { on: Nanos::from_ms(200), off: Nanos::from_ms(300) };
    for tick_ns in TICKS_NS {
        for rate in [10, 1_000, 5_120, 150_000] {
            for pace in [PaceSpec::Constant, PaceSpec::Poisson, burst] {
                for catch_up in [1, 2, 4] {
                    let part = Part { pace, catch_up, tick_ns, ..part(rate) };
                    let done = visits(&carry_out(&part, &[], SECOND_NS));
                    let due = |at_ns| Schedule::new(0, &part).unwrap().offered(at_ns);
                    let seen = due(SECOND_NS)..=due(SECOND_NS + 2 * tick_ns);
                    assert!(
                        seen.contains(&done),
                        "{pace} {rate}/s by {catch_up}, {tick_ns}: {done} not in {seen:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn no_visit_is_late_or_given_up_because_of_the_tick() {
    for tick_ns in TICKS_NS {
        for (rate, backlog) in [(50, BacklogPolicy::Repay), (51_200, BacklogPolicy::Shed)] {
            let part = Part { backlog, tick_ns, ..part(rate) };
            let (mut pacer, mut intended_ns, mut now_ns) = (Pacer::new(0, &part), [0; BATCH], 0u64);
            for _ in 0..2000 {
                let batch = pacer.next(&mut intended_ns);
                if now_ns < batch.release_ns {
                    now_ns = batch.release_ns.next_multiple_of(tick_ns);
                }
                assert!(now_ns <= pacer.released(now_ns, &batch));
                let late_ns = now_ns.saturating_sub(intended_ns[0]);
                assert!(late_ns == 0, "{rate}/s, {tick_ns}: {late_ns} ns late at {now_ns}");
                assert_eq!(batch.spin_ns, 0, "a coarse clock would be spun at for a tick");
            }
        }
    }
}
