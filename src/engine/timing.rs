//! Which clock stamps: what the plan asks for, and what can be had here.

use super::EngineError;
use crate::{
    clock::{Clock, Keeper, Monotonic, is_steady},
    plan::ClockChoice,
    probe::{clocksource, is_fallback},
};

/// How long a counter that is insisted on may take to tell its pace. Ordinary machines need milliseconds; where each reading of
/// the kernel's clock leaves the guest it takes up to a second.
const LIMIT_NS: u64 = 5_000_000_000;
const LOOK_AGAIN_NS: u64 = 20_000_000;

/// Begins to watch the counter, where it is to be used.
///
/// # Errors
/// When the counter is insisted on and there is none.
pub(super) fn keeper(choice: ClockChoice) -> Result<Keeper, EngineError> {
    let keeper = Keeper::new(is_used(choice, is_steady(), clocksource().as_deref()));
    if choice == ClockChoice::Tsc && !keeper.counts() { Err(EngineError::NoCounter) } else { Ok(keeper) }
}

/// Whether the counter is used that the CPU calls steady or not, under this clocksource.
fn is_used(choice: ClockChoice, is_steady: bool, clocksource: Option<&str>) -> bool {
    match choice {
        ClockChoice::Auto => is_steady && !is_fallback(clocksource),
        ClockChoice::Tsc => true,
        ClockChoice::Monotonic => false,
    }
}

/// Finds out the counter's pace; one that is insisted on is waited for, one that is not may be found out later.
///
/// # Errors
/// When it is insisted on and does not tell its pace in time.
pub(super) fn calibrate(choice: ClockChoice, keeper: &mut Keeper) -> Result<(), EngineError> {
    wait_for_pace(choice, &Monotonic, || {
        keeper.check();
        keeper.hz().is_some()
    })
}

fn wait_for_pace(
    choice: ClockChoice,
    clock: &impl Clock,
    mut is_known: impl FnMut() -> bool,
) -> Result<(), EngineError> {
    let give_up_ns = clock.now_ns().saturating_add(LIMIT_NS);
    while !is_known() && choice == ClockChoice::Tsc {
        let now_ns = clock.now_ns();
        if now_ns >= give_up_ns {
            return Err(EngineError::CounterWithoutPace);
        }
        clock.sleep_until(now_ns + LOOK_AGAIN_NS);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Fake;
    use ClockChoice::{Auto, Monotonic, Tsc};

    #[test]
    fn a_counter_that_nobody_vouches_for_is_used_only_where_it_is_insisted_on() {
        let vouched = [(true, "tsc", true), (true, "hpet", false), (false, "kvm-clock", false)];
        for (is_steady, clocksource, by_itself) in vouched {
            let used = [Auto, Tsc, Monotonic].map(|choice| is_used(choice, is_steady, Some(clocksource)));
            assert_eq!(used, [by_itself, true, false], "{clocksource}");
        }
    }

    #[test]
    fn a_pace_that_is_insisted_on_is_waited_for_and_given_up_with_the_way_out() {
        let clock = Fake::new(0, 1);
        assert!(wait_for_pace(Auto, &clock, || false).is_ok(), "it may come later");
        assert!(clock.now_ns() < LOOK_AGAIN_NS);
        let mut looks = 0;
        let comes_late = || {
            looks += 1;
            looks == 9
        };
        assert!(wait_for_pace(Tsc, &clock, comes_late).is_ok());
        let begin_ns = clock.now_ns();
        let message = wait_for_pace(Tsc, &clock, || false).unwrap_err().to_string();
        assert!((LIMIT_NS..2 * LIMIT_NS).contains(&(clock.now_ns() - begin_ns)));
        assert!(message.contains("--clock tsc") && message.contains("--clock monotonic"), "{message}");
    }

    #[test]
    fn monotonic_has_no_counter_to_watch() {
        assert!(!keeper(Monotonic).unwrap().counts());
        let message = EngineError::NoCounter.to_string();
        assert!(message.contains("--clock tsc") && message.contains("--clock auto"), "{message}");
    }

    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    #[test]
    fn on_this_machine_the_counter_tells_its_pace_when_it_is_insisted_on() {
        let mut keeper = keeper(Tsc).unwrap();
        calibrate(Tsc, &mut keeper).unwrap();
        assert!(keeper.hz().is_some_and(|hz| hz > 1_000_000), "{:?}", keeper.hz());
    }
}
