//! What a scripted VM does by itself: boots, migrates and ends as a good one does. A test changes what it is about.

use crate::lab::vm::Exit;
use crate::record::{Body, MarkNote, Side};
use crate::wire::decode_record;
use serde_json::{Value, json};

/// Something that a scripted VM does at its moment.
#[derive(Debug, Clone)]
pub enum Cue {
    /// QEMU announces something.
    Event(Side, &'static str, Value),
    /// From now on QEMU says this to `query-migrate`.
    Answers(Side, Value),
    /// The source stops running the guest.
    Stops,
    /// A side runs the guest.
    Runs(Side),
    /// The guest says something.
    Says(Body),
    /// The guest said something so many ms ago, and it is handed in only now.
    SaidBefore(u64, Body),
    /// From now on the guest's load does this share of what is asked for, percent.
    Loads(u64),
    /// From now on the guest's vCPUs are away for this share of the time, percent; half of it is steal.
    IsAway(u64),
    /// From now on the guest has no load and tells of no interval.
    IsSilent,
    /// So many records of the guest are lost on their way.
    Loses(u64),
    /// The guest program starts again.
    Restarts,
    /// The command that migrates ends with this code.
    CommandEnds(i32),
    /// A QEMU ends.
    Exits(Side, Exit),
    /// The guest powers off, and the QEMU that runs it ends.
    PowersOff,
    /// A side's port is closed, though its QEMU lives.
    Closes(Side),
    /// From now on there is a guest on each side.
    Forks,
    /// The second of them says something, whoever was told something last.
    ForkSays(Body),
    /// From now on no record of the guest can be written.
    FillsTheDisk,
    /// What is still to come of this cause does not come.
    Drops(&'static str),
}

/// The cause, the time from it in ms, and what comes then, of a VM that does all it should.
pub fn well() -> Vec<(&'static str, u64, Cue)> {
    use Side::{Destination, Source};
    let (migrate, cancel) = ("source migrate", "source migrate_cancel");
    let (order, stop) = ("source migrate-start-postcopy", "guest stop");
    let status = |status: &str| Cue::Event(Source, "MIGRATION", json!({ "status": status }));
    let blocktime = json!({"status": "completed", "postcopy-blocktime": 77});
    vec![
        ("boot", 1000, Cue::Says(hello())),
        ("boot", 1000, Cue::Loads(100)),
        (migrate, 5, Cue::Answers(Source, active(1))),
        (migrate, 5, status("active")),
        (migrate, 1000, Cue::Answers(Source, active(2))),
        (migrate, 1000, Cue::Event(Source, "MIGRATION_PASS", json!({"pass": 2}))),
        (migrate, 3000, Cue::Stops),
        (migrate, 3040, Cue::Runs(Destination)),
        (migrate, 3045, Cue::Answers(Source, completed())),
        (migrate, 3045, status("completed")),
        (cancel, 10, Cue::Drops(migrate)),
        (cancel, 100, Cue::Answers(Source, json!({"status": "cancelled"}))),
        ("guest mark", 20, Cue::Says(mark())),
        (order, 5, Cue::Drops(migrate)),
        (order, 5, Cue::Answers(Source, json!({"status": "postcopy-active"}))),
        (order, 5, status("postcopy-active")),
        (order, 6, Cue::Stops),
        (order, 30, Cue::Runs(Destination)),
        (order, 800, Cue::Answers(Source, completed())),
        (order, 800, Cue::Answers(Destination, blocktime)),
        (order, 800, status("completed")),
        (stop, 50, Cue::IsSilent),
        (stop, 50, Cue::Says(end())),
        (stop, 200, Cue::PowersOff),
    ]
}

/// `query-migrate` in a pass.
pub fn active(pass: u64) -> Value {
    json!({"status": "active", "ram": {"dirty-sync-count": pass, "remaining": 5}})
}

/// `query-migrate` after the end.
pub fn completed() -> Value {
    json!({"status": "completed", "downtime": 41, "total-time": 3045})
}

/// A QEMU that can do everything.
pub fn capabilities() -> Value {
    let known = ["events", "auto-converge", "postcopy-ram", "postcopy-blocktime", "postcopy-preempt"];
    known.iter().map(|name| json!({"capability": name, "state": false})).collect()
}

/// A guest's first record.
pub fn hello() -> Body {
    golden(|body| matches!(body, Body::Hello(_)))
}

/// A guest's echo of the host's mark.
pub fn mark() -> Body {
    Body::Mark(MarkNote { text: "post-copy is about to be ordered".into() })
}

/// A guest's last record: it was told to stop.
pub fn end() -> Body {
    golden(|body| matches!(body, Body::End(_)))
}

fn golden(is_it: impl Fn(&Body) -> bool) -> Body {
    let lines = include_str!("../../../../tests/golden/v1/records.ndjson").lines();
    lines.map(|line| decode_record(line.as_bytes()).unwrap().body).find(is_it).unwrap()
}
