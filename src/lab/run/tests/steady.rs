//! Loads that never become steady, before the migration and after it.

use super::*;
use crate::lab::run::fake::{Cue, end};
use crate::record::{Body, EndReason};

#[test]
fn a_load_that_is_never_steady_is_judged_and_its_guest_ended_in_order() {
    let ran = ran(|vm| {
        vm.when("boot", 1000, Cue::Loads(50));
    });
    assert!(ran.reason().starts_with("the load was never steady within 1m4s: asked were 60M/s"), "{ran:?}");
    assert!(ran.reason().ends_with("7680 pages/s; lower load.rate"), "{ran:?}");
    assert!(ran.has(MilestoneName::End) && ran.told("source migrate") == 0, "{ran:?}");
    assert_eq!(ran.ms(MilestoneName::StopGuest), Some(1000 + 64_000));
}

#[test]
fn a_load_that_is_never_steady_on_a_busy_host_is_told_how_busy_it_is() {
    let away = |percent| {
        ran(|vm| {
            vm.when("boot", 1000, Cue::Loads(50)).when("boot", 1000, Cue::IsAway(percent));
        })
    };
    let (busy, quiet) = (away(24), away(1));
    let said = "7680 pages/s; its vCPUs were away for 24.0 % of the time (12.0 % by its steal); the host is busy: a quieter \
                one, fewer vm.cpus, or a lower load.rate";
    assert!(busy.reason().ends_with(said), "{busy:?}");
    assert!(quiet.reason().contains("were away for 1.0 % of the time (0.50 % by"), "{quiet:?}");
    assert!(quiet.reason().ends_with("; lower load.rate"), "{quiet:?}");
}

#[test]
fn a_load_that_takes_its_time_to_be_steady_is_migrated_then() {
    let ran = ran(|vm| {
        vm.when("boot", 1000, Cue::Loads(50)).when("boot", 30_000, Cue::Loads(100));
    });
    ran.passed();
    assert_eq!(ran.ms(MilestoneName::Steady), Some(30_200));
}

#[test]
fn a_guest_that_ends_by_itself_before_the_migration_is_not_migrated() {
    let mut own = end();
    if let Body::End(end) = &mut own {
        end.reason = EndReason::Failed;
    }
    let ran = ran(|vm| {
        vm.when("boot", 2000, Cue::Says(own)).when("boot", 2001, Cue::IsSilent);
    });
    assert!(ran.reasons()[0].starts_with("the guest ended before the migration began"), "{ran:?}");
    assert!(ran.reasons().iter().any(|reason| reason.starts_with("the guest program failed")), "{ran:?}");
    assert_eq!(ran.told("source migrate"), 0, "{ran:?}");
}

#[test]
fn a_load_that_is_not_steady_again_is_noted_when_the_time_to_settle_is_over() {
    let ran = ran(|vm| {
        vm.when("source migrate", 3040, Cue::Loads(50)).when("source migrate", 3040, Cue::IsAway(30));
    });
    ran.passed();
    assert!(ran.is_noted("not steady again within migration.settle = 10s after the migration; its vCPUs were away for 30.0 %"), "{ran:?}");
    assert!(!ran.has(MilestoneName::Settled), "{ran:?}");
    let waited = ran.ms(MilestoneName::StopGuest).unwrap() - ran.ms(MilestoneName::Completed).unwrap();
    assert!((10_000..10_200).contains(&waited), "{waited} ms: {ran:?}");
}

#[test]
fn a_load_that_comes_back_late_is_settled_from_then_on() {
    let ran = ran(|vm| {
        vm.when("source migrate", 3040, Cue::Loads(50)).when("source migrate", 10_000, Cue::Loads(100));
    });
    ran.passed();
    let settled = ran.ms(MilestoneName::Settled).unwrap() - ran.ms(MilestoneName::Migrate).unwrap();
    assert!((10_000..10_200).contains(&settled), "{settled} ms: {ran:?}");
    let kept = ran.ms(MilestoneName::StopGuest).unwrap() - ran.ms(MilestoneName::Settled).unwrap();
    assert!(
        (900..1100).contains(&kept),
        "six seconds are over, and it ends with the settled second: {kept} ms"
    );
}
