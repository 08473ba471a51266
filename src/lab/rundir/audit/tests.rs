//! Run directories that were damaged or forged, and what is said of them.

mod plans;

use super::*;
use crate::{
    lab::{
        report::{WIDTH, json, text},
        rundir::RunData,
        timeline::fixture::{FixtureData, Story, write_dir},
        view::RunView,
    },
    record::{Arrival, Body, End, EndReason, Latency, MarkNote, Milestone, SessionId, Totals},
};
use serde_json::Value;
use std::{fs, path::Path};

/// A run as the lab leaves it: with its last record, and the sums in it.
fn whole() -> FixtureData {
    let mut data = Story { away: vec![(1000.0, 1030.0)], frozen_clock: false, ..Story::precopy() }.run_data();
    let sum = |of: fn(&Body) -> u64| data.arrivals.iter().map(|arrival| of(&arrival.record.body)).sum();
    let writes = sum(|body| if let Body::Interval(own) = body { own.writes } else { 0 });
    let mut last = data.arrivals.last().unwrap().clone();
    // While the guest looks at all pages once more, it tells of what it finds; its last record bears the time before that.
    let mut found = last.clone();
    (found.record.seq, found.record.mono_ns) = (last.record.seq + 1, last.record.mono_ns + 4_000_000_000);
    found.record.body = Body::Mark(MarkNote { text: "swept".into() });
    data.arrivals.push(found);
    last.record.seq += 2;
    last.record.body = Body::End(Box::new(End {
        reason: EndReason::Stop,
        detail: None,
        totals: Totals { writes, ..Totals::default() },
        service_ns: Latency::default(),
        response_ns: Latency::default(),
        service_hist: String::new(),
        response_hist: String::new(),
        records_dropped: 0,
    }));
    data.run.stream.records += 2;
    data.run.milestones.push(Milestone { name: MilestoneName::End, host_ns: last.host_ns });
    data.arrivals.push(last);
    data
}

/// What is read of a whole run after `change`, and the report on it.
fn of(change: impl FnOnce(&mut FixtureData)) -> (RunView, String) {
    let mut data = whole();
    change(&mut data);
    let dir = tempfile::tempdir().unwrap();
    write_dir(&data, dir.path());
    read(dir.path())
}

fn read(dir: &Path) -> (RunView, String) {
    let run = RunView::new(RunData::read(dir).unwrap());
    let said = text(std::slice::from_ref(&run), WIDTH).split_whitespace().collect::<Vec<_>>().join(" ");
    (run, said)
}

/// The sentences in one text.
fn sentences(run: &RunView) -> String {
    run.data().audit.sentences().collect::<Vec<_>>().join("\n")
}

fn number(data: &mut FixtureData) {
    (0..).zip(&mut data.arrivals).for_each(|(seq, arrival)| arrival.record.seq = seq);
    data.run.stream.records = data.arrivals.len() as u64;
}

fn of_type(name: &'static str) -> impl FnMut(&Arrival) -> bool {
    move |arrival| arrival.record.body.type_name() == name
}

#[test]
fn a_whole_run_directory_has_nothing_against_it() {
    let (run, said) = of(|_| {});
    assert_eq!(run.data().audit, RunAudit::default());
    assert!(said.contains("stream sound: ") && !said.contains("damaged"), "{said}");
}

#[test]
fn gaps_that_have_no_record_are_counted_and_none_seen_is_not_said_of_them() {
    let removed = |data: &mut FixtureData| data.arrivals.retain(|arrival| !of_type("gap")(arrival));
    let (run, said) = of(removed);
    assert!(sentences(&run).contains("4 of the 4 gaps that intervals count have no record"), "{said}");
    assert!(said.contains("damaged or was changed") && !said.contains("none seen"), "{said}");
    assert!(said.contains("4 gaps have no record: gap figures come from the intervals' sums"), "{said}");
    assert!(
        run.analysis().stages.iter().all(|stage| stage.time.is_none()) && run.analysis().longest.is_empty()
    );
    // Whoever removes them may count and number the rest anew.
    let (run, said) = of(|data| {
        removed(data);
        number(data);
    });
    assert_eq!(run.data().audit.stream.len(), 1, "{said}");
    assert!(said.contains("stream NOT sound: "), "{said}");
    // What the guest gave up is no damage, and still no gap that was not.
    let (run, said) = of(|data| {
        removed(data);
        number(data);
        data.run.stream.dropped_by_guest = 4;
    });
    assert!(run.data().audit.stream.is_empty() && said.contains("4 gaps have no record"), "{said}");
    assert!(!said.contains("none seen"), "{said}");
}

#[test]
fn lines_that_are_missing_are_counted_and_placed() {
    let (run, said) = of(|data| {
        let mut line = 0;
        data.arrivals.retain(|_| {
            line += 1;
            line % 3 != 0 || line > 290
        });
    });
    let (lines, missing) =
        (run.data().records.count(), run.data().run.stream.records - run.data().records.count());
    assert!(missing == 96 && lines == 202 && said.contains("stream NOT sound: "), "{said}");
    for expected in [
        format!("lacks {missing} of the"),
        format!("the numbers of {missing} records are missing"),
        "(2, 5, 8 and others)".into(),
    ] {
        assert!(sentences(&run).contains(&expected), "{expected}: {}", sentences(&run));
    }
    let figures = run.timeline().phases.iter().map(|phase| &phase.figures);
    for own in figures.filter(|own| own.span.length_s() > 1.0) {
        let told = (own.achieved_pages_per_s, own.response_ns, own.gaps.map(|gaps| gaps.count));
        assert_eq!(told, (None, None, None), "{said}");
    }
    let analysis = run.analysis();
    assert_eq!((analysis.lost, analysis.settling.after_s), (None, None), "{said}");
    assert!(analysis.stages.iter().all(|stage| stage.slowdown.is_none() && stage.lost.is_none()), "{said}");
    assert_eq!(analysis.baseline_reason.as_deref(), Some("intervals are missing"));
    let (run, _) = of(|data| data.arrivals.truncate(100));
    assert!(sentences(&run).contains("records.ndjson lacks"), "{}", sentences(&run));
    assert!(sentences(&run).contains("when the guest's `end` came, and records.ndjson has none"));
    let (run, _) = of(|data| data.arrivals.drain(..3).for_each(drop));
    assert!(sentences(&run).contains("(0 to 2)"), "{}", sentences(&run));
}

#[test]
fn lines_that_are_too_many_are_said() {
    let (run, _) = of(|data| data.arrivals.extend_from_within(..7));
    let said = sentences(&run);
    assert!(said.contains("has 7 records more") && said.contains("7 records are twice"), "{said}");
    let (run, _) = of(|data| data.arrivals[200].record.session = SessionId(1));
    assert!(sentences(&run).contains("has records of 2 sessions"), "{}", sentences(&run));
}

#[test]
fn what_run_json_itself_says_is_lost_is_nothing_against_it() {
    let (run, _) = of(|data| {
        data.arrivals.drain(50..60).for_each(drop);
        (data.run.stream.holes, data.run.stream.records) = (10, data.run.stream.records - 10);
        data.run.verdict.outcome = Outcome::Judged;
        data.run.verdict.reasons.push("the guest's records did not arrive whole".into());
    });
    assert!(run.data().audit.stream.is_empty() && run.data().lacks_gaps(), "{}", sentences(&run));
    let (run, _) = of(|data| {
        data.arrivals.drain(50..60).for_each(drop);
        data.run.stream.unwritten = 10;
    });
    assert!(run.data().audit.stream.is_empty(), "{}", sentences(&run));
}

#[test]
fn where_nothing_came_no_stream_is_sound() {
    let (_, said) = of(|data| {
        data.arrivals.clear();
        data.run.stream.records = 0;
        data.run.milestones.clear();
    });
    assert!(said.contains("stream none: no record came") && !said.contains("stream sound"), "{said}");
}

#[test]
fn a_clock_that_goes_back_places_nothing() {
    let changes: [fn(&mut FixtureData); 3] = [
        |data| data.arrivals.last_mut().unwrap().record.mono_ns -= 5_000_000_000,
        |data| data.arrivals[70].record.mono_ns += 1 << 60,
        |data| {
            let boot =
                Milestone { name: MilestoneName::Boot, host_ns: data.arrivals[0].host_ns - 9_000_000_000 };
            data.run.milestones.insert(0, boot);
            data.arrivals[100..].iter_mut().for_each(|arrival| arrival.record.mono_ns += 1 << 50);
        },
    ];
    for change in changes {
        let (run, said) = of(change);
        assert!(
            run.data().audit.clock_contradicts && said.contains("nothing can be placed in time"),
            "{said}"
        );
        let timeline = run.timeline();
        assert!(timeline.guest.is_empty() && timeline.blackout.estimate_ns.is_none(), "{said}");
        assert!(
            timeline
                .phases
                .iter()
                .all(|phase| phase.figures.gaps.is_none() && phase.figures.service_ns.is_none())
        );
        assert_eq!(timeline.blackout.qemu_downtime_ns, Some(310_000_000), "QEMU's own figures stay");
    }
}

#[test]
fn records_that_cannot_be_are_left_out_and_said() {
    let first = |data: &mut FixtureData, name, change: fn(&mut Arrival)| {
        change(data.arrivals.iter_mut().filter(|arrival| of_type(name)(arrival)).nth(1).unwrap());
    };
    let stamped = of(|data| first(data, "heartbeat", |arrival| arrival.record.mono_ns = u64::MAX - 5));
    let backwards = of(|data| {
        first(data, "interval", |arrival| {
            let Body::Interval(interval) = &mut arrival.record.body else { unreachable!() };
            interval.end_ns = interval.start_ns - 1;
        });
    });
    let ahead = of(|data| {
        first(data, "interval", |arrival| {
            let Body::Interval(interval) = &mut arrival.record.body else { unreachable!() };
            interval.end_ns = 1 << 61;
        });
    });
    let far = of(|data| {
        first(data, "gap", |arrival| {
            let Body::Gap(gap) = &mut arrival.record.body else { unreachable!() };
            (gap.start_ns, gap.len_ns) = (1 << 61, 1 << 61);
        });
    });
    for (run, said) in [stamped, backwards, ahead, far] {
        assert!(
            run.data().audit.stream[0].starts_with("records that say what cannot be are left out (1): "),
            "{said}"
        );
        assert!(run.data().lacks_gaps() && !run.timeline().guest.is_empty(), "{said}");
        assert!(run.timeline().phases.iter().all(|phase| phase.figures.span.length_s() < 20.0), "{said}");
    }
}

#[test]
fn gaps_that_contradict_each_other_give_no_figure() {
    let with = |change: fn(&mut GapSummary)| {
        move |data: &mut FixtureData| {
            let bodies = data.arrivals.iter_mut().map(|arrival| &mut arrival.record.body);
            let own = bodies
                .filter_map(|body| if let Body::Interval(own) = body { own.gaps.as_mut() } else { None });
            change(own.last().unwrap());
        }
    };
    for (change, expected) in [
        (with(|gaps| gaps.max_ns = 5_000_000_000), "the longest gap of an interval"),
        (with(|gaps| gaps.total_ns = 1 << 62), "and none above"),
    ] {
        let (run, said) = of(change);
        assert!(run.data().audit.gaps_contradict && sentences(&run).contains(expected), "{said}");
        let timeline = run.timeline();
        assert!(timeline.phases.iter().all(|phase| phase.figures.gaps.is_none()), "{said}");
        assert!(timeline.guest.iter().all(|point| point.gap_share.is_none()), "{said}");
        assert_eq!(timeline.blackout.common_gap_ns, None);
        assert!(run.analysis().longest.is_empty());
        assert!(timeline.phases[0].figures.achieved_pages_per_s.is_some(), "what is not of gaps stays");
    }
}

/// Sets the length of each gap record to what `length` makes of it.
fn with_lengths(data: &mut FixtureData, length: fn(u64) -> u64) {
    for arrival in &mut data.arrivals {
        if let Body::Gap(gap) = &mut arrival.record.body {
            gap.len_ns = length(gap.len_ns);
        }
    }
}

#[test]
fn gap_records_whose_lengths_are_not_what_the_intervals_count_contradict_them() {
    let zero = "no gap record has a length, and there are 4";
    let shorter = "the 4 gap records are ";
    for (length, expected) in
        [((|_| 0) as fn(u64) -> u64, zero), (|own| own / 20, shorter), (|own| own * 3, shorter)]
    {
        let (run, said) = of(|data| with_lengths(data, length));
        assert!(run.data().audit.gaps_contradict && sentences(&run).contains(expected), "{said}");
        assert!(run.timeline().phases.iter().all(|phase| phase.figures.gaps.is_none()), "{said}");
    }
    // What the guest gave up may have been the longest ones; and before the last record nobody knows how many they are.
    let (run, said) = of(|data| {
        with_lengths(data, |own| own / 20);
        data.run.stream.dropped_by_guest = 3;
    });
    assert!(!run.data().audit.gaps_contradict, "{said}");
    let (run, said) = of(|data| {
        with_lengths(data, |own| own / 20);
        data.arrivals.pop();
        data.run.stream.records -= 1;
        data.run.milestones.retain(|own| own.name != MilestoneName::End);
    });
    assert!(!run.data().audit.gaps_contradict, "{said}");
    // Without the gaps that intervals count, records that are left are of others.
    let (run, said) = of(|data| {
        with_lengths(data, |own| own * 3);
        data.arrivals.drain(100..160).for_each(drop);
        (data.run.stream.holes, data.run.stream.records) = (60, data.run.stream.records - 60);
    });
    assert!(!run.data().audit.gaps_contradict, "{said}");
}

#[test]
fn sums_that_the_last_record_has_otherwise_are_said() {
    let (run, said) = of(|data| {
        let Body::End(end) = &mut data.arrivals.last_mut().unwrap().record.body else { unreachable!() };
        end.totals.reads = 9;
    });
    assert!(sentences(&run).contains("the intervals count 0 reads, and the guest's last record 9"), "{said}");
}

#[test]
fn a_verdict_that_contradicts_itself_is_not_repeated() {
    let (run, said) = of(|data| data.run.verdict.reasons = vec!["the guest's memory was lost".into()]);
    let figures: Value = serde_json::from_str(&json(&[run]).unwrap()).unwrap();
    assert_eq!(
        (&figures[0]["verdict"], figures[0]["contradictions"].as_array().unwrap().len()),
        (&Value::Null, 1)
    );
    assert!(said.contains("Verdict: n/a: run.json contradicts itself."), "{said}");
    assert!(said.contains("and yet there is a reason against it: the guest's memory was lost"), "{said}");
    let (run, said) = of(|data| data.run.milestones.retain(|own| own.name != MilestoneName::Stop));
    let blackout = &run.timeline().blackout;
    assert_eq!((blackout.qemu_downtime_ns, blackout.estimate_ns), (None, None), "{said}");
    assert!(said.contains("n/a: run.json does not say when the guest was stopped"), "{said}");
}

#[test]
fn a_session_is_held_against_what_its_collector_counted() {
    let story = |lines: usize, about: &str| {
        let (data, parent) = (whole(), tempfile::tempdir().unwrap());
        let dir = parent.path().join("00c0ffee00c0ffee");
        write_dir(&FixtureData { arrivals: data.arrivals[20..lines].to_vec(), ..data }, &dir);
        fs::remove_file(dir.join(RUN_FILE)).unwrap();
        fs::write(dir.join(SESSION_FILE), about).unwrap();
        read(&dir)
    };
    let about = r#"{"first_seq":20,"stream":{"records":180}}"#;
    let (run, said) = story(200, about);
    assert_eq!(run.data().audit, RunAudit::default(), "{said}");
    assert!(said.contains("stream sound: 180 records"), "{said}");
    let (run, said) = story(190, about);
    let lacks = "records.ndjson lacks 10 of the 180 records that session.json counts";
    assert!(sentences(&run) == lacks && said.contains("NOT sound"), "{said}");
    let (run, _) = story(200, r#"{"first_seq":17,"stream":{"records":180}}"#);
    assert!(
        sentences(&run).contains("3 records are missing in records.ndjson (17 to 19)"),
        "{}",
        sentences(&run)
    );
    for (about, remark) in [
        (r#"{"hostname":"collected still"}"#, None),
        (r#"{"first_seq":20,"stream":{"records":90}}"#, Some("session.json is older than the records")),
    ] {
        let (run, said) = story(200, about);
        assert_eq!(sentences(&run), "");
        assert!(remark.is_none_or(|remark| said.contains(remark)), "{said}");
    }
}

#[test]
fn what_qemu_said_that_ends_before_the_migration_did_is_said_and_nothing_is_claimed_of_it() {
    assert!(!of(|_| {}).1.contains("qemu.ndjson"));
    let dir = tempfile::tempdir().unwrap();
    write_dir(&Story::auto_converge().run_data(), dir.path());
    let path = dir.path().join(QEMU_FILE);
    let whole = fs::read_to_string(&path).unwrap();
    let third: Vec<&str> = whole.lines().take(whole.lines().count() / 3).collect();
    let cut = third.join("\n") + "\n";
    fs::write(&path, cut).unwrap();
    let said = read(dir.path()).1;
    assert!(said.contains("qemu.ndjson ends") && said.contains("before the migration did"), "{said}");
    fs::remove_file(&path).unwrap();
    let said = read(dir.path()).1;
    assert!(said.contains("qemu.ndjson has no sample") && !said.contains("never throttled"), "{said}");
}
