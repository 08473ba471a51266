//! What a driver of a VM knows and wants, input by input; no VM is there.

use super::*;
use crate::record::{MarkNote, Record, SessionId};

const SECOND_NS: u64 = 1_000_000_000;

fn event(side: Side, name: &str) -> VmInput {
    VmInput::Event { side, host_ns: 7, name: name.into(), data: Value::Null }
}

fn exited(side: Side) -> VmInput {
    VmInput::Exited { side, exit: Exit { code: Some(1), ..Exit::default() }, cause: String::new() }
}

fn says(seq: u64, body: Body) -> VmInput {
    let record = Record { session: SessionId(1), seq, mono_ns: 5, body };
    VmInput::Record(Box::new(Arrival { host_ns: 9, side: Side::Source, record }))
}

fn mark() -> Body {
    Body::Mark(MarkNote { text: "here".into() })
}

#[test]
fn the_guest_is_at_home_where_it_was_resumed_last() {
    let mut driver = VmDriver::new(1);
    driver.on(2, event(Side::Source, "STOP"));
    assert_eq!(driver.home, Side::Source, "it stands still, but is nowhere else");
    driver.on(3, event(Side::Destination, "RESUME"));
    assert_eq!(driver.home, Side::Destination);
    driver.on(4, event(Side::Source, "RESUME"));
    assert_eq!(driver.home, Side::Source, "a migration that was given up");
}

#[test]
fn a_side_is_gone_when_its_qemu_ended_and_its_socket_gave_all_it_had() {
    for closed_first in [false, true] {
        let mut driver = VmDriver::new(1);
        assert_eq!(driver.boot(1, Nanos::from_secs(60)), []);
        let inputs = [exited(Side::Source), VmInput::PortClosed(Side::Source)];
        let [one, other] = if closed_first {
            let [a, b] = inputs;
            [b, a]
        } else {
            inputs
        };
        assert_eq!(driver.on(2, one), [], "its last bytes may still come, or it may live");
        let lost = driver.on(3, other);
        assert!(matches!(&lost[..], [VmAction::Over(Err(Obstacle::Guest { .. }))]), "{lost:?}");
    }
}

#[test]
fn nothing_is_waited_for_without_a_goal_and_a_goal_is_over_once() {
    let mut driver = VmDriver::new(1);
    assert_eq!(driver.on(2, exited(Side::Source)), []);
    assert_eq!(driver.on(2, VmInput::PortClosed(Side::Source)), []);
    assert_eq!(driver.on(2, VmInput::Interrupted), []);
    driver.boot(3, Nanos::from_secs(60));
    assert_eq!(driver.on(4, VmInput::Interrupted), [VmAction::Over(Err(Obstacle::Interrupted))]);
    assert_eq!(driver.on(4, VmInput::Interrupted), []);
}

#[test]
fn a_time_that_is_over_ends_a_goal_at_the_moment_it_is_over() {
    let mut driver = VmDriver::new(1);
    driver.boot(SECOND_NS, Nanos::from_secs(60));
    assert_eq!(driver.on(61 * SECOND_NS - 1, VmInput::Tick), []);
    assert_eq!(driver.on(61 * SECOND_NS, VmInput::Tick).len(), 1);
}

#[test]
fn what_happened_is_written_down_the_first_time() {
    let mut driver = VmDriver::new(1);
    driver.end(5);
    driver.end(9);
    let milestones: Vec<u64> = driver.milestones().iter().map(|milestone| milestone.host_ns).collect();
    assert_eq!(milestones, [1, 5], "boot, and the order to end");
}

#[test]
fn a_mark_of_the_guest_is_the_migrations_and_nobody_elses() {
    let mut driver = VmDriver::new(1);
    driver.boot(2, Nanos::from_secs(60));
    assert_eq!(driver.on(3, says(0, mark())), [], "it is no hello");
}

#[test]
fn the_sources_answer_is_the_one_that_is_shown() {
    let mut driver = VmDriver::new(1);
    for (side, status) in [(Side::Source, "active"), (Side::Destination, "none")] {
        let result = Ok(serde_json::json!({ "status": status }));
        driver.on(2, VmInput::Answer { side, command: "query-migrate", host_ns: 2, result });
    }
    assert_eq!(driver.sample().and_then(|sample| sample.status.as_deref()), Some("active"));
}

#[test]
fn what_happened_is_told_in_its_order_and_no_moment_is_older_than_one_before() {
    let mut driver = VmDriver::new(1);
    driver.end(50);
    // The guest's last record came before it was told to end.
    driver.on(60, says(9, crate::lab::run::fake::end()));
    let milestones: Vec<u64> = driver.milestones().iter().map(|milestone| milestone.host_ns).collect();
    assert_eq!(milestones, [1, 9, 50]);
    driver.on(20, VmInput::Tick);
    assert_eq!(driver.now_ns, 60);
}
