//! A load that is tied to the link.

use super::*;
use serde_json::json;

/// A run whose load is to be half of 30 MiB/s, while so many MiB go over in a tenth of a second.
fn tied(mib: u64) -> Ran {
    let mut fixture = fixture(|scenario| {
        scenario.load.link_share = "50%".parse().ok();
        scenario.load.asked.rate = "15M/s".parse().unwrap();
    });
    for tick in 1..30 {
        let bytes = tick * (mib << 20);
        let ram =
            json!({"transferred": bytes, "duplicate": 0, "normal": bytes / 4096, "dirty-sync-count": 2});
        let answer = json!({"status": "active", "ram": ram});
        fixture.vm.when("source migrate", tick * 100, Cue::Answers(Side::Source, answer));
    }
    fixture.run()
}

#[test]
fn a_rate_tied_to_the_link_follows_what_the_migration_gets_and_goes_back_when_it_is_over() {
    let ran = tied(1);
    ran.passed();
    assert!(ran.told("guest set") >= 2, "{ran:?}");
    assert!(
        ran.is_noted("load.rate = 50%link: 15M/s before and after the migration; 1 rate was taken"),
        "{ran:?}"
    );
}

#[test]
fn a_link_that_gives_what_was_asked_for_leaves_the_load_alone() {
    let ran = tied(3);
    ran.passed();
    assert_eq!(ran.told("guest set"), 0, "{ran:?}");
    assert!(ran.is_noted("load.rate = 50%link: 15M/s all the time"), "{ran:?}");
}
