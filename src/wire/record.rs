//! Records as lines.

use crate::record::{Body, Record};
use crate::units::{printable, shown};
use serde::Deserialize;

/// The longest record line that is read, in bytes: several times the fullest interval there can be.
pub const RECORD_LIMIT_BYTES: usize = 256 * 1024;

/// Room for a record without histograms of much length: what grows step by step touches twice the memory.
const USUAL_BYTES: usize = 4096;

/// What is said of a line that is none, at most.
const LONGEST_REASON_CHARS: usize = 600;

/// A line that is no record of this schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not a JSON object with a record's fields: torn, or never one.
    #[error("not a record: {0}")]
    Malformed(String),
    /// A whole record, of a type this version does not know.
    #[error("a record of the unknown type '{type_name}'; known are {known}", known = Body::TYPE_NAMES.join(", "))]
    UnknownType {
        /// Its `type`, shortened and without control characters.
        type_name: String,
        /// Its place in the sequence.
        seq: u64,
        /// Its session.
        session: crate::record::SessionId,
    },
}

/// The envelope alone, for records whose type is not known.
#[derive(Deserialize)]
struct Envelope {
    r#type: String,
    session: crate::record::SessionId,
    seq: u64,
}

/// A record as one line, newline included.
pub fn encode_record(record: &Record) -> Vec<u8> {
    let mut line = Vec::with_capacity(USUAL_BYTES);
    encode_into(&mut line, record);
    line
}

/// The same, in the place of what `line` was.
pub fn encode_into(line: &mut Vec<u8>, record: &Record) {
    line.clear();
    if serde_json::to_writer(&mut *line, record).is_err() {
        line.clear();
    }
    line.push(b'\n');
}

/// What a line (without its newline) says.
///
/// # Errors
/// When the line is longer than [`RECORD_LIMIT_BYTES`], is no JSON object, lacks a field, has one of a wrong type,
/// or is of a type this version does not know.
pub fn decode_record(line: &[u8]) -> Result<Record, DecodeError> {
    if line.len() > RECORD_LIMIT_BYTES {
        return Err(DecodeError::Malformed(format!("{} bytes are too long", line.len())));
    }
    serde_json::from_slice(line).map_err(|error| explain(line, &error))
}

fn explain(line: &[u8], error: &serde_json::Error) -> DecodeError {
    match serde_json::from_slice::<Envelope>(line) {
        Ok(envelope) if !Body::TYPE_NAMES.contains(&envelope.r#type.as_str()) => DecodeError::UnknownType {
            type_name: shown(&envelope.r#type, 40),
            seq: envelope.seq,
            session: envelope.session,
        },
        // It repeats names that the line chose.
        _ => DecodeError::Malformed(
            error.to_string().chars().map(printable).take(LONGEST_REASON_CHARS).collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{
        Gap, GapClass, GapFeatures, Heartbeat, MarkNote, Phase, Reply, SessionId, Stall, SweepEnd,
    };
    use proptest::prelude::*;

    #[test]
    fn a_reason_repeats_no_control_characters_and_not_all_of_a_long_name() {
        let name = "m\\u0000\\u001b[2J".to_owned() + &"x".repeat(100_000);
        let line = format!("{{\"type\":\"{name}\",\"session\":1,\"seq\":1,\"mono_ns\":0}}");
        let said = decode_record(line.as_bytes()).unwrap_err().to_string();
        assert!(said.starts_with("not a record") && said.len() < 1000, "{said}");
        assert!(!said.chars().any(char::is_control), "{said:?}");
    }

    fn bodies() -> impl Strategy<Value = Body> {
        prop_oneof![
            (any::<u64>(), any::<Option<u64>>()).prop_map(|(real_ns, tsc)| Body::Heartbeat(Heartbeat {
                real_ns,
                tsc,
                disruptions: tsc,
                ptp_ns: tsc,
                clocksource: tsc.map(|number| number.to_string()),
            })),
            (any::<u32>(), any::<u64>(), any::<u64>()).prop_map(|(cpu, start_ns, len_ns)| Body::Stall(
                Stall { cpu, start_ns, len_ns, page: start_ns, earlier: len_ns }
            )),
            ".{0,40}".prop_map(|text| Body::Mark(MarkNote { text })),
            ".{0,10}".prop_map(|phase| Body::Phase(Phase { phase })),
            (any::<u32>(), any::<u64>(), any::<Option<u64>>()).prop_map(|(sweeps, pages, corrupt_pages)| {
                Body::Sweep(SweepEnd { sweeps, pages, corrupt_pages })
            }),
            (any::<Option<u64>>(), any::<bool>(), any::<Option<String>>())
                .prop_map(|(to, ok, error)| Body::Reply(Reply { to, ok, error, from: to, status: None })),
            (any::<u32>(), any::<u64>(), any::<u64>()).prop_map(|(cpu, start_ns, len_ns)| Body::Gap(Gap {
                cpu,
                start_ns,
                len_ns,
                class: GapClass::Unknown,
                features: GapFeatures::default()
            })),
        ]
    }

    #[test]
    fn the_longest_interval_that_regions_and_vcpus_make_is_a_record() {
        use crate::histogram::{CELLS, Counts, HIGHEST_NS, lowest_in_cell};
        use crate::record::{CpuInterval, Latency, MOST_CPUS, REGION_HISTOGRAMS_BYTES, RegionInterval};
        let golden = include_str!("../../tests/golden/v1/records-parts.ndjson").lines().nth(1).unwrap();
        let mut record = decode_record(golden.as_bytes()).unwrap();
        let Body::Interval(interval) = &mut record.body else { panic!("{record:?}") };
        let (count, ns, regions) = (Some(1 << 40), Some(HIGHEST_NS), 64);
        let mut all = Counts::default();
        (0..CELLS).for_each(|cell| all.record_n(lowest_in_cell(cell), 1 << 30));
        (interval.service_hist, interval.response_hist) = (all.pack(), all.pack());
        let own = Latency { count: 1 << 40, p50: ns, p90: ns, p99: ns, p999: ns, max: ns };
        let packed = Some("x".repeat(REGION_HISTOGRAMS_BYTES / regions / 2));
        let region = RegionInterval {
            // Each of these bytes is written as two.
            name: "\"".repeat(64),
            writes: count,
            reads: count,
            units: None,
            offered: count,
            missed: count,
            backlog: count,
            service_ns: own,
            response_ns: own,
            service_hist: packed.clone(),
            response_hist: packed,
        };
        interval.regions = vec![region; regions];
        let stall_ms = || GapClass::ALL.iter().map(|class| (class.name().to_owned(), 10_000_000)).collect();
        let cpu = |cpu| CpuInterval { cpu, gap_ns: HIGHEST_NS, stall_ms: stall_ms() };
        interval.cpus = (0..1024).rev().take(MOST_CPUS).map(cpu).collect();
        let length = encode_record(&record).len();
        assert!((RECORD_LIMIT_BYTES / 2..RECORD_LIMIT_BYTES).contains(&length), "{length}");
    }

    #[test]
    fn an_unknown_type_is_told_apart_from_a_torn_line() {
        let line = br#"{"type":"omen","session":"0000000000000001","seq":3,"mono_ns":1}"#;
        assert!(matches!(decode_record(line), Err(DecodeError::UnknownType { seq: 3, .. })));
        assert!(matches!(decode_record(&line[..40]), Err(DecodeError::Malformed(_))));
        assert!(matches!(
            decode_record(br#"{"type":"gap","session":"0000000000000001","seq":3,"mono_ns":1}"#),
            Err(DecodeError::Malformed(_))
        ));
    }

    #[test]
    fn deep_nesting_is_refused_and_does_not_overflow_the_stack() {
        let deep = [b"{\"type\":".as_slice(), &vec![b'['; 100_000]].concat();
        assert!(matches!(decode_record(&deep), Err(DecodeError::Malformed(_))));
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same_record(
            session in any::<u64>(), seq in any::<u64>(), mono_ns in any::<u64>(), body in bodies()
        ) {
            let record = Record { session: SessionId(session), seq, mono_ns, body };
            let line = encode_record(&record);
            prop_assert_eq!(memchr::memchr(b'\n', &line), Some(line.len() - 1), "one line");
            prop_assert_eq!(decode_record(&line[..line.len() - 1]), Ok(record));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode_record(&bytes);
        }

        #[test]
        fn a_line_cut_anywhere_is_no_record(cut in 0usize..80) {
            let record = Record { session: SessionId(1), seq: 2, mono_ns: 3, body: Body::Phase(Phase { phase: "run".into() }) };
            let line = encode_record(&record);
            prop_assert!(decode_record(&line[..cut.min(line.len() - 2)]).is_err());
        }
    }
}
