//! A run directory written, and every file of it read back.

use super::*;
use crate::histogram::Counts;
use crate::record::{
    Arrival, Body, ClockPair, Interval, Latency, Outcome, Provenance, QemuBody, Record, SessionId,
    StreamAudit, Verdict,
};

fn interval(seq: u64, start_ns: u64, value_ns: u64) -> Arrival {
    let mut counts = Counts::default();
    counts.record_n(value_ns, 10);
    let body = Body::Interval(Box::new(Interval {
        phase: "run".into(),
        start_ns,
        end_ns: start_ns + 100_000_000,
        writes: 10,
        offered: Some(10),
        missed: Some(0),
        backlog: Some(0),
        target_pages_per_s: Some(100),
        service_ns: Latency::of(&counts, 0),
        response_ns: Latency::of(&counts, 0),
        service_hist: counts.pack(),
        response_hist: counts.pack(),
        ..Interval::default()
    }));
    let mono_ns = start_ns + 100_000_000;
    // The second record took 5 ms longer to arrive than the first.
    let host_ns = mono_ns + 7_000_000_000 + seq * 5_000_000;
    Arrival { host_ns, side: Side::Source, record: Record { session: SessionId(1), seq, mono_ns, body } }
}

fn run() -> Run {
    Run {
        schema: Run::SCHEMA,
        name: "smoke/precopy".into(),
        scenario: serde_json::Value::Null,
        provenance: Provenance::default(),
        clock: ClockPair { mono_ns: 7_000_000_000, real_ns: 1_700_000_000_000_000_000 },
        milestones: Vec::new(),
        stream: StreamAudit::default(),
        source: None,
        destination: None,
        cycles: Vec::new(),
        measured: None,
        verdict: Verdict { outcome: Outcome::Passed, reasons: Vec::new() },
    }
}

/// Adds a record as a collector does; whether there was room.
fn add(file: &mut RecordsFile, arrival: &Arrival) -> bool {
    let is_detail = matches!(arrival.record.body, Body::Gap(_));
    file.add(b"", &serde_json::to_vec(arrival).unwrap(), is_detail).unwrap().is_some()
}

#[test]
fn numbers_go_on_where_they_are_free() {
    let out = tempfile::tempdir().unwrap();
    let name = |writer: &RunWriter| writer.dir().file_name().unwrap().to_string_lossy().into_owned();
    let first = RunWriter::create(out.path(), "smoke/precopy").unwrap();
    let second = RunWriter::create(out.path(), "smoke/precopy").unwrap();
    assert_eq!([name(&first), name(&second)], ["smoke-precopy-001", "smoke-precopy-002"]);
}

#[test]
fn what_was_flushed_is_there_though_the_run_never_ends() {
    let out = tempfile::tempdir().unwrap();
    let mut writer = RunWriter::create(out.path(), "x").unwrap();
    let line = QemuLine {
        host_ns: 1,
        side: Side::Source,
        body: QemuBody::Command {
            command: "migrate".into(),
            arguments: serde_json::Value::Null,
            error: None,
        },
    };
    let mut records = writer.records();
    add(&mut records, &interval(0, 0, 5));
    records.flush().unwrap();
    writer.qemu(&line).unwrap();
    writer.flush().unwrap();
    let records = fs::read_to_string(writer.dir().join(RECORDS_FILE)).unwrap();
    assert_eq!(serde_json::from_str::<Arrival>(records.trim()).unwrap(), interval(0, 0, 5));
    let qemu = fs::read_to_string(writer.dir().join(QEMU_FILE)).unwrap();
    assert_eq!(serde_json::from_str::<QemuLine>(qemu.trim()).unwrap(), line);
    assert!(!writer.dir().join(RUN_FILE).exists());
}

#[test]
fn run_json_reads_back_and_no_draft_is_left() {
    let out = tempfile::tempdir().unwrap();
    let dir = RunWriter::create(out.path(), "x").unwrap().finish(&run()).unwrap();
    let text = fs::read_to_string(dir.join(RUN_FILE)).unwrap();
    assert_eq!(serde_json::from_str::<Run>(&text).unwrap(), run());
    let hidden = fs::read_dir(dir).unwrap().filter(|entry| {
        entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with('.'))
    });
    assert_eq!(hidden.count(), 0);
}

#[test]
fn a_place_that_cannot_be_written_is_named_with_the_way_out() {
    let message = RunWriter::create(Path::new("/proc/nowhere"), "x").unwrap_err().to_string();
    assert!(message.contains("/proc/nowhere") && message.contains("--out"), "{message}");
}

/// Limits of a few records.
const SMALL: Limits = Limits {
    line_bytes: 20_000,
    reply_bytes: 10_000,
    file_bytes: 30_000,
    reserve_bytes: 10_000,
    records: 10_000,
    details: 10_000,
};

fn gap(seq: u64) -> Arrival {
    use crate::record::{Gap, GapClass, GapFeatures};
    let gap =
        Gap { cpu: 0, start_ns: seq, len_ns: 1, class: GapClass::Unknown, features: GapFeatures::default() };
    let record = Record { session: SessionId(1), seq, mono_ns: seq, body: Body::Gap(gap) };
    Arrival { host_ns: seq, side: Side::Source, record }
}

#[test]
fn a_run_of_more_records_than_are_read_is_written_up_to_there_and_read_again_whole() {
    use crate::lab::rundir::RunData;
    let out = tempfile::tempdir().unwrap();
    let writer = RunWriter::create_within(SMALL, out.path(), "x").unwrap();
    let mut records = writer.records();
    let gaps_unwritten = (0..1000).filter(|seq| !add(&mut records, &gap(*seq))).count();
    // Gaps leave room for what nothing else can stand for.
    assert!(gaps_unwritten > 0 && (1000..1010).all(|seq| add(&mut records, &interval(seq, 0, 5))));
    let intervals_unwritten =
        (1010..2000).filter(|seq| !add(&mut records, &interval(*seq, *seq * 100_000_000, 5))).count();
    records.flush().unwrap();
    assert!(intervals_unwritten > 0);
    let unwritten = (gaps_unwritten + intervals_unwritten) as u64;
    let stream = StreamAudit { unwritten, ..StreamAudit::default() };
    let dir = writer.finish(&Run { stream, ..run() }).unwrap();
    let data = RunData::read_within(&SMALL, &dir).unwrap();
    assert_eq!(data.records.stamps.len() as u64 + unwritten, 2000);
    assert!(
        data.remarks.iter().any(|remark| remark.starts_with(&unwritten.to_string())),
        "{:?}",
        data.remarks
    );
    let length = fs::metadata(dir.join(RECORDS_FILE)).unwrap().len();
    assert!((SMALL.file_bytes - 2000..=SMALL.file_bytes).contains(&length), "{length}");
    // One byte more is refused: both sides have one limit.
    let less = Limits { file_bytes: length - 1, ..SMALL };
    assert!(RunData::read_within(&less, &dir).is_err());
}

#[test]
fn a_line_is_written_exactly_as_long_as_one_is_read() {
    use crate::lab::rundir::RunData;
    let out = tempfile::tempdir().unwrap();
    let event = |data: &str| QemuLine {
        host_ns: 1,
        side: Side::Source,
        body: QemuBody::Event { event: "LONG".into(), qemu_real_us: Some(7), data: data.into() },
    };
    let mut writer = RunWriter::create_within(SMALL, out.path(), "x").unwrap();
    let envelope_bytes = serde_json::to_vec(&event("")).unwrap().len() + 1;
    let line_bytes = usize::try_from(SMALL.line_bytes).unwrap();
    let longest = event(&"x".repeat(line_bytes - envelope_bytes));
    writer.qemu(&longest).unwrap();
    writer.qemu(&event(&"x".repeat(line_bytes - envelope_bytes + 1))).unwrap();
    writer.flush().unwrap();
    let dir = writer.finish(&run()).unwrap();
    let read = RunData::read_within(&SMALL, &dir).unwrap().qemu;
    let body = QemuBody::Event { event: "LONG".into(), qemu_real_us: Some(7), data: serde_json::Value::Null };
    assert_eq!(read, [longest, QemuLine { host_ns: 1, side: Side::Source, body }]);
}

#[test]
fn of_a_reply_that_is_too_long_the_known_fields_are_kept() {
    use crate::{lab::rundir::RunData, record::MigrationSample};
    let out = tempfile::tempdir().unwrap();
    let mut writer = RunWriter::create_within(SMALL, out.path(), "x").unwrap();
    for length in [100, 10_000] {
        let reply =
            serde_json::json!({ "status": "active", "total-time": length, "new": "x".repeat(length) });
        let sample = MigrationSample { reply: Some(reply), ..MigrationSample::default() };
        let body = QemuBody::Sample(Box::new(sample));
        writer.qemu(&QemuLine { host_ns: 1, side: Side::Source, body }).unwrap();
    }
    writer.flush().unwrap();
    let text = fs::read_to_string(writer.dir().join(QEMU_FILE)).unwrap();
    let long: Vec<bool> = text.lines().map(|line| line.contains("reply")).collect();
    assert_eq!(long, [true, false]);
    let read = RunData::read_within(&SMALL, &writer.finish(&run()).unwrap()).unwrap().qemu;
    let times = read.iter().map(|line| match &line.body {
        QemuBody::Sample(sample) => sample.total_time_ms,
        _ => None,
    });
    assert_eq!(times.collect::<Vec<_>>(), [Some(100), Some(10_000)]);
}

#[test]
fn no_more_records_are_written_than_are_read_and_no_more_single_gaps_than_leave_room_for_the_others() {
    use crate::lab::rundir::RunData;
    let few = Limits { records: 30, details: 10, ..Limits::ALL };
    let out = tempfile::tempdir().unwrap();
    let writer = RunWriter::create_within(few, out.path(), "x").unwrap();
    let mut records = writer.records();
    assert_eq!((0..20).filter(|seq| add(&mut records, &gap(*seq))).count(), 10);
    assert_eq!((20..60).filter(|seq| add(&mut records, &interval(*seq, *seq * 100_000_000, 5))).count(), 20);
    records.flush().unwrap();
    let dir = writer.finish(&run()).unwrap();
    let data = RunData::read_within(&few, &dir).unwrap();
    assert_eq!((data.records.gaps.len(), data.records.intervals.len()), (10, 20));
    assert!(data.remarks.is_empty(), "{:?}", data.remarks);
    // A file of more, which a collector may have been allowed, is read as far as memory is meant for it.
    let less = Limits { records: 25, ..few };
    let data = RunData::read_within(&less, &dir).unwrap();
    assert_eq!(data.records.stamps.len(), 25);
    assert!(data.remarks[0].starts_with("only the first 25 records"), "{:?}", data.remarks);
}
