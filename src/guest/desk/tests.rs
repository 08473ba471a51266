//! Commands on the left, what the run is to do on the right.

use super::*;
use crate::plan::{self, Machine, PhaseAsked, Plan, Ramp, Stock};
use crate::units::Nanos;

const SECOND: u64 = 1_000_000_000;

fn desk(phases: Vec<PhaseAsked>) -> Desk {
    let machine = Machine { available_bytes: 1 << 30, cpus: 1, stock: Stock::default() };
    Desk::new(&plan::check(&Plan { phases, ..Plan::default() }, &machine).unwrap(), 0)
}

fn take_change(desk: &mut Desk) -> Option<Load> {
    let change = desk.change();
    desk.carried_out();
    change
}

fn set(change: LoadChange) -> Command {
    Command::Set { id: None, change }
}

#[test]
fn what_is_set_changes_and_all_else_stays() {
    let mut desk = desk(vec![]);
    let change =
        LoadChange { rate: Some("5M/s".into()), content: Some("zero".into()), ..LoadChange::default() };
    assert_eq!(desk.obey(1, &set(change)), Ok(()));
    let (rate, content) = ("5M/s".parse().unwrap(), "zero".parse().unwrap());
    assert_eq!(take_change(&mut desk), Some(Load { rate, content, ..Plan::default().load() }));
    assert_eq!(take_change(&mut desk), None);
}

#[test]
fn a_bad_command_names_its_field_and_changes_nothing() {
    let mut desk = desk(vec![]);
    let change = |rate: &str, pace: &str| LoadChange {
        rate: Some(rate.into()),
        pace: Some(pace.into()),
        ..LoadChange::default()
    };
    for (change, said) in [
        (LoadChange::default(), "one of rate, pattern"),
        (change("quick", "constant"), "rate: 'quick'"),
        (change("5M/s", "slow"), "pace: 'slow'"),
        (change("max", "poisson"), "--pace poisson"),
    ] {
        let error = desk.obey(1, &set(change)).unwrap_err();
        assert!(error.contains(said) && !error.contains('\n'), "{error}");
    }
    assert_eq!(take_change(&mut desk), None);
}

#[test]
fn a_paused_load_is_kept_and_may_be_changed_meanwhile() {
    let mut desk = desk(vec![]);
    desk.obey(1, &Command::Pause { id: None }).unwrap();
    assert_eq!(take_change(&mut desk).unwrap().rate, "0".parse().unwrap());
    desk.obey(1, &set(LoadChange { pattern: Some("random".into()), ..LoadChange::default() })).unwrap();
    assert_eq!(take_change(&mut desk).unwrap().rate, "0".parse().unwrap());
    assert!(desk.status().paused);
    desk.obey(2, &Command::Resume { id: None }).unwrap();
    let pattern = "random".parse().unwrap();
    assert_eq!(take_change(&mut desk), Some(Load { pattern, ..Plan::default().load() }));
    desk.obey(3, &Command::Resume { id: None }).unwrap();
    assert_eq!(take_change(&mut desk), None);
}

#[test]
fn a_ramp_that_was_paused_goes_on_from_where_it_had_come_to() {
    let ramp = PhaseAsked {
        name: "up".into(),
        duration: Some(Nanos::from_secs(10)),
        ramp: Some(("0".parse().unwrap(), "1000p/s".parse().unwrap())),
        ..PhaseAsked::default()
    };
    let mut desk = desk(vec![ramp.clone()]);
    let planned = PlannedPhase {
        name: "up".into(),
        duration_ns: Some(10 * SECOND),
        load: Load {
            rate: "1000p/s".parse().unwrap(),
            ramp: Some(Ramp { from: "0".parse().unwrap(), over_ns: 10 * SECOND }),
            ..Plan::default().load()
        },
    };
    desk.begin(SECOND, &planned);
    desk.obey(5 * SECOND, &Command::Pause { id: None }).unwrap();
    desk.obey(50 * SECOND, &Command::Resume { id: None }).unwrap();
    let rest = Some(Ramp { from: "400p/s".parse().unwrap(), over_ns: 6 * SECOND });
    assert_eq!(take_change(&mut desk).unwrap().ramp, rest);
    for _ in 0..2 {
        desk.begin(60 * SECOND, &planned);
        assert_eq!(take_change(&mut desk), Some(planned.load), "the same ramp begins anew");
    }
}

#[test]
fn a_phase_is_one_of_the_plan_or_any_name_where_there_are_none() {
    let phase = |name: &str| Command::Phase { id: None, name: name.into() };
    let mut free = desk(vec![]);
    free.obey(1, &phase("before the switch")).unwrap();
    assert_eq!((free.take_phase().as_deref(), free.take_phase()), (Some("before the switch"), None));
    for bad in ["", "a\u{1b}[2J", &"x".repeat(65)] {
        assert!(free.obey(1, &phase(bad)).unwrap_err().starts_with("name: "));
    }
    let mut planned = desk(vec![PhaseAsked { name: "quiet".into(), ..PhaseAsked::default() }]);
    assert!(planned.obey(1, &phase("loud")).unwrap_err().contains("one of quiet"));
    assert_eq!((planned.obey(1, &phase("quiet")), planned.take_phase()), (Ok(()), Some("quiet".into())));
}

#[test]
fn a_sweep_is_asked_for_once() {
    let mut desk = desk(vec![]);
    desk.obey(1, &Command::Sweep { id: None }).unwrap();
    assert_eq!((desk.take_sweep(), desk.take_sweep()), (true, false));
}

#[test]
fn phases_asked_for_together_are_gone_through_in_order_and_what_is_set_after_one_holds() {
    let phase = |name: &str| Command::Phase { id: None, name: name.into() };
    let planned = |name: &str, rate: &str| PhaseAsked {
        name: name.into(),
        duration: Some(Nanos::from_secs(5)),
        settings: plan::settings(&[("rate", rate)]),
        ..PhaseAsked::default()
    };
    let mut desk = desk(vec![planned("one", "1M/s"), planned("two", "2M/s")]);
    desk.obey(1, &phase("one")).unwrap();
    desk.obey(1, &phase("two")).unwrap();
    desk.obey(1, &set(LoadChange { pattern: Some("random".into()), ..LoadChange::default() })).unwrap();
    assert!(desk.is_waiting());
    assert_eq!([desk.take_phase(), desk.take_phase()], [Some("one".into()), Some("two".into())]);
    let load = take_change(&mut desk).unwrap();
    assert_eq!((load.rate.to_string(), load.pattern.to_string()), ("2M/s".into(), "random".into()));
    assert!(!desk.is_waiting());
    let more = (0..=MOST_PHASES_AT_ONCE).map(|_| desk.obey(2, &phase("one"))).filter(Result::is_err);
    assert_eq!(more.count(), 1, "there is an end to what a host may ask at once");
}

fn dirty(pages: u64) -> Command {
    Command::Dirty { id: None, pages }
}

#[test]
fn pages_are_dirtied_one_order_at_a_time_when_the_load_is_held_and_a_rate_or_resume_brings_it_back() {
    let mut desk = desk(vec![]);
    desk.obey(1, &dirty(5)).unwrap();
    assert!(desk.is_waiting() && desk.status().paused);
    assert_eq!(desk.take_dirty(), None, "the load is to be held first");
    assert_eq!(take_change(&mut desk).unwrap().rate, "0".parse().unwrap());
    assert_eq!((desk.take_dirty(), desk.take_dirty(), desk.is_waiting()), (Some(5), None, false));
    assert!(desk.obey(2, &dirty(5)).unwrap_err().contains("wait for the record 'dirtied'"));
    desk.dirtied(2);
    desk.obey(3, &set(LoadChange { content: Some("zero".into()), ..LoadChange::default() })).unwrap();
    assert_eq!(take_change(&mut desk).unwrap().rate, "0".parse().unwrap(), "no rate was set");
    desk.obey(4, &set(LoadChange { rate: Some("3M/s".into()), ..LoadChange::default() })).unwrap();
    assert_eq!(take_change(&mut desk).unwrap().rate, "3M/s".parse().unwrap());
    desk.obey(5, &dirty(9)).unwrap();
    desk.obey(6, &Command::Pause { id: None }).unwrap();
    desk.obey(7, &set(LoadChange { rate: Some("4M/s".into()), ..LoadChange::default() })).unwrap();
    assert_eq!(take_change(&mut desk).unwrap().rate, "0".parse().unwrap(), "a pause holds what is set");
    assert_eq!(desk.take_dirty(), Some(9));
    desk.dirtied(8);
    desk.obey(8, &Command::Resume { id: None }).unwrap();
    assert_eq!(take_change(&mut desk).unwrap().rate, "4M/s".parse().unwrap());
}

#[test]
fn a_load_that_is_to_come_back_waits_until_the_pages_are_dirtied() {
    let rate = || set(LoadChange { rate: Some("3M/s".into()), ..LoadChange::default() });
    for back in [rate(), Command::Resume { id: None }] {
        for is_late in [false, true] {
            let mut desk = desk(vec![]);
            desk.obey(1, &dirty(5)).unwrap();
            let orders = |desk: &mut Desk| (take_change(desk).map(|load| load.rate), desk.take_dirty());
            let held = "0".parse().unwrap();
            if is_late {
                assert_eq!(orders(&mut desk), (Some(held), Some(5)));
            }
            desk.obey(1, &back).unwrap();
            assert!(desk.is_paused() && desk.status().paused);
            assert_eq!(
                orders(&mut desk),
                (Some(held), Some(5).filter(|_| !is_late)),
                "nothing else is written"
            );
            desk.dirtied(7);
            assert!(!desk.is_paused() && take_change(&mut desk).unwrap().rate != held);
        }
    }
}

#[test]
fn no_more_pages_are_dirtied_than_there_are_and_a_plan_may_begin_with_some() {
    let mut free = desk(vec![]);
    for pages in [0, 131_073, u64::MAX] {
        let error = free.obey(1, &dirty(pages)).unwrap_err();
        assert!(error.contains(&format!("{pages} pages")) && error.contains("1 to 131072"), "{error}");
    }
    assert_eq!((take_change(&mut free), free.take_dirty()), (None, None));
    let machine = Machine { available_bytes: 1 << 30, cpus: 1, stock: Stock::default() };
    let plan = Plan { dirty: Some("1M".parse().unwrap()), ..Plan::default() };
    let mut begun = Desk::new(&plan::check(&plan, &machine).unwrap(), 0);
    assert_eq!((begun.is_paused(), begun.take_dirty()), (true, Some(256)));
    begun.dirtied(1);
    begun.obey(1, &Command::Resume { id: None }).unwrap();
    assert_eq!(take_change(&mut begun), Some(Plan::default().load()));
}
